"""The short run behind `fastnn bench`: a network, the questions, everybody's times."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastnn._recipe import FULL, cached_network
from fastnn._runtime.progress import Progress
from fastnn.bench.ceilings import highest, measure_ceilings
from fastnn.bench.harness import Measurement, Subject
from fastnn.bench.results import to_document
from fastnn.bench.setting import Setting
from fastnn.datasets import load_split
from fastnn.io import load_mlp

_PROCESSES = 3
_SECONDS = 100  # of two minutes; a machine so slow or busy does with fewer processes
_ROUNDS = (2, 15)  # in each: what differs is processes rather than rounds
_SECONDS_EACH = 0.7
_QUESTIONS = (
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
_BATCHES = (1, 10, 100, 1000)
_ROWS_FOR_THREADS = 1000


def subjects(threads: int) -> list[Subject]:
    """Return who takes part without any peer: numpy, fastnn with its twin, one at a time."""
    ours = Subject("fastnn float32", "fastnn.bench.ours:Fastnn32", threads)
    return [
        Subject("numpy", "fastnn.bench.implementations:Numpy", threads),
        ours,
        ours.twin(),
        Subject("fastnn float64", "fastnn.bench.ours:Fastnn64", threads),
        # One sample takes as long as another, so that a few of them tell enough.
        Subject("reference", "fastnn.bench.implementations:Reference", threads, rows=100),
    ]


def check_names(text: str | None) -> tuple[str, ...]:
    """Return the job names in a comma-separated list.

    Raises
    ------
    ValueError
        One of them is not a job of the short run.
    """
    known = [name for name, _ in _QUESTIONS]
    names = tuple(text.split(",")) if text else ()
    for name in names:
        if name not in known:
            raise ValueError(f"no job is called {name!r}; there are {', '.join(known)}")
    return names


def short_run(
    setting: Setting, threads: int, *, only: tuple[str, ...] = (), progress: bool = True
) -> dict[str, Any]:
    """Measure fastnn, numpy and the per-sample reference in less than two minutes.

    Parameters
    ----------
    setting : Setting
        From `make_setting`.
    threads : int
        Threads of everybody, at least 1.
    only : tuple of str, optional
        Names of jobs to leave it at; default: all of the short run, and how the throughput goes
        with batch size and threads.
    progress : bool, optional
        Draw a bar on standard error.

    Returns
    -------
    dict
        As `to_document` makes it.

    Raises
    ------
    WrongAnswerError
        An implementation gives a wrong answer; nothing more is timed.
    """
    questions = [q for q in _QUESTIONS if not only or q[0] in only]
    scaling = not only or "accuracy" in only
    few = [("accuracy", _ROWS_FOR_THREADS)] if scaling else []
    plan = [(threads, questions + [("accuracy", n) for n in _BATCHES if scaling])]
    plan += [(1 << k, few) for k in range((threads - 1).bit_length())]  # 1, 2, 4, ... threads
    total = _PROCESSES * sum(len(asked) for _, asked in plan)
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress("benchmarks", total, enabled=progress) as bar,
    ):
        bar.update(0, "ceilings")
        ceilings = measure_ceilings(threads)
        measurement = Measurement(setting, Path(folder))
        end = time.perf_counter() + _SECONDS
        done = 0

        def report(what: str) -> None:
            nonlocal done
            done += 1
            bar.update(done, what)

        for count, asked in plan:
            if asked:
                who = subjects(count) if count == threads else subjects(count)[:3]
                measurement.run(
                    who,
                    asked,
                    processes=_PROCESSES,
                    rounds=_ROUNDS,
                    seconds=_SECONDS_EACH,
                    within=end - time.perf_counter(),
                    report=report,
                )
        bar.update(total, "ceilings")
        ceilings = highest(ceilings, measure_ceilings(threads))
    return to_document(measurement, ceilings)


def make_setting(
    weights: Path | None = None, data: str | None = None, source: str = "auto"
) -> Setting:
    """Load digits and a network for them.

    Parameters
    ----------
    weights : path, optional
        A network of sizes 784-2048-512-512-10 that `fastnn.load_mlp` reads. Default: the one of
        `fastnn attack`, which is trained when it is first wanted.
    data, source : str, optional
        As for `fastnn.load_mnist`.

    Raises
    ------
    FileNotFoundError, ValueError
        The files are missing or not what they should be; the network has other sizes.
    """
    x, labels, digits = load_split("test", data, source=source, dtype=np.float32)
    x_train, labels_train, _ = load_split("train", data, source=source, dtype=np.float32)
    if weights is None:
        net, _ = cached_network(data, source)
    else:
        net = load_mlp(weights).astype(np.float32)
    if net.sizes != FULL.sizes:
        raise ValueError(f"{weights}: the network's sizes must be {FULL.sizes}, got {net.sizes}")
    origin = "the network of fastnn attack" if weights is None else "a network that was given"
    return Setting(f"{digits}; {origin}", net.weights, net.biases, x, labels, x_train, labels_train)
