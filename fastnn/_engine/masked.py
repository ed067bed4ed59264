"""Products that leave zeros out: of digits with weights, and of what ReLU lets through.

Four out of five pixels of a digit are 0, and more than half of the units behind a ReLU. Rows are
taken one by one or in groups, as suits the processor; only the columns in which a row of the group
is not 0 enter the product. The other matrix is packed beforehand into panels of columns, so narrow
that a chunk of the rows of a panel stays in the first-level cache while all groups pass by. Zeros
that remain add nothing, so a row's result does not depend on its neighbours.

`Workspaces.pack` decides from how many rows on the packing is worth it, by `PACK_FROM`;
`masked_product` refuses a matrix that is too dense.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels import masked_products, packing, pairing
from fastnn._kernels.masked_products import DEPTH, ROWS
from fastnn._kernels.vectors import VECTOR_BYTES

Array = NDArray[Any]

# Measured: for fewer rows, packing the weights takes longer than the masked products save.
PACK_FROM = 100
# Measured: above this share of columns, BLAS is faster. With 512-bit vectors it never is.
_MOST_DENSE = 1.0 if VECTOR_BYTES == 64 else 0.75
_SAMPLED_ROWS = 32
_FEW_PIXELS = 0.5


def panels_shape(depth: int, width: int, dtype: np.dtype[Any]) -> tuple[int, int, int] | None:
    """Return (panels, depth, width of a panel) for a (depth, width) matrix; None if too narrow."""
    across = packing._panel_width(width, dtype.itemsize)
    return (-(-width // across), depth, across) if across else None


def masks_shape(rows: int, depth: int) -> tuple[int, int]:
    """Return the shape of the masks of a (rows, depth) matrix, of type uint64."""
    return -(-depth // DEPTH), -(-rows // ROWS)


def pack(matrix: Array, panels: Array, *, transposed: bool = False, first: int = 0) -> None:
    """Fill `panels`, of the shape that `panels_shape` gives, with the matrix or its transpose.

    Some of the panels may be given, from number `first` on.
    """
    packing._pack_panels(matrix, transposed, first, panels)


def turn(matrix: Array, out: Array) -> None:
    """out = the transpose of a matrix, block by block: numpy goes through it line by line."""
    packing._pack_chunk_transposed(matrix, 0, 0, out)


def sums_shape(rows: int, panels: Array) -> tuple[int, int]:
    """Return the shape of the buffer for sums of a product of so many rows."""
    return rows, panels.shape[2]


def masked_product(a: Array, panels: Array, masks: Array, sums: Array, out: Array) -> bool:
    """out = a @ the matrix in `panels`; False, and nothing done, where `a` has too few zeros.

    `masks` and `sums` are buffers.
    """
    entering = masked_products._mark(a, masks)
    if entering > _MOST_DENSE * masks.shape[1] * a.shape[1]:
        return False
    vectors = panels.shape[2] * panels.itemsize // VECTOR_BYTES
    masked_products._masked_product(a, masks, panels, vectors, sums, out)
    return True


def alike(x: Array) -> NDArray[np.int64] | None:
    """Return an order of rows in which those of a group have zeros in the same places.

    None where that saves nothing: a group is one row, or there is but one group.
    """
    if ROWS != 2 or len(x) <= ROWS:
        return None
    order = np.empty(len(x), np.int64)
    places = np.empty((-(-x.shape[1] // DEPTH), len(x)), np.uint64)
    pairing._pair_alike(x, places, np.empty(len(x), np.int64), order)
    return order


def is_mostly_zeros(x: Array) -> bool:
    """Say whether fewer than half of the entries of a few rows spread over `x` are not 0."""
    rows = np.linspace(0, len(x) - 1, _SAMPLED_ROWS).astype(int)
    return bool(len(x)) and bool(np.mean(x[rows] != 0) < _FEW_PIXELS)
