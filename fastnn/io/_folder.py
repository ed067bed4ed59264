"""A network as the assignment has it: a folder with fc1.weight.npy, fc1.bias.npy, ...."""

from __future__ import annotations

import itertools
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
from fastnn.io._npy import open_npy, save_npy
from fastnn.io._parameters import (
    ACTIVATION,
    FIRST,
    PARAMETER,
    arrays_of,
    names_in_order,
    read_parameter,
)
from fastnn.networks import MLP


def read(folder: Path) -> dict[str, NDArray[Any]]:
    """Return weight and bias of each layer, in order, then the activation if it was saved."""
    files = _files_of_network(folder)
    arrays = {}
    for name in names_in_order(folder, files):
        with open_npy(files[name][0]) as stored:
            arrays[name] = read_parameter(folder, name, stored)
    return arrays


def write(net: MLP, folder: Path) -> None:
    """Replace the network in `folder`.

    The first weight is removed first and renamed last, so that a mixture of two networks never
    loads. The folder is synced between these steps, so that their order also holds on the disk.
    """
    arrays = arrays_of(net)
    if net.activation != "relu":
        arrays[ACTIVATION] = np.array(net.activation)
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder, _is_of_network)
    temporaries: dict[str, Temporary] = {}
    try:
        for name, array in arrays.items():
            target = folder / f"{name}.npy"
            with named_errors(target):
                temporaries[name] = Temporary(target)
                save_npy(temporaries[name].file, array)
                temporaries[name].sync()
        old = _files_of_network(folder)
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
    if folder.suffix and not folder.is_dir():
        raise ValueError(f"{folder}: unknown file type {folder.suffix}, expected .npz or a folder")
    require_folder_place(folder)


def _files_of_network(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each parameter, and of the activation, `.npy` before `.npz`."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if _is_of_network(file.name) and file.is_file():
            found.setdefault(file.stem, []).append(file)
    return found


def _is_of_network(name: str) -> bool:
    """Return whether a file of that name holds a parameter or the activation."""
    stem, _, suffix = name.rpartition(".")
    known = stem == ACTIVATION or PARAMETER.fullmatch(stem) is not None
    return known and suffix in {"npy", "npz"}
