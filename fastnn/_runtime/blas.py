"""How many threads BLAS has, while fastnn has threads of its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from threadpoolctl import ThreadpoolController


class BlasLimits:
    """The limits on BLAS's threads that the Python threads of the process have set.

    For each Python thread its last limit counts, and BLAS gets the lowest of these. Limits may be
    taken back in any order. When the last one is taken back, BLAS gets the number of threads that
    it had before the first.

    The garbage collector may run between any two lines, and with it the `__del__` of an object that
    calls fastnn: in the middle of a method, another one may be called from the same thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._asked: dict[object, tuple[int, int]] = {}  # by ticket: the thread and its number
        self._before: list[int] = []
        self._changed = False  # until BLAS has the numbers in `_before` again

    def enter(self, n: int) -> object:
        """Set a limit of `n` threads; return the ticket for `leave`."""
        ticket = object()
        with self._lock:
            libraries = _blas_libraries()
            if not self._changed:
                self._before = [library.get_num_threads() for library in libraries]
            self._changed = True
            self._asked[ticket] = threading.get_ident(), n
            self._apply(libraries)
        return ticket

    def leave(self, ticket: object) -> None:
        """Take a limit back, from any thread; a forked child may have dropped it."""
        with self._lock:
            self._asked.pop(ticket, None)
            self._apply(_blas_libraries())

    def _apply(self, libraries: list[Library]) -> None:
        asked = dict(list(self._asked.values()))  # a list, as the collector may change the other
        limit = min(asked.values()) if asked else None
        for library, before in zip(libraries, self._before, strict=True):
            wanted = before if limit is None else limit
            if library.get_num_threads() != wanted:
                library.set_num_threads(wanted)
        self._changed = bool(self._asked)

    def before_fork(self) -> None:
        """Wait until no thread is changing a limit, so that the child starts from a whole one."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Go on in the parent."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Drop the limits of other threads: they are not in the child."""
        if self._asked:
            mine = threading.get_ident()
            self._asked = {t: asked for t, asked in self._asked.items() if asked[0] == mine}
            self._apply(_blas_libraries())
        self._lock.release()


class Library(NamedTuple):
    """How to read and set the number of threads of one BLAS library."""

    get_num_threads: Callable[[], int]
    set_num_threads: Callable[[int], object]
    for_each_thread: bool = False  # each Python thread has a setting of its own, as with OpenMP


def limit_this_thread() -> None:
    """Hold BLAS at one thread in the calling thread, for good, where each has its own setting."""
    for library in _blas_libraries():
        if library.for_each_thread:
            library.set_num_threads(1)


@functools.cache
def _blas_libraries() -> list[Library]:
    """Return the BLAS libraries that are loaded; finding them takes milliseconds."""
    return [_library(one) for one in ThreadpoolController().select(user_api="blas").lib_controllers]


def _library(controller: Any) -> Library:
    """Return the functions of a library that threadpoolctl has found.

    Those of OpenBLAS itself take a quarter of the time. Besides, threadpoolctl 3.8 obeys the first
    Python thread that asks and ignores all others; here the lowest of all limits counts.
    """
    openmp = getattr(controller, "threading_layer", None) == "openmp"
    if controller.internal_api == "openblas" and not openmp:
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            with contextlib.suppress(AttributeError):
                return Library(
                    getattr(controller.dynlib, f"{prefix}openblas_get_num_threads{suffix}"),
                    getattr(controller.dynlib, f"{prefix}openblas_set_num_threads{suffix}"),
                )
    return Library(controller.get_num_threads, controller.set_num_threads, openmp)


blas_limits = BlasLimits()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=blas_limits.before_fork,
        after_in_parent=blas_limits.after_fork,
        after_in_child=blas_limits.after_fork_in_child,
    )
