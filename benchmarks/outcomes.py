"""What was measured about a goal, judged, as JSON and as a line of the table."""

from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
from goals import Goal

from fastnn.bench.statistics import Ratio, paired_ratio, spread

WORK = 48
HEADING = (
    f"{'work':<{WORK}}{'bar':>5}{'aim':>6}  {'measured':<22}{'A against A':<14}"
    f"{'verdict':<10}{'fastnn':>8}{'peer':>9}  the peer's best form"
)
FOOTNOTE = (
    "? not sure: the interval, widened by A against A, has the bar in it, or the machine was busy"
)
BUSY = 1.3  # times its trial: more than what rounds with other subjects change


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes
    ----------
    value : Ratio
        Times as fast, a share, or milliseconds, with its interval.
    control : Ratio or None
        How many times as long our twin took.
    verdict : str
    ours, peer : str
        The times or rates as text.
    form : str
        The peer's best form.
    """

    value: Ratio
    control: Ratio | None
    verdict: Literal["reached", "reached?", "MISSED", "MISSED?"]
    ours: str
    peer: str = ""
    form: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A goal with what was found, or with the reason why it was left out.

    Attributes
    ----------
    goal : Goal
    text : str
        The work that was measured: with ``--quick`` it is less.
    kind : str
        Of processor: which bar counts.
    found : Found or str
    facts : dict
        More for the JSON file: samples, threads, the times of trial and rounds.
    """

    goal: Goal
    text: str
    kind: str
    found: Found | str
    facts: dict = field(default_factory=dict)

    @property
    def missed(self):
        return isinstance(self.found, Found) and self.found.verdict == "MISSED"

    def to_json(self):
        found = {"skipped": self.found} if isinstance(self.found, str) else asdict(self.found)
        bar = {"bar": self.goal.bars[self.kind], "aim": self.goal.aims.get(self.kind)}
        return {"name": self.goal.name, "text": self.text} | bar | found | self.facts

    def line(self):
        aim = self.goal.aims.get(self.kind)
        head = f"{self.text:<{WORK}}{self.goal.bars[self.kind]:>5g}{_number(aim):>6}  "
        if isinstance(self.found, str):
            return f"{head}left out: {self.found}"
        found, control = self.found, self.found.control
        between = "" if control is None else f"[{control.low:.2f}, {control.high:.2f}]"
        line = f"{head}{interval(found.value):<22}{between:<14}{found.verdict:<10}"
        return f"{line}{found.ours:>8}{found.peer:>9}  {found.form}".rstrip()


def interval(value):
    """Return a median with its interval as text, with as many digits as the median needs."""
    digits = 3 if value.median < 0.3 else 2 if value.median < 10 else 1 if value.median < 100 else 0
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(value.median, value.low, value.high, d=digits)


def _number(value):
    return "" if value is None else f"{value:g}"


def verdict(value, bar, control=None, *, at_most=False):
    """Judge a median by its bar; a question mark where the interval includes the bar."""
    noise = 1.0 if control is None else spread(control)
    good = value.median <= bar if at_most else value.median >= bar
    sure = value.low / noise > bar or value.high * noise < bar
    return ("reached" if good else "MISSED") + ("" if sure else "?")


def judge(goal, kind, ours, peer, twin, form):
    """Return what was found: the ratio of the peer's seconds to ours."""
    ratio, control = paired_ratio(ours, peer), paired_ratio(ours, twin)
    return Found(
        value=ratio,
        control=control,
        verdict=verdict(ratio, goal.bars[kind], control),
        ours=duration(np.median(ours)),
        peer=duration(np.median(peer)),
        form=form,
    )


def doubt(found, seconds, trial):
    """Mark a result where the peer took much longer in the rounds than in its trial.

    Another program that ran at the time slows down a peer whose threads wait for each other far
    more than it does us, and the ratio would flatter us.
    """
    if seconds <= BUSY * trial:
        return found
    form = f"{found.form}; {duration(trial)} in its trial: is the machine busy?"
    return replace(found, verdict=found.verdict.rstrip("?") + "?", form=form)


def judge_level(goal, kind, levels, ours, *, twin=None, at_most=False):
    """Return what was found: levels themselves, such as milliseconds or shares of the peak."""
    value = paired_ratio(np.ones_like(levels), levels)
    control = None if twin is None else paired_ratio(levels, twin)
    judged = verdict(value, goal.bars[kind], control, at_most=at_most)
    return Found(value=value, control=control, verdict=judged, ours=ours)


def duration(seconds):
    """Return a time as text of three digits: 67.1 µs, 250 ms, 24.4 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            value = seconds / size
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:,.{digits}f} {unit}"
    raise AssertionError


def answers_table(answers):
    """Return the counts of every implementation as lines."""
    lines = ["", "correct of 10,000 at eps 0.1, 0.2, 0.3, clipped"]
    lines += [
        f"  {name:<40}" + "".join(f"{count:>7,}" for count in counts)
        for name, counts in answers.items()
    ]
    return "\n".join(lines)
