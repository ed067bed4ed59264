"""Two programs' results on the same images, compared row by row, and as lines of a table."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

TIE_64 = 1e-6  # margins between these and 0 have no sign that float64 programs could agree on
TIE_32 = 0.05  # float32: after some steps, a sign that is rounded otherwise changes margins so far
SURE = 30.0  # a lead at which p - one_hot has lost all but three digits in float64, or all
_ROWS_SHOWN = 20
HEADING = (
    f"{'method':<18}{'eps':>5}{'n':>8}{'fastnn':>8}  {'against':<28}{'theirs':>7}{'differ':>8}"
    f"{'margin':>10}{'inputs':>8}  verdict"
)

Rule = Literal["same", "no more", "other"]


@dataclass(frozen=True)
class Found:
    """What a program has found.

    Attributes
    ----------
    standing : ndarray of bool, shape (n,)
        Which images the network still gets right.
    margins : ndarray, shape (n,)
        In float64, of the adversarial inputs: the true class's logit less the largest other one.
        Of DeepFool, the size of the change less eps.
    x : ndarray, shape (n, D), or None
    """

    standing: np.ndarray
    margins: np.ndarray
    x: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """A row on which two programs differ: margins of both, and the lead of its clean image."""

    row: int
    ours: float
    theirs: float
    lead: float

    @property
    def margin(self):
        """Return the larger of both, without a sign; NaN if one of them is."""
        return float(np.maximum(abs(self.ours), abs(self.theirs)))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison.

    Attributes
    ----------
    method, against : str
    eps : float
    n, ours, theirs : int
        Images, and how many of them stand with each program.
    rows : tuple of Row
        Those on which the programs differ.
    inputs : int or None
        Rows whose adversarial inputs differ.
    verdict : str
        In capitals if something differs beyond ties.
    note : str
        What is not the same.
    """

    method: str
    against: str
    eps: float
    n: int
    ours: int
    theirs: int
    rows: tuple[Row, ...]
    inputs: int | None
    verdict: str
    note: str = ""

    @property
    def beyond_ties(self):
        return self.verdict.isupper()

    def to_json(self):
        """Return all of it; a margin that is no number in JSON is None."""
        found = asdict(self) | {"beyond_ties": self.beyond_ties}
        for row in found["rows"]:
            for name in ("ours", "theirs"):
                row[name] = row[name] if np.isfinite(row[name]) else None
        return found

    def text(self):
        """Return the line, and the rows below it."""
        largest = max((row.margin for row in self.rows), default=None)
        margin = "" if largest is None else f"{largest:.2g}"
        inputs = "" if self.inputs is None else f"{self.inputs:,}"
        line = (
            f"{self.method:<18}{self.eps:>5g}{self.n:>8,}{self.ours:>8,}  {self.against:<28}"
            f"{self.theirs:>7,}{len(self.rows):>8,}{margin:>10}{inputs:>8}  {self.verdict}"
        )
        if self.note:
            line += f": {self.note}"
        lines = [line] + [
            f"    row {row.row}: {row.ours:+.3g} with fastnn, {row.theirs:+.3g} with {self.against}"
            f"; clean lead {row.lead:.1f}"
            for row in self.rows[:_ROWS_SHOWN]
        ]
        if len(self.rows) > _ROWS_SHOWN:
            lines.append(f"    and {len(self.rows) - _ROWS_SHOWN:,} other rows")
        return "\n".join(lines)


def compare(ours, theirs, leads, *, rule, tie, cancels):
    """Compare two results.

    Parameters
    ----------
    ours, theirs : Found
    leads : ndarray, shape (n,)
        By how much the true class leads the logarithm of the others' sum, at the clean images.
    rule : {"same", "no more", "other"}
        Whether the same rows have to stand; or no row with ours that falls with theirs; or nothing
        is required, since the methods are not the same.
    tie : float
        Margins up to this may have either sign.
    cancels : bool
        Whether the other program forms ``p - one_hot``, so that its gradient of an image with a
        lead above `SURE` may be wrong.

    Returns
    -------
    rows, verdict
    """
    apart = np.flatnonzero(ours.standing != theirs.standing)
    rows = tuple(
        Row(int(i), float(ours.margins[i]), float(theirs.margins[i]), float(leads[i]))
        for i in apart
    )
    if rule == "other":
        return rows, "not judged"
    beyond = [row for row in rows if not row.margin <= tie]
    if rule == "no more":
        beyond = [row for row in beyond if ours.standing[row.row]]
        if beyond:
            return rows, "MORE STANDING"
        return rows, "same" if not rows else "no more standing"
    if any(not (cancels and row.lead > SURE) for row in beyond):
        return rows, "DIFFERENT"
    if beyond:
        return rows, f"ties but for {len(beyond)} where theirs cancels"
    return rows, "ties" if rows else "same"


def inputs_apart(ours, theirs, tolerance):
    """Return how many rows of adversarial inputs differ by more than a tolerance."""
    if ours.x is None or theirs.x is None:
        return None
    return int(np.count_nonzero(np.abs(ours.x - theirs.x).max(axis=1) > tolerance))
