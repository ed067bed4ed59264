"""Products with a matrix that is mostly zeros: the first layer's input, and its transpose.

Four out of five pixels of a digit are 0, in much the same places. Rows are taken in groups of five;
the columns in which any of the five is not 0 are gathered, and a product over those columns alone
keeps a block of results in registers. Zeros that remain add nothing, so a row's result does not
depend on its group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _sparse_kernels
from fastnn._sparse_kernels import BLOCK_BYTES, ROWS

Array = NDArray[Any]

FEWEST_ROWS = ROWS

# Measured: above this share of gathered columns, BLAS is as fast.
_MOST_DENSE = 0.6
_SAMPLED_GROUPS = 16


class SparseRows:
    """Rows of a matrix that is mostly zeros, gathered, in buffers that are made once.

    Parameters
    ----------
    rows, depth : int
        The largest shape that will be gathered.
    dtype : float32 or float64
    """

    def __init__(self, rows: int, depth: int, dtype: np.dtype[Any]) -> None:
        groups = -(-rows // ROWS)
        self._flags = np.empty(depth, np.uint8)
        self._counts = np.empty(groups, np.int64)
        self._columns = np.empty(groups * depth, np.int32)
        self._values = np.empty((groups * depth, ROWS), dtype)
        self._shape = (rows, depth)
        self._turned: tuple[Array, SparseRows] | None = None

    def gather(self, a: Array) -> None:
        """Take the rows of `a`, at least ROWS of them."""
        self._a = a
        rows, depth = a.shape
        groups = -(-rows // ROWS)
        self._gathered = (
            self._counts[:groups],
            self._columns[: groups * depth],
            self._values[: groups * depth],
        )
        _sparse_kernels._gather(a, self._flags[:depth], *self._gathered)

    def multiply(self, weights: Array, out: Array) -> None:
        """out = a @ weights; at least BLOCK_BYTES wide."""
        _sparse_kernels._multiply(*self._gathered, weights, out)

    def multiply_transposed(self, b: Array, out: Array) -> None:
        """out = a.T @ b; at least BLOCK_BYTES wide."""
        a = self._a
        if self._turned is None:
            rows, depth = self._shape
            self._turned = np.empty(rows * depth, a.dtype), SparseRows(depth, rows, a.dtype)
        buffer, columns = self._turned
        turned = buffer[: a.size].reshape(a.shape[::-1])
        np.copyto(turned, a.T)
        columns.gather(turned)
        columns.multiply(b, out)


def pays(x: Array, width: int, dtype: np.dtype[Any]) -> bool:
    """Say whether products of rows of `x` with `width` columns are faster here than in BLAS.

    That depends on the shape and on how many columns would be gathered, which is measured on a few
    groups spread over `x`.
    """
    if min(x.shape) < ROWS or width * dtype.itemsize < BLOCK_BYTES:
        return False
    starts = np.linspace(0, len(x) - ROWS, _SAMPLED_GROUPS).astype(int)
    dense = [np.mean((x[start : start + ROWS] != 0).any(axis=0)) for start in starts]
    return bool(np.mean(dense) < _MOST_DENSE)
