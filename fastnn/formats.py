"""Networks in files: the assignment's folder of ``fc1.weight.npy`` …, or one ``.npz``."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._files import (
    atomic_write,
    load_npy,
    load_npz,
    require_file_place,
    require_folder_place,
)
from fastnn.networks import MLP

_PARAMETER = re.compile(r"fc([1-9][0-9]*)\.(weight|bias)")
# Beside the parameters; as in the assignment, its absence means ReLU.
_ACTIVATION = "activation"
_FIRST = "fc1.weight"

_Arrays = Mapping[str, NDArray[Any]]


def load_mlp(path: str | os.PathLike[str], *, activation: str | None = None) -> MLP:
    """Load a network.

    Parameters
    ----------
    path : path-like
        A folder with ``fc1.weight.npy``, ``fc1.bias.npy``, ``fc2.weight.npy`` and so on, each also
        under the spelling ``.npz`` (``.npy`` is taken where both are there), or one ``.npz``
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
        There is nothing at `path`, or a folder lacks the weight or bias of a layer.
    ValueError
        A file is damaged, pickled or of another kind; an archive lacks a weight or bias; shapes do
        not chain, or would if transposed (PyTorch stores (out, in)); an entry is NaN or infinite;
        types are mixed or no floats; `activation` is unknown or not the one saved. The message
        names the file and the layer.
    """
    place = Path(path)
    arrays = _read_folder(place) if place.is_dir() else load_npz(place)
    names = _parameter_names(place, arrays)
    saved = arrays.get(_ACTIVATION)
    if saved is not None and (saved.ndim or saved.dtype.kind != "U"):
        raise ValueError(
            f"{place}: {_ACTIVATION} must be one word, got {saved.dtype} {saved.shape}"
        )
    if saved is not None and activation not in (None, str(saved)):
        raise ValueError(f"{place} was saved with activation {str(saved)!r}, not {activation!r}")
    weights, biases = ([arrays[name] for name in kind] for kind in names)
    try:
        return MLP(weights, biases, str(saved) if saved is not None else activation or "relu")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {_explain(weights, biases, str(error))}") from error


def save_mlp(net: MLP, path: str | os.PathLike[str]) -> None:
    """Save a network so that `load_mlp` and the assignment's `np.load` loop read it.

    Parameters
    ----------
    net : MLP
    path : path-like
        A name ending in ``.npz`` makes one archive, which also keeps the activation. Any other name
        is a folder, made where needed, for ``fc1.weight.npy``, ``fc1.bias.npy`` and so on; a
        network that is not ReLU gets an ``activation.npy`` beside them.

    Raises
    ------
    ValueError
        The name ends like that of another type of file.
    OSError
        The folder or file cannot be written.

    Notes
    -----
    Old weights are replaced whole. A save that is cut short leaves the old network, or a folder
    without ``fc1.weight.npy``, which does not load; never a mixture. Other files in the folder
    stay as they are.
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
    """Raise what `save_mlp` would for the name `path`: before a training rather than after it."""
    place = Path(path)
    if _is_archive(place):
        require_file_place(place)
    elif place.suffix and not place.is_dir():
        raise ValueError(f"{place}: unknown file type {place.suffix}, expected .npz or a folder")
    else:
        require_folder_place(place)


def _is_archive(place: Path) -> bool:
    """Return whether a network goes into one file at `place`, and not into a folder."""
    return place.suffix == ".npz" and not place.is_dir()


def _files_of_network(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each parameter, and of the activation, `.npy` before `.npz`."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        known = file.stem == _ACTIVATION or _PARAMETER.fullmatch(file.stem)
        if known and file.suffix in {".npy", ".npz"} and file.is_file():
            found.setdefault(file.stem, []).append(file)
    return found


def _read_folder(folder: Path) -> _Arrays:
    """Read all files of a network."""
    return {name: load_npy(files[0]) for name, files in _files_of_network(folder).items()}


def _parameter_names(place: Path, found: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names of the weights and biases in order, none of them missing in `found`."""
    present = {name for name in found if _PARAMETER.fullmatch(name)}
    layers = {int(name[2:].split(".")[0]) for name in present} or {1}
    weights = [f"fc{i}.weight" for i in range(1, max(layers) + 1)]
    biases = [f"fc{i}.bias" for i in range(1, max(layers) + 1)]
    for pair in zip(weights, biases, strict=True):
        for name in pair:
            if name not in present:
                has = ", ".join(sorted(present)) or "no parameters"
                kind = FileNotFoundError if place.is_dir() else ValueError
                raise kind(f"{place}: {name} is missing, found {has}")
    return weights, biases


def _explain(weights: list[NDArray[Any]], biases: list[NDArray[Any]], reason: str) -> str:
    """Put what `MLP` found wrong into the words of the file."""
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
    """Return whether every layer takes what the one before gives, and has a bias to match."""
    if any(weight.ndim != 2 for weight in weights):
        return False
    widths = [weight.shape[1] for weight in weights]
    return [weight.shape[0] for weight in weights[1:]] == widths[:-1] and [
        bias.size for bias in biases
    ] == widths


def _write_folder(folder: Path, arrays: _Arrays) -> None:
    """Replace the network in `folder`; in between it has no first weight, so that none loads."""
    mark = f".{secrets.token_hex(4)}.tmp"
    try:
        for name, array in arrays.items():
            with (folder / f".{name}{mark}").open("xb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        old = [file for files in _files_of_network(folder).values() for file in files]
        for file_there in sorted(old, key=lambda file: file.stem != _FIRST):
            file_there.unlink()
        for name in sorted(arrays, key=lambda name: name == _FIRST):
            (folder / f".{name}{mark}").replace(folder / f"{name}.npy")
    except BaseException:
        for name in arrays:
            with contextlib.suppress(OSError):
                (folder / f".{name}{mark}").unlink()
        raise
