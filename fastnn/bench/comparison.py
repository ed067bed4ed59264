"""Which jobs have become slower since an older run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastnn.bench.results import Case, Document
from fastnn.bench.statistics import Ratio, divide, is_resolved, spread

# If one of these differs, two machines are compared rather than two versions.
_MACHINE = ("processor", "usable_processors", "cpu_quota", "system", "python", "numpy", "numba")

Verdict = Literal["not resolved", "SLOWER", "faster", "the same within tolerance"]


@dataclass(frozen=True)
class Change:
    """How many times as long a case takes now."""

    title: str
    implementation: str
    threads: int
    ratio: Ratio
    verdict: Verdict

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        name = f"{self.title}, {self.implementation}, {threads}"
        return f"{name:<73} {self.ratio!s:>20} times as long  {self.verdict}"


@dataclass(frozen=True)
class Comparison:
    """What differs between an older run and a new one.

    Attributes
    ----------
    differences : tuple of str
        Facts about the machine and the input that were not the same.
    changes : tuple of Change
        Of every case that both runs have.
    tolerance : float
        A change by a smaller share is not a slow-down.
    """

    differences: tuple[str, ...]
    changes: tuple[Change, ...]
    tolerance: float

    @property
    def slower(self) -> int:
        """How many cases have become slower: the slow-down is resolved and above the tolerance."""
        return sum(change.verdict == "SLOWER" for change in self.changes)

    @property
    def unknown(self) -> int:
        """How many cases may have become slower, or not: their intervals are too wide to tell."""
        return sum(change.verdict == "not resolved" for change in self.changes)

    @property
    def status(self) -> int:
        """The exit status: 1 if a case is slower, else 3 if that is not known of a case, else 0."""
        return 1 if self.slower else 3 if self.unknown or not self.changes else 0

    def __str__(self) -> str:
        return "\n".join([*self.differences, *map(str, self.changes), self._summary()])

    def _summary(self) -> str:
        """Say how many cases have become slower, and for how many that is not known."""
        cases, by = len(self.changes), f"by more than {self.tolerance:.0%}, measured by numpy"
        if not cases:
            return "could not tell: no case in common with the older run"
        if self.unknown == cases:
            return f"could not tell whether anything has become slower {by}: all were not resolved"
        slower = f"{self.slower} of {cases} slower than before {by}" if self.slower else ""
        unknown = f"could not tell for {self.unknown} of {cases}" if self.unknown else ""
        others = "" if self.slower else f"nothing{' else' * bool(unknown)} has become slower {by}"
        return "; ".join(filter(None, [slower, unknown, others]))


def compare(old: Document, new: Document, *, tolerance: float = 0.1) -> Comparison:
    """Find where fastnn has become slower or faster since an older run.

    Speed-ups over numpy are compared, as numpy ran in the same rounds: what makes the whole machine
    slower or faster divides out.

    Parameters
    ----------
    old, new : Document
    tolerance : float, optional
        A change by a smaller share is not a slow-down.
    """
    earlier = {_key(case): case for case in old.cases}
    changes = []
    for case in new.cases:
        before = earlier.get(_key(case))
        if before is not None and case.implementation.startswith("fastnn"):
            change = _change(before, case, tolerance)
            if change is not None:
                changes.append(change)
    return Comparison(tuple(_differences(old, new)), tuple(changes), tolerance)


def _change(before: Case, now: Case, tolerance: float) -> Change | None:
    """Return the change of a case, None if one of the runs has no speed-up or no control."""
    if before.speedup is None or now.speedup is None:
        return None
    controls = before.speedup.control, now.speedup.control
    if controls[0] is None or controls[1] is None:
        return None
    ratio = divide(before.speedup, now.speedup)
    noisier = max(controls[0], controls[1], key=spread)
    verdict = _verdict(ratio, noisier, tolerance)
    return Change(now.title, now.implementation, now.threads, ratio, verdict)


def _verdict(change: Ratio, control: Ratio, tolerance: float) -> Verdict:
    """Return in words how many times as long something takes now."""
    if not is_resolved(change, control):
        # An interval around 1 is an answer, too, where it ends below the tolerance.
        most = max(change.high, spread(control))
        return "the same within tolerance" if most <= 1 + tolerance else "not resolved"
    if change.median > 1 + tolerance:
        return "SLOWER"
    return "faster" if change.median < 1 / (1 + tolerance) else "the same within tolerance"


def _key(case: Case) -> tuple[str, int, str, int]:
    return case.job, case.asked, case.implementation, case.threads


def _differences(old: Document, new: Document) -> Iterator[str]:
    """Name the facts that differ between the runs."""
    pairs = [(name, getattr(old.machine, name), getattr(new.machine, name)) for name in _MACHINE]
    pairs += [
        ("BLAS kernels", old.machine.blas.kernels, new.machine.blas.kernels),
        ("digits and network", old.source, new.source),
    ]
    for name, then, now in pairs:
        if then != now:
            yield f"not the same {name.replace('_', ' ')}: {then} then, {now} now"
