"""Times of several subjects, in random order and in several generations of fresh processes.

Every subject has a process of its own, so that thread pools and allocators of two libraries never
share one. Only one process works at a time. Each round runs every subject once, in a new random
order; then new processes repeat the whole. A twin is the same subject as another one, under another
label: how the two differ in the same rounds is the noise, and a ratio has to exceed it.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from fastnn.bench.jobs import make_job
from fastnn.bench.process import Process, Subject
from fastnn.bench.setting import Setting

Sized = tuple[str, int]  # the name of a job, and the number of its samples
_GRACE = 4.0  # seconds after the end of a run in which a call may finish; then processes are killed


class Key(NamedTuple):
    """Which timing: of a job for `asked` samples, by the subject of that label and threads."""

    job: str
    asked: int
    label: str
    threads: int


@dataclass
class Timing:
    """The times of one subject at one job.

    Attributes
    ----------
    n : int
        Samples; fewer than `asked` if the subject has a limit.
    dtype : str
    seconds : list of list of float, (processes, rounds)
        The mean seconds of a call.
    answer : tuple of float or None
        If it is short.
    peak_memory : int or None
        In bytes.
    """

    job: str
    label: str
    n: int
    threads: int
    dtype: str
    seconds: list[list[float]] = field(default_factory=list)
    answer: tuple[float, ...] | None = None
    peak_memory: int | None = None

    @property
    def per_sample(self) -> list[list[float]]:
        """Seconds for one sample: subjects may have different numbers of samples."""
        return [[s / self.n for s in row] for row in self.seconds]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes
    ----------
    processes : int
        Generations; each has a fresh process for every subject.
    rounds : (int, int)
        Fewest and most rounds of a job in one generation.
    seconds : float
        When a job's rounds in one generation have taken this long, no round beyond the fewest is
        begun.
    """

    processes: int = 3
    rounds: tuple[int, int] = (3, 15)
    seconds: float = 3.0


class Measurement:
    """Times of several subjects at several jobs.

    Parameters
    ----------
    setting : Setting
    folder : Path
        For the files that the processes share.
    seed : int, optional
        Of the order in every round.

    Attributes
    ----------
    timings : dict of Key to Timing
    skipped : dict of str to str
        Why a subject could not be imported, by its label.
    restless : set of str
        Labels of subjects whose threads were still busy when it was the next one's turn.
    """

    def __init__(self, setting: Setting, folder: Path, *, seed: int = 0) -> None:
        self.setting = setting
        self.folder = folder
        self.timings: dict[Key, Timing] = {}
        self.skipped: dict[str, str] = {}
        self.restless: set[str] = set()
        self._rng = np.random.default_rng(seed)
        self._end = float("inf")
        setting.save(folder)

    def again(self) -> Self:
        """Return a measurement of the same setting in the same folder, without any times."""
        other = copy.copy(self)
        other.timings, other.skipped, other.restless = {}, {}, set()
        return other

    def run(
        self,
        subjects: Sequence[Subject],
        jobs: Sequence[Sized],
        effort: Effort,
        *,
        within: float = float("inf"),
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Run every job with every subject.

        Parameters
        ----------
        subjects : sequence of Subject
        jobs : sequence of (str, int)
            Names of jobs and numbers of samples. What has to be left out for want of time is left
            out from the end.
        effort : Effort
        within : float, optional
            Seconds for all of it. After the first generation, none is begun that would probably
            end later. At the end, a round is finished and no other one is begun; a process that
            is still busy some seconds later is killed, and what it was measuring is dropped.
        report : callable, optional
            Called with a few words before every job.

        Raises
        ------
        WrongAnswerError
            An answer is wrong; nothing more is timed.
        ChildProcessError
            A process ended.
        """
        # The bootstrap needs the same number of rounds from every generation: that of the first.
        fixed: dict[Sized, int] = {}
        start = time.perf_counter()
        self._end = start + within
        for generation in range(effort.processes):
            passed = time.perf_counter() - start
            if self._is_over() or (generation and passed * (generation + 1) / generation > within):
                return
            with contextlib.ExitStack() as stack:
                started = [stack.enter_context(Process(s, self.folder)) for s in subjects]
                with self._killing_late(started):
                    processes = self._ready(started)
                    for job in jobs:
                        if self._is_over():
                            return
                        report(f"{job[0]}, process {generation + 1} of {effort.processes}")
                        self._keep_truths(subjects, *job)
                        fixed[job] = self._measure(processes, *job, effort, fixed.get(job))

    def _is_over(self) -> bool:
        return time.perf_counter() >= self._end

    @contextlib.contextmanager
    def _killing_late(self, processes: Sequence[Process]) -> Iterator[None]:
        """Kill the processes some seconds after the end, and hide the errors of that."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            for process in processes:
                process.kill()

        left = self._end + _GRACE - time.perf_counter()
        timer = threading.Timer(min(max(0.0, left), threading.TIMEOUT_MAX), kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (ChildProcessError, BrokenPipeError):
            if not late.is_set():
                raise
        finally:
            timer.cancel()

    def _keep_truths(self, subjects: Sequence[Subject], name: str, n: int) -> None:
        """Compute the right answers to a job once, for all processes to read."""
        for samples in {subject.samples(n) for subject in subjects}:
            make_job(name, self.setting, samples).truth(self.folder)

    def _ready(self, started: Sequence[Process]) -> list[Process]:
        """Return the processes that could import their implementation."""
        ready = []
        for process in started:
            reason = process.reason_absent()
            if reason is None:
                ready.append(process)
            else:
                self.skipped[process.subject.label] = reason
        return ready

    def _measure(
        self,
        processes: Sequence[Process],
        name: str,
        n: int,
        effort: Effort,
        fixed: int | None,
    ) -> int:
        """Run one job in all processes, in turns; return the number of rounds.

        They are `fixed`, except in the first generation.
        """
        calls: dict[Process, int] = {}
        timings: dict[Process, Timing] = {}
        for process in processes:
            subject = process.subject
            samples = subject.samples(n)
            prepared = process.prepare(name, samples)
            if prepared is None:
                continue
            process.settle()
            timing = Timing(name, subject.label, samples, subject.threads, prepared.dtype)
            timing.answer, timing.peak_memory = prepared.answer, prepared.peak_memory
            calls[process], timings[process] = prepared.calls, timing
        if not calls:
            return 0
        rounds = effort.rounds if fixed is None else (fixed, fixed)
        taken = self._rounds(calls, rounds, effort.seconds)
        done = len(next(iter(taken.values())))
        if done < (fixed or 0):  # there was no time for the others
            return done
        for process, timing in timings.items():
            key = Key(name, n, timing.label, timing.threads)
            kept = self.timings.setdefault(key, timing)
            kept.answer, kept.peak_memory = timing.answer, timing.peak_memory
            kept.seconds.append(taken[process])
        return done

    def _rounds(
        self, calls: dict[Process, int], rounds: tuple[int, int], seconds: float
    ) -> dict[Process, list[float]]:
        """Return the seconds of all processes in every round."""
        fewest, most = rounds
        taken: dict[Process, list[float]] = {process: [] for process in calls}
        end = time.perf_counter() + seconds
        done = 0
        while done < fewest or (done < most and time.perf_counter() < end):
            if done and self._is_over():
                break
            for i in self._rng.permutation(len(calls)):
                process = list(calls)[i]
                taken[process].append(process.time(calls[process]))
                if not process.settle():
                    self.restless.add(process.subject.label)
            done += 1
        return taken
