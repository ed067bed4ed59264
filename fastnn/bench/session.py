"""The short run of `fastnn bench`: fastnn, numpy, and one sample at a time."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn._recipe import FULL, cached_network
from fastnn._runtime.progress import Progress
from fastnn.bench.ceilings import measure_ceilings
from fastnn.bench.harness import Effort, Measurement, Sized
from fastnn.bench.process import Subject
from fastnn.bench.results import Document, to_document
from fastnn.bench.setting import Setting
from fastnn.datasets import load_split
from fastnn.io import load_mlp

# Of the two minutes; the rest is for loading before and for figures after it. On a slow or busy
# machine fewer processes are started, then fewer rounds run, then the last jobs are left out.
_SECONDS = 95
# Many processes and few rounds: times differ more between processes than between rounds.
_EFFORT = Effort(processes=3, rounds=(2, 15), seconds=0.7)
_NO_TIME = "no time was left"
_JOBS = (
    ("sigmoid", 1000),
    ("relu", 1000),
    ("softmax", 10_000),
    ("residual", 10_000),
    ("step", 1000),
    ("forward", 1000),
    ("gradients", 1000),
    ("input-gradient", 1000),
    ("fgsm", 1000),
    ("accuracy", 5000),
    ("sweep", 1000),
    ("sweep-unclipped", 1000),
    ("epoch", 10_000),
)
_BATCHES = (1, 10, 100, 1000)  # for the throughput by batch size
_ROWS_BY_THREADS = 1000  # for the throughput with fewer threads


class Stage(NamedTuple):
    """Jobs for several subjects at the same number of threads."""

    subjects: list[Subject]
    jobs: list[Sized]


def subjects(threads: int) -> list[Subject]:
    """Return the subjects of the short run: numpy, fastnn with its twin, one sample at a time."""
    ours = Subject("fastnn float32", "fastnn.bench.ours:Fastnn32", threads)
    return [
        Subject("numpy", "fastnn.bench.implementations:Numpy", threads),
        ours,
        ours.twin(),
        Subject("fastnn float64", "fastnn.bench.ours:Fastnn64", threads),
        # All samples take about the same time, so that few of them are enough.
        Subject("reference", "fastnn.bench.reference:Reference", threads, rows=100),
    ]


def job_names() -> list[str]:
    """Return the names of the jobs of the short run."""
    return [name for name, _ in _JOBS]


def check_names(text: str | None) -> tuple[str, ...]:
    """Return the job names in a comma-separated list.

    Raises
    ------
    ValueError
        The short run has no job of one of these names.
    """
    known = job_names()
    names = tuple(text.split(",")) if text else ()
    for name in names:
        if name not in known:
            raise ValueError(f"no job is called {name!r}; there are {', '.join(known)}")
    return names


def _stages(threads: int, only: tuple[str, ...]) -> list[Stage]:
    """Return what the short run measures: all jobs, then the throughput with fewer threads."""
    jobs = [job for job in _JOBS if not only or job[0] in only]
    scaling = not only or "accuracy" in only
    stages = [Stage(subjects(threads), jobs + [("accuracy", n) for n in _BATCHES if scaling])]
    if scaling:
        by_threads = [("accuracy", _ROWS_BY_THREADS)]
        counts = [1 << k for k in range((threads - 1).bit_length())]  # 1, 2, 4, ... below threads
        stages += [Stage(subjects(count)[:3], by_threads) for count in counts]
    return stages


def short_run(
    setting: Setting, threads: int, *, only: tuple[str, ...] = (), progress: bool = True
) -> Document:
    """Measure fastnn, numpy and the per-sample reference in less than two minutes.

    Where the machine is too slow or too busy for everything, less is measured, and the document's
    `skipped` says what was left out.

    Parameters
    ----------
    setting : Setting
        From `make_setting`.
    threads : int
        Threads of every implementation, at least 1.
    only : tuple of str, optional
        Names of jobs. Default: all of the short run, and the throughput by batch size and by
        number of threads.
    progress : bool, optional
        Draw a bar on standard error.

    Raises
    ------
    WrongAnswerError
        An implementation gives a wrong answer; nothing more is timed.
    """
    end = time.perf_counter() + _SECONDS
    stages = _stages(threads, only)
    planned = _EFFORT.processes * sum(len(stage.jobs) for stage in stages)
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress("benchmarks", planned, enabled=progress) as bar,
    ):
        steps = itertools.count(1)

        def report(text: str) -> None:
            bar.update(next(steps), text)

        bar.update(0, "ceilings")
        before = measure_ceilings(threads)
        measurement = Measurement(setting, Path(folder))
        jobs_left = sum(len(stage.jobs) for stage in stages)
        for stage in stages:
            within = (end - time.perf_counter()) * len(stage.jobs) / jobs_left
            measurement.run(*stage, _EFFORT, within=within, report=report)
            jobs_left -= len(stage.jobs)
        bar.update(planned, "ceilings")
        ceilings = before.highest(measure_ceilings(threads))
    measurement.skipped |= _left_out(stages, measurement)
    return to_document(measurement, ceilings)


def _left_out(stages: Sequence[Stage], measurement: Measurement) -> dict[str, str]:
    """Say which jobs had no time at all, and how many had time for fewer processes than usual."""
    processes = {
        (key.job, key.asked, key.threads): len(timing.seconds)
        for key, timing in measurement.timings.items()
    }
    found: dict[str, str] = {}
    fewer = 0
    for subjects_of_stage, jobs in stages:
        threads = subjects_of_stage[0].threads
        counts = {job: processes.get((*job, threads), 0) for job in jobs}
        fewer += sum(0 < count < _EFFORT.processes for count in counts.values())
        none = ", ".join(f"{name} of {n:,}" for (name, n), count in counts.items() if not count)
        if none:
            found[f"{none}, with {threads} thread{'s' * (threads > 1)}"] = _NO_TIME
    if fewer:
        text = f"some of the {_EFFORT.processes} processes for {fewer} job{'s' * (fewer > 1)}"
        found[text] = _NO_TIME
    return found


def make_setting(
    weights: Path | None = None,
    data: str | None = None,
    source: str = "auto",
    *,
    progress: bool = True,
) -> Setting:
    """Load digits and a network for them.

    Parameters
    ----------
    weights : path, optional
        A ReLU network of sizes 784-2048-512-512-10 that `fastnn.load_mlp` reads. Default: the
        network of `fastnn attack`, which is trained when it is first used.
    data, source : str, optional
        As for `fastnn.load_mnist`.
    progress : bool, optional
        Draw a bar on standard error while the network is trained.

    Raises
    ------
    FileNotFoundError, ValueError
        The files are missing or damaged; the network has other sizes or another activation.
    """
    x, labels, digits = load_split("test", data, source=source, dtype=np.float32)
    x_train, labels_train, _ = load_split("train", data, source=source, dtype=np.float32)
    if weights is None:
        net, _ = cached_network(data, source, progress=progress)
    else:
        net = load_mlp(weights).astype(np.float32)
    if net.sizes != FULL.sizes:
        raise ValueError(f"{weights}: the network's sizes must be {FULL.sizes}, got {net.sizes}")
    if net.activation != FULL.activation:
        raise ValueError(
            f"{weights}: the activation must be {FULL.activation}, got {net.activation}"
        )
    origin = "the network of fastnn attack" if weights is None else "a network that was given"
    return Setting(f"{digits}; {origin}", net.weights, net.biases, x, labels, x_train, labels_train)
