"""Signs that a count does not say what it seems to, from what an evaluation has seen."""

from __future__ import annotations

import numpy as np

from fastnn.attacks._tally import Tally
from fastnn.reports import Diagnostic


def diagnostics(tally: Tally) -> tuple[Diagnostic, ...]:
    """Return the signs that were seen."""
    found = []
    if tally.disputed is not None and tally.disputed.any():
        rows = np.flatnonzero(tally.disputed.any(axis=0))
        text = (
            f"for {samples(len(rows))} a forward pass over the adversarial input says something "
            "else than the attack does; the forward pass counts."
        )
        found.append(Diagnostic("recount differs", text, rows))
    return tuple(found)


def samples(count: int) -> str:
    """Return a number of samples in words."""
    return f"{count:,} sample{'s' if count != 1 else ''}"
