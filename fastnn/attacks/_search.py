"""What all attacks of many steps share: restarts, and each sample's worst input so far."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.attacks._base import Attack, Found
from fastnn.attacks._tile import Tile

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass
class Worst:
    """The worst input of each sample of a tile: that with the smallest margin.

    Attributes
    ----------
    x : ndarray, shape (n, D)
    margins : ndarray of float64, shape (n,)
        Infinite where nothing was seen yet.
    fooled : ndarray of bool, shape (n,)
    origins : ndarray of int64, shape (n, 3)
        What fooled each sample first: the number of the attack, of its run, and of the input in the
        run. -1 where nothing has, and where it is not known.
    first : ndarray of float64, shape (n,)
        The margin of the first input of the run that was seen last.
    progress : ndarray of int8, shape (n,)
        0 where no run went on after its first input, 1 where one did, 2 where that made the margin
        smaller.
    """

    x: Array
    margins: NDArray[np.float64]
    fooled: Mask
    origins: NDArray[np.int64]
    first: NDArray[np.float64]
    progress: NDArray[np.int8]

    @property
    def stuck(self) -> Mask:
        """Where runs went on after their first input, and none made the margin smaller."""
        return np.asarray(self.progress == 1)

    @classmethod
    def at(cls, x: Array) -> Worst:
        """Return the state before anything was seen."""
        n = len(x)
        return cls(
            np.array(x),
            np.full(n, np.inf),
            np.zeros(n, bool),
            np.full((n, 3), -1),
            np.full(n, np.inf),
            np.zeros(n, np.int8),
        )


@dataclass
class Standing:
    """Some samples of a tile that are still attacked.

    Attributes
    ----------
    tile : Tile
        Of these samples alone.
    rows : ndarray of int64, shape (m,)
        Their places in the whole tile.
    eps : ndarray, shape (m, 1)
    worst : Worst
        Of the whole tile.
    attack, run : int
        Numbers of what attacks them now; -1 for a run that is not known.
    seen : int
        How many inputs this run has shown.
    """

    tile: Tile
    rows: NDArray[np.int64]
    eps: Array
    worst: Worst
    attack: int = 0
    run: int = 0
    seen: int = 0

    def see(self, x: Array, logits: Array) -> Mask:
        """Keep what is worse than all before; return which samples these inputs fool."""
        margins, worst = self.tile.margins(logits), self.worst
        fooled = self.tile.fooled(logits)
        new = fooled & ~worst.fooled[self.rows]
        better = (margins < worst.margins[self.rows]) | new  # equal logits may fool, too
        worst.margins[self.rows[better]] = margins[better]
        worst.x[self.rows[better]] = x[better]
        worst.fooled[self.rows[new]] = True
        worst.origins[self.rows[new]] = self.attack, self.run, self.seen
        self._note_progress(margins)
        self.seen += 1
        return fooled

    def _note_progress(self, margins: Array) -> None:
        """Compare margins with those of the run's first input."""
        worst, rows = self.worst, self.rows
        if self.seen <= 0:
            worst.first[rows] = margins
        else:
            lower = 1 + (margins < worst.first[rows]).astype(np.int8)
            worst.progress[rows] = np.maximum(worst.progress[rows], lower)

    def take(self, found: Worst) -> None:
        """Keep what another search of these samples has found."""
        worst, rows = self.worst, self.rows
        new = found.fooled & ~worst.fooled[rows]
        better = (found.margins < worst.margins[rows]) | new
        worst.margins[rows[better]] = found.margins[better]
        worst.x[rows[better]] = found.x[better]
        worst.fooled[rows[new]] = True
        worst.origins[rows[new]] = found.origins[new]
        worst.origins[rows[new], 0] = self.attack
        worst.progress[rows] = np.maximum(worst.progress[rows], found.progress)

    def some(self, chosen: NDArray[np.int64]) -> Standing:
        """Return some of these samples."""
        return replace(
            self, tile=self.tile.some(chosen), rows=self.rows[chosen], eps=self.eps[chosen]
        )


class Search(Attack):
    """An attack that looks at many inputs, in several runs, and keeps each sample's worst."""

    @abstractmethod
    def _runs(self, tile: Tile) -> int:
        """Return how often a sample is attacked from the beginning."""

    @abstractmethod
    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Attack samples once, and show every input to `Standing.see`.

        Without `all_steps`, a sample that is fooled need not be attacked any more.
        """

    def perturb_tile(self, tile: Tile, eps: Any) -> Array:
        """Return the worst inputs of all runs."""
        return self._search(tile, eps, all_steps=True).x

    def answers(self, tile: Tile, eps: Array) -> Iterator[Found]:
        """Yield the worst inputs at every eps; a sample that is fooled is not attacked any more."""
        for k, budget in enumerate(eps):
            worst = self._search(tile, budget, all_steps=False)
            yield Found(k, worst.x, worst.fooled, worst.origins, worst.stuck)

    def _search(self, tile: Tile, eps: Any, *, all_steps: bool) -> Worst:
        """Attack the samples of a tile in all runs."""
        worst = Worst.at(tile.x)
        every = Standing(tile, np.arange(len(tile.x)), tile.each(eps)[:, None], worst)
        for number in range(self._runs(tile)):
            standing = replace(every, run=number, seen=0)
            if not all_steps and worst.fooled.any():
                left = np.flatnonzero(~worst.fooled)
                if not len(left):
                    break
                standing = standing.some(left)
            self._run(standing, number, all_steps=all_steps)
        return worst
