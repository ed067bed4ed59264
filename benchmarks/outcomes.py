"""What was measured about a claim, judged, as JSON and as a table."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from whole_process import MEGABYTES

from fastnn.bench.statistics import Ratio, is_resolved, paired_ratio

PEAK_SHARE = (0.8, 0.9)  # target and aim
REFERENCE_ROWS = 1000  # all images take about the same time, so that a thousand are enough


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How many times as fast as another program: at least `target`, better `aim`."""

    text: str
    target: float
    aim: float | None = None


@dataclass(frozen=True, kw_only=True)
class Claim(Goal):
    """How many times as fast `ours` is as `peer` at a job."""

    name: str
    job: str
    ours: str
    peer: str


@dataclass(frozen=True)
class Judgement:
    """The times of both programs and their ratio."""

    ours_seconds: float
    peer_seconds: float
    ratio: Ratio
    control: Ratio
    verdict: Literal["reached", "MISSED", "not resolved"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A goal with its judgement, or with the reason why it was skipped.

    Attributes
    ----------
    goal : Goal
    found : Judgement or str
        A string is the reason.
    facts : dict
        More for the JSON file: samples, threads.
    megabytes : dict of str to float, optional
        Peak memory of whole processes, by program.
    """

    goal: Goal
    found: Judgement | str
    facts: dict[str, int]
    megabytes: dict[str, float] | None = None

    @property
    def missed(self):
        return isinstance(self.found, Judgement) and self.found.verdict == "MISSED"

    def to_json(self):
        memory = {} if self.megabytes is None else {"megabytes": self.megabytes}
        found = {"skipped": self.found} if isinstance(self.found, str) else asdict(self.found)
        return asdict(self.goal) | self.facts | found | memory

    def lines(self):
        """Return the outcome as lines of the table."""
        goal, found = self.goal, self.found
        head = f"{goal.text:<44}{goal.target:>7g}{goal.aim or '':>6}   "
        if isinstance(found, str):
            return [f"{head}left out: {found}"]
        ratio, control = found.ratio, found.control
        seconds = found.ours_seconds, found.peer_seconds
        line = f"{head}{ratio.median:6.2f} [{ratio.low:.2f}, {ratio.high:.2f}]  "
        line += f"[{control.low:.3f}, {control.high:.3f}]  {found.verdict}  "
        line += "({:,.3f} ms, {:,.3f} ms)".format(*(s * 1e3 for s in seconds))
        lines = [line]
        if self.megabytes is not None:
            text, (target, aim) = "peak memory of that process, MB", MEGABYTES
            ours, torch = self.megabytes["ours"], self.megabytes["torch"]
            reached = "reached" if ours <= target else "MISSED"
            line = f"{text:<44}{target:>7}{aim:>6}   {ours:6.0f}  {reached}  (torch {torch:.0f})"
            lines.append(line)
        return lines


@dataclass(frozen=True)
class PeakShare:
    """Operations of dense products a second, as a share of the peak.

    Products that skip zeros need fewer operations, so that the share can exceed 1.
    """

    gflops: float
    peak: float
    share: float

    def line(self):
        target, aim = PEAK_SHARE
        reached = "reached" if self.share >= target else "MISSED"
        text = "clean + FGSM accuracy, dense work / peak"
        return (
            f"{text:<44}{target:>7.0%}{aim:>6.0%}   {self.share:6.0%}  {reached}  "
            f"({self.gflops:.0f} of {self.peak:.0f} GFLOP/s)"
        )


def judge(target, ours, peer, twin):
    """Return the ratio of the peer's times to ours, its control, and the verdict."""
    ratio, control = paired_ratio(ours, peer), paired_ratio(ours, twin)
    verdict = "reached" if ratio.median >= target else "MISSED"
    return Judgement(
        ours_seconds=float(np.median(ours)),
        peer_seconds=float(np.median(peer)),
        ratio=ratio,
        control=control,
        verdict=verdict if is_resolved(ratio, control) else "not resolved",
    )


def show(outcomes, share, answers):
    """Print the outcomes, the share of the peak and the answers as a table."""
    print(f"{'':<44}{'target':>7}{'aim':>6}   measured, with 95 % interval; A against A")
    for outcome in outcomes:
        print("\n".join(outcome.lines()))
    if share is not None:
        print(share.line())
    if any(getattr(outcome.goal, "peer", None) == "reference" for outcome in outcomes):
        print(f"* timed on {REFERENCE_ROWS:,} images")
    if answers is not None:
        print("\ncorrect of 10,000 at eps 0.1, 0.2, 0.3, clipped")
        for name, counts in answers.items():
            print(f"  {name:<40}" + "".join(f"{count:>7,}" for count in counts))
