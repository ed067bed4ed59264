"""A network as the assignment has it: a folder with fc1.weight.npy, fc1.bias.npy, ...."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import (
    Temporary,
    named_errors,
    remove_stale,
    require_folder_place,
    sync_folder,
)
from fastnn.io._names import layer_and_part, listed, read_layers
from fastnn.io._npy import StoredArray, open_npy, save_npy
from fastnn.io._parameters import ACTIVATION, IN_OUT, Saved, arrays_of, read_activation
from fastnn.networks import MLP

FIRST = "fc1.weight"
_OURS = re.compile(r"fc[1-9][0-9]*\.(weight|bias)|activation")


def read(folder: Path) -> Saved:
    """Return the parameters, and the activation if it was saved."""
    files = _files_in(folder, lambda name: layer_and_part(name) is not None)
    arrays = {name: functools.partial(_opened, found[0]) for name, found in files.items()}
    saved = read_layers(folder, arrays)
    kept = _files_in(folder, ACTIVATION.__eq__).get(ACTIVATION)
    if kept is None:
        return saved
    return saved._replace(activation=read_activation(folder, _opened(kept[0])), usual_layout=IN_OUT)


def write(net: MLP, folder: Path) -> None:
    """Replace the network in `folder`.

    The first weight is removed first and renamed last, so that a mixture of two networks never
    loads. The folder is synced between these steps, so that their order also holds on the disk.
    """
    arrays = arrays_of(net) | {ACTIVATION: np.array(net.activation)}
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder, lambda name: _is_array(name) and _is_ours(Path(name).stem))
    temporaries: dict[str, Temporary] = {}
    try:
        for name, array in arrays.items():
            target = folder / f"{name}.npy"
            with named_errors(target):
                temporaries[name] = Temporary(target)
                save_npy(temporaries[name].file, array)
                temporaries[name].sync()
        old = _files_in(folder, _is_ours)
        for file in old.pop(FIRST, []):
            file.unlink()
        sync_folder(folder)
        for file in itertools.chain.from_iterable(old.values()):
            file.unlink()
        for name in arrays:
            if name != FIRST:
                temporaries[name].rename()
        sync_folder(folder)
        temporaries[FIRST].rename()
        sync_folder(folder)
    except BaseException:
        for temporary in temporaries.values():
            temporary.discard()
        raise


def require_place(folder: Path) -> None:
    """Raise if no network can be written to `folder`."""
    require_folder_place(folder)
    if folder.is_dir():
        others = _files_in(folder, lambda name: bool(layer_and_part(name)) and not _is_ours(name))
        if others:
            raise ValueError(
                f"{folder} has layers with other names, {listed(others)}; save to another folder"
            )


def _opened(path: Path) -> StoredArray:
    """Return an array whose header was read and checked; `read` opens the file again."""

    def read() -> NDArray[Any]:
        with open_npy(path) as stored:
            return stored.read()

    with open_npy(path) as stored:
        return StoredArray(stored.shape, stored.dtype, read)


def _files_in(folder: Path, wanted: Callable[[str], bool]) -> dict[str, list[Path]]:
    """Return the files of each array whose name is wanted, `.npy` before `.npz`."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if _is_array(file.name) and wanted(file.stem) and file.is_file():
            found.setdefault(file.stem, []).append(file)
    return found


def _is_array(name: str) -> bool:
    """Return whether a file of that name holds an array."""
    return name.endswith((".npy", ".npz"))


def _is_ours(name: str) -> bool:
    """Return whether an array of that name is one that `write` writes."""
    return _OURS.fullmatch(name) is not None
