"""Networks in files: the assignment's folder of ``fc1.weight.npy`` …, or one ``.npz``."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._checks import FLOATS
from fastnn._files import (
    Temporary,
    atomic_write,
    named_errors,
    remove_stale,
    require_file_place,
    require_folder_place,
    sync_folder,
)
from fastnn._npy import StoredArray, open_npy, open_npz, save_npy
from fastnn.networks import MLP

_PARAMETER = re.compile(r"fc[1-9][0-9]*\.(weight|bias)")
# Saved with the parameters; without it the activation is ReLU, as in the assignment.
_ACTIVATION = "activation"
_FIRST = "fc1.weight"
_LONGEST_WORD = 100  # characters
_MOST_NAMED = 6  # parameters in a message

_Arrays = Mapping[str, NDArray[Any]]


def load_mlp(path: str | os.PathLike[str], *, activation: str | None = None) -> MLP:
    """Load a network.

    Parameters
    ----------
    path : path-like
        A folder with ``fc1.weight.npy``, ``fc1.bias.npy``, ``fc2.weight.npy`` and so on, each also
        with the suffix ``.npz`` (``.npy`` is read if both exist), or one ``.npz``
        archive with the keys ``fc1.weight``, ``fc1.bias`` and so on. Weights are (d_in, d_out),
        biases (d_out,) or (1, d_out), all float32 or all float64; any number of layers.
    activation : {"relu", "sigmoid"}, optional
        Default: what was saved with the network, else "relu" as in the assignment.

    Returns
    -------
    MLP

    Raises
    ------
    FileNotFoundError
        `path` does not exist, or a folder lacks the weight or bias of a layer.
    ValueError
        A file is damaged, pickled or of another kind; an archive lacks a weight or bias; a layer
        does not fit the one before it, or only if transposed (PyTorch stores (out, in)); an entry
        is NaN or infinite; types are mixed, or neither float32 nor float64; `activation` is unknown
        or not the one that was saved. The message names the file and the layer.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.save_mlp(fastnn.MLP.random((4, 3, 2), activation="sigmoid"), folder)
    ...     fastnn.load_mlp(folder)
    MLP(4-3-2, sigmoid, float32)
    """
    place = Path(path)
    arrays = _read_folder(place) if place.is_dir() else _read_archive(place)
    found = arrays.pop(_ACTIVATION, None)
    saved = None if found is None else str(found)
    if saved is not None and activation not in (None, saved):
        raise ValueError(f"{place} was saved with activation {saved!r}, not {activation!r}")
    weights, biases = (list(arrays.values())[kind::2] for kind in (0, 1))
    try:
        return MLP(weights, biases, saved or activation or "relu")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {_explain(weights, biases, str(error))}") from error


def save_mlp(net: MLP, path: str | os.PathLike[str]) -> None:
    """Save a network so that `load_mlp` and the assignment's `np.load` loop read it.

    Parameters
    ----------
    net : MLP
    path : path-like
        A name ending in ``.npz`` makes one archive, which also keeps the activation. Any other name
        is a folder, created if needed, for ``fc1.weight.npy``, ``fc1.bias.npy`` and so on; a
        network that is not ReLU gets an ``activation.npy`` beside them.

    Raises
    ------
    ValueError
        The name has the suffix of another type of file.
    OSError
        The folder or file cannot be written.

    Notes
    -----
    All old weights are replaced. If a save is interrupted, the folder has either the old network or
    no ``fc1.weight.npy``, so that it cannot be loaded; it never has layers of both networks. Other
    files in the folder are not touched.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> import fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.save_mlp(fastnn.MLP.random((4, 2)), folder)
    ...     sorted(os.listdir(folder))
    ['fc1.bias.npy', 'fc1.weight.npy']
    """
    place = Path(path)
    require_place(place)
    arrays = {}
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        arrays[f"fc{i}.weight"], arrays[f"fc{i}.bias"] = weight, bias
    if _is_archive(place):
        with atomic_write(place) as file:
            np.savez(file, **arrays, **{_ACTIVATION: np.array(net.activation)})  # type: ignore[arg-type]
        return
    if net.activation != "relu":
        arrays[_ACTIVATION] = np.array(net.activation)
    place.mkdir(parents=True, exist_ok=True)
    _write_folder(place, arrays)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise the errors of `save_mlp` for the name `path`: before a training, not after it."""
    place = Path(path)
    if _is_archive(place):
        require_file_place(place)
    elif place.suffix and not place.is_dir():
        raise ValueError(f"{place}: unknown file type {place.suffix}, expected .npz or a folder")
    else:
        require_folder_place(place)


