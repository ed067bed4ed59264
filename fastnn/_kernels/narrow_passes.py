"""Whole passes of a few rows through a network of ReLU units, and FGSM, in one kernel.

For a few rows, Python takes as long from layer to layer as the products themselves. Here a table
has the network: row `i` has the width of h_i, in the notation of `fastnn._engine.layers`, the
addresses of its values and of the loss's derivative by it, and those of the layer that follows.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels import atomics
from fastnn._kernels.attack_steps import _signed_step, _zero_rows
from fastnn._kernels.budgets import _entries_beyond
from fastnn._kernels.elementwise import _add_bias, _add_bias_relu, _mask_relu, _scale_rows
from fastnn._kernels.exponentials import _exponentials_of_others
from fastnn._kernels.jit import kernel, part
from fastnn._kernels.logits import (
    _are_probabilities,
    _argmax,
    _attack_residual,
    _first_not_finite,
)
from fastnn._kernels.narrow_first_layer import _add_parts, _part_count
from fastnn._kernels.narrow_helpers import _give_back, _new_room, _take
from fastnn._kernels.narrow_jobs import (
    BOARD_SIZE,
    _attack_first_layer,
    _backward,
    _forward,
    _forward_moved,
    _mask_count,
    _room_size,
)
from fastnn._kernels.narrow_panels import PANELS_FROM
from fastnn._kernels.narrow_products import AHEAD, _group_height, _set_vector, _strip_width
from fastnn._kernels.packing import _panel_width
from fastnn._kernels.sign_products import DEPTH, STRIP_BYTES, _mark_steps
from fastnn._kernels.vectors import LINE_BYTES, VECTOR_BYTES

_WIDTH, _WEIGHTS, _BIASES, _VALUES, _SLOPES = range(5)
COLUMNS = 5  # of the table

# Measured: up to so many rows, the first layer's weights are read once for both of its products.
READ_ONCE_TO = 20

# What `_attack_by_sign` returns.
UNUSUAL, DONE, PROBABILITIES = -1, 0, 1


@kernel
def _enter_layer(table, i, weights, bias):
    """Write a layer into the table."""
    table[i, _WIDTH], table[i + 1, _WIDTH] = weights.shape
    table[i, _WEIGHTS], table[i, _BIASES] = weights.ctypes.data, bias.ctypes.data


@kernel
def _lay_out(table, rows, block):
    """Give values and derivatives their places in a block of numbers, each from a line on.

    The inputs have an array of their own.
    """
    line = LINE_BYTES // block.itemsize
    place = -(-block.ctypes.data // LINE_BYTES) * LINE_BYTES
    for column, first in ((_VALUES, 1), (_SLOPES, 0)):
        for i in range(first, len(table)):
            table[i, column] = place
            place += -(-rows * table[i, _WIDTH] // line) * LINE_BYTES


@kernel
def _numbers_needed(table, rows, itemsize):
    """Return how many numbers the block of `_lay_out` has."""
    line = LINE_BYTES // itemsize
    count = line
    for i in range(len(table)):
        count += (1 if i == 0 else 2) * (rows * table[i, _WIDTH] + line)
    return count


@kernel
def _panels(rows, width, itemsize, threads):
    """Return the width of a panel, or 0, and the number of parts that the rows are cut into.

    With parts, all threads have some of the panels.
    """
    across = _panel_width(width, itemsize) if rows >= PANELS_FROM else 0
    return across, threads // -(-width // across) if across else 1


@kernel
def _narrow_product(a, b, out):
    """out = a @ b, for a matrix that is too narrow for strips: a vector of its columns at a time.

    Columns that are left over are copied, with room for a whole vector.
    """
    rows, depth = a.shape
    lanes, height = VECTOR_BYTES // a.itemsize, _group_height(rows)
    every = np.empty(depth + AHEAD, np.int64)
    for k in range(depth + AHEAD):
        every[k] = min(k, depth - 1)
    left = b.shape[1] % lanes
    whole = b.shape[1] - left
    copied, sums = np.zeros((depth, lanes), a.dtype), np.empty((rows, lanes), a.dtype)
    for k in range(depth):
        for c in range(left):
            copied[k, c] = b[k, whole + c]
    for g in range(-(-rows // height)):
        row = min(g * height, rows - height)
        for column in range(0, whole, lanes):
            _set_vector(a, row, height, every, depth, b, column, out)
        if left:
            _set_vector(a, row, height, every, depth, copied, 0, sums)
    for r in range(rows):
        for c in range(left):
            out[r, whole + c] = sums[r, c]


@part
def _pass_forward(board, table, first, rows, like, masks, room, threads, products):
    """Fill all values from those number `first` on; the last ones are the logits.

    `products` = those of the first layer, if it has rows.
    """
    nothing = np.empty((0, 0, 0), like.dtype)
    for i in range(first, len(table) - 1):
        depth, width = table[i, _WIDTH], table[i + 1, _WIDTH]
        a = atomics.array_at(table[i, _VALUES], rows, depth, like)
        out = atomics.array_at(table[i + 1, _VALUES], rows, width, like)
        b = atomics.array_at(table[i, _WEIGHTS], depth, width, like)
        if width < _strip_width(_group_height(rows), like.itemsize):
            _narrow_product(a, b, out)
        else:
            across, parts = _panels(rows, width, like.itemsize, threads)
            _forward(board, a, b, masks, room, across, parts, nothing, False, out)
        if i == 0 and len(products):
            products[:] = out
        _add_biases(table, i, out)


@kernel
def _add_biases(table, i, out):
    """Make the values of a layer from its products."""
    bias = atomics.array_at(table[i, _BIASES], 1, out.shape[1], out)[0]
    if i < len(table) - 2:
        _add_bias_relu(bias, out)
    else:
        _add_bias(bias, out)


@part
def _pass_backward(board, table, first, rows, like, masks, room, threads):
    """Fill all derivatives from the last ones, the residual, down to those number `first`.

    Each row is right up to a positive factor.
    """
    nothing = np.empty((0, 0, 0), like.dtype)
    for i in range(len(table) - 2, first - 1, -1):
        depth, width = table[i, _WIDTH], table[i + 1, _WIDTH]
        g = atomics.array_at(table[i + 1, _SLOPES], rows, width, like)
        out = atomics.array_at(table[i, _SLOPES], rows, depth, like)
        b = atomics.array_at(table[i, _WEIGHTS], depth, width, like)
        h = atomics.array_at(table[i, _VALUES], rows, depth, like)
        across, parts = _panels(rows, depth, like.itemsize, threads)
        _backward(board, g, b, h, i > 0, masks, room, across, parts, nothing, False, out)
        if i > 0:
            _mask_relu(h, out)
            _scale_rows(out)


@part
def _move_inputs(board, table, rows, x, settings, masks, room, threads, products, slopes, moved):
    """Fill `slopes`, the derivatives by the inputs, from the last ones, and then `moved`.

    `products` has those of the first layer with `x`, or no rows where tables of sums are not used.
    Returns the number of the first values that are those of the moved inputs.
    """
    depth, width = table[0, _WIDTH], table[1, _WIDTH]
    if rows <= READ_ONCE_TO and width >= _strip_width(_group_height(rows), x.itemsize):
        _pass_backward(board, table, 1, rows, x, masks, room, threads)
        g = atomics.array_at(table[1, _SLOPES], rows, width, x)
        b = atomics.array_at(table[0, _WEIGHTS], depth, width, x)
        sums = np.empty((_part_count(depth, width, x.itemsize), rows, width), x.dtype)
        _attack_first_layer(board, g, b, x, settings, masks, room, slopes, moved, sums)
        out = atomics.array_at(table[1, _VALUES], rows, width, x)
        _add_parts(sums, out)
        _add_biases(table, 0, out)
        return 1
    _pass_backward(board, table, 0, rows, x, masks, room, threads)
    sizes = np.full(rows, settings[0])
    _signed_step(x, x, slopes, sizes, sizes, settings[1], settings[2], settings[3:], moved)
    signs = np.empty((-(-depth // DEPTH), len(products)), np.uint64)
    if len(products) == 0 or not _mark_steps(moved, x, settings[0], signs):
        return 0
    b = atomics.array_at(table[0, _WEIGHTS], depth, width, x)
    out = atomics.array_at(table[1, _VALUES], rows, width, x)
    _forward_moved(board, signs, b, products, settings, masks, room, out)
    _add_biases(table, 0, out)
    signs[0, 0] = 0  # numba frees an array after its last use: not before this line
    return 1


@kernel
def _attack_by_sign(board, posts, table, x, labels, settings, moved, classes, saturated, still):
    """Attack the rows of `x` with FGSM, and predict classes of what they were and are.

    The helpers at `posts` share the products, unless another call has their board. `settings` has
    eps, the bounds, and the two numbers of `ROUNDING`, shape (5,). On exit `moved` has the
    adversarial inputs, `classes` the clean and the adversarial predictions, shape (2, n);
    `saturated` and `still` are as `_attack_residual` and `_zero_rows` have them.

    Returns `UNUSUAL` where logits or derivatives are not finite, or adversarial inputs are too far
    from the clean ones; `PROBABILITIES` where the clean logits look like some; else `DONE`.
    """
    rows = len(x)
    room = _new_room(_room_size(rows, x.itemsize), x)
    masks = np.empty(_mask_count(rows, table[:, _WIDTH].max()), np.uint64)
    helped = len(posts) > 0 and _take(board, posts, moved.ctypes.data, room.size)
    if not helped:
        board, posts = np.zeros(BOARD_SIZE, np.int64), posts[:0]
    threads = 1 + len(posts)
    state = _attack(
        board, table, x, labels, settings, masks, room, threads, moved, classes, saturated, still
    )
    if helped:
        _give_back(board)
    return state


@part
def _attack(
    board, table, x, labels, settings, masks, room, threads, moved, classes, saturated, still
):
    """Do what `_attack_by_sign` does, with a board that is taken, for so many threads."""
    rows, last = len(x), len(table) - 1
    block = np.empty(_numbers_needed(table, rows, x.itemsize), x.dtype)
    _lay_out(table, rows, block)
    table[0, _VALUES] = x.ctypes.data
    slopes = atomics.array_at(table[0, _SLOPES], rows, table[0, _WIDTH], x)
    logits = atomics.array_at(table[last, _VALUES], rows, table[last, _WIDTH], x)
    residual = atomics.array_at(table[last, _SLOPES], rows, table[last, _WIDTH], x)
    unbounded = settings[1] == -np.inf and settings[2] == np.inf
    wide = table[1, _WIDTH] * x.itemsize >= STRIP_BYTES
    by_signs = rows > READ_ONCE_TO and unbounded and wide
    products = np.empty((rows if by_signs else 0, table[1, _WIDTH]), x.dtype)
    _pass_forward(board, table, 0, rows, x, masks, room, threads, products)
    _argmax(logits, classes[0])
    unusual = _first_not_finite(logits) >= 0
    probabilities = _are_probabilities(logits)
    if not unusual:
        _exponentials_of_others(logits, labels, residual)
        _attack_residual(labels, residual, saturated)
        first = _move_inputs(
            board, table, rows, x, settings, masks, room, threads, products, slopes, moved
        )
        still[:] = _zero_rows(slopes)
        sizes = np.full(rows, settings[0])
        unusual = (
            _first_not_finite(slopes) >= 0
            or _entries_beyond(moved, x, sizes, settings[1], settings[2]) > 0
        )
    if not unusual:
        table[0, _VALUES] = moved.ctypes.data
        _pass_forward(board, table, first, rows, x, masks, room, threads, products[:0])
        _argmax(logits, classes[1])
        unusual = _first_not_finite(logits) >= 0
    block[0] = 0  # numba frees an array after its last use: not before this line
    if len(products):
        products[0, 0] = 0
    if unusual:
        return UNUSUAL
    return PROBABILITIES if probabilities else DONE
