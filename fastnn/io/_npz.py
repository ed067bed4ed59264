"""A network in one .npz archive, its activation included."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from fastnn._runtime.files import atomic_write, require_file_place
from fastnn.io._archive import START
from fastnn.io._names import read_layers
from fastnn.io._npy import MAGIC, open_npz
from fastnn.io._parameters import ACTIVATION, IN_OUT, Saved, arrays_of, read_activation
from fastnn.networks import MLP

SUFFIXES = (".npz",)


def recognises(start: bytes, members: Collection[str]) -> bool:
    """Return whether a file that begins so, an archive of these members, is of this format."""
    return start.startswith(MAGIC) or (start.startswith(START) and bool(members))


def read(path: Path) -> Saved:
    """Return the parameters, and the activation if it was saved.

    Nothing else in the archive is read.
    """
    with open_npz(path) as members:
        saved = read_layers(path, members, ordered=True)
        if ACTIVATION not in members:
            return saved
        activation = read_activation(path, members[ACTIVATION]())
        return saved._replace(activation=activation, usual_layout=IN_OUT)


def write(net: MLP, path: Path) -> None:
    """Write a network; the old file is replaced when the new one is complete."""
    arrays = arrays_of(net) | {ACTIVATION: np.array(net.activation)}
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def require_place(path: Path) -> None:
    """Raise if no network can be written to `path`."""
    require_file_place(path)
