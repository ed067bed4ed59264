"""A fresh process that holds one implementation and times it on command.

``python -m fastnn.bench.worker IMPLEMENTATION FOLDER THREADS`` reads commands from its standard
input and writes replies to its standard output (`fastnn.bench.messages`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.bench.jobs import SWEEP, WrongAnswerError, make_job
from fastnn.bench.machine import peak_memory, reset_peak_memory
from fastnn.bench.messages import (
    Absent,
    Prepare,
    Prepared,
    Ready,
    Reply,
    Timed,
    Wrong,
    decode_command,
    encode,
)
from fastnn.bench.protocol import load_implementation, offers
from fastnn.bench.records import one_line
from fastnn.bench.setting import Setting

_SHORTEST = 0.02  # seconds of a measurement: far above the resolution of clock and scheduler
_LONG = 3.0  # seconds; a first call that took longer is not repeated before it is timed


class Worker:
    """One implementation, with one job at a time.

    Parameters
    ----------
    implementation : str
        ``"package.module:Class"``.
    folder : Path
        Where the setting is.
    """

    def __init__(self, implementation: str, folder: Path) -> None:
        self._implementation = load_implementation(implementation)
        self._folder = folder
        self._setting = Setting.load(folder)
        self._run: Callable[[], Any] = lambda: None

    def prepare(self, name: str, n: int) -> Prepared | Absent:
        """Build a job, check its first answer, and find how many calls can be timed.

        Raises
        ------
        WrongAnswerError
            The answer is wrong.
        """
        job = make_job(name, self._setting, n)
        if not offers(self._implementation, job.method):
            return Absent(f"has no {job.method}")
        try:
            self._run = job.solve(self._implementation)
            reset_peak_memory()
            start = time.perf_counter()
            answer = self._run()
            seconds = time.perf_counter() - start
        except NotImplementedError as error:
            return Absent(one_line(error))
        peak = peak_memory()
        checked = job.check(answer, job.truth(self._folder), exact=self._implementation.exact)
        return Prepared(
            calls=self._calls(seconds),
            dtype=np.dtype(self._implementation.dtype).name,
            answer=short_answer(checked[0]),
            peak_memory=peak,
        )

    def time(self, calls: int) -> Timed:
        """Return the mean time of `calls` calls."""
        return Timed(self._seconds(calls))

    def _calls(self, first: float) -> int:
        """Return how many calls take at least `_SHORTEST`, the first having taken so long."""
        seconds = first
        if seconds < _LONG:
            seconds = self._seconds(1)  # the first call may have compiled
        if seconds >= _SHORTEST:
            return 1
        # One call gives a rough estimate, several give a better one.
        seconds = self._seconds(max(1, round(_SHORTEST / 4 / seconds)))
        return max(1, round(_SHORTEST / seconds))

    def _seconds(self, calls: int) -> float:
        run = self._run
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls


def short_answer(answer: np.ndarray[Any, Any]) -> tuple[float, ...] | None:
    """Return counts or metrics as numbers, None for longer arrays."""
    return tuple(answer.tolist()) if answer.size <= len(SWEEP) else None


def pin(threads: int) -> None:
    """Keep this process on `threads` processors, where the system can do that."""
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))[:threads]
        os.sched_setaffinity(0, processors)
        for task in Path("/proc/self/task").glob("*"):  # BLAS has started its threads already
            with contextlib.suppress(ProcessLookupError):  # the thread has ended meanwhile
                os.sched_setaffinity(int(task.name), processors)


def main(implementation: str, folder: str, threads: str) -> None:
    """Carry out commands until the input ends."""
    # Libraries may print to standard output, which is redirected to standard error; replies go to a
    # copy of the real standard output.
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)

        def send(reply: Reply) -> None:
            replies.write(encode(reply))
            replies.flush()

        pin(int(threads))
        try:
            worker = Worker(implementation, Path(folder))
        except ImportError as error:
            send(Absent(one_line(error)))
            return
        send(Ready())
        for line in sys.stdin:
            command = decode_command(line)
            try:
                if isinstance(command, Prepare):
                    send(worker.prepare(command.job, command.n))
                else:
                    send(worker.time(command.calls))
            except WrongAnswerError as error:
                send(Wrong(one_line(error)))


if __name__ == "__main__":
    main(*sys.argv[1:])
