"""Threads that help with the jobs of `narrow_jobs`, and sleep in between, without the GIL.

A helper stays in its kernel: a thread that had to come from Python would wait for the GIL at the
beginning, and again at the end. A call that takes a board wakes its helpers, and until it gives the
board back they do tasks of every job on it. Nobody waits for them. So one may still look at the
board when the call that has woken it is over: boards outlive calls.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels import atomics
from fastnn._kernels.jit import kernel, part
from fastnn._kernels.narrow_first_layer import MOST_INPUTS
from fastnn._kernels.narrow_jobs import (
    _HELPERS,
    _INSIDE,
    _OPEN,
    _OWNER,
    _PATIENCE,
    _ROOM,
    _work,
)
from fastnn._kernels.narrow_products import AHEAD, BLOCK
from fastnn._kernels.vectors import LINE_BYTES

_ENDED = -1  # instead of the number of helpers that are wanted
_LOCK, _WOKEN = 0, 1  # of a helper's post: the lock at which it sleeps, and whether it was woken
POST_SIZE = 8


@kernel
def _attend(board, post, number, like, masks):
    """Help with the jobs on the board whenever `_take` wants more than `number` helpers.

    Returns after `_end`. `masks` says nothing but its type.
    """
    ks = np.empty(max(BLOCK, MOST_INPUTS) + AHEAD, np.int64)
    room = np.empty(0, like.dtype)
    while atomics.load(board, _HELPERS) != _ENDED:
        atomics.acquire(post[_LOCK])
        atomics.store(post, _WOKEN, 0)
        room = _serve(board, number, like, masks, room, ks)


@part
def _serve(board, number, like, masks, room, ks):
    """Do tasks of every job until `_give_back`; return the room, which may be a new one."""
    looks = 0
    while atomics.load(board, _HELPERS) > number:
        looks += 1
        if atomics.load(board, _OPEN) != 0:
            atomics.add(board, _INSIDE, 1)
            needed = 0
            if atomics.load(board, _OPEN) != 0:  # not closed before this thread was inside
                needed = board[_ROOM]
                if needed <= room.size:
                    _work(board, like, masks, room, ks)
            atomics.add(board, _INSIDE, -1)
            if needed > room.size:
                room = _new_room(needed, like)
            looks = 0
        elif looks > _PATIENCE:
            atomics.rest()
    return room


@kernel
def _new_room(size, like):
    """Return an array that begins at a cache line."""
    block = np.empty(size + LINE_BYTES // like.itemsize, like.dtype)
    begin = -block.ctypes.data % LINE_BYTES // like.itemsize
    return block[begin : begin + size]


@kernel
def _take(board, posts, owner, room):
    """Wake the helpers at these addresses, for a call that takes their board; say whether it did.

    It does not where another call has the board. Each helper brings room for so many numbers.
    """
    if not atomics.claim(board, _OWNER, owner):
        return False
    board[_ROOM] = room
    atomics.store(board, _HELPERS, len(posts))
    _wake(board, posts)
    return True


@kernel
def _give_back(board):
    """Let the helpers sleep, as soon as they look at the board, and another call have it."""
    atomics.store(board, _HELPERS, 0)
    atomics.store(board, _OWNER, 0)


@kernel
def _end(board, posts):
    """Let `_attend` return in all helpers; say whether it will: not while a call has the board."""
    if not atomics.claim(board, _OWNER, _ENDED):
        return False
    atomics.store(board, _HELPERS, _ENDED)
    _wake(board, posts)
    return True


@kernel
def _wake(board, posts):
    """Wake helpers, but those that were woken before and have not run since."""
    for address in posts:
        post = atomics.array_at(address, 1, POST_SIZE, board)[0]
        if atomics.claim(post, _WOKEN, 1):
            atomics.release(post[_LOCK])
