"""Whole passes of a few rows through a network of ReLU units, and FGSM, in one kernel each.

For a few rows, Python takes as long from layer to layer as the products themselves. Here a table
has the network: row `i` has the width of h_i, in the notation of `fastnn._engine.layers`, the
addresses of its values and of the loss's derivative by it, and the layer that follows.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels import atomics
from fastnn._kernels.attack_steps import _signed_step
from fastnn._kernels.budgets import _entries_beyond
from fastnn._kernels.elementwise import _add_bias, _add_bias_relu, _mask_relu, _scale_rows
from fastnn._kernels.exponentials import _exponentials_of_others
from fastnn._kernels.jit import kernel
from fastnn._kernels.logits import _argmax, _attack_residual, _first_not_finite
from fastnn._kernels.narrow_jobs import _backward, _forward
from fastnn._kernels.narrow_products import _group_height, _strip_width
from fastnn._kernels.vectors import LINE_BYTES

# A row of the table. How wide panels of the weights and of their transpose are; 0 without panels.
WIDTH, WEIGHTS, BIASES, ACROSS, ACROSS_BACK, _VALUES, _SLOPES = range(7)
COLUMNS = 7

# What `_attack_by_sign` returns: all is well, or another way is needed, which says what is wrong.
DONE, UNUSUAL = 0, 1


@kernel
def _lay_out(table, rows, numbers):
    """Give all values and derivatives their places in a block of numbers, each from a line on."""
    line = LINE_BYTES // numbers.itemsize
    place = numbers.ctypes.data
    for column in (_VALUES, _SLOPES):
        for i in range(len(table)):
            table[i, column] = place
            place += -(-rows * table[i, WIDTH] // line) * LINE_BYTES


@kernel
def _narrow_product(a, b, out):
    """out = a @ b, for a matrix that is too narrow for strips."""
    rows, depth = a.shape
    width = b.shape[1]
    out[:] = 0
    for k in range(depth):
        line = b[k]
        for r in range(rows):
            value, total = a[r, k], out[r]
            if value != 0:
                for c in range(width):
                    total[c] += value * line[c]


@kernel
def _pass_forward(board, table, rows, like, masks, room, threads):
    """Fill every h from the first; the last one has the logits."""
    nothing = np.empty((0, 0, 0), like.dtype)
    last = len(table) - 1
    for i in range(last):
        depth, width = table[i, WIDTH], table[i + 1, WIDTH]
        a = atomics.array_at(table[i, _VALUES], rows, depth, like)
        out = atomics.array_at(table[i + 1, _VALUES], rows, width, like)
        b = atomics.array_at(table[i, WEIGHTS], depth, width, like)
        bias = atomics.array_at(table[i, BIASES], 1, width, like)[0]
        across = table[i, ACROSS]
        if width < _strip_width(_group_height(rows), like.itemsize):
            _narrow_product(a, b, out)
        else:
            parts = threads // -(-width // across) if across else 1
            _forward(board, a, b, masks, room, across, parts, nothing, False, out)
        if i < last - 1:
            _add_bias_relu(bias, out)
        else:
            _add_bias(bias, out)


@kernel
def _pass_backward(board, table, rows, like, masks, room, threads):
    """Fill every derivative from the last one, the residual, each row up to a positive factor."""
    nothing = np.empty((0, 0, 0), like.dtype)
    for i in range(len(table) - 2, -1, -1):
        depth, width = table[i, WIDTH], table[i + 1, WIDTH]
        g = atomics.array_at(table[i + 1, _SLOPES], rows, width, like)
        out = atomics.array_at(table[i, _SLOPES], rows, depth, like)
        b = atomics.array_at(table[i, WEIGHTS], depth, width, like)
        h = atomics.array_at(table[i, _VALUES], rows, depth, like)
        across = table[i, ACROSS_BACK]
        parts = threads // -(-depth // across) if across else 1
        _backward(board, g, b, h, i > 0, masks, room, across, parts, nothing, False, out)
        if i > 0:
            _mask_relu(h, out)
            _scale_rows(out)


@kernel
def _attack_by_sign(
    board, table, x, labels, settings, masks, room, threads, numbers, moved, logits, classes, still
):
    """Attack the rows of `x` with FGSM; return `DONE` or `UNUSUAL`, and how many are saturated.

    `settings` has eps, the bounds, and the two numbers of `ROUNDING`, shape (5,); `numbers` is room
    for all layers. On exit `moved` has the adversarial inputs, `logits` the clean ones, `classes`
    the clean and the adversarial predictions, shape (2, n), and `still` says which rows have no
    gradient. Logits or derivatives that are not finite, and adversarial inputs that are too far
    from the clean ones, are `UNUSUAL`.
    """
    rows, width = x.shape
    last = len(table) - 1
    _lay_out(table, rows, numbers)
    out = atomics.array_at(table[last, _VALUES], rows, table[last, WIDTH], x)
    residual = atomics.array_at(table[last, _SLOPES], rows, table[last, WIDTH], x)
    table[0, _VALUES], table[0, _SLOPES] = x.ctypes.data, moved.ctypes.data
    _pass_forward(board, table, rows, x, masks, room, threads)
    logits[:] = out
    _argmax(out, classes[0])
    if _first_not_finite(out) >= 0:
        return UNUSUAL, 0
    _exponentials_of_others(out, labels, residual)
    saturated = _attack_residual(labels, residual)
    _pass_backward(board, table, rows, x, masks, room, threads)
    if _first_not_finite(moved) >= 0:
        return UNUSUAL, 0
    for i in range(rows):
        j = 0
        while j < width and moved[i, j] == 0:
            j += 1
        still[i] = j == width
    sizes = np.full(rows, settings[0])
    lower, upper = settings[1], settings[2]
    _signed_step(x, x, moved, sizes, sizes, lower, upper, settings[3:], moved)
    if _entries_beyond(moved, x, sizes, lower, upper) > 0:
        return UNUSUAL, 0
    table[0, _VALUES] = moved.ctypes.data
    _pass_forward(board, table, rows, x, masks, room, threads)
    if _first_not_finite(out) >= 0:
        return UNUSUAL, 0
    _argmax(out, classes[1])
    return DONE, saturated
