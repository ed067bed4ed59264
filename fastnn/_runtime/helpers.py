"""Helper threads: started by the first call that needs them, parked between calls, ended at exit.

A parked helper waits for a lock and uses no processor. Calls of several Python threads take
different helpers, so that none waits for another's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable

import numpy as np

from fastnn._runtime.blas import limit_this_thread

# A signal that the processor sends for what a thread did cannot be left to another thread.
_OWN_FAULTS = ("SEGV", "BUS", "FPE", "ILL", "ABRT", "TRAP", "SYS")
_JOIN_SECONDS = 1.0  # a parked helper ends at once, unless the system does not run it


class Job:
    """What one helper does beside its caller, unless the caller takes it back before it begins."""

    def __init__(self, work: Callable[[int], None], worker: int) -> None:
        self._work, self._worker = work, worker
        self._claim = threading.Lock()  # held by the helper that begins, or by the caller
        self._done = threading.Lock()
        self._done.acquire()
        self.error: BaseException | None = None

    def do(self) -> None:
        """Do the work in a helper, unless it was taken back."""
        if self._claim.acquire(blocking=False):
            try:
                self._work(self._worker)
            except BaseException as error:  # raised in the caller
                self.error = error
            self._done.release()

    def end(self) -> None:
        """Take the work back if no helper has begun it, else wait for its end."""
        if not self._claim.acquire(blocking=False):
            self._done.acquire()

    def lose(self) -> None:
        """In a forked child: give up work that a thread of the parent has begun."""
        if not self._claim.acquire(blocking=False) and self._done.locked():
            self.error = RuntimeError("the process was forked in the middle of a call")
            self._done.release()


class Helper:
    """One thread that does a job at a time; RuntimeError where it cannot be started."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self._places = frozenset[int]()  # where it was told to run
        self._ends = False
        self._wake = threading.Lock()  # released to wake the thread
        self._wake.acquire()
        # A daemon, as Python waits for all others at its exit, before it calls `end_all`.
        self._thread = threading.Thread(target=self._serve, name="fastnn helper", daemon=True)
        self._thread.start()

    def give(self, job: Job) -> None:
        """Wake the thread for a job; the one before must have ended."""
        self.job = job
        self._wake_up()

    def keep_on(self, processors: frozenset[int]) -> None:
        """Let the thread run on these processors only; do nothing if they are not allowed."""
        if processors != self._places and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(self._thread.native_id or 0, processors)
                self._places = processors

    def end(self) -> None:
        """End the parked thread."""
        self._ends = True
        self._wake_up()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join(_JOIN_SECONDS)

    def runs_here(self) -> bool:
        """Say whether the calling thread is this one."""
        return self._thread is threading.current_thread()

    def _wake_up(self) -> None:
        # Only one Python thread at a time uses a helper. Where the lock is free, the thread was
        # woken before and has not run since: it will find the newest job.
        if self._wake.locked():
            self._wake.release()

    def _serve(self) -> None:
        """Do one job after another, in the thread."""
        _leave_signals_to_others()
        limit_this_thread()
        with np.errstate(all="ignore"):  # every thread has its own state
            while True:
                self._wake.acquire()
                if self._ends:
                    return
                job = self.job
                if job is not None:
                    job.do()
                del job  # and with it the caller's arrays


def _leave_signals_to_others() -> None:
    """Have the system deliver no signal to this thread: the program may wait for it elsewhere."""
    if sys.platform != "win32":
        own = {getattr(signal, f"SIG{n}") for n in _OWN_FAULTS if hasattr(signal, f"SIG{n}")}
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - own)


class Helpers:
    """All helpers of the process: the parked ones, and those that calls have taken."""

    def __init__(self) -> None:
        # Changed by single operations of lists and sets alone, which need no lock.
        self._parked: list[Helper] = []
        self._taken: set[Helper] = set()
        self._closed = False

    @property
    def at_work(self) -> int:
        """How many helpers calls have taken and not given back."""
        return len(self._taken)

    @property
    def parked(self) -> int:
        """How many helpers wait for a call."""
        return len(self._parked)

    def take(self, count: int) -> list[Helper]:
        """Return up to `count` helpers; fewer where the system starts no more threads."""
        helpers: list[Helper] = []
        while len(helpers) < count and not self._closed:
            try:
                helper = self._parked.pop()
            except IndexError:
                try:
                    helper = Helper()
                except RuntimeError:  # no more threads, or none while the interpreter shuts down
                    break
            self._taken.add(helper)
            helpers.append(helper)
        return helpers

    def give_back(self, helpers: list[Helper]) -> None:
        """Park helpers whose jobs have ended; as many stay as there are processors."""
        for helper in reversed(helpers):  # so that the next call takes them in the same order
            helper.job = None
            if helper not in self._taken:  # a thread of the parent, before a fork in the call
                continue
            self._taken.remove(helper)
            # One may always stay; how many processors there are takes a while to ask.
            if self._closed or (self._parked and len(self._parked) >= (os.cpu_count() or 1)):
                helper.end()
            else:
                self._parked.append(helper)

    def end_parked(self) -> None:
        """End all parked helpers, so that a process forks, and exits, without them."""
        ended = []
        with contextlib.suppress(IndexError):
            while True:
                ended.append(self._parked.pop())
                ended[-1].end()
        for helper in ended:
            helper.join()

    def end_all(self) -> None:
        """End the parked helpers for good; those at work end after their call, or with Python."""
        self._closed = True
        self.end_parked()

    def after_fork_in_child(self) -> None:
        """Forget the helpers, which are threads of the parent."""
        self._parked.clear()
        for helper in self._taken:
            if helper.job is not None and not helper.runs_here():
                helper.job.lose()
        self._taken.clear()


helpers = Helpers()
atexit.register(helpers.end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=helpers.end_parked, after_in_child=helpers.after_fork_in_child)
