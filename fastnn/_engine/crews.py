"""Crews: helper threads that share products, and sleep inside a kernel between calls.

A crew has a board, at which its helpers look. A call has a crew to itself; one that finds all crews
at work has no helpers. Crews are made by the first calls that need them, and ended before a fork
and at exit.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.memory import empty
from fastnn._kernels import narrow_helpers, narrow_jobs
from fastnn._runtime.helpers import Helper, Job
from fastnn._runtime.signals import DeferredSignals
from fastnn._runtime.team import place

Integers = NDArray[np.int64]

_MOST = os.cpu_count() or 1  # helpers for numbers of one type


def new_board() -> Integers:
    """Return a board without a job."""
    board = empty((narrow_jobs.BOARD_SIZE,), np.int64)
    board[:] = 0
    return board


def new_lock() -> int:
    """Return the address of a new lock of Python's, which is held."""
    allocate = ctypes.pythonapi.PyThread_allocate_lock
    allocate.restype = ctypes.c_void_p
    address: int | None = allocate()
    if address is None:
        raise MemoryError("the system has no more locks")
    ctypes.pythonapi.PyThread_acquire_lock(ctypes.c_void_p(address), 0)
    return address


def free_lock(address: Any) -> None:
    """Give a lock back, which no thread uses any more."""
    ctypes.pythonapi.PyThread_free_lock(ctypes.c_void_p(int(address)))


class Crew:
    """Helpers for products of numbers of one type.

    Attributes
    ----------
    board : ndarray of int64
    posts : ndarray of int64, shape (helpers,)
        Addresses of the posts at which they sleep.
    """

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.board, self.posts = new_board(), np.empty(0, np.int64)
        self._kind = kind
        self._own_posts: list[Integers] = []
        self.helpers: list[Helper] = []

    @property
    def free(self) -> bool:
        """Whether no call has the board."""
        return not self.board[narrow_jobs._OWNER]

    def take(self, count: int, room: int) -> bool:
        """Wake up to `count` helpers, with room for so many numbers; False if a call has them."""
        taken: bool = narrow_helpers._take(self.board, self.posts[:count], 1, room)
        return taken

    def give_back(self) -> None:
        """Let the helpers sleep, and another call have the board."""
        narrow_helpers._give_back(self.board)

    def grow(self, count: int) -> None:
        """Start threads until there are `count`, or fewer where the system starts no more."""
        if not self.helpers:  # so that the first call loads or compiles their kernel, not they
            ended = new_board()
            ended[narrow_jobs._HELPERS] = narrow_helpers._ENDED
            self._attend_at(ended, np.zeros(narrow_helpers.POST_SIZE, np.int64), 0)
        with contextlib.suppress(RuntimeError):
            while len(self.helpers) < count:
                helper, post = Helper(), empty((narrow_helpers.POST_SIZE,), np.int64)
                post[:] = 0
                post[narrow_helpers._LOCK] = new_lock()
                self._own_posts.append(post)
                helper.give(Job(self._attend, len(self.helpers)))
                self.helpers.append(helper)
                self.posts = np.array([one.ctypes.data for one in self._own_posts])

    def _attend(self, number: int) -> None:
        """Do tasks whenever the board is taken, in the thread of a helper."""
        self._attend_at(self.board, self._own_posts[number], number)

    def _attend_at(self, board: Integers, post: Integers, number: int) -> None:
        """Do tasks whenever a board is taken."""
        like, masks = np.empty((0, 0), self._kind), np.empty(0, np.uint64)
        narrow_helpers._attend(board, post, number, like, masks)

    def end(self) -> bool:
        """End the helpers; False if a call has them."""
        ended: bool = narrow_helpers._end(self.board, self.posts)
        if ended:
            for helper in self.helpers:
                helper.end()
        return ended

    def lose(self) -> None:
        """In a forked child: forget the helpers, and what they were inside of."""
        self.helpers, self.posts = [], self.posts[:0]
        self.board[narrow_jobs._INSIDE] = self.board[narrow_jobs._HELPERS] = 0

    def __del__(self) -> None:
        # A helper holds its crew for as long as it may use a lock.
        for post in self._own_posts:
            free_lock(post[narrow_helpers._LOCK])


class Crews:
    """All crews of the process, by the type of their numbers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # while crews are made or ended
        self._all: dict[np.dtype[Any], list[Crew]] = {}
        self._lost: list[Crew] = []
        self._closed = False

    @property
    def at_work(self) -> int:
        """How many helpers belong to calls."""
        return sum(len(crew.helpers) for crew in self._every() if not crew.free)

    @property
    def parked(self) -> int:
        """How many helpers wait for a call."""
        return sum(len(crew.helpers) for crew in self._every() if crew.free)

    def _every(self) -> list[Crew]:
        return [crew for crews in list(self._all.values()) for crew in crews]

    def ready(self, kind: np.dtype[Any], count: int) -> Crew | None:
        """Return a crew that no call has, with up to `count` helpers; None if there is none."""
        for crew in self._all.get(kind, ()):
            if crew.free:
                if len(crew.helpers) < min(count, _MOST):
                    self._grow(crew, count)
                place(crew.helpers[:count])
                return crew
        return self._new(kind, count)

    def _grow(self, crew: Crew, count: int) -> None:
        """Add helpers to a crew, as far as there may be so many."""
        with DeferredSignals(), self._lock:
            others = sum(len(c.helpers) for c in self._all[crew._kind] if c is not crew)
            if not self._closed:
                crew.grow(min(count, _MOST - others))

    def _new(self, kind: np.dtype[Any], count: int) -> Crew | None:
        """Return a new crew, or None if there are as many helpers as there may be."""
        with DeferredSignals(), self._lock:
            crews = self._all.setdefault(kind, [])
            left = _MOST - sum(len(crew.helpers) for crew in crews)
            if left <= 0 or self._closed:
                return None
            crew = Crew(kind)
            crew.grow(min(count, left))
            place(crew.helpers)
            crews.append(crew)
            return crew

    def end_parked(self) -> None:
        """End all parked crews, so that a process forks, and exits, without them."""
        ended = []
        with self._lock:
            for crews in self._all.values():
                ended += [crew for crew in crews if crew.end()]
                crews[:] = [crew for crew in crews if crew not in ended]
        for crew in ended:
            for helper in crew.helpers:
                helper.join()

    def end_all(self) -> None:
        """End the parked crews for good; those at work end with Python."""
        self._closed = True
        self.end_parked()

    def after_fork_in_child(self) -> None:
        """Forget all helpers, which are threads of the parent; their locks stay as they are."""
        self._lock = threading.RLock()
        for crew in self._every():
            crew.lose()
            self._lost.append(crew)
        self._all.clear()


crews = Crews()
atexit.register(crews.end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=crews.end_parked, after_in_child=crews.after_fork_in_child)
