"""Honest times: implementations interleaved in random order, over several fresh processes.

Every implementation has a process of its own, so that no two thread pools or allocators meet. All
wait while one of them works; each round asks everybody once, in a new random order, and the whole
is repeated with new processes. A twin of the first implementation takes part under another name:
what comparing A with A gives in the same rounds is the noise that every ratio has to clear.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np

import fastnn
from fastnn.bench.jobs import WrongAnswerError, make_job
from fastnn.bench.machine import has_numba_cache
from fastnn.bench.setting import Setting

TWIN = " (again)"
# A thread pool goes on spinning for a while after its work, OpenBLAS's for a tenth of a second: the
# next process would share its processors with it, so it waits until nobody is at work.
_PAUSE = 0.01
_LONGEST_PAUSE = 0.25
_IDLE = 0.1  # of a processor
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Subject:
    """Who is asked: a class, on some threads, on at most so many rows.

    `path` is where its module is found, if not in fastnn.
    """

    label: str
    implementation: str
    threads: int
    rows: int | None = None
    path: str = ""

    def twin(self) -> Subject:
        """Return the same under another name."""
        return Subject(self.label + TWIN, self.implementation, self.threads, self.rows, self.path)


@dataclass
class Timing:
    """What one subject needed for one job: seconds of a call, (processes, rounds)."""

    job: str
    label: str
    n: int
    threads: int
    dtype: str
    seconds: list[list[float]] = field(default_factory=list)
    answer: list[float] | None = None
    peak_memory: int | None = None

    @property
    def per_sample(self) -> list[list[float]]:
        """Seconds for one sample: subjects may be asked different numbers of rows."""
        return [[s / self.n for s in row] for row in self.seconds]


class Process:
    """A worker process of one subject."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        paths = [str(Path(fastnn.__file__).parents[1]), subject.path, os.environ.get("PYTHONPATH")]
        environment = os.environ | {name: str(subject.threads) for name in _THREAD_SETTINGS}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        if not has_numba_cache():  # so that only the first process has to compile
            environment["NUMBA_CACHE_DIR"] = str(folder / "numba")
        self.subject = subject
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed on leaving
        command = [sys.executable, "-m", "fastnn.bench.worker", subject.implementation]
        self._process = subprocess.Popen(
            [*command, str(folder), str(subject.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
        )
        self._commands = cast(IO[str], self._process.stdin)
        self._replies = cast(IO[str], self._process.stdout)

    def settle(self) -> None:
        """Wait until the process's threads rest, where the system tells; else for long enough."""
        end = time.perf_counter() + _LONGEST_PAUSE
        used = self._processor_seconds()
        while time.perf_counter() < end:
            time.sleep(_PAUSE)
            before, used = used, self._processor_seconds()
            if used is not None and before is not None and used - before < _IDLE * _PAUSE:
                return

    def _processor_seconds(self) -> float | None:
        """Return the time that the process's threads had a processor, None where it is not told."""
        try:
            tasks = list(Path(f"/proc/{self._process.pid}/task").iterdir())
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    def reason_absent(self) -> str | None:
        """Wait until the process is ready: None, or why it cannot take part."""
        return self._reply().get("absent")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._replies.close()
        self._log.close()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return the answer."""
        self._commands.write(json.dumps(command) + "\n")
        self._commands.flush()
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            self._process.wait(5)  # its last words may still be on their way
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["no message"])[-1]
            raise ChildProcessError(f"the process of {self.subject.label} ended: {last}")
        reply: dict[str, Any] = json.loads(line)
        if "wrong" in reply:
            raise WrongAnswerError(f"{self.subject.label}: {reply['wrong']}")
        return reply


class Measurement:
    """Times of several subjects at several jobs.

    Parameters
    ----------
    setting : Setting
    folder : Path
        Where to put what the processes share.
    seed : int, optional
        Of the order in every round.

    Attributes
    ----------
    timings : dict
        By (job, n, label, threads); a subject with a limit on its rows has its own n in the timing.
    skipped : dict
        Reasons, by the labels of subjects that could not be loaded.
    """

    def __init__(self, setting: Setting, folder: Path, *, seed: int = 0) -> None:
        self.setting = setting
        self.folder = folder
        self.timings: dict[tuple[str, int, str, int], Timing] = {}
        self.skipped: dict[str, str] = {}
        self._rng = np.random.default_rng(seed)
        setting.save(folder)

    def run(
        self,
        subjects: Sequence[Subject],
        questions: Sequence[tuple[str, int]],
        *,
        processes: int = 3,
        rounds: tuple[int, int] = (3, 15),
        seconds: float = 3.0,
        within: float = float("inf"),
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Ask every subject every question, in `processes` generations of fresh processes.

        Parameters
        ----------
        subjects : sequence of Subject
        questions : sequence of (str, int)
            Names of jobs and numbers of samples.
        processes : int, optional
        rounds : (int, int), optional
            Fewest and most rounds for a question in one process.
        seconds : float, optional
            What the rounds of a question may take in one generation, beyond the fewest.
        within : float, optional
            Seconds for all of it: after the first generation, none begins that would end later.
        report : callable, optional
            Called with a few words before every question.

        Raises
        ------
        WrongAnswerError
            An answer is not right; nothing more is timed.
        ChildProcessError
            A process died.
        """
        for name, n in questions:
            for rows in {min(n, subject.rows or n) for subject in subjects}:
                make_job(name, self.setting, rows).truth(self.folder)
        # Fixed by the first generation, since the bootstrap wants as many rounds from each.
        fixed: dict[tuple[str, int], tuple[int, int]] = {}
        start = time.perf_counter()
        for generation in range(processes):
            passed = time.perf_counter() - start
            if generation and passed * (generation + 1) / generation > within:
                return
            with contextlib.ExitStack() as stack:
                started = [stack.enter_context(Process(s, self.folder)) for s in subjects]
                reasons = {p.subject.label: p.reason_absent() for p in started}
                self.skipped |= {label: why for label, why in reasons.items() if why}
                staff = [p for p in started if not reasons[p.subject.label]]
                for question in questions:
                    report(f"{question[0]}, process {generation + 1} of {processes}")
                    span = fixed.get(question, rounds)
                    done = self._ask(staff, *question, rounds=span, seconds=seconds)
                    fixed[question] = done, done

    def _ask(
        self,
        staff: Sequence[Process],
        name: str,
        n: int,
        *,
        rounds: tuple[int, int],
        seconds: float,
    ) -> int:
        """Let all processes answer one question in turns; return the number of rounds."""
        calls: dict[Process, int] = {}
        turns: dict[Process, Timing] = {}
        for process in staff:
            rows = min(n, process.subject.rows or n)
            ready = process.ask(prepare=name, n=rows)
            if "absent" in ready:
                continue
            calls[process] = ready["calls"]
            process.settle()
            label = process.subject.label
            fresh = Timing(name, label, rows, process.subject.threads, ready["dtype"])
            timing = self.timings.setdefault((name, n, label, fresh.threads), fresh)
            timing.answer, timing.peak_memory = ready["answer"], ready["peak_memory"]
            timing.seconds.append([])
            turns[process] = timing
        if not calls:
            return 0
        fewest, most = rounds
        end = time.perf_counter() + seconds
        done = 0
        while done < fewest or (done < most and time.perf_counter() < end):
            for i in self._rng.permutation(len(calls)):
                process = list(calls)[i]
                taken = process.ask(time=calls[process])["seconds"]
                turns[process].seconds[-1].append(taken)
                process.settle()
            done += 1
        return done
