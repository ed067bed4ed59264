"""One level of parallelism: rows in tiles, dealt to a few threads, BLAS on one thread in each.

A threaded BLAS beside threads of our own makes two pools spin against each other, so while a
`Team` is at work BLAS is held at one thread. A team lives as long as the public call that made it
and leaves no thread behind: a forked child or another Python thread finds no pool to inherit.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from threadpoolctl import ThreadpoolController

from fastnn import _checks
from fastnn._signals import DeferredSignals

_NO_MORE = object()
_asked_for: ContextVar[int | None] = ContextVar("fastnn_threads", default=None)


class threads(contextlib.ContextDecorator):  # noqa: N801 - used like a function
    """Run the block on `n` threads: fastnn's own, and BLAS where numpy calls it outside fastnn.

    Parameters
    ----------
    n : int
        Number of threads, at least 1. fastnn's own setting holds for this Python thread alone;
        that of BLAS for the process, as BLAS knows no other: of the limits that several Python
        threads set, the lowest wins.

    Raises
    ------
    TypeError, ValueError
        `n` is not an integer, or below 1.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.threads(2):
    ...     pass
    """

    def __init__(self, n: int) -> None:
        self._held: list[tuple[object, Token[int | None]]] = []
        self._n = _checks.positive_integer(n, "threads")

    def _recreate_cm(self) -> Self:
        """Return a new context for every call of a function that this decorates."""
        return type(self)(self._n)

    def __enter__(self) -> None:
        depth = len(self._held)
        try:
            with DeferredSignals():
                self._held.append((_blas_limits.enter(self._n), _asked_for.set(self._n)))
        except BaseException:  # raised by a signal's handler as soon as it could
            if len(self._held) > depth:
                self._leave()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        """Take back what was asked for last."""
        with DeferredSignals():
            ticket, token = self._held.pop()
            _blas_limits.leave(ticket)
            _asked_for.reset(token)

    def __del__(self) -> None:
        # A signal's handler that raises may run just before the first line of `__exit__`.
        while self._held:
            with contextlib.suppress(ValueError):  # the token is of another thread
                self._leave()


def thread_count(asked: int | None = None) -> int:
    """Return `asked`, else what `threads` set, else what affinity and the CPU quota allow."""
    if asked is not None:
        return _checks.positive_integer(asked, "threads")
    return _asked_for.get() or available_threads()


def available_threads() -> int:
    """Return the number of processors this process may use: its affinity, cut to its CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:  # not on Linux
        allowed = os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


@functools.cache
def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the processors that the control groups of this process grant it, None where unlimited.

    A quota anywhere above the process binds it, so every level up to the mount is read: `cpu.max`
    in version 2, `cpu.cfs_quota_us` over `cpu.cfs_period_us` in version 1. It is read once, as
    every call of the library asks for it.
    """
    groups = root / "proc/self/cgroup"
    mount = root / "sys/fs/cgroup"
    if not groups.is_file():
        return None
    quotas = []
    for line in groups.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        top = mount if not controllers else mount / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = top / name.lstrip("/")
        for level in (folder, *folder.parents):
            quotas.append(_quota_of(level))
            if level == top:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the quota that one control group sets, in processors."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


class _BlasLimits:
    """How many threads BLAS is to have, as asked for by anyone in the process.

    What a Python thread asked for last counts for it, and the lowest of those is in force. Requests
    come and go in any order: whoever leaves last puts back what BLAS had before the first came.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[object, tuple[int, int]] = {}  # by ticket: the thread and its number
        self._before: list[int] = []

    def enter(self, n: int) -> object:
        """Ask for `n` threads; return the ticket that takes the request back."""
        ticket = object()
        with self._lock:
            libraries = _blas_libraries()
            if not self._asked:
                self._before = [library.get_num_threads() for library in libraries]
            self._asked[ticket] = threading.get_ident(), n
            self._apply(libraries)
        return ticket

    def leave(self, ticket: object) -> None:
        """Take a request back, from whatever thread; a forked child may have dropped it."""
        with self._lock:
            self._asked.pop(ticket, None)
            self._apply(_blas_libraries())

    def _apply(self, libraries: list[Any]) -> None:
        for library, before in zip(libraries, self._before, strict=True):
            wanted = min(dict(self._asked.values()).values(), default=before)
            if library.get_num_threads() != wanted:
                # threadpoolctl 3.8 obeys the first Python thread that asks and ignores all others,
                # unless that one is dismissed; here the lowest of all limits is what counts.
                if hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread(force=True)
                library.set_num_threads(wanted)

    def before_fork(self) -> None:
        """Wait until no thread is changing a limit, so that the child starts from a whole one."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Go on in the parent."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Drop what other threads asked for: they are not in the child."""
        if self._asked:
            mine = threading.get_ident()
            self._asked = {t: asked for t, asked in self._asked.items() if asked[0] == mine}
            self._apply(_blas_libraries())
        self._lock.release()


@functools.cache
def _blas_libraries() -> list[Any]:
    """Return threadpoolctl's handles of the BLAS libraries; finding them takes milliseconds."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


_blas_limits = _BlasLimits()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_blas_limits.before_fork,
        after_in_parent=_blas_limits.after_fork,
        after_in_child=_blas_limits.after_fork_in_child,
    )


def _own_processors(size: int) -> list[int]:
    """Return a processor for each of `size` threads if that is all that may be used, else none."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    first = threading.get_native_id() % len(allowed)  # elsewhere for teams of other threads
    return allowed[first:] + allowed[:first] if size == len(allowed) else []


def _keep_on(processors: list[int]) -> None:
    """Keep the calling thread on some processors, unless they were taken away meanwhile."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)


def _let_go(place: int, processors: list[int]) -> None:
    """Let the calling thread run on all `processors` again, if it is still kept on `place`."""
    if hasattr(os, "sched_getaffinity") and os.sched_getaffinity(0) == {place}:
        _keep_on(processors)


def _keep_on_next(places: Iterator[int], processors: list[int]) -> None:
    """Keep the calling thread, a new one, on the next of `places` if there is one."""
    place = next(places, None)
    if place is not None:
        _keep_on(processors)  # it was born with its maker's place
        _keep_on([place])


class Team:
    """The threads of one public call; the calling thread is the first of them.

    A context manager: BLAS is on one thread inside, and a team as large as the number of processors
    that it may use has every thread on one of its own. Left to itself, Linux may run a thread
    beside the one that woke it, and take longer to part them than a thousand rows take to compute.
    Handlers of signals run between two tasks of the calling thread, and numpy neither warns of
    overflow nor raises for it, whatever the caller's `numpy.errstate`: results are checked instead.

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
            stack.callback(_blas_limits.leave, _blas_limits.enter(1))
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

        The first exception ends the run, once the tasks under way are through, and is raised. So is
        what the handler of a signal raises, such as KeyboardInterrupt.
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

    def _start(self, work: Callable[[int], None], count: int) -> list[Future[None]]:
        """Have up to `count` helpers begin; while the interpreter shuts down there are none."""
        helpers: list[Future[None]] = []
        if self._pool is not None:
            with contextlib.suppress(RuntimeError):  # no new threads: the others do all the work
                for worker in range(1, count + 1):
                    helpers.append(self._pool.submit(work, worker))  # noqa: PERF401 - keeps those
        return helpers
