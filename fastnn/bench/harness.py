"""Times of several subjects, in random order and in several generations of fresh processes.

Every subject has a process of its own, so that thread pools and allocators of two libraries never
share one. Only one process works at a time. Each round runs every subject once, in a new random
order; then new processes repeat the whole. A twin is the same subject as another one, under another
label: how the two differ in the same rounds is the noise, and a ratio has to exceed it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn.bench.jobs import make_job
from fastnn.bench.process import Process, Subject
from fastnn.bench.setting import Setting

Sized = tuple[str, int]  # the name of a job, and the number of its samples


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
    """

    def __init__(self, setting: Setting, folder: Path, *, seed: int = 0) -> None:
        self.setting = setting
        self.folder = folder
        self.timings: dict[Key, Timing] = {}
        self.skipped: dict[str, str] = {}
        self._rng = np.random.default_rng(seed)
        setting.save(folder)

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
            Names of jobs and numbers of samples.
        effort : Effort
        within : float, optional
            Seconds for all of it: after the first generation, none is begun that would probably
            end later.
        report : callable, optional
            Called with a few words before every job.

        Raises
        ------
        WrongAnswerError
            An answer is wrong; nothing more is timed.
        ChildProcessError
            A process ended.
        """
        self._keep_truths(subjects, jobs)
        # The bootstrap needs the same number of rounds from every generation: that of the first.
        fixed: dict[Sized, tuple[int, int]] = {}
        start = time.perf_counter()
        for generation in range(effort.processes):
            passed = time.perf_counter() - start
            if generation and passed * (generation + 1) / generation > within:
                return
            with contextlib.ExitStack() as stack:
                processes = self._start(subjects, stack)
                for job in jobs:
                    report(f"{job[0]}, process {generation + 1} of {effort.processes}")
                    rounds = fixed.get(job, effort.rounds)
                    done = self._measure(processes, *job, rounds=rounds, seconds=effort.seconds)
                    fixed[job] = done, done

    def _keep_truths(self, subjects: Sequence[Subject], jobs: Sequence[Sized]) -> None:
        """Compute the right answers once, for all processes to read."""
        for name, n in jobs:
            for samples in {subject.samples(n) for subject in subjects}:
                make_job(name, self.setting, samples).truth(self.folder)

    def _start(self, subjects: Sequence[Subject], stack: contextlib.ExitStack) -> list[Process]:
        """Start a process for every subject; return those that are ready."""
        started = [stack.enter_context(Process(s, self.folder)) for s in subjects]
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
        *,
        rounds: tuple[int, int],
        seconds: float,
    ) -> int:
        """Run one job in all processes, in turns; return the number of rounds."""
        calls: dict[Process, int] = {}
        timings: dict[Process, Timing] = {}
        for process in processes:
            subject = process.subject
            samples = subject.samples(n)
            prepared = process.prepare(name, samples)
            if prepared is None:
                continue
            process.settle()
            fresh = Timing(name, subject.label, samples, subject.threads, prepared.dtype)
            key = Key(name, n, subject.label, subject.threads)
            timing = self.timings.setdefault(key, fresh)
            timing.answer, timing.peak_memory = prepared.answer, prepared.peak_memory
            timing.seconds.append([])
            calls[process], timings[process] = prepared.calls, timing
        if not calls:
            return 0
        fewest, most = rounds
        end = time.perf_counter() + seconds
        done = 0
        while done < fewest or (done < most and time.perf_counter() < end):
            for i in self._rng.permutation(len(calls)):
                process = list(calls)[i]
                timings[process].seconds[-1].append(process.time(calls[process]))
                process.settle()
            done += 1
        return done