def _is_archive(place: Path) -> bool:
    """Return whether a network at `place` is one file and not a folder."""
    return place.suffix == ".npz" and not place.is_dir()


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
    known = stem == _ACTIVATION or _PARAMETER.fullmatch(stem) is not None
    return known and suffix in {"npy", "npz"}


def _read_folder(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the files of a network, in the order of `_read_archive`."""
    files = _files_of_network(folder)
    arrays = {}
    for name in _names_in_order(folder, files):
        with open_npy(files[name][0]) as stored:
            arrays[name] = _read(folder, name, stored)
    return arrays


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a network: weight and bias of each layer, then the activation if saved.

    Nothing else in the archive is read.
    """
    with open_npz(path) as members:
        return {name: _read(path, name, members[name]()) for name in _names_in_order(path, members)}


def _read(place: Path, name: str, stored: StoredArray) -> NDArray[Any]:
    """Read an array, once its header fits its name."""
    shape, dtype = stored.shape, stored.dtype
    if name == _ACTIVATION:
        if shape or dtype.kind != "U" or dtype.itemsize > 4 * _LONGEST_WORD:
            raise ValueError(f"{place}: {name} must be one word, got {dtype} {shape}")
    elif dtype not in FLOATS:
        raise ValueError(f"{place}: {name} must be float32 or float64, got {dtype}")
    return stored.read()


def _names_in_order(place: Path, found: Collection[str]) -> list[str]:
    """Return the names of the arrays to read; every layer up to the last has weight and bias."""
    names: list[str] = []
    for i in itertools.count(1):
        pair = [f"fc{i}.weight", f"fc{i}.bias"]
        if i > 1 and not any(name in found for name in pair):
            break
        for name in pair:
            if name not in found:
                raise _missing(place, name, found)
        names += pair
    if len(names) < sum(_PARAMETER.fullmatch(name) is not None for name in found):
        raise _missing(place, pair[0], found)
    return names + [_ACTIVATION] * (_ACTIVATION in found)


def _missing(place: Path, name: str, found: Collection[str]) -> Exception:
    """Return the error for a missing parameter; it lists those that were found."""
    present = sorted(other for other in found if _PARAMETER.fullmatch(other))
    has = ", ".join(other[:40] for other in present[:_MOST_NAMED]) or "no parameters"
    more = ", ..." if len(present) > _MOST_NAMED else ""
    kind = FileNotFoundError if place.is_dir() else ValueError
    return kind(f"{place}: {name} is missing, found {has}{more}")


def _explain(weights: list[NDArray[Any]], biases: list[NDArray[Any]], reason: str) -> str:
    """Return an error of `MLP` with the names that the arrays have in the file."""
    turned = [weight.T for weight in weights]
    if not _chain(weights, biases) and _chain(turned, biases):
        shape = weights[0].shape
        return (
            f"{_FIRST} {shape} and the rest chain only when transposed: this looks like PyTorch's "
            "(out, in) layout, expected (d_in, d_out); save weight.T"
        )
    reason = re.sub(r"\bweights\[(\d+)\]", lambda m: f"fc{int(m[1]) + 1}.weight", reason)
    return re.sub(r"\bbiases\[(\d+)\]", lambda m: f"fc{int(m[1]) + 1}.bias", reason)


def _chain(weights: list[NDArray[Any]], biases: list[NDArray[Any]]) -> bool:
    """Return whether every layer fits the one before it, and every bias its layer."""
    if any(weight.ndim != 2 for weight in weights):
        return False
    widths = [weight.shape[1] for weight in weights]
    return [weight.shape[0] for weight in weights[1:]] == widths[:-1] and [
        bias.size for bias in biases
    ] == widths


def _write_folder(folder: Path, arrays: _Arrays) -> None:
    """Replace the network in `folder`.

    The first weight is removed first and renamed last, so that a mixture of two networks never
    loads. The folder is synced between these steps, so that their order also holds on the disk.
    """
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
        for file in old.pop(_FIRST, []):
            file.unlink()
        sync_folder(folder)
        for file in itertools.chain.from_iterable(old.values()):
            file.unlink()
        for name in arrays:
            if name != _FIRST:
                temporaries[name].rename()
        sync_folder(folder)
        temporaries[_FIRST].rename()
        sync_folder(folder)
    except BaseException:
        for temporary in temporaries.values():
            temporary.discard()
        raise
