"""A run as a JSON document: made, written, read again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.bench.ceilings import peak
from fastnn.bench.harness import TWIN, Measurement, Timing
from fastnn.bench.jobs import make_job
from fastnn.bench.machine import machine_info
from fastnn.bench.statistics import Ratio, is_resolved, paired_ratio

SCHEMA = "fastnn-bench/1"
BASE = "numpy"
_LARGEST_RATIO = 1e30  # of two times; far beyond it, float64 cannot divide two ratios


def to_document(measurement: Measurement, ceilings: dict[str, Any]) -> dict[str, Any]:
    """Return all that was measured, ready for JSON.

    Parameters
    ----------
    measurement : Measurement
    ceilings : dict
        From `measure_ceilings`, of the same run.

    Returns
    -------
    dict
        `schema`, `machine`, `ceilings`, `source` of digits and network, `skipped`, and `cases`: for
        every job and implementation its median time, rate, share of the peak, answer, all times,
        and `speedup` over numpy in the same rounds with interval, control and verdict.
    """
    cases = [
        _case(measurement, asked, timing, ceilings)
        for (_, asked, label, _), timing in measurement.timings.items()
        if not label.endswith(TWIN)
    ]
    return {
        "schema": SCHEMA,
        "machine": machine_info(),
        "ceilings": ceilings,
        "source": measurement.setting.source,
        "skipped": measurement.skipped,
        "cases": cases,
    }


def _case(
    measurement: Measurement, asked: int, timing: Timing, ceilings: dict[str, Any]
) -> dict[str, Any]:
    """Return one row of the document."""
    job = make_job(timing.job, measurement.setting, timing.n)
    seconds = float(np.median(np.median(timing.seconds, axis=1)))
    gflops = job.flops / seconds / 1e9
    at_most = peak(ceilings, timing.dtype) * timing.threads / ceilings["threads"]
    return {
        "job": timing.job,
        "title": job.title,
        "implementation": timing.label,
        "asked": asked,
        "n": timing.n,
        "threads": timing.threads,
        "seconds": seconds,
        "samples_per_second": timing.n / seconds,
        "flops": job.flops,
        "bytes": job.bytes,
        "gflops": gflops,
        "share_of_peak": gflops / at_most,
        "answer": timing.answer,
        "peak_memory": timing.peak_memory,
        "speedup": _speedup(measurement, asked, timing),
        "times": timing.seconds,
    }


def _speedup(measurement: Measurement, asked: int, timing: Timing) -> dict[str, Any] | None:
    """Return how many times as fast as numpy, None for numpy itself and where it did not run."""
    base = measurement.timings.get((timing.job, asked, BASE, timing.threads))
    if base is None or base is timing:
        return None
    ratio = paired_ratio(timing.per_sample, base.per_sample)
    control = control_of(measurement, timing.job, asked, timing.threads)
    return {
        "base": BASE,
        **asdict(ratio),
        "control": None if control is None else asdict(control),
        "resolved": None if control is None else is_resolved(ratio, control),
    }


def control_of(measurement: Measurement, job: str, asked: int, threads: int) -> Ratio | None:
    """Return what comparing an implementation with its twin gave, None if it had none."""
    for (name, n, label, count), timing in measurement.timings.items():
        if (name, n, count) == (job, asked, threads) and label.endswith(TWIN):
            first = measurement.timings[name, n, label.removesuffix(TWIN), count]
            return paired_ratio(first.per_sample, timing.per_sample)
    return None


def read(path: Path) -> dict[str, Any]:
    """Read a document that an earlier run wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not such a document, or one of another schema.
    """
    try:
        document = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path}: expected a result of schema {SCHEMA}, found {schema!r:.80}")
    if not _is_comparable(document):
        raise ValueError(f"{path}: damaged, expected what `fastnn bench --json` writes")
    return dict(document)


def _is_comparable(document: dict[str, Any]) -> bool:
    """Return whether a document has all that `compare` reads, in the right types."""
    machine, cases = document.get("machine"), document.get("cases")
    if not (isinstance(machine, dict) and isinstance(machine.get("blas"), dict)):
        return False
    facts = [value for value in machine.values() if not isinstance(value, (dict, list))]
    facts += [*machine["blas"].values(), document.get("source", [])]
    if not (all(_is_fact(fact) for fact in facts) and isinstance(cases, list)):
        return False
    return all(isinstance(case, dict) and _is_case(case) for case in cases)


def _is_fact(value: Any) -> bool:
    """Return whether a value can be named in one line."""
    one_line = not isinstance(value, str) or value.isprintable()
    return one_line and isinstance(value, (str, int, float, type(None)))


def _is_case(case: dict[str, Any]) -> bool:
    """Return whether a case has a name and, if any, a speed-up with its control."""
    words = all(
        isinstance(case.get(name), str) and case[name].isprintable()
        for name in ("job", "title", "implementation")
    )
    numbers = all(type(case.get(name)) is int for name in ("asked", "threads"))
    speedup = case.get("speedup", {})
    if not (words and numbers) or speedup is None:
        return words and numbers
    control = speedup.get("control", {}) if isinstance(speedup, dict) else {}
    return _is_ratio(speedup) and (control is None or _is_ratio(control))


def _is_ratio(values: Any) -> bool:
    """Return whether a stored ratio is one: three numbers that two times can have as a ratio."""
    return isinstance(values, dict) and all(
        type(values.get(name)) in (int, float)
        and 1 / _LARGEST_RATIO <= values[name] <= _LARGEST_RATIO
        for name in ("median", "low", "high")
    )


def ratio_of(values: dict[str, Any]) -> Ratio:
    """Return a ratio that was stored in a document."""
    return Ratio(values["median"], values["low"], values["high"])
