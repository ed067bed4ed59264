"""The smallest eps at which an attack succeeds, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks import _norms as norms
from fastnn.attacks._pgd import PGD
from fastnn.attacks._search import Search, Standing, Worst
from fastnn.attacks._tile import Tile

Array = NDArray[Any]


@dataclass(frozen=True)
class MinimalNorm(Search):
    """A search for each sample's own smallest eps, by halving the interval that it lies in.

    Parameters
    ----------
    norm : {"linf", "l2", "l1"}, optional
        Norm of the change that is to be small.
    steps : int, optional
        Gradient steps at each eps that is tried, at least 1.
    halvings : int, optional
        How often the interval is halved, at least 1.
    restarts : int, optional
        Random starts at each eps, at least 1; the first start is the clean input.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range.

    Notes
    -----
    The interval begins as [0, eps]. `PGD` is tried at its middle; where it succeeds, the upper end
    becomes the size of the change that it has found, else the lower end becomes the middle. The
    result is the smallest change that was found, or the worst input where none was.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[3.0, -3.0], [4.0, -4.0]])], [np.zeros(2)])
    >>> x = np.array([[0.3, 0.4]])  # at a distance of 0.5 from the boundary
    >>> x_adv = fastnn.attacks.MinimalNorm("l2").perturb(net, x, [0], eps=2)
    >>> bool(0.5 <= np.linalg.norm(x_adv - x) < 0.51)
    True
    """

    norm: str = "linf"
    steps: int = 20
    halvings: int = 10
    restarts: int = 1

    def __post_init__(self) -> None:
        norms.require(self.norm)
        for name in ("steps", "halvings", "restarts"):
            _checks.positive_integer(getattr(self, name), name)

    def _runs(self, tile: Tile) -> int:
        """Return 1: restarts are those at each eps."""
        return 1

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Try eps itself, then halve the intervals of the samples that are fooled there."""
        found = self._tried(standing.tile, standing.eps)
        standing.take(found)
        left = np.flatnonzero(found.fooled)
        if not all_steps or not len(left):
            return
        standing = standing.some(left)
        tile, rows, worst = standing.tile, standing.rows, standing.worst
        upper = norms.length(found.x[left], tile.x, self.norm)
        lower = np.zeros_like(upper)
        for _ in range(self.halvings):
            middle = (lower + upper) / 2
            found = self._tried(tile, middle[:, None])
            sizes = norms.length(found.x, tile.x, self.norm)
            smaller = found.fooled & (sizes < upper)
            worst.x[rows[smaller]] = found.x[smaller]
            worst.margins[rows[smaller]] = found.margins[smaller]
            upper = np.where(smaller, sizes, upper)
            lower = np.where(smaller, lower, middle)

    def _tried(self, tile: Tile, eps: Any) -> Worst:
        """Attack from the clean inputs and, where that fails, from random starts."""
        attack = PGD(self.steps, norm=self.norm, random_start=False)
        found = attack._search(tile, eps, all_steps=False)
        left = np.flatnonzero(~found.fooled)
        if self.restarts > 1 and len(left):
            again = replace(attack, random_start=True, restarts=self.restarts - 1)
            part = Standing(tile.some(left), left, tile.each(eps)[left, None], found)
            part.take(again._search(part.tile, part.eps, all_steps=False))
        return found
