"""Networks in files: `load_mlp` and `save_mlp`, for all formats.

A format is a module with

- ``SUFFIXES``, the names that such files have,
- ``recognises(start, members)``, whether a file is of this format, by its first bytes and, for an
  archive, the names of its members,
- ``read(path)``, which returns what is `Saved`,
- and, if fastnn writes it, ``write(net, path)`` and ``require_place(path)``.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from types import ModuleType

from fastnn._parameters import require_network
from fastnn.io import _folder, _keras, _npz, _onnx, _safetensors, _torch
from fastnn.io._archive import START
from fastnn.io._parameters import network_of, require_layout
from fastnn.networks import MLP

# Of several that recognise a file, the first one reads it.
_FILES: tuple[ModuleType, ...] = (_safetensors, _torch, _keras, _npz, _onnx)
_READ = 128  # bytes that tell one kind of file from another


def load_mlp(
    path: str | os.PathLike[str], *, activation: str | None = None, layout: str | None = None
) -> MLP:
    """Load a network.

    Parameters
    ----------
    path : path-like
        A folder with ``fc1.weight.npy``, ``fc1.bias.npy``, ``fc2.weight.npy`` and so on, each also
        with the suffix ``.npz`` (``.npy`` is read if both exist); or a file: ``.npz``,
        ``.safetensors``, a PyTorch state dict, ``.onnx`` (extra ``onnx``), Keras ``.keras`` or
        ``.h5`` (extra ``keras``). The content tells the kind of a file. Parameters are all float32
        or all float64 (float16 and bfloat16 become float32); any number of layers. Other names
        work, too: ``net.0.weight``, ``layers/0/kernel``, ``W1``; numbers in them are the order of
        the layers.
    activation : {"relu", "sigmoid", "tanh"}, optional
        Default: what was saved with the network, else "relu" as in the assignment.
    layout : {"in-out", "out-in"}, optional
        What the axes of the weights are: (d_in, d_out) as in NumPy and Keras, or (d_out, d_in) as
        in PyTorch. Default: what the kind of file has, else the one in which the layers chain.

    Returns
    -------
    MLP

    Raises
    ------
    FileNotFoundError
        `path` does not exist, or a folder lacks the weight or bias of a layer.
    ValueError
        A file is damaged, pickled or of another kind; an archive lacks a weight or bias; a layer
        does not fit the one before it, or all of them fit in both layouts and `layout` is not
        given; an array belongs to a layer that is not dense; an entry is NaN or infinite; types are
        mixed, or neither float32 nor float64; `activation` is unknown or not the one that was
        saved. The message names the file and the layer.
    ImportError
        The file needs a package that is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastnn.save_mlp(fastnn.MLP.random((4, 3, 2), activation="sigmoid"), folder)
    ...     fastnn.load_mlp(folder)
    MLP(4-3-2, sigmoid, float32)
    """
    require_layout(layout)
    place = Path(path)
    return network_of(_format_in(place).read(place), place, activation, layout)


def save_mlp(net: MLP, path: str | os.PathLike[str]) -> None:
    """Save a network so that `load_mlp` and the assignment's `np.load` loop read it.

    Parameters
    ----------
    net : MLP
    path : path-like
        A name that ends in ``.npz``, ``.safetensors``, ``.pth`` or ``.pt`` (a PyTorch state dict),
        or ``.onnx`` (extra ``onnx``) makes one file, which other libraries read. Any other name
        is a folder, created if needed, for ``fc1.weight.npy``, ``fc1.bias.npy`` and so on, and
        ``activation.npy`` beside them. The activation is kept in every format.

    Raises
    ------
    TypeError
        `net` is no `MLP`, such as a model of another library; the arguments are swapped.
    ValueError
        The name has the suffix of another type of file, or the folder has layers with other names.
    ImportError
        ``.onnx`` needs the package onnx, which is not installed.
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
    ['activation.npy', 'fc1.bias.npy', 'fc1.weight.npy']
    """
    require_network(net)
    place = Path(path)
    require_place(place)
    _format_for(place).write(net, place)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise the errors of `save_mlp` for the name `path`: before a training, not after it."""
    place = Path(path)
    _format_for(place).require_place(place)


def _format_in(place: Path) -> ModuleType:
    """Return the format of the network at `place`, by its content, else by its name."""
    if place.is_dir():
        return _folder
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file")
    with place.open("rb") as file:
        start = file.read(_READ)
    members = _members(place) if start.startswith(START) else []
    by_content = (kind for kind in _FILES if kind.recognises(start, members))
    by_name = (kind for kind in _FILES if place.suffix.lower() in kind.SUFFIXES)
    for kind in (*by_content, *by_name):
        return kind
    raise ValueError(f"{place} is no network that can be read, expected {_suffixes(_FILES)}")


def _members(place: Path) -> list[str]:
    """Return the names in an archive, none if it is damaged; `read` says what is wrong with it."""
    try:
        with zipfile.ZipFile(place) as archive:
            return archive.namelist()
    except Exception:  # zipfile raises a dozen types for a damaged archive
        return []


def _format_for(place: Path) -> ModuleType:
    """Return the format that the name `place` asks for."""
    if place.is_dir() or not place.suffix:
        return _folder
    suffix = place.suffix.lower()
    written = [kind for kind in _FILES if hasattr(kind, "write")]
    for kind in written:
        if suffix in kind.SUFFIXES:
            return kind
    known = any(suffix in kind.SUFFIXES for kind in _FILES)
    what = f"{suffix} is read, not written" if known else f"unknown file type {suffix}"
    raise ValueError(f"{place}: {what}, expected {_suffixes(written)}")


def _suffixes(kinds: tuple[ModuleType, ...] | list[ModuleType]) -> str:
    """Return what a network may be, for a message."""
    return ", ".join(suffix for kind in kinds for suffix in kind.SUFFIXES) + " or a folder"
