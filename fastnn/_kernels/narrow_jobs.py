"""Products of a few rows on several threads that do not hold the GIL.

A job is cut into tasks: strips of columns of a product, or blocks of rows of a matrix. The calling
thread describes a job on the board, opens it, takes tasks itself, closes it, and waits until no
other thread is inside. Other threads, those of `narrow_helpers`, look at the board: as long as a
job is open, they enter it and take tasks. A thread that is late therefore costs nothing, and no
task is given away twice. Each task writes its own part of the result, which does not depend on the
thread.

A task is a strip of columns or a block of rows, whose sums stay in registers, or a panel, which the
thread packs unless it was kept: that is faster from some dozen rows on. Inputs that have moved by
one length are multiplied by tables of sums (`sign_products`), a strip of columns at a time.

A task allocates nothing: if it failed, the caller would wait for it for ever. Every thread brings
its own `room`, an array of numbers that begins at a cache line, and its own list `ks`.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels import atomics
from fastnn._kernels.jit import kernel, part
from fastnn._kernels.masked_products import DEPTH, ROWS, VECTORS, _mark
from fastnn._kernels.narrow_first_layer import MOST_INPUTS, _attack_part
from fastnn._kernels.narrow_panels import PANELS_FROM, _set_panel
from fastnn._kernels.narrow_products import (
    AHEAD,
    BLOCK,
    _backward_task,
    _entering,
    _forward_task,
    _group_height,
    _strip_width,
)
from fastnn._kernels.narrow_steps import _step_task
from fastnn._kernels.sign_products import DEPTH as SIGN_DEPTH
from fastnn._kernels.sign_products import LINES, STRIP_BYTES, TABLES, _add_sums, _set_sums
from fastnn._kernels.vectors import VECTOR_BYTES

# Entries of the board that threads change while others read them have a cache line each.
_OPEN, _NEXT, _INSIDE, _HELPERS = 0, 8, 16, 24
_KIND, _TASKS, _ROWS, _DEPTH, _WIDTH, _A, _B, _OUT = range(32, 40)
_LISTS, _COUNTS, _H, _MASKED, _VELOCITY, _SETTINGS, _ACROSS, _PARTS, _MASKS = range(40, 49)
_PANELS, _FILLED, _MOVED, _SUMS, _ROOM, _OWNER = range(49, 55)
BOARD_SIZE = 56
_FORWARD, _BACKWARD, _ATTACK, _SIGNS = 0, 1, 2, 3
_WIDEST = max(VECTORS) * VECTOR_BYTES  # of a panel, in bytes
_PATIENCE = 1000  # looks at the board before a thread lets others have its processor
_GROUPS_OF_PART = 8  # for fewer, a part of the rows is not worth the packing of its panel


@kernel
def _room_size(rows, itemsize):
    """Return how many numbers a thread's room has for products of so many rows."""
    if rows < PANELS_FROM:
        return 0
    of_panels = (DEPTH + rows) * _WIDEST
    of_signs = (TABLES * LINES + SIGN_DEPTH + rows) * STRIP_BYTES
    return max(of_panels, of_signs) // itemsize


