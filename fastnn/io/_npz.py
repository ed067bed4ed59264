"""A network in one .npz archive, its activation included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import atomic_write, require_file_place
from fastnn.io._npy import open_npz
from fastnn.io._parameters import ACTIVATION, arrays_of, names_in_order, read_parameter
from fastnn.networks import MLP


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return weight and bias of each layer, in order, then the activation if it was saved.

    Nothing else in the archive is read.
    """
    with open_npz(path) as members:
        names = names_in_order(path, members)
        return {name: read_parameter(path, name, members[name]()) for name in names}


def write(net: MLP, path: Path) -> None:
    """Write a network; the old file is replaced when the new one is complete."""
    arrays = arrays_of(net) | {ACTIVATION: np.array(net.activation)}
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def require_place(path: Path) -> None:
    """Raise if no network can be written to `path`."""
    require_file_place(path)
