"""DeepFool: to the nearest class boundary of a linear network, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks import _norms as norms
from fastnn.attacks._search import Search, Standing
from fastnn.attacks._tile import Tile

Array = NDArray[Any]

# The least length of a step, which takes it across a boundary that it has reached: bounds may have
# cut the step before, and the gap is 0 where the logits are equal.
_LEAST = 1e-4


@dataclass(frozen=True)
class DeepFool(Search):
    """Steps to the nearest boundary of the network's linear approximation.

    Parameters
    ----------
    steps : int, optional
        The most steps for a sample, at least 1.
    overshoot : float, optional
        Share of the whole change by which it is made longer, >= 0, so that the boundary is crossed.
    norm : {"l2", "linf"}, optional
        Norm in which the boundary is the nearest, and that eps limits.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range.

    Notes
    -----
    With ``w_k`` the gradient of ``z_k - z_label`` and ``f_k`` its value, the nearest boundary is
    that of the class k with the smallest ``|f_k| / ||w_k||_2``, and the step to it is ``|f_k| w_k /
    ||w_k||_2**2``; in L-infinity ``|f_k| / ||w_k||_1 * sign(w_k)``. Moosavi-Dezfooli, Fawzi and
    Frossard (2016), arXiv:1511.04599, algorithm 2. A step is at least 1e-4 long, so that it crosses
    a boundary at which bounds have stopped the step before. A sample that is fooled stops. With
    targets, the class is the target.

    The method looks for a small change, not for the worst one within eps: a result that is further
    than eps is brought back to it, and does not fool the network there as a rule.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[3.0, -3.0], [4.0, -4.0]])], [np.zeros(2)])
    >>> x = np.array([[0.3, 0.4]])  # at a distance of 0.5 from the boundary
    >>> x_adv = fastnn.attacks.DeepFool(overshoot=0.02).perturb(net, x, [0], eps=1)
    >>> round(float(np.linalg.norm(x_adv - x)), 6)
    0.51
    """

    steps: int = 50
    overshoot: float = 0.02
    norm: str = "l2"

    def __post_init__(self) -> None:
        _checks.positive_integer(self.steps, "steps")
        _checks.real(self.overshoot, "overshoot")
        norms.require(self.norm, ("l2", "linf"))

    def _runs(self, tile: Tile) -> int:
        """Return 1: another run would be the same."""
        return 1

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Go to one boundary after another until the sample is fooled."""
        clean = standing.tile.x.astype(np.float64)
        change = np.zeros_like(clean)
        x, near = np.array(standing.tile.x), np.empty_like(standing.tile.x)
        for step in range(self.steps + 1):
            tile = standing.tile
            norms.into(tile, x, standing.eps, self.norm, out=near)
            standing.see(near, tile.logits(near))
            fooled = tile.fooled(tile.logits(x))
            left = np.flatnonzero(~fooled)
            if step == self.steps or not len(left):
                return
            if fooled.any():
                standing, clean, change, x = standing.some(left), clean[left], change[left], x[left]
                near = np.empty_like(x)
            change += self._to_the_nearest(standing.tile, x)
            moved = clean + (1 + self.overshoot) * change
            x = np.clip(moved, standing.tile.lower, standing.tile.upper).astype(x.dtype)

    def _to_the_nearest(self, tile: Tile, x: Array) -> NDArray[np.float64]:
        """Return the step to the nearest boundary, for each sample."""
        classes, rows = tile.workspace.net.sizes[-1], np.arange(len(x))
        nearest = np.full(len(x), np.inf)
        step = np.zeros(x.shape)
        others = [(tile.labels + k) % classes for k in range(1, classes)]
        if tile.targets is not None:
            others = [tile.targets]
        one_hot = np.eye(classes, dtype=x.dtype)
        residuals = (one_hot[other] - one_hot[tile.labels] for other in others)
        found = tile.derivatives(x, residuals)
        for other, (logits, gradient) in zip(others, found, strict=True):
            slope = gradient.astype(np.float64)
            gap = np.abs(logits[rows, other].astype(np.float64) - logits[rows, tile.labels])
            size = np.linalg.norm(slope, axis=1, ord=2 if self.norm == "l2" else 1)
            way = slope / np.maximum(size, 1e-300)[:, None] if self.norm == "l2" else np.sign(slope)
            length = np.where(size > 0, gap / np.maximum(size, 1e-300), np.inf)
            better = length < nearest
            nearest[better] = length[better]
            step[better] = np.maximum(length, _LEAST)[better, None] * way[better]
        return step
