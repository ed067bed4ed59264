"""Products that leave zeros out: of digits with weights, and of what ReLU lets through.

Four out of five pixels of a digit are 0, and more than half of the units behind a ReLU. Rows are
taken in groups of two; only the columns in which either of the two is not 0 enter the product. The
other matrix is packed beforehand into panels of columns, so narrow that 64 rows of a panel stay in
the first-level cache while all groups pass by. Zeros that remain add nothing, so a row's result
does not depend on its neighbour.

The caller decides from how many rows on the packing is worth it, by `PACK_FROM`; `masked_product`
refuses a matrix that is too dense.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels import masked_products
from fastnn._kernels.masked_products import DEPTH, ROWS, VECTOR_BYTES, VECTORS, WIDE

Array = NDArray[Any]

# Measured: packing the weights takes as long as it saves on about this many rows.
PACK_FROM = 100
# Measured: where a larger share of the columns enters, BLAS is faster; beside wide vectors never.
_MOST_DENSE = 1.0 if WIDE else 0.75
_SAMPLED_ROWS = 32
_FEW_PIXELS = 0.5


def panels_shape(depth: int, width: int, dtype: np.dtype[Any]) -> tuple[int, int, int] | None:
    """Return (panels, depth, width of a panel) for a (depth, width) matrix; None if too narrow.

    Of the possible widths of a panel, the one that leaves the fewest columns over.
    """
    widths = [vectors * VECTOR_BYTES // dtype.itemsize for vectors in VECTORS]
    fitting = [(-(-width // across) * across, across) for across in widths if across <= width]
    if not fitting:
        return None
    total, across = min(fitting)
    return total // across, depth, across


def masks_shape(rows: int, depth: int) -> tuple[int, int]:
    """Return the shape of the masks of a (rows, depth) matrix, of type uint64."""
    return -(-depth // DEPTH), -(-rows // ROWS)


def pack(matrix: Array, panels: Array, *, transposed: bool = False) -> None:
    """Fill `panels`, of the shape that `panels_shape` gives, with the matrix or its transpose."""
    masked_products._pack(matrix, transposed, panels)


def masked_product(a: Array, panels: Array, masks: Array, out: Array) -> bool:
    """out = a @ the matrix in `panels`; False, and nothing done, where `a` has too few zeros.

    `masks` is overwritten.
    """
    entering = masked_products._mark(a, masks)
    if entering > _MOST_DENSE * masks.shape[1] * a.shape[1]:
        return False
    vectors = panels.shape[2] * panels.itemsize // VECTOR_BYTES
    masked_products._masked_product(a, masks, panels, vectors, out)
    return True


def is_mostly_zeros(x: Array) -> bool:
    """Say whether fewer than half of the entries of a few rows spread over `x` are not 0."""
    rows = np.linspace(0, len(x) - 1, _SAMPLED_ROWS).astype(int)
    return bool(len(x)) and bool(np.mean(x[rows] != 0) < _FEW_PIXELS)
