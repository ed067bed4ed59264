"""Reports in files: one .npz archive without pickles, with arrays and a summary in JSON."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import atomic_write, is_plain
from fastnn.reports._counts import Counts
from fastnn.reports._diagnostics import Diagnostic
from fastnn.reports._sources import Digests, digest

Arrays = dict[str, NDArray[Any]]

_FORMAT = "fastnn report 1"
_EXPECTED = "a report that fastnn has saved"
_ARRAYS: tuple[str, ...] = (
    *("clean_prediction", "adversarial_prediction", "labels", "targets", "traces"),
    "adversarial",
)
_PLAIN: tuple[str, ...] = (
    *("n", "bounds", "clean_correct", "zero_gradient_rows", "saturated_rows", "seconds"),
    *("compile_seconds", "classes", "attack", "attacks", "lattice", "norm"),
)
_MANY = ("eps", "eps_used", "adversarial_correct")  # a number, or an array for several eps


def write(report: Counts, path: str | os.PathLike[str]) -> None:
    """Write a report; an old file is replaced when the new one is complete."""
    from fastnn._version import __version__  # reading the metadata of packages takes milliseconds

    arrays = {name: getattr(report, name) for name in _ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    for i, found in enumerate(report.diagnostics):
        arrays[f"diagnostic_{i}"] = found.rows
    seed, *samples = report.rng if isinstance(report.rng, tuple) else (report.rng,)
    if samples:
        arrays["samples"] = samples[0]
    summary: dict[str, Any] = {"format": _FORMAT, "fastnn": __version__}
    summary |= {name: getattr(report, name) for name in _PLAIN}
    summary |= {name: _listed(getattr(report, name)) for name in _MANY}
    digests = report.digests
    summary |= {
        "seed": seed,
        "diagnostics": [[found.name, found.text] for found in report.diagnostics],
        "digests": None if digests is None else digests._asdict(),
        "arrays": {name: _hash(array) for name, array in arrays.items()},
    }
    summary["summary"] = digest(summary, [])
    with atomic_write(path) as file:
        np.savez(file, summary=np.array(json.dumps(summary)), **arrays)


def read(path: Path) -> dict[str, Any]:
    """Return the fields of a report in a file, after checks."""
    from fastnn.io._npy import open_npz  # `fastnn.io` needs numba

    with open_npz(path, expected=_EXPECTED) as members:
        if "summary" not in members:
            raise ValueError(f"{path} holds no report, expected {_EXPECTED}")
        summary = _summary(path, members["summary"]().read())
        try:
            arrays = {name: members[name]().read() for name in summary["arrays"]}
        except KeyError:
            raise _damaged(path) from None
    if {name: _hash(array) for name, array in arrays.items()} != summary["arrays"]:
        raise _damaged(path)
    try:
        return _fields(summary, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(path) from error


def _summary(path: Path, stored: NDArray[Any]) -> dict[str, Any]:
    """Return the summary of a file."""
    try:
        found = json.loads(str(stored))
    except ValueError:
        found = None
    kind = found.get("format") if isinstance(found, dict) else None
    if not isinstance(kind, str) or not kind.startswith("fastnn report "):
        raise ValueError(f"{path} holds no report, expected {_EXPECTED}")
    if kind != _FORMAT:
        raise ValueError(f"{path} is a {kind!r}, expected {_FORMAT!r}: update fastnn")
    whole = found.pop("summary", None)
    if digest(found, []) != whole or not isinstance(found.get("arrays"), dict):
        raise _damaged(path)
    return dict(found)


def _fields(summary: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the fields of a report from a summary and its arrays."""
    fields = {name: summary[name] for name in _PLAIN}
    fields |= {name: arrays.get(name) for name in _ARRAYS}
    single = not isinstance(summary["eps"], list)
    kinds = (np.float64, np.float64, np.int64)
    for name, kind in zip(_MANY, kinds, strict=True):
        value = summary[name]
        fields[name] = np.array(value, kind) if isinstance(value, list) else value
    fields["bounds"] = None if fields["bounds"] is None else tuple(fields["bounds"])
    fields["attacks"] = tuple(fields["attacks"])
    names = (fields["attack"], *fields["attacks"], fields["norm"])
    if not all(map(is_plain, (*names, *itertools.chain(*summary["diagnostics"])))):
        raise ValueError("a text has controls of a terminal")
    fields["diagnostics"] = tuple(
        Diagnostic(name, text, arrays[f"diagnostic_{i}"])
        for i, (name, text) in enumerate(summary["diagnostics"])
    )
    fields["rng"] = (summary["seed"], arrays["samples"]) if "samples" in arrays else summary["seed"]
    fields["sources"] = None if summary["digests"] is None else Digests(**summary["digests"])
    shape = (fields["n"],) if single else (len(fields["eps"]), fields["n"])
    if (
        fields["adversarial_prediction"].shape != shape
        or len(fields["clean_prediction"]) != shape[-1]
    ):
        raise ValueError("the arrays do not fit the summary")
    return fields


def _listed(value: Any) -> Any:
    """Return an array as a list."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _hash(array: NDArray[Any]) -> str:
    """Return the digest of an array."""
    return digest("", [array])


def _damaged(path: Path) -> ValueError:
    """Return the error about a file whose parts do not fit."""
    return ValueError(f"{path} is truncated or damaged, expected {_EXPECTED}")
