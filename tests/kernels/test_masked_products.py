"""Products that leave zeros out, against plain matrix products in float64."""

import numba
import numpy as np
import pytest

from fastnn._engine import masked
from fastnn._kernels import masked_products
from fastnn._kernels.masked_products import DEPTH, ROWS, VECTOR_BYTES, VECTORS, shape_for
from fastnn._runtime.processors import Target

MOST_DENSE = masked._MOST_DENSE  # of this processor


@pytest.fixture(autouse=True)
def _however_dense(monkeypatch):
    """Leave nothing to BLAS, whatever the processor."""
    monkeypatch.setattr(masked, "_MOST_DENSE", 1.0)


def mostly_zeros(rng, rows, depth, dtype, share=0.2):
    """Return a matrix of which `share` is not zero, in the same columns for neighbouring rows."""
    there = rng.random((1, depth)) < 2 * share
    there = there & (rng.random((rows, depth)) < 0.5)
    return np.where(there, rng.standard_normal((rows, depth)), 0).astype(dtype)


def multiply(a, b, *, transposed=False):
    """Return a @ b, or a @ b.T, by way of panels, in a buffer that was full of NaN."""
    width = b.shape[0] if transposed else b.shape[1]
    panels = np.full(masked.panels_shape(a.shape[1], width, a.dtype), np.nan, a.dtype)
    masked.pack(b, panels, transposed=transposed)
    masks = np.full(masked.masks_shape(*a.shape), 2**64 - 1, np.uint64)
    sums = np.full(masked.sums_shape(len(a), panels), np.nan, a.dtype)
    out = np.full((len(a), width), np.nan, a.dtype)
    assert masked.masked_product(a, panels, masks, sums, out)
    return out


