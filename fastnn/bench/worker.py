"""A fresh process that holds one implementation and times it when told to.

``python -m fastnn.bench.worker IMPLEMENTATION FOLDER THREADS`` reads one JSON command a line and
answers each with one JSON line:

- ``{"prepare": JOB, "n": N}`` builds the job, checks the first answer, compiles on the way, and
  finds how many calls make a measurable time;
- ``{"time": CALLS}`` gives the seconds of one call, as the mean of that many.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.bench.jobs import SWEEP, WrongAnswerError, make_job
from fastnn.bench.machine import peak_memory, reset_peak_memory
from fastnn.bench.setting import Setting

_SHORTEST = 0.02  # seconds that a measurement lasts: far above the clock's and the system's grain
_LONG = 3.0  # seconds after which a call is not repeated only to see how long it takes


class Worker:
    """One implementation, at work on one job at a time.

    Parameters
    ----------
    implementation : str
        ``"package.module:Class"``.
    folder : Path
        Where the setting is.
    """

    def __init__(self, implementation: str, folder: Path) -> None:
        module, _, name = implementation.partition(":")
        self._implementation = getattr(importlib.import_module(module), name)
        self._folder = folder
        self._setting = Setting.load(folder)
        self._run: Callable[[], Any] = lambda: None

    def prepare(self, name: str, n: int) -> dict[str, Any]:
        """Check the answer to a job and say how long it takes and what memory it needs."""
        job = make_job(name, self._setting, n)
        if getattr(self._implementation, job.method, None) is None:
            return {"absent": f"has no {job.method}"}
        try:
            self._run = job.solve(self._implementation)
            reset_peak_memory()
            start = time.perf_counter()
            answer = self._run()
            seconds = time.perf_counter() - start
        except NotImplementedError as error:
            return {"absent": str(error)}
        peak = peak_memory()
        checked = job.check(answer, job.truth(self._folder), exact=self._implementation.exact)
        if seconds < _LONG:
            seconds = self._seconds(1)  # the first call may have compiled
        calls = 1
        if seconds < _SHORTEST:  # a first guess from one call, then a better one from several
            seconds = self._seconds(max(1, round(_SHORTEST / 4 / seconds)))
            calls = max(1, round(_SHORTEST / seconds))
        dtype = np.dtype(self._implementation.dtype).name
        counts = checked[0].tolist() if checked[0].size <= len(SWEEP) else None
        return {
            "seconds": seconds,
            "calls": calls,
            "answer": counts,
            "peak_memory": peak,
            "dtype": dtype,
        }

    def time(self, calls: int) -> dict[str, Any]:
        """Return the mean time of `calls` calls."""
        return {"seconds": self._seconds(calls)}

    def _seconds(self, calls: int) -> float:
        run = self._run
        start = time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls


def pin(threads: int) -> None:
    """Keep this process on `threads` processors, where the system can do that."""
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))[:threads]
        os.sched_setaffinity(0, processors)
        for task in Path("/proc/self/task").glob("*"):  # BLAS has its threads already
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(task.name), processors)


def main(implementation: str, folder: str, threads: str) -> None:
    """Answer commands until the input ends."""
    # Libraries may print: what they write goes to standard error, answers to the real output.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)

        def reply(message: dict[str, Any]) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        pin(int(threads))
        try:
            worker = Worker(implementation, Path(folder))
        except ImportError as error:
            reply({"absent": str(error)})
            return
        reply({"ready": True})
        for line in sys.stdin:
            command = json.loads(line)
            try:
                if "prepare" in command:
                    reply(worker.prepare(command["prepare"], command["n"]))
                else:
                    reply(worker.time(command["time"]))
            except WrongAnswerError as error:
                reply({"wrong": str(error)})


if __name__ == "__main__":
    main(*sys.argv[1:])
