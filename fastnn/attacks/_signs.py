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
from fastnn.attacks._names import norms_of
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
        return {name: _once(some) for name, some in self._rows.items()}

    def count(self, name: str) -> int:
        """Return how many samples were noted for a sign that each shows once."""
        return sum(map(len, self._rows.get(name, ())))

    def look(self, tile: Tile) -> None:
        """Look at the clean inputs of a tile."""
        self.note_clean(tile.numbers, *tile._marks(), losses.are_probabilities(tile.clean_logits()))

    def note_clean(
        self,
        numbers: Numbers,
        saturated: NDArray[np.bool_],
        still: NDArray[np.bool_],
        probabilities: bool,
    ) -> None:
        """Note which samples are saturated or without a gradient, and what their logits look like.

        `numbers` are those of the samples.
        """
        self.note(SATURATED, numbers[saturated])
        self.note(NO_GRADIENT, numbers[still])
        self.probabilities.append(probabilities)


def _once(rows: list[Numbers]) -> Numbers:
    """Return the numbers in several arrays, ascending, each once."""
    if len(rows) == len(rows[0]) == 1:  # as of a single sample, for less time
        return rows[0]
    return np.unique(np.concatenate(rows))


def probe_norm(attack: Attack) -> str | None:
    """Return the norm in which FGSM is to be tried on what an attack leaves, or None.

    It is tried after a gradient attack of many steps that is to find the worst input, unless FGSM
    was among the attacks.
    """
    every = attack._parts()
    if any(isinstance(one, FGSM) for one in every):
        return None
    thorough = [one for one in every if getattr(one, "steps", 1) > 1]
    if not any(not isinstance(one, DeepFool) for one in thorough):
        return None
    norm, *others = norms_of(attack)
    return None if others else norm


def black_box(attack: Attack) -> tuple[int, ...]:
    """Return the numbers of attacks without gradients that come after one with gradients."""
    every = attack._parts()
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
