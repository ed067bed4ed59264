"""FGSM of a few rows in one kernel, whose products all threads share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.crews import crews
from fastnn._engine.network import Network
from fastnn._kernels import narrow_jobs, narrow_passes

Array = NDArray[Any]
_NOBODY = np.empty(0, np.int64)
_NO_BOARD = np.zeros(narrow_jobs.BOARD_SIZE, np.int64)  # which is not used without helpers


class Signed(NamedTuple):
    """Arrays for what comes of FGSM on n rows.

    Attributes
    ----------
    moved : ndarray, shape (n, D)
        The adversarial inputs.
    classes : ndarray of int64, shape (2, n)
        Predictions of the clean and of the adversarial inputs.
    saturated, still : ndarray of bool, shape (n,)
        The rows whose true class has a probability that rounds to 1, and those without a gradient.
    """

    moved: Array
    classes: NDArray[np.int64]
    saturated: NDArray[np.bool_]
    still: NDArray[np.bool_]

    @classmethod
    def of(cls, x: Array) -> Signed:
        """Return arrays for the rows of `x`."""
        n = len(x)
        classes = np.empty((2, n), np.int64)
        return cls(np.empty_like(x), classes, np.empty(n, np.bool_), np.empty(n, np.bool_))


def attack_by_sign(
    net: Network,
    x: Array,
    labels: NDArray[np.int64],
    settings: Array,
    found: Signed,
    threads: int,
) -> int:
    """Attack rows with FGSM in one kernel; see `narrow_passes._attack_by_sign`.

    Parameters
    ----------
    net : Network
    x : ndarray, shape (n, D), C-contiguous and of the network's type
    labels : ndarray of int64, shape (n,)
    settings : ndarray, shape (5,)
    found : Signed
        Arrays to be filled.
    threads : int
        How many share the products; fewer where other calls have all helpers.
    """
    table = np.empty((len(net.sizes), narrow_passes.COLUMNS), np.int64)
    for i, (weights, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        narrow_passes._enter_layer(table, i, weights, bias)
    task = table, x, labels, settings, *found
    crew = crews.ready(x.dtype, threads - 1) if threads > 1 else None
    if crew is None:
        alone: int = narrow_passes._attack_by_sign(_NO_BOARD, _NOBODY, *task)
        return alone
    try:  # nothing of Python runs in the kernel, so no signal's handler either
        state: int = narrow_passes._attack_by_sign(crew.board, crew.posts[: threads - 1], *task)
    except MemoryError:
        if crew.board[narrow_jobs._OWNER] == found.moved.ctypes.data:
            crew.give_back()
        raise
    return state
