"""One level of parallelism: the threads of one public call, and BLAS on one thread in each.

A threaded BLAS beside threads of our own makes two pools spin against each other, so while a
`Team` is at work BLAS is held at one thread. A team lives as long as the public call that made it
and leaves no thread behind: a forked child or another Python thread finds no pool to inherit.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn._runtime.blas import blas_limits
from fastnn._runtime.signals import DeferredSignals

_NO_MORE = object()


def _own_processors(size: int) -> list[int]:
    """Return a processor for each of `size` threads if the process may use just as many."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    first = threading.get_native_id() % len(
        allowed
    )  # teams of several Python threads start at different ones
    return allowed[first:] + allowed[:first] if size == len(allowed) else []


def _keep_on(processors: list[int]) -> None:
    """Let the calling thread run on these processors only; do nothing if they are not allowed."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)


def _let_go(place: int, processors: list[int]) -> None:
    """Let the calling thread run on all `processors`, if its affinity is still `place` alone."""
    if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(0) == {place}:
        _keep_on(processors)


def _keep_on_next(places: Iterator[int], processors: list[int]) -> None:
    """Keep a new thread on the next of `places`, if there is one."""
    place = next(places, None)
    if place is not None:
        _keep_on(processors)  # a new thread inherits the affinity of its creator
        _keep_on([place])


class Team:
    """The threads of one public call; the calling thread is the first of them.

    A context manager. Inside, BLAS uses one thread. If the team has as many threads as there are
    processors, each thread stays on a processor of its own: Linux may otherwise run two threads on
    one processor for longer than a thousand rows take. Handlers of signals run between two tasks of
    the calling thread. numpy does not warn of overflow and does not raise, whatever the caller's
    `numpy.errstate` says: results are checked instead.

    Parameters
    ----------
    size : int
        Number of threads, at least 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._signals = DeferredSignals()
        self._stack = contextlib.ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:  # undone if it fails on the way
            self._signals = stack.enter_context(DeferredSignals())
            stack.enter_context(np.errstate(all="ignore"))
            stack.callback(blas_limits.leave, blas_limits.enter(1))
            if self.size > 1:
                own = _own_processors(self.size)
                pool = ThreadPoolExecutor(
                    self.size - 1,
                    "fastnn",
                    initializer=_keep_on_next,
                    initargs=(iter(own[1:]), own),
                )
                self._pool = stack.enter_context(pool)
                if own:
                    stack.callback(_let_go, own[0], own)
                    _keep_on(own[:1])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, task: Callable[[int, Any], None], items: Sequence[Any]) -> None:
        """Call ``task(worker, item)`` for every item; a free worker takes the next one.

        After an exception no new task starts; when the running tasks have ended, it is raised. An
        exception from the handler of a signal, such as KeyboardInterrupt, does the same.
        """
        queue = iter(items)
        taking = threading.Lock()
        failed = threading.Event()

        def work(worker: int) -> None:
            with np.errstate(all="ignore"):  # every thread has its own state
                try:
                    while not failed.is_set():
                        if worker == 0:
                            self._signals.deliver()
                        with taking:
                            item = next(queue, _NO_MORE)
                        if item is _NO_MORE:
                            return
                        task(worker, item)
                except BaseException:
                    failed.set()
                    raise

        helpers = self._start(work, min(self.size, len(items)) - 1)
        try:
            work(0)
        finally:
            errors = [helper.exception() for helper in helpers]
        for error in errors:
            if error is not None:
                raise error

    def deliver(self) -> None:
        """Run the handlers of signals that have arrived; their exceptions go to the caller."""
        self._signals.deliver()

    @contextlib.contextmanager
    def beside(self, work: Callable[[int], None]) -> Iterator[None]:
        """Let every helper call ``work(worker)`` while the block runs."""
        helpers = self._start(work, self.size - 1)
        try:
            yield
        finally:
            errors = [h.exception() for h in helpers if not h.cancel()]
        for error in errors:
            if error is not None:
                raise error

    def _start(self, work: Callable[[int], None], count: int) -> list[Future[None]]:
        """Start up to `count` helpers; while the interpreter shuts down, none can be started."""
        helpers: list[Future[None]] = []
        if self._pool is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # no new threads: those that there are do all the work
                for worker in range(1, count + 1):
                    helpers.append(self._pool.submit(work, worker))  # noqa: PERF401 - keeps those
        return helpers
