"""The masked product's rate of multiply-adds, as a share of what one thread can do in registers."""

import time

import numpy as np

from fastnn._engine import masked
from fastnn._engine.memory import empty
from fastnn.bench.ceilings import multiply_adds

SHAPES = ((784, 2048), (2048, 512))  # the two large layers of part 2
ROWS = 504  # about a tile; a multiple of `ALIKE`
DENSITY = 0.5
ALIKE = 8  # rows that have the same zeros: a group of rows shares all of them
_STEPS = 2_000_000  # of the chains of multiply-adds: some milliseconds


def inputs(depth, alike, rng):
    """Return float32 rows of which a half is 0, in groups that have their zeros in common."""
    entering = rng.random((ROWS // alike, depth)) < DENSITY
    values = rng.random((ROWS, depth), np.float32) + np.float32(0.5)
    return values * np.repeat(entering, alike, axis=0)


def prepare(depth, width, alike):
    """Return a function that computes one product, and its number of operations.

    Only entries that are not 0 count, so that a group of rows which keeps more counts no more.
    """
    rng = np.random.default_rng(0)
    a = empty((ROWS, depth), np.float32)
    a[:] = inputs(depth, alike, rng)
    weights = rng.standard_normal((depth, width), np.float32)
    panels = empty(masked.panels_shape(depth, width, a.dtype), np.float32)
    masked.pack(weights, panels)
    masks = empty(masked.masks_shape(ROWS, depth), np.uint64)
    sums = empty(masked.sums_shape(ROWS, panels), np.float32)
    out = empty((ROWS, width), np.float32)

    def product():
        if not masked.masked_product(a, panels, masks, sums, out):
            raise RuntimeError("the masked product refused its input")

    product()
    if not np.allclose(out, a @ weights, rtol=1e-3, atol=1e-3):
        raise ArithmeticError("the masked product is wrong")
    return product, 2.0 * np.count_nonzero(a) * width


def measure_shares(rounds, alike=ALIKE):
    """Return shares of the peak and rates in GFLOP/s, (1, rounds) each, in turns with the peak."""
    work = [prepare(*shape, alike) for shape in SHAPES]
    operations = 4 * sum(flops for _, flops in work)
    multiply_adds(_STEPS)
    rates = np.empty((2, 1, rounds))
    for i in range(rounds):
        start = time.perf_counter()
        peak = multiply_adds(_STEPS)
        middle = time.perf_counter()
        for _ in range(4):
            for product, _ in work:
                product()
        rates[:, 0, i] = peak / (middle - start), operations / (time.perf_counter() - middle)
    return rates[1] / rates[0], rates[1] / 1e9
