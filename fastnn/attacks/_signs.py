"""What an evaluation notices on the way: samples for which a count may not say what it seems to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import losses
from fastnn._runtime.signals import numpy_errors
from fastnn.attacks._base import Attack
from fastnn.attacks._deepfool import DeepFool
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._names import norms_of, parts_of
from fastnn.attacks._square import Square
from fastnn.attacks._tile import Tile

Array = NDArray[Any]
Numbers = NDArray[np.int64]

RECOUNT = "recount differs"
NO_GRADIENT = "no gradient"
SATURATED = "saturated"
FGSM_STRONGER = "FGSM is stronger"
RISES = "accuracy rises with eps"
BLACK_BOX = "black box is stronger"
STUCK = "loss does not rise"
PROBABILITIES = "outputs are probabilities"
NORMALISED = "inputs look normalised"

_SAMPLED = 64  # rows that are looked at for their mean and deviation
_FEWEST = 100  # entries that have a mean and a deviation worth a word


class Signs:
    """The samples that show each sign, noted tile by tile.

    Attributes
    ----------
    probabilities : list of bool
        For each tile, whether all logits are in [0, 1] and have the sum 1.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Numbers]] = {}
        self.probabilities: list[bool] = []

    def note(self, name: str, rows: Numbers) -> None:
        """Add the numbers of samples that show a sign."""
        if len(rows):
            self._rows.setdefault(name, []).append(rows)

    def rows(self) -> dict[str, Numbers]:
        """Return the samples that show each sign that was noted, ascending, each once."""
        return {name: np.unique(np.concatenate(some)) for name, some in self._rows.items()}

    def look(self, tile: Tile) -> tuple[int, int]:
        """Look at the clean inputs; return how many are saturated and how many have no gradient."""
        saturated, zero = tile.counts()
        logits = tile.clean_logits()
        still = ~tile.gradient(tile.x).any(axis=1) if zero else np.zeros(len(logits), bool)
        self.look_at(logits, tile.labels, tile.numbers, saturated, still)
        return saturated, zero

    def look_at(
        self, logits: Array, labels: Numbers, numbers: Numbers, saturated: int, still: Array
    ) -> None:
        """Note what clean logits show, and the samples that are `still` as they have no gradient.

        So many rows are `saturated`.
        """
        within = logits.min(initial=0) >= 0 and logits.max(initial=0) <= 1
        ones = within and (np.abs(logits.sum(axis=1) - 1) < 1e-4).all()
        self.probabilities.append(bool(ones))
        if saturated:
            self.note(SATURATED, numbers[_saturated(logits, labels)])
        self.note(NO_GRADIENT, numbers[still])


def _saturated(logits: Array, labels: Numbers) -> NDArray[np.bool_]:
    """Say for which rows `losses.attack_residual` counts the true class as certain."""
    z, rows = logits.astype(np.float64), np.arange(len(logits))
    own = z[rows, labels].copy()
    z[rows, labels] = -np.inf
    largest = z.max(axis=1)
    lead = np.maximum(own - largest, 0)
    odds = np.exp(z - largest[:, None]).sum(axis=1) * np.exp(-lead)
    unit = np.finfo(logits.dtype).eps
    found: NDArray[np.bool_] = odds < unit / 8
    residual = np.empty((1, logits.shape[1]), logits.dtype)
    for i in np.flatnonzero((odds >= unit / 8) & (odds <= 2 * unit)):  # as that rounds them
        row = slice(i, i + 1)
        found[i] = losses.attack_residual(logits[row], labels[row], residual)
    return found


def probe_norm(attack: Attack) -> str | None:
    """Return the norm in which FGSM is to be tried on what an attack leaves, or None.

    It is tried after a gradient attack of many steps that is to find the worst input, unless FGSM
    was among the attacks.
    """
    every = parts_of(attack)
    thorough = [one for one in every if getattr(one, "steps", 1) > 1]
    if not any(not isinstance(one, DeepFool) for one in thorough):
        return None
    if any(isinstance(one, FGSM) for one in every) or len(norms_of(attack)) > 1:
        return None
    return norms_of(attack)[0]


def black_box(attack: Attack) -> tuple[int, ...]:
    """Return the numbers of attacks without gradients that come after one with gradients."""
    every = parts_of(attack)
    if len(every) == 1:
        return ()
    first = next((i for i, one in enumerate(every) if not isinstance(one, Square)), len(every))
    return tuple(i for i, one in enumerate(every) if isinstance(one, Square) and i > first)


def look_normalised(x: NDArray[Any]) -> bool:
    """Say whether inputs have negative entries, a mean near 0 and a deviation near 1.

    Some rows are looked at, at equal distances.
    """
    some = x[:: max(1, len(x) // _SAMPLED)]
    if some.size < _FEWEST or not some.min() < 0:
        return False
    with numpy_errors():
        wide = some.astype(np.float64)
        return bool(abs(wide.mean()) < 0.3 and 0.7 < wide.std() < 1.4)
