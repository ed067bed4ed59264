"""A worker process, and the subject that it measures."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Self, cast

import fastnn
from fastnn.bench.jobs import WrongAnswerError
from fastnn.bench.machine import has_numba_cache
from fastnn.bench.messages import (
    Absent,
    Command,
    Prepare,
    Prepared,
    Reply,
    Time,
    Timed,
    Wrong,
    decode_reply,
    encode,
)

TWIN = " (again)"
# The threads of a pool continue to spin for a while after their work, OpenBLAS's for a tenth of a
# second. The next process shares the processors with them, so it starts when they are idle.
_PAUSE = 0.01
_LONGEST_PAUSE = 0.25
_IDLE = 0.1  # of a processor
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Subject:
    """What is measured under one label: an implementation and its number of threads.

    Attributes
    ----------
    label : str
    implementation : str
        ``"package.module:Class"``.
    threads : int
    rows : int or None
        The most samples of a job, if it is too slow for all of them.
    path : str
        Folder of its module, if that is not in fastnn.
    """

    label: str
    implementation: str
    threads: int
    rows: int | None = None
    path: str = ""

    def twin(self) -> Subject:
        """Return the same under another label."""
        return replace(self, label=self.label + TWIN)

    def samples(self, n: int) -> int:
        """Return how many of `n` samples a job has for this subject."""
        return min(n, self.rows or n)


class Process:
    """A worker process of one subject."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed on leaving
        command = [sys.executable, "-m", "fastnn.bench.worker", subject.implementation]
        self._process = subprocess.Popen(
            [*command, str(folder), str(subject.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(subject, folder),
            text=True,
        )
        self._commands = cast(IO[str], self._process.stdin)
        self._replies = cast(IO[str], self._process.stdout)

    def settle(self) -> bool:
        """Sleep until the process's threads are idle, at most for `_LONGEST_PAUSE`.

        Returns False if they are still busy then: the next process shares the processors with them.
        """
        end = time.perf_counter() + _LONGEST_PAUSE
        used = self._processor_seconds()
        while time.perf_counter() < end:
            time.sleep(_PAUSE)
            before, used = used, self._processor_seconds()
            if used is not None and before is not None and used - before < _IDLE * _PAUSE:
                return True
        return used is None

    def _processor_seconds(self) -> float | None:
        """Return the processor time of the process's threads, None where it is not known."""
        try:
            tasks = list(Path(f"/proc/{self._process.pid}/task").iterdir())
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def reason_absent(self) -> str | None:
        """Read the first reply: None if the process is ready, else why it is left out."""
        reply = self._receive()
        return reply.reason if isinstance(reply, Absent) else None

    def prepare(self, job: str, n: int) -> Prepared | None:
        """Build a job and check its answer; None if the implementation is left out.

        Raises
        ------
        WrongAnswerError
            The answer is wrong.
        ChildProcessError
            The process ended.
        """
        reply = self._ask(Prepare(job, n))
        return reply if isinstance(reply, Prepared) else None

    def time(self, calls: int) -> float:
        """Return the mean seconds of a call."""
        reply = self._ask(Time(calls))
        if not isinstance(reply, Timed):
            raise ChildProcessError(f"the process of {self.subject.label} replied {reply}")
        return reply.seconds

    def kill(self) -> None:
        """End the process at once; whatever waits for its reply gets a ChildProcessError."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # it was killed, and a command is unread
            self._commands.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._log.close()

    def _ask(self, command: Command) -> Reply:
        """Send a command and return the reply."""
        self._commands.write(encode(command))
        self._commands.flush()
        return self._receive()

    def _receive(self) -> Reply:
        """Return the next reply, or raise what it reports."""
        line = self._replies.readline()
        if not line:
            self._process.wait(5)  # it may still write its last message
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["no message"])[-1]
            raise ChildProcessError(f"the process of {self.subject.label} ended: {last}")
        reply = decode_reply(line)
        if isinstance(reply, Wrong):
            raise WrongAnswerError(f"{self.subject.label}: {reply.message}")
        return reply


def _environment(subject: Subject, folder: Path) -> dict[str, str]:
    """Return the environment of a worker process."""
    paths = [str(Path(fastnn.__file__).parents[1]), subject.path, os.environ.get("PYTHONPATH")]
    environment = os.environ | {name: str(subject.threads) for name in _THREAD_SETTINGS}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if not has_numba_cache():  # then the first process compiles for all
        environment["NUMBA_CACHE_DIR"] = str(folder / "numba")
    return environment
