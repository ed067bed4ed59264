"""Steps of gradient descent on some rows of a matrix, whose gradient is not stored."""

from __future__ import annotations

from fastnn._kernels.jit import kernel
from fastnn._kernels.narrow_products import (
    BLOCK,
    _entering,
    _group_height,
    _set_strip,
    _strip_width,
)


@kernel
def _step_task(first, last, g, b, h, every, ks, numbers, velocity, settings):
    """Move the rows from `first` to `last` of `b` by the gradient h.T @ g.

    They are at most `BLOCK`. `every` has the numbers of all rows of `g`, as `_set_strip` takes
    them. `numbers` has room for `BLOCK` of those rows and of columns of `g`.
    """
    rows, width = g.shape
    count = _entering(h, 0, rows, first, last, ks)
    turned = numbers[: BLOCK * rows].reshape(BLOCK, rows)
    gradient = numbers[BLOCK * rows : BLOCK * (rows + width)].reshape(BLOCK, width)
    turned[:] = 0
    for i in range(count):
        for r in range(rows):
            turned[i, r] = h[r, ks[i]]
    if count:
        height = _group_height(count)
        while _strip_width(height, g.itemsize) > width:
            height += 1  # a higher group has narrower strips; rows that are not there do no harm
        across = _strip_width(height, g.itemsize)
        for i in range(-(-count // height)):
            for c in range(0, width, across):
                column = min(c, width - across)
                row = max(0, min(i * height, count - height))
                _set_strip(turned, row, height, every, rows, g, column, gradient)
    p = 0
    for k in range(first, last):
        there = p < count and ks[p] == k
        kept = len(velocity) > 0
        _move(b[k], gradient[p], there, velocity[k] if kept else b[k], kept, settings)
        p += there


@kernel
def _move(parameter, total, there, velocity, kept, settings):
    """Take the step of `_sgd_step`; the gradient is 0 unless it is `there`."""
    scale, l2, momentum, rate = settings[0], settings[1], settings[2], settings[3]
    if kept and there:
        for j in range(parameter.size):
            step = momentum * velocity[j] + scale * total[j] + l2 * parameter[j]
            velocity[j] = step
            parameter[j] -= rate * step
    elif kept:
        for j in range(parameter.size):
            step = momentum * velocity[j] + l2 * parameter[j]
            velocity[j] = step
            parameter[j] -= rate * step
    elif there:
        for j in range(parameter.size):
            parameter[j] -= rate * (scale * total[j] + l2 * parameter[j])
    elif l2 != 0:
        for j in range(parameter.size):
            parameter[j] -= rate * (l2 * parameter[j])
