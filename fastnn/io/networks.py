"""Networks in files: `load_mlp` and `save_mlp`, for every format there is.

A format is a module with `read(path)`, `write(net, path)` and `require_place(path)`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

from fastnn.io import _folder, _npz
from fastnn.io._parameters import network_of
from fastnn.networks import MLP


def load_mlp(path: str | os.PathLike[str], *, activation: str | None = None) -> MLP:
    """Load a network.

    Parameters
    ----------
    path : path-like
        A folder with ``fc1.weight.npy``, ``fc1.bias.npy``, ``fc2.weight.npy`` and so on, each also
        under the spelling ``.npz`` (``.npy`` is taken where both are there), or one ``.npz``
        archive with the keys ``fc1.weight``, ``fc1.bias`` and so on. Weights are (d_in, d_out),
        biases (d_out,) or (1, d_out), all float32 or all float64; any number of layers.
    activation : {"relu", "sigmoid", "tanh"}, optional
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
    return network_of(_format_in(place).read(place), place, activation)


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
    _format_for(place).write(net, place)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise what `save_mlp` would for the name `path`: before a training rather than after it."""
    place = Path(path)
    _format_for(place).require_place(place)


def _format_in(place: Path) -> ModuleType:
    """Return the format of the network at `place`."""
    return _folder if place.is_dir() else _npz


def _format_for(place: Path) -> ModuleType:
    """Return the format that the name `place` asks for."""
    return _npz if place.suffix == ".npz" and not place.is_dir() else _folder
