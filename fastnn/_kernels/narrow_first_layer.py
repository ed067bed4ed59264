"""FGSM in the first layer of a few rows, with weights that are read from memory once.

The product of a few rows takes as long as its matrix takes to come from memory, and FGSM has two of
them in a row with the first layer's weights: backward to the inputs, and forward from those that
were moved. What an input needs of either are the same weights, its row. So the rows are cut into
parts that fit into the second-level cache: backward, step and forward are made of one part after
the other. The forward products of all parts are added in the end, in an order that does not depend
on the threads.
"""

from __future__ import annotations

from fastnn._kernels.attack_steps import _stepped
from fastnn._kernels.jit import kernel
from fastnn._kernels.narrow_products import (
    BLOCK,
    _backward_task,
    _entering,
    _group_height,
    _set_strip,
    _strip_width,
)

# Measured on an Intel server with 2 MB of second-level cache: 400 to 920 KB take the same time, but
# for 6 %. Other caches are smaller.
_PART_BYTES = 640 * 1024
MOST_INPUTS = 512  # of a part
_SHARED = 4  # parts are a multiple of these, so that two or four threads have as many


@kernel
def _part_count(depth, width, itemsize):
    """Return in how many parts the rows of a (depth, width) matrix are read."""
    parts = max(-(-depth * width * itemsize // _PART_BYTES), -(-depth // MOST_INPUTS))
    if parts > 1:
        parts = -(-parts // _SHARED) * _SHARED
    return min(parts, -(-depth // BLOCK))


@kernel
def _attack_part(first, last, g, b, x, settings, ks, slopes, moved, sums):
    """Move the inputs from `first` to `last`; sums = the first layer's product of these alone.

    See `narrow_jobs._attack_first_layer`. `ks` has `last` - `first` + `AHEAD` entries.
    """
    for start in range(first, last, BLOCK):
        _backward_task(start, min(start + BLOCK, last), g, b, x, False, ks, slopes)
    rows, width = g.shape
    eps, lower, upper = settings[0], settings[1], settings[2]
    unit, tiny = settings[3], settings[4]
    for r in range(rows):
        here, way, there = x[r], slopes[r], moved[r]
        for k in range(first, last):
            there[k] = _stepped(here[k], here[k], way[k], eps, eps, lower, upper, unit, tiny)
    height = _group_height(rows)
    across = _strip_width(height, g.itemsize)
    for i in range(-(-rows // height)):
        row = min(i * height, rows - height)
        count = _entering(moved, row, height, first, last, ks)
        for column in range(0, width, across):
            _set_strip(moved, row, height, ks, count, b, min(column, width - across), sums)


@kernel
def _add_parts(sums, out):
    """out = the sum of all parts, (rows, width) of (parts, rows, width)."""
    for r in range(len(out)):
        total = out[r]
        total[:] = sums[0, r]
        for p in range(1, len(sums)):
            part = sums[p, r]
            for k in range(total.size):
                total[k] += part[k]
