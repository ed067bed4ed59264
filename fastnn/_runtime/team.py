"""One level of parallelism: the threads of one public call, and BLAS on one thread in each.

A threaded BLAS beside threads of our own makes two pools spin against each other, so while a
`Team` is at work BLAS is held at one thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import numpy as np

from fastnn._runtime.blas import blas_limits
from fastnn._runtime.helpers import Helper, Job, helpers
from fastnn._runtime.processors import cores, current_processor
from fastnn._runtime.signals import DeferredSignals

_NO_MORE = object()

_pinning: ContextVar[bool] = ContextVar("fastnn_pinning", default=True)


@contextlib.contextmanager
def without_pinning() -> Iterator[None]:
    """Let helpers run anywhere: several processes would choose the same cores for theirs."""
    token = _pinning.set(False)
    try:
        yield
    finally:
        _pinning.reset(token)


class Team:
    """The threads of one public call; the calling thread is the first of them.

    A context manager. Inside, BLAS uses one thread. Handlers of signals run between two tasks of
    the calling thread, unless `run` is told otherwise. numpy does not warn of overflow and does not
    raise, whatever the caller's `numpy.errstate` says: results are checked instead.

    Helpers run where the caller may, but not on its own core: Linux may otherwise run two threads
    on one processor for longer than a thousand rows take. The caller runs where it did before.

    Parameters
    ----------
    size : int
        Number of threads, at least 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._signals = DeferredSignals()
        self._errors = np.errstate(all="ignore")
        self._limit: object = None
        self._helpers: list[Helper] = []

    def __enter__(self) -> Self:
        self._signals.__enter__()
        try:
            self._limit = blas_limits.enter(1)
        except BaseException:
            self._signals.__exit__(None, None, None)
            raise
        self._errors.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._errors.__exit__(kind, error, trace)
        try:
            helpers.give_back(self._helpers)
            blas_limits.leave(self._limit)
        finally:
            self._signals.__exit__(kind, error, trace)

    def deliver(self) -> None:
        """Run the handlers of signals that have arrived; their exceptions go to the caller."""
        self._signals.deliver()

    def run(
        self, task: Callable[[int, Any], None], items: Sequence[Any], *, deliver: bool = True
    ) -> None:
        """Call ``task(worker, item)`` for every item; a free worker takes the next one.

        After an exception no new task starts; when the running tasks have ended, it is raised. An
        exception from the handler of a signal, such as KeyboardInterrupt, does the same. Without
        `deliver`, handlers wait until all tasks have ended.
        """
        if self.size == 1 or len(items) == 1:
            for item in items:
                if deliver:
                    self._signals.deliver()
                task(0, item)
            return
        queue = iter(items)
        taking = threading.Lock()
        failed = False

        def work(worker: int) -> None:
            nonlocal failed
            try:
                while not failed:
                    if worker == 0 and deliver:
                        self._signals.deliver()
                    with taking:
                        item = next(queue, _NO_MORE)
                    if item is _NO_MORE:
                        return
                    task(worker, item)
            except BaseException:
                failed = True
                raise

        with self.beside(work, most=len(items) - 1):
            work(0)

    def beside(self, work: Callable[[int], None], *, most: int | None = None) -> Beside:
        """Return a context during which every helper calls ``work(worker)``, worker = 1, 2, ...

        The block begins before the helpers are awake. At its end, a helper that has not begun does
        not begin any more, and the caller waits for all others. Then the exception of a helper is
        raised, unless the block has raised one.

        Parameters
        ----------
        work : callable
        most : int, optional
            Use no more helpers than this. Default: all, one fewer than threads.
        """
        count = self.size - 1 if most is None else min(self.size - 1, most)
        return Beside(self._ready(count) if count > 0 else [], work)

    def _ready(self, count: int) -> list[Helper]:
        """Return up to `count` helpers, off the core of the caller."""
        if len(self._helpers) < count:
            self._helpers += helpers.take(count - len(self._helpers))
        ready = self._helpers[:count]
        place(ready)
        return ready


def place(ready: Sequence[Helper]) -> None:
    """Let helpers run where the caller may, but not on its own core."""
    if not ready or not hasattr(os, "sched_getaffinity"):
        return
    allowed = frozenset(os.sched_getaffinity(0))
    if not _pinning.get():
        for helper in ready:
            helper.keep_on(allowed)
        return
    here, all_cores = current_processor(), cores(allowed)
    others = [core for core in all_cores if here not in core]
    anywhere = frozenset[int]().union(*(others or all_cores))
    each = len(ready) == len(others)  # then each has a core of its own
    for k, helper in enumerate(ready):
        helper.keep_on(others[k] if each else anywhere)


class Beside:
    """Helpers at work during a `with` block; see `Team.beside`."""

    def __init__(self, ready: list[Helper], work: Callable[[int], None]) -> None:
        self._ready = ready
        self._jobs = [Job(work, worker) for worker in range(1, len(ready) + 1)]

    def __enter__(self) -> None:
        for helper, job in zip(self._ready, self._jobs, strict=True):
            helper.give(job)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for job in self._jobs:
            job.end()
        errors = [job.error for job in self._jobs if job.error is not None]
        self._jobs.clear()
        if errors and error is None:
            raise errors[0]
