"""Products that leave zeros out, against plain matrix products in float64."""

import numba
import numpy as np
import pytest

from fastnn import _sparse
from fastnn._sparse_kernels import BLOCK_BYTES, ROWS


def mostly_zeros(rng, rows, depth, dtype, share=0.2):
    """Return a matrix of which `share` is not zero, in the same columns for neighbouring rows."""
    there = rng.random((1, depth)) < 2 * share
    there = there & (rng.random((rows, depth)) < 0.5)
    return np.where(there, rng.standard_normal((rows, depth)), 0).astype(dtype)


# Below, at and above a group of rows and a block of columns.
@pytest.mark.parametrize("rows", [ROWS, ROWS + 1, 3 * ROWS - 1, 3 * ROWS])
@pytest.mark.parametrize("extra", [0, 1, 44])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_agree_with_dense_ones(rng, rows, extra, dtype):
    width = BLOCK_BYTES // np.dtype(dtype).itemsize + extra
    a = mostly_zeros(rng, rows, 33, dtype)
    b = rng.standard_normal((33, width)).astype(dtype)
    out = np.full((rows, width), np.nan, dtype)
    sparse = _sparse.SparseRows(rows, 33, np.dtype(dtype))
    sparse.gather(a)
    sparse.multiply(b, out)
    tolerance = 40 * np.finfo(dtype).eps
    exact = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transposed_product_agrees_with_a_dense_one(rng, dtype):
    width = BLOCK_BYTES // np.dtype(dtype).itemsize + 3
    a = mostly_zeros(rng, 23, 17, dtype)
    b = rng.standard_normal((23, width)).astype(dtype)
    out = np.full((17, width), np.nan, dtype)
    sparse = _sparse.SparseRows(40, 17, np.dtype(dtype))  # made for taller tiles
    sparse.gather(a)
    sparse.multiply_transposed(b, out)
    tolerance = 40 * np.finfo(dtype).eps
    exact = a.T.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance)
    sparse.multiply(rng.standard_normal((17, width)).astype(dtype), np.empty((23, width), dtype))


def test_rows_of_nothing_but_zeros_give_zeros(rng):
    b = rng.standard_normal((9, 64)).astype(np.float32)
    out = np.full((7, 64), np.nan, np.float32)
    sparse = _sparse.SparseRows(7, 9, np.dtype(np.float32))
    sparse.gather(np.zeros((7, 9), np.float32))
    sparse.multiply(b, out)
    assert not out.any()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the stand-in is a product of numpy's")
def test_a_row_does_not_depend_on_its_group(rng):
    a = mostly_zeros(rng, 11, 50, np.float32)
    b = rng.standard_normal((50, 64)).astype(np.float32)
    results = []
    for order in (np.arange(11), rng.permutation(11)):
        sparse = _sparse.SparseRows(11, 50, np.dtype(np.float32))
        sparse.gather(a[order])
        out = np.empty((11, 64), np.float32)
        sparse.multiply(b, out)
        results.append(out[np.argsort(order)])
    np.testing.assert_array_equal(*results)
