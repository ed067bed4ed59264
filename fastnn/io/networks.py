"""Networks in files: `load_mlp` and `save_mlp`, for all formats.

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
        with the suffix ``.npz`` (``.npy`` is read if both exist), or one ``.npz``
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
    return network_of(_format_in(place).read(place), place, activation)


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
    _format_for(place).write(net, place)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raise the errors of `save_mlp` for the name `path`: before a training, not after it."""
    place = Path(path)
    _format_for(place).require_place(place)


def _format_in(place: Path) -> ModuleType:
    """Return the format of the network at `place`."""
    return _folder if place.is_dir() else _npz


def _format_for(place: Path) -> ModuleType:
    """Return the format that the name `place` asks for."""
    return _npz if place.suffix == ".npz" and not place.is_dir() else _folder
