"""The results of a run as one document: made from the times, written as JSON, read again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.bench.ceilings import Ceilings
from fastnn.bench.harness import Key, Measurement, Timing
from fastnn.bench.jobs import make_job
from fastnn.bench.machine import Machine, machine_info
from fastnn.bench.process import TWIN
from fastnn.bench.records import from_json
from fastnn.bench.statistics import Ratio, is_resolved, paired_ratio

SCHEMA = "fastnn-bench/1"
BASE = "numpy"
_LARGEST_RATIO = 1e30  # of two times; far beyond it, float64 cannot divide two ratios


@dataclass(frozen=True)
class Speedup(Ratio):
    """How many times as fast as the base, in the same rounds.

    Attributes
    ----------
    base : str
        The implementation that is compared with.
    control : Ratio or None
        How many times as long the twin took, None if there was no twin.
    resolved : bool or None
        Whether the interval is clear of the control.
    """

    base: str
    control: Ratio | None
    resolved: bool | None


@dataclass(frozen=True)
class Case:
    """One row of the results: an implementation at a job.

    Attributes
    ----------
    asked, n : int
        Samples of the job, and those that this implementation had.
    threads : int
    seconds, samples_per_second : float
        Medians.
    flops, bytes : float
        Operations and bytes of one call, in the plain formulas.
    gflops, share_of_peak : float
    answer : tuple of float or None
        If it is short.
    peak_memory : int or None
        In bytes.
    speedup : Speedup or None
        None for the base itself and where the base was not measured.
    times : tuple of tuple of float, (processes, rounds)
        Seconds of a call.
    """

    job: str
    title: str
    implementation: str
    asked: int
    n: int
    threads: int
    seconds: float
    samples_per_second: float
    flops: float
    bytes: float
    gflops: float
    share_of_peak: float
    answer: tuple[float, ...] | None
    peak_memory: int | None
    speedup: Speedup | None
    times: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Document:
    """Everything that a run measured.

    Attributes
    ----------
    source : str
        Which digits and which network.
    skipped : dict of str to str
        Why an implementation was left out, by its label.
    date : str or None
        When the run ended, in UTC: 2026-05-01 12:30. None in results of earlier versions.
    """

    schema: str
    machine: Machine
    ceilings: Ceilings
    source: str
    skipped: dict[str, str]
    cases: tuple[Case, ...]
    date: str | None = None


def to_document(measurement: Measurement, ceilings: Ceilings) -> Document:
    """Return the results of a measurement; the ceilings are of the same run."""
    cases = [
        _case(measurement, key, timing, ceilings)
        for key, timing in measurement.timings.items()
        if not key.label.endswith(TWIN)
    ]
    return Document(
        schema=SCHEMA,
        machine=machine_info(),
        ceilings=ceilings,
        source=measurement.setting.source,
        skipped=measurement.skipped,
        cases=tuple(cases),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    )


def _case(measurement: Measurement, key: Key, timing: Timing, ceilings: Ceilings) -> Case:
    """Return one row of the document."""
    job = make_job(key.job, measurement.setting, timing.n)
    seconds = float(np.median(np.median(timing.seconds, axis=1)))
    gflops = job.flops / seconds / 1e9
    peak = ceilings.peak(timing.dtype) * key.threads / ceilings.threads
    return Case(
        job=key.job,
        title=job.title,
        implementation=key.label,
        asked=key.asked,
        n=timing.n,
        threads=key.threads,
        seconds=seconds,
        samples_per_second=timing.n / seconds,
        flops=job.flops,
        bytes=job.bytes,
        gflops=gflops,
        share_of_peak=gflops / peak,
        answer=timing.answer,
        peak_memory=timing.peak_memory,
        speedup=_speedup(measurement, key, timing),
        times=tuple(map(tuple, timing.seconds)),
    )


def _speedup(measurement: Measurement, key: Key, timing: Timing) -> Speedup | None:
    """Return how many times as fast as the base, None for the base itself or without it."""
    base = measurement.timings.get(key._replace(label=BASE))
    if base is None or base is timing:
        return None
    ratio = paired_ratio(timing.per_sample, base.per_sample)
    control = control_of(measurement, key.job, key.asked, key.threads)
    resolved = None if control is None else is_resolved(ratio, control)
    return Speedup(**asdict(ratio), base=BASE, control=control, resolved=resolved)


def control_of(measurement: Measurement, job: str, asked: int, threads: int) -> Ratio | None:
    """Return how many times as long a twin took as its subject, None if there was no twin."""
    for key, timing in measurement.timings.items():
        if key == (job, asked, key.label, threads) and key.label.endswith(TWIN):
            first = measurement.timings[key._replace(label=key.label.removesuffix(TWIN))]
            return paired_ratio(first.per_sample, timing.per_sample)
    return None


def to_json(document: Document) -> dict[str, Any]:
    """Return a document as dicts, for JSON; an unknown date is left out."""
    found = asdict(document)
    return found if document.date else {k: v for k, v in found.items() if k != "date"}


def read(path: Path) -> Document:
    """Read the document of an earlier run.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        The file is not such a document, or has another schema.
    """
    if path.exists() and not path.is_file():  # a device or a pipe may have no end
        raise ValueError(f"{path} is no file")
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path}: expected a result of schema {SCHEMA}, found {schema!r:.80}")
    try:
        return document_from(values)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: damaged, expected the JSON that `fastnn bench --json` writes ({error})"
        ) from None


def read_runs(places: Sequence[Path]) -> list[tuple[str, Document]]:
    """Read the results of earlier runs, and return them with their names, the oldest first.

    Parameters
    ----------
    places : sequence of Path
        Files that ``fastnn bench --json`` has written, and folders with such files.

    Raises
    ------
    FileNotFoundError
        A file does not exist.
    ValueError
        A file holds no such results, or a folder no such file.
    """
    files: list[Path] = []
    for place in places:
        found = sorted(place.glob("*.json")) if place.is_dir() else [place]
        if not found:
            raise ValueError(f"{place}: no .json files are in this folder")
        files += found
    runs = [(path.stem, read(path)) for path in files]
    return sorted(runs, key=lambda run: run[1].date or "")


def document_from(values: dict[str, Any]) -> Document:
    """Make a document from what `json.loads` returned.

    Raises
    ------
    ValueError
        A value is missing, of another type, or no ratio that two times can have.
    """
    if wrong := [text for text in _texts(values) if not text.isprintable()]:
        raise ValueError(f"Document: no line of text: {wrong[0]!r:.100}")
    document = from_json(Document, values)
    for i, case in enumerate(document.cases):
        for ratio in (case.speedup, case.speedup and case.speedup.control):
            if ratio and not all(map(_is_ratio, (ratio.median, ratio.low, ratio.high))):
                raise ValueError(f"Document.cases[{i}]: no ratio of two times: {ratio!r:.100}")
    return document


def _texts(value: Any) -> Iterator[str]:
    """Yield all strings in what `json.loads` returned."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value if isinstance(value, list) else (*value, *value.values()):
            yield from _texts(one)


def _is_ratio(value: float) -> bool:
    """Return whether two times can have this ratio, and it can be divided by another such one."""
    return 1 / _LARGEST_RATIO <= value <= _LARGEST_RATIO
