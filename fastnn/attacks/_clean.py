"""What passes over clean inputs have shown, for a tile and for those that come after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
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
    marks : tuple of two ndarray of bool, shapes (n,), or None
        The rows whose true class has a probability that rounds to 1, and those without a gradient.
    """

    again: bool = False
    logits: Array | None = None
    gradient: Array | None = None
    marks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