@kernel
def _mask_count(rows, depth):
    """Return how many masks the rows of a product have, whose matrix has up to `depth` rows."""
    return -(-depth // DEPTH) * -(-rows // ROWS) if rows >= PANELS_FROM else 0


@kernel
def _describe(board, kind, tasks, a, b, out):
    """Write what all jobs have on the board: `b` has shape (depth, width)."""
    board[_KIND], board[_TASKS] = kind, tasks
    board[_ROWS], board[_DEPTH], board[_WIDTH] = a.shape[0], b.shape[0], b.shape[1]
    board[_A], board[_B], board[_OUT] = a.ctypes.data, b.ctypes.data, out.ctypes.data
    board[_ACROSS], board[_PARTS] = 0, 1


@kernel
def _describe_panels(board, a, across, parts, masks, panels, filled):
    """Write that the job's tasks are panels so wide, and of its rows in so many `parts`.

    `parts` is how many are wanted: rows that are few are not divided, nor are those of a job that
    fills the panels to be kept. Without `panels` nothing is kept.
    """
    groups = -(-a.shape[0] // ROWS)
    marks = masks[: -(-a.shape[1] // DEPTH) * groups].reshape((-1, groups))
    _mark(a, marks)
    board[_ACROSS], board[_MASKS] = across, marks.ctypes.data
    keeps = panels.size > 0
    board[_PANELS], board[_FILLED] = panels.ctypes.data if keeps else 0, filled
    board[_PARTS] = 1 if keeps and not filled else max(1, min(parts, groups // _GROUPS_OF_PART))
    columns = board[_WIDTH] if board[_KIND] == _FORWARD else board[_DEPTH]
    board[_TASKS] = -(-columns // across) * board[_PARTS]


@kernel
def _work(board, like, masks, room, ks):
    """Do tasks of the job on the board until none is left.

    `ks` has `BLOCK` + `AHEAD` entries, and those of an attack `MOST_INPUTS` + `AHEAD`.
    """
    rows, depth, width = board[_ROWS], board[_DEPTH], board[_WIDTH]
    kind = board[_KIND]
    forward = kind in (_FORWARD, _SIGNS)
    b = atomics.array_at(board[_B], depth, width, like)
    a = atomics.array_at(board[_A], rows, depth if forward else width, like)  # not read for signs
    columns = width if forward else depth
    out = atomics.array_at(board[_OUT], rows if board[_OUT] else 0, columns, like)
    task = atomics.add(board, _NEXT, 1)
    while task < board[_TASKS]:
        if kind == _ATTACK:
            _attack_task(board, task, a, b, ks, out)
        elif kind == _SIGNS:
            _signs_task(board, task, b, masks, room, out)
        elif board[_ACROSS]:
            _panel_task(board, task, a, b, masks, room, out)
        elif forward:
            groups = -(-rows // _group_height(rows))
            lists = atomics.array_at(board[_LISTS], groups, depth + AHEAD, board)
            counts = atomics.array_at(board[_COUNTS], 1, groups, board)
            _forward_task(task, a, b, out, lists, counts)
        elif len(out):
            first, last = task * BLOCK, min((task + 1) * BLOCK, depth)
            h = atomics.array_at(board[_H], rows, depth, like)
            _backward_task(first, last, a, b, h, board[_MASKED] != 0, ks, out)
        if kind == _BACKWARD and board[_SETTINGS]:
            _step_tasks(board, task, a, b, room, ks)
        task = atomics.add(board, _NEXT, 1)


@kernel
def _panel_task(board, task, a, b, masks, room, out):
    """Compute a panel of columns, for a part of the rows."""
    across, parts, groups = board[_ACROSS], board[_PARTS], -(-a.shape[0] // ROWS)
    marks = atomics.array_at(board[_MASKS], -(-a.shape[1] // DEPTH), groups, masks)
    sums = atomics.array_at(room[DEPTH * across :].ctypes.data, a.shape[0], across, a)
    part = task % parts
    first, last = groups * part // parts, groups * (part + 1) // parts
    number = task // parts
    panel = atomics.array_at(room.ctypes.data, DEPTH, across, a)
    if board[_PANELS]:
        place = board[_PANELS] + number * a.shape[1] * across * a.itemsize
        panel = atomics.array_at(place, a.shape[1], across, a)
    transposed, filled = board[_KIND] == _BACKWARD, board[_FILLED] != 0
    column = number * across
    _set_panel(a, marks, first, last, b, transposed, column, panel, filled, sums, out)


@kernel
def _step_tasks(board, task, g, b, room, ks):
    """Move the rows of `b` that belong to a task."""
    rows, width = g.shape
    depth = b.shape[0]
    h = atomics.array_at(board[_H], rows, depth, g)
    kept = depth if board[_VELOCITY] else 0
    velocity = atomics.array_at(board[_VELOCITY], kept, width, g)
    settings = atomics.array_at(board[_SETTINGS], 1, 4, g)
    every = atomics.array_at(board[_LISTS], 1, rows + AHEAD, board)
    unit = board[_ACROSS] if board[_ACROSS] else BLOCK
    end = min((task + 1) * unit, depth)
    for first in range(task * unit, end, BLOCK):
        last = min(first + BLOCK, end)
        _step_task(first, last, g, b, h, every[0], ks, room, velocity, settings[0])


@kernel
def _attack_task(board, task, g, b, ks, slopes):
    """Do for some of the inputs what `_attack_first_layer` does."""
    rows, width = g.shape
    depth, tasks = b.shape[0], board[_TASKS]
    x = atomics.array_at(board[_H], rows, depth, g)
    moved = atomics.array_at(board[_MOVED], rows, depth, g)
    settings = atomics.array_at(board[_SETTINGS], 1, 5, g)
    sums = atomics.array_at(board[_SUMS] + task * rows * width * g.itemsize, rows, width, g)
    first, last = depth * task // tasks, depth * (task + 1) // tasks
    _attack_part(first, last, g, b, x, settings[0], ks, slopes, moved, sums)


@kernel
def _signs_task(board, task, b, masks, room, out):
    """Compute a strip of what `_forward_moved` does."""
    rows, width = out.shape
    strip = STRIP_BYTES // out.itemsize
    chunks = -(-len(b) // SIGN_DEPTH)
    signs = atomics.array_at(board[_MASKS], chunks, rows, masks)
    z = atomics.array_at(board[_H], rows, width, out)
    size = atomics.array_at(board[_SETTINGS], 1, 1, out)[0, 0]
    buffers = atomics.array_at(room.ctypes.data, TABLES * LINES + SIGN_DEPTH + rows, strip, out)
    tables, rest = buffers[: TABLES * LINES], buffers[TABLES * LINES :]
    column = min(task * strip, width - strip)
    _set_sums(signs, b, column, size, rest[:SIGN_DEPTH], tables, rest[SIGN_DEPTH:], 0)
    _add_sums(z, rest[SIGN_DEPTH:], column, out)


@part
def _run(board, like, masks, room, ks):
    """Open the job on the board, do it together with the threads that serve, and close it."""
    atomics.store(board, _NEXT, 0)
    atomics.store(board, _OPEN, 1)
    _work(board, like, masks, room, ks)
    atomics.store(board, _OPEN, 0)
    looks = 0
    while atomics.load(board, _INSIDE) != 0:
        looks += 1
        if looks > _PATIENCE:
            atomics.rest()


@kernel
def _forward(board, a, b, masks, room, across, parts, panels, filled, out):
    """out = a @ b, in panels so wide, or in strips if `across` is 0.

    `panels`, of the shape (count, rows of `b`, `across`), are filled with `b` unless they are
    `filled` already. An array without entries keeps nothing.
    """
    rows, depth = a.shape
    height = _group_height(rows)
    groups = -(-rows // height) if across == 0 else 0
    lists, counts = np.empty((groups, depth + AHEAD), np.int64), np.empty((1, groups), np.int64)
    for g in range(groups):
        counts[0, g] = _entering(a, min(g * height, rows - height), height, 0, depth, lists[g])
    strip = _strip_width(height, a.itemsize)
    _describe(board, _FORWARD, -(-b.shape[1] // strip), a, b, out)
    if across:
        _describe_panels(board, a, across, parts, masks, panels, filled)
    board[_LISTS], board[_COUNTS] = lists.ctypes.data, counts.ctypes.data
    _run(board, a, masks, room, np.empty(0, np.int64))
    if groups:
        lists[0, 0] = counts[0, 0]  # numba frees an array after its last use: not before this line


@kernel
def _backward(board, g, b, h, masked, masks, room, across, parts, panels, filled, out):
    """out = g @ b.T, in panels so wide, or in blocks if `across` is 0; `panels` as in `_forward`.

    If `masked`, columns of which a group has only zeros in `h` may be left 0.
    """
    _describe(board, _BACKWARD, -(-b.shape[0] // BLOCK), g, b, out)
    if across:
        _describe_panels(board, g, across, parts, masks, panels, filled)
    board[_H], board[_MASKED] = h.ctypes.data, masked
    board[_VELOCITY] = board[_SETTINGS] = 0
    _run(board, g, masks, room, np.empty(BLOCK + AHEAD, np.int64))


@kernel
def _backward_and_step(board, g, b, h, masked, masks, room, across, out, velocity, settings):
    """out = g @ b.T as in `_backward`, then a step of gradient descent on `b` by h.T @ g.

    `settings` has scale, l2, momentum and rate, as `_sgd_step` takes them. Without rows, `out` is
    not wanted, and `velocity` not needed.
    """
    _describe(board, _BACKWARD, -(-b.shape[0] // BLOCK), g, b, out)
    if across and len(out):
        _describe_panels(board, g, across, 1, masks, out[:0], False)
    board[_H], board[_MASKED] = h.ctypes.data, masked
    board[_OUT] = out.ctypes.data if len(out) else 0
    board[_VELOCITY] = velocity.ctypes.data if len(velocity) else 0
    board[_SETTINGS] = settings.ctypes.data
    rows = g.shape[0]
    every = np.empty(rows + AHEAD, np.int64)
    for r in range(rows + AHEAD):
        every[r] = min(r, rows - 1)
    board[_LISTS] = every.ctypes.data
    _run(board, g, masks, room, np.empty(BLOCK + AHEAD, np.int64))
    every[0] = 0  # as in `_forward`: not freed before this line


@part
def _attack_first_layer(board, g, b, x, settings, masks, room, slopes, moved, sums):
    """slopes = g @ b.T, moved = x after a step along them; sums = moved @ b, in parts.

    `settings` has eps, the bounds, and the two numbers of `ROUNDING`, shape (5,). The sum of the
    first axis of `sums`, which `_part_count` gives the length, is the product.
    """
    _describe(board, _ATTACK, len(sums), g, b, slopes)
    board[_H], board[_MOVED] = x.ctypes.data, moved.ctypes.data
    board[_SETTINGS], board[_SUMS] = settings.ctypes.data, sums.ctypes.data
    _run(board, g, masks, room, np.empty(MOST_INPUTS + AHEAD, np.int64))


@part
def _forward_moved(board, signs, b, z, settings, masks, room, out):
    """out = z + (size * signs) @ b, for masks as `_mark_steps` sets them, by tables of sums.

    The first number of `settings` is the size. `out` is not `z`, and as wide as a strip at least.
    """
    _describe(board, _SIGNS, -(-out.shape[1] // (STRIP_BYTES // out.itemsize)), out, b, out)
    board[_H], board[_MASKS] = z.ctypes.data, signs.ctypes.data
    board[_SETTINGS] = settings.ctypes.data
    _run(board, out, masks, room, np.empty(0, np.int64))