def widths(dtype):
    """Return the widths of a block of every number of vectors, and wider ones that leave some."""
    blocks = [vectors * VECTOR_BYTES // np.dtype(dtype).itemsize for vectors in VECTORS]
    return [*blocks, blocks[0] + 1, 2 * blocks[-1] - 1, 784]


# Below, at and above a group of rows and a chunk of columns.
@pytest.mark.parametrize("rows", [1, 2, 3, 10, 11])
@pytest.mark.parametrize("depth", [1, DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 33])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_agree_with_dense_ones(rng, rows, depth, dtype):
    for width in widths(dtype):
        a = mostly_zeros(rng, rows, depth, dtype)
        b = rng.standard_normal((depth, width)).astype(dtype)
        tolerance = 40 * np.finfo(dtype).eps
        exact = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(multiply(a, b), exact, rtol=tolerance, atol=tolerance)
        turned = multiply(a, np.ascontiguousarray(b.T), transposed=True)
        np.testing.assert_allclose(turned, exact, rtol=tolerance, atol=tolerance)


PATTERNS = {
    "empty": lambda k: k < 0,
    "full": lambda k: k >= 0,
    "first": lambda k: k == 0,
    "last": lambda k: k == k[-1],
    "highest bit": lambda k: k == DEPTH - 1,
    "lowest bit of the second": lambda k: k == DEPTH,
    "runs": lambda k: k // 5 % 2 == 0,
    "every other": lambda k: k % 2 == 1,
    "a chunk without": lambda k: (k < DEPTH) | (k >= 2 * DEPTH),
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_pattern_of_zeros(rng, pattern, dtype):
    depth = 2 * DEPTH + 7
    for rows in range(1, 2 * ROWS + 2):
        a = rng.standard_normal((rows, depth)).astype(dtype)
        a[:, ~PATTERNS[pattern](np.arange(depth))] = 0
        a[::2, ::3] *= -1  # some zeros are negative
        b = rng.standard_normal((depth, widths(dtype)[0] + 3)).astype(dtype)
        tolerance = 40 * np.finfo(dtype).eps
        exact = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(
            multiply(a, b), exact, rtol=tolerance, atol=tolerance * abs(exact).max()
        )


def test_a_panel_has_the_width_that_takes_the_least_time():
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        per_vector = VECTOR_BYTES // dtype.itemsize
        blocks = [vectors * per_vector for vectors in VECTORS]
        assert masked.panels_shape(5, min(blocks) - 1, dtype) is None
        for width in range(min(blocks), 4 * max(blocks)):
            count, depth, across = masked.panels_shape(5, width, dtype)
            assert depth == 5
            assert across in blocks
            assert (count - 1) * across < width <= count * across
            possible = [block for block in blocks if block <= width]
            costs = [-(-width // block) * (block + per_vector) for block in possible]
            assert count * (across + per_vector) == min(costs)


SHAPES = {
    Target("znver5", 64, 32, 48 << 10): (2, (7, 8), 64),
    Target("znver4", 64, 32, 32 << 10): (2, (7, 8), 32),
    Target("sapphirerapids", 64, 32, 48 << 10): (2, (7, 8), 64),
    Target("skylake-avx512", 64, 32, 32 << 10): (2, (7, 8), 32),
    Target("haswell", 32, 16, 32 << 10): (1, (8, 10, 12), 64),
    Target("znver2", 32, 16, 32 << 10): (1, (8, 10, 12), 64),
    Target("apple-m1", 16, 32, 128 << 10): (2, (8,), 64),
    Target("generic", 16, 16, 32 << 10): (1, (8, 12), 64),
}


@pytest.mark.parametrize("processor", SHAPES, ids=lambda processor: processor.name)
def test_the_shape_follows_the_processor(processor):
    rows, vectors, depth = shape_for(processor)
    assert (rows, vectors, depth) == SHAPES[processor]
    # Beside the sums, a vector of the weights and the rows' values need registers.
    assert rows * max(vectors) + 1 + rows <= processor.vector_registers
    assert max(vectors) * processor.vector_bytes * depth < processor.first_cache_bytes


def test_rows_of_nothing_but_zeros_give_zeros(rng):
    b = rng.standard_normal((9, 200)).astype(np.float32)
    assert not multiply(np.zeros((7, 9), np.float32), b).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_of_nothing_but_zeros_leave_sums_as_they_are(rng, dtype):
    b = rng.standard_normal((5 * DEPTH, 200)).astype(dtype)
    tolerance = 500 * np.finfo(dtype).eps
    for first, last in ((0, 1), (1, 2), (1, 4), (2, 3), (4, 5)):  # the chunks that have entries
        a = np.zeros((7, 5 * DEPTH), dtype)
        some = slice(first * DEPTH, last * DEPTH)
        a[1:, some] = mostly_zeros(rng, 6, (last - first) * DEPTH, dtype, 0.5)
        exact = a.astype(np.float64) @ b
        np.testing.assert_allclose(multiply(a, b), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_zero(rng, broken):
    a = mostly_zeros(rng, 5, 70, np.float32)
    a[2, 66] = broken
    out = multiply(a, rng.standard_normal((70, 200)).astype(np.float32))
    assert not np.isfinite(out[2]).any()
    assert np.isfinite(np.delete(out, 2, axis=0)).all()


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("depth", [1, DEPTH, DEPTH + 1, 2 * DEPTH + 33])
def test_masks_have_a_bit_for_every_column_of_a_group_that_is_not_all_zero(rng, rows, depth):
    a = mostly_zeros(rng, rows, depth, np.float32)
    a[:, 0] = 1  # the lowest bit of the first masks
    a[-1, -1] = np.nan  # the highest bit of the last mask
    masks = np.full(masked.masks_shape(rows, depth), 2**64 - 1, np.uint64)
    assert masks.shape == (len(range(0, depth, DEPTH)), len(range(0, rows, ROWS)))
    count = masked_products._mark(a, masks)
    for (chunk, group), mask in np.ndenumerate(masks):
        block = a[ROWS * group : ROWS * (group + 1), DEPTH * chunk : DEPTH * (chunk + 1)]
        assert int(mask) == sum(1 << int(k) for k in np.flatnonzero((block != 0).any(axis=0)))
    assert count == sum(int(mask).bit_count() for mask in masks.flat)


def test_a_matrix_with_too_few_zeros_is_refused(rng, monkeypatch):
    monkeypatch.setattr(masked, "_MOST_DENSE", 0.75)
    b = rng.standard_normal((40, 200)).astype(np.float32)
    panels = np.empty(masked.panels_shape(40, 200, b.dtype), b.dtype)
    masked.pack(b, panels)
    for entering, done in ((30, True), (31, False)):
        a = np.zeros((ROWS + 1, 40), np.float32)
        a[0, : entering - 5] = a[ROWS - 1, 5:entering] = 1  # a group, and one that is cut off
        a[0, : entering if ROWS == 1 else 0] = a[ROWS, :entering] = 1
        out = np.full((len(a), 200), np.nan, np.float32)
        masks = np.empty(masked.masks_shape(*a.shape), np.uint64)
        sums = np.empty(masked.sums_shape(len(a), panels), np.float32)
        assert masked.masked_product(a, panels, masks, sums, out) is done
        assert np.isnan(out).all() != done


def test_only_beside_wide_vectors_a_dense_matrix_is_never_refused(rng, monkeypatch):
    monkeypatch.setattr(masked, "_MOST_DENSE", MOST_DENSE)
    b = rng.standard_normal((40, 200)).astype(np.float32)
    panels = np.empty(masked.panels_shape(40, 200, b.dtype), b.dtype)
    masked.pack(b, panels)
    out, masks = np.empty((4, 200), np.float32), np.empty(masked.masks_shape(4, 40), np.uint64)
    sums = np.empty(masked.sums_shape(4, panels), np.float32)
    wide = VECTOR_BYTES == 64
    for columns, done in ((40, wide), (32, wide), (28, True), (0, True)):
        a = np.zeros((4, 40), np.float32)
        a[:, :columns] = 1
        assert masked.masked_product(a, panels, masks, sums, out) is done


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the stand-in is a product of numpy's")
def test_a_row_does_not_depend_on_its_neighbour(rng):
    a = mostly_zeros(rng, 11, 150, np.float32)
    b = rng.standard_normal((150, 200)).astype(np.float32)
    order = rng.permutation(11)
    np.testing.assert_array_equal(multiply(a[order], b), multiply(a, b)[order])
    np.testing.assert_array_equal(multiply(a[3:4], b), multiply(a, b)[3:4])


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 1])
def test_masks_and_the_number_of_their_bits(rng, share, dtype):
    a = np.where(rng.random((2 * ROWS + 1, 2 * DEPTH + 7)) < share, 1, 0).astype(dtype)
    masks = np.full(masked.masks_shape(*a.shape), 2**64 - 1, np.uint64)
    count = masked_products._mark(a, masks)
    for (c, g), mask in np.ndenumerate(masks):
        there = (a[g * ROWS : (g + 1) * ROWS, c * DEPTH : (c + 1) * DEPTH] != 0).any(axis=0)
        assert int(mask) == sum(1 << int(k) for k in np.flatnonzero(there))
    assert count == sum(int(mask).bit_count() for mask in masks.ravel())


@pytest.mark.parametrize("shape", [(1, 1), (15, 17), (16, 16), (33, 100), (100, 33), (500, 784)])
def test_a_matrix_is_turned(rng, shape, dtype):
    matrix = rng.standard_normal(shape).astype(dtype)
    out = np.full(shape[::-1], np.nan, dtype)
    masked.turn(matrix, out)
    np.testing.assert_array_equal(out, matrix.T)
