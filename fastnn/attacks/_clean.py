"""What passes over clean inputs have shown, for a tile and for those that come after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Clean:
    """What is known of some clean inputs, for all tiles that have them and the same goal.

    Attributes
    ----------
    again : bool
        Whether another tile will ask for the gradient.
    logits, gradient : ndarray, or None
        Copies; of the gradient only where it is needed `again`.
    counts : tuple (int, int), or None
        How many rows are saturated, and how many have no gradient.
    """

    again: bool = False
    logits: Array | None = None
    gradient: Array | None = None
    counts: tuple[int, int] | None = None
