"""Products of a few rows on several threads that do not hold the GIL.

A job is cut into tasks: strips of columns of a product, or blocks of rows of a matrix. The calling
thread describes a job on the board, opens it, takes tasks itself, closes it, and waits until no
other thread is inside. Other threads run `_serve`: as long as a job is open, they enter it and take
tasks. A thread that is late therefore costs nothing, and no task is given away twice. Each task
writes its own part of the result, which does not depend on the thread.

A task allocates nothing: if it failed, the caller would wait for it for ever. So every thread makes
its own buffers before it enters a job.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels import atomics
from fastnn._kernels.jit import kernel
from fastnn._kernels.narrow_products import (
    AHEAD,
    DOT_COLUMNS,
    _entering,
    _group_height,
    _set_dots,
    _set_strip,
    _strip_width,
)

# Entries of the board that threads change while others read them have a cache line each.
_OPEN, _NEXT, _INSIDE, _STOP = 0, 8, 16, 24
_KIND, _TASKS, _ROWS, _DEPTH, _WIDTH, _A, _B, _OUT = range(32, 40)
_LISTS, _COUNTS, _H, _MASKED, _VELOCITY, _SETTINGS = range(40, 46)
BOARD_SIZE = 48
_FORWARD, _BACKWARD = 0, 1
BLOCK = 12  # rows of a matrix in a task of `_backward`
_PATIENCE = 1000  # looks at the board before a thread lets others have its processor


@kernel
def _describe(board, kind, tasks, a, b, out):
    """Write what all jobs have on the board: `b` has shape (depth, width)."""
    board[_KIND], board[_TASKS] = kind, tasks
    board[_ROWS], board[_DEPTH], board[_WIDTH] = a.shape[0], b.shape[0], b.shape[1]
    board[_A], board[_B], board[_OUT] = a.ctypes.data, b.ctypes.data, out.ctypes.data


@kernel
def _work(board, like, ks, scratch):
    """Do tasks of the job on the board until none is left.

    `ks` has `BLOCK` + `AHEAD` entries, `scratch` at least the columns of `_step_task`.
    """
    rows, depth, width = board[_ROWS], board[_DEPTH], board[_WIDTH]
    b = atomics.array_at(board[_B], depth, width, like)
    if board[_KIND] == _FORWARD:
        a = atomics.array_at(board[_A], rows, depth, like)
        out = atomics.array_at(board[_OUT], rows, width, like)
        groups = -(-rows // _group_height(rows))
        lists = atomics.array_at(board[_LISTS], groups, depth + AHEAD, board)
        counts = atomics.array_at(board[_COUNTS], 1, groups, board)
        task = atomics.add(board, _NEXT, 1)
        while task < board[_TASKS]:
            _forward_task(task, a, b, out, lists, counts)
            task = atomics.add(board, _NEXT, 1)
    else:
        a = atomics.array_at(board[_A], rows, width, like)
        h = atomics.array_at(board[_H], rows, depth, like)
        out = atomics.array_at(board[_OUT], rows if board[_OUT] else 0, depth, like)
        moving = board[_SETTINGS] != 0
        kept = depth if board[_VELOCITY] else 0
        velocity = atomics.array_at(board[_VELOCITY], kept, width, like)
        settings = atomics.array_at(board[_SETTINGS], 1, 4 if moving else 0, like)
        every = atomics.array_at(board[_LISTS], 1, rows + AHEAD if moving else 0, board)
        task = atomics.add(board, _NEXT, 1)
        while task < board[_TASKS]:
            first, last = task * BLOCK, min((task + 1) * BLOCK, depth)
            if len(out):
                _backward_task(first, last, a, b, h, board[_MASKED] != 0, ks, out)
            if moving:
                _step_task(first, last, a, b, h, every[0], ks, scratch, velocity, settings[0])
            task = atomics.add(board, _NEXT, 1)


@kernel
def _run(board, like, ks, scratch):
    """Open the job on the board, do it together with the threads that serve, and close it."""
    atomics.store(board, _NEXT, 0)
    atomics.store(board, _OPEN, 1)
    _work(board, like, ks, scratch)
    atomics.store(board, _OPEN, 0)
    looks = 0
    while atomics.load(board, _INSIDE) != 0:
        looks += 1
        if looks > _PATIENCE:
            atomics.rest()


@kernel
def _serve(board, like, step_columns):
    """Do tasks of every job until `_dismiss` is called.

    `step_columns` is the largest sum of the rows of `g` and the columns of `b` of a job of
    `_backward_and_step`, 0 if there is none.
    """
    ks, scratch = np.empty(BLOCK + AHEAD, np.int64), np.empty((BLOCK, step_columns), like.dtype)
    looks = 0
    while atomics.load(board, _STOP) == 0:
        looks += 1
        if atomics.load(board, _OPEN) != 0:
            atomics.add(board, _INSIDE, 1)
            if atomics.load(board, _OPEN) != 0:  # not closed before this thread was inside
                _work(board, like, ks, scratch)
            atomics.add(board, _INSIDE, -1)
            looks = 0
        elif looks > _PATIENCE:
            atomics.rest()


@kernel
def _dismiss(board):
    """Let every `_serve` return."""
    atomics.store(board, _STOP, 1)


@kernel
def _forward(board, a, b, out):
    """out = a @ b."""
    rows, depth = a.shape
    height = _group_height(rows)
    groups = -(-rows // height)
    lists, counts = np.empty((groups, depth + AHEAD), np.int64), np.empty((1, groups), np.int64)
    for g in range(groups):
        counts[0, g] = _entering(a, min(g * height, rows - height), height, 0, depth, lists[g])
    across = _strip_width(height, a.itemsize)
    _describe(board, _FORWARD, -(-b.shape[1] // across), a, b, out)
    board[_LISTS], board[_COUNTS] = lists.ctypes.data, counts.ctypes.data
    _run(board, a, np.empty(0, np.int64), a[:0])
    lists[0, 0] = counts[0, 0]  # numba frees an array after its last use: not before this line


@kernel
def _forward_task(task, a, b, out, lists, counts):
    """Compute one strip of columns of out = a @ b; the last one may overlap the one before."""
    rows = a.shape[0]
    height = _group_height(rows)
    across = _strip_width(height, a.itemsize)
    column = min(task * across, out.shape[1] - across)
    for g in range(counts.shape[1]):
        row = min(g * height, rows - height)
        _set_strip(a, row, height, lists[g], counts[0, g], b, column, out)


@kernel
def _backward(board, g, b, h, masked, out):
    """out = g @ b.T; if `masked`, columns of which a group has only zeros in `h` are left 0."""
    _describe(board, _BACKWARD, -(-b.shape[0] // BLOCK), g, b, out)
    board[_H], board[_MASKED] = h.ctypes.data, masked
    board[_VELOCITY] = board[_SETTINGS] = 0
    _run(board, g, np.empty(BLOCK + AHEAD, np.int64), g[:0])


@kernel
def _backward_and_step(board, g, b, h, masked, out, velocity, settings):
    """out = g @ b.T as in `_backward`, then a step of gradient descent on `b` by h.T @ g.

    `settings` has scale, l2, momentum and rate, as `_sgd_step` takes them. Without rows, `out` is
    not wanted, and `velocity` not needed.
    """
    _describe(board, _BACKWARD, -(-b.shape[0] // BLOCK), g, b, out)
    board[_H], board[_MASKED] = h.ctypes.data, masked
    board[_OUT] = out.ctypes.data if len(out) else 0
    board[_VELOCITY] = velocity.ctypes.data if len(velocity) else 0
    board[_SETTINGS] = settings.ctypes.data
    rows, width = g.shape
    every = np.empty(rows + AHEAD, np.int64)
    for r in range(rows + AHEAD):
        every[r] = min(r, rows - 1)
    board[_LISTS] = every.ctypes.data
    ks, scratch = np.empty(BLOCK + AHEAD, np.int64), np.empty((BLOCK, rows + width), g.dtype)
    _run(board, g, ks, scratch)
    every[0] = 0  # as in `_forward`: not freed before this line


@kernel
def _backward_task(first, last, g, b, h, masked, ks, out):
    """Compute the columns from `first` to `last` of out = g @ b.T."""
    rows = g.shape[0]
    height = _group_height(rows)
    for i in range(-(-rows // height)):
        row = min(i * height, rows - height)
        count = last - first
        if masked:
            out[row : row + height, first:last] = 0
            count = _entering(h, row, height, first, last, ks)
        else:
            for k in range(count):
                ks[k] = first + k
        for p in range(0, count, DOT_COLUMNS[height]):
            _set_dots(g, row, height, ks, p, count, b, out)


@kernel
def _step_task(first, last, g, b, h, every, ks, scratch, velocity, settings):
    """Move the rows from `first` to `last` of `b` by the gradient h.T @ g.

    `every` has the numbers of all rows of `g`, as `_set_strip` takes them.
    """
    rows, width = g.shape
    count = _entering(h, 0, rows, first, last, ks)
    numbers = scratch.ravel()
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
