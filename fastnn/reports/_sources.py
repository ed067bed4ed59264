"""What a report is of, as digests: two reports of the same run have the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SIDE = 8  # so many rows and columns of a matrix are looked at again, or up to twice as many


class Digests(NamedTuple):
    """SHA-256 of what a report is of, in hexadecimal digits.

    Attributes
    ----------
    network : str
        Weights, biases and activation.
    data : str
        Inputs and labels.
    settings : str
        Attack, eps, bounds, targets, random numbers and lattice.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
    >>> one, other = (fastnn.adversarial_accuracy(net, x, [0], eps=e).digests for e in (0.1, 0.2))
    >>> one.network == other.network, one.data == other.data, one.settings == other.settings
    (True, True, False)
    """

    network: str
    data: str
    settings: str


@dataclass(frozen=True, eq=False)
class Sources:
    """The network and the inputs of a report, not copied.

    To hash them takes longer than a small attack. So they are hashed when the digests are first
    asked for, and until then some of their entries tell whether they have changed.
    """

    parameters: tuple[Array, ...]
    activation: str
    x: Any  # an array, or rows in a file that can be sliced
    _before: list[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_before", self._some())

    def network(self) -> str:
        """Return the digest of the network."""
        return digest(self.activation, self.parameters)

    def data(self, labels: Array) -> str:
        """Return the digest of the inputs and their labels."""
        return digest("", (self.x, labels))

    def have_changed(self) -> bool:
        """Say whether the network or the inputs are other ones than at first."""
        return self._some() != self._before

    def _some(self) -> list[bytes]:
        """Return some entries of every array."""
        return [_spread(array) for array in (*self.parameters, self.x)]


def _spread(array: Any) -> bytes:
    """Return entries of a vector or a matrix, at equal distances along every axis."""
    if len(array.shape) == 1:
        found: Array = array[:: len(array) // _SIDE**2 or 1]
        return found.tobytes()
    rows, columns = array.shape
    step = rows // _SIDE or 1
    if not isinstance(array, np.ndarray):  # rows in a file
        some = (array[row : row + 1] for row in range(0, rows, step))
        array, step = np.concatenate([array[:0], *some]), 1
    found = array[::step, :: columns // _SIDE or 1]
    return found.tobytes()


def digest(words: Any, arrays: Iterable[Any]) -> str:
    """Return the SHA-256 of some words and of arrays with their shapes and types."""
    found = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 4096):  # a copy of all rows would need memory
            found.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return found.hexdigest()
