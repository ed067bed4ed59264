"""Auto-PGD: projected gradient descent that chooses its step sizes by its progress."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks import _norms as norms
from fastnn.attacks import _objectives as objectives
from fastnn.attacks._search import Search, Standing
from fastnn.attacks._tile import Tile

Array = NDArray[Any]

_LOSSES = ("ce", "dlr", "dlr-targeted")
_INERTIA = 0.75  # of the paper: the share of a step that is new
_PROGRESS = 0.75  # the share of steps between two checkpoints that have to raise the loss


@dataclass(frozen=True)
class APGD(Search):
    """Projected gradient descent with momentum, whose step is halved where the loss stops rising.

    Parameters
    ----------
    steps : int, optional
        Gradient steps of each run, at least 1.
    loss : {"ce", "dlr", "dlr-targeted"}, optional
        Cross-entropy; difference of logits ratio, which does not depend on the scale of the logits;
        or its targeted form, in one run for each of up to nine other classes, the likeliest first.
    restarts : int, optional
        How often to begin, each time from another point of the ball.
    norm : {"linf", "l2"}, optional
        Norm of the change that eps limits.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range; in a call, the network has fewer than
        three classes for "dlr", or four for "dlr-targeted".

    Notes
    -----
    Croce and Hein (2020), arXiv:2003.01690, algorithm 1. The first step is ``2 * eps``. With P the
    projection and d the steepest direction, ``z = P(x_t + step * d(g))`` and ``x_(t+1) = P(x_t +
    0.75 * (z - x_t) + 0.25 * (x_t - x_(t-1)))``. At checkpoints, a sample whose loss has risen in
    fewer than three of four steps, or not at all since the step was last changed, goes back to its
    best input with half of the step. Targets that are given (`targets=`) are aimed at by all
    losses.

    Differences from the authors' code: the cross-entropy is compared in a form that does not
    underflow, and its gradient does not cancel. Each sample keeps its worst input, that with the
    smallest margin. One sample at a time: `fastnn.reference.apgd`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((2, 4), 0.5, np.float32)
    >>> x_adv = fastnn.attacks.APGD(steps=10, loss="dlr").perturb(net, x, [0, 1], eps=0.25)
    >>> bool(np.abs(x_adv - x).max() <= 0.25)
    True
    """

    steps: int = 100
    loss: str = "ce"
    restarts: int = 1
    norm: str = "linf"

    def __post_init__(self) -> None:
        _checks.positive_integer(self.steps, "steps")
        _checks.positive_integer(self.restarts, "restarts")
        objectives.require(self.loss, _LOSSES)
        norms.require(self.norm, ("linf", "l2"))

    def _runs(self, tile: Tile) -> int:
        """Return the number of restarts, times that of the classes aimed at."""
        classes = tile.workspace.net.sizes[-1]
        targeted = tile.targets is not None or self.loss == "dlr-targeted"
        objectives.require_classes(self.loss, classes, targeted=targeted)
        return self.restarts * (min(classes - 1, 9) if self._aims(tile) else 1)

    def _aims(self, tile: Tile) -> bool:
        """Say whether runs aim at one class after another."""
        return self.loss == "dlr-targeted" and tile.targets is None

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Descend once, by halving steps."""
        tile = standing.tile
        aims = self._likely(tile, number // self.restarts) if self._aims(tile) else tile.targets
        start = np.array(tile.x)
        norms.start(tile, standing.eps, self.norm, number, start)
        state = _State(standing, aims, start)
        checks = _checkpoints(self.steps)
        for step in range(self.steps):
            fooled = self._look(state)
            if step in checks:
                state.check(step - max(c for c in (0, *checks) if c < step))
            if not all_steps and fooled.any():
                left = np.flatnonzero(~fooled)
                if not len(left):
                    return
                state = state.some(left)
            self._move(state, first=step == 0)
        self._look(state)

    def _likely(self, tile: Tile, k: int) -> NDArray[np.int64]:
        """Return for each sample the k-th likeliest of the classes that are not the true one."""
        z = tile.clean_logits()
        z[np.arange(len(z)), tile.labels] = -np.inf
        return np.asarray(np.argsort(-z, axis=1, kind="stable")[:, k])

    def _look(self, state: _State) -> NDArray[np.bool_]:
        """Compute loss and gradient at the present inputs; return which samples they fool."""
        tile, aims, found = state.standing.tile, state.aims, []

        def residual(logits: Array) -> Array:
            value, slope = objectives.ratio(logits, tile.labels, aims)
            found.append(value)
            return slope

        if self.loss != "ce":
            logits, gradient = tile.logits_and_gradient(state.x, residual)
            value = found[0]
        else:
            logits, gradient = tile.logits_and_gradient(state.x)
            value = objectives.cross_entropy(logits, tile.labels if aims is None else aims)
            value = value if aims is None else -value
        fooled = state.standing.see(state.x, logits)
        state.see(value, gradient)
        return fooled

    def _move(self, state: _State, *, first: bool) -> None:
        """Take a step, with inertia but for the first."""
        tile, eps, x = state.standing.tile, state.standing.eps, state.x
        ahead = np.empty_like(x)
        norms.step(tile, x, state.gradient, state.size, eps, self.norm, out=ahead)
        if not first:
            kind = x.dtype.type
            ahead -= x
            ahead *= kind(_INERTIA)
            ahead += kind(1 - _INERTIA) * (x - state.before)
            ahead += x
            norms.into(tile, ahead, eps, self.norm, out=ahead)
        state.before, state.x = x, ahead


def _checkpoints(steps: int) -> tuple[int, ...]:
    """Return the steps before which progress is judged; the paper's section 3.1."""
    shares, found = [0.0, 0.22], []
    while shares[-1] <= 1:
        found.append(math.ceil(round(shares[-1] * steps, 9)))  # 0.57 is 0.5700000000000001
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return tuple(sorted({c for c in found if 0 < c < steps}))


@dataclass
class _State:
    """Where the samples of a run are, and what their progress was."""

    standing: Standing
    aims: NDArray[np.int64] | None
    x: Array
    before: Array = field(init=False)
    best: Array = field(init=False)  # the inputs of the highest loss
    gradient: Array = field(init=False)
    best_gradient: Array = field(init=False)
    size: Array = field(init=False)
    values: NDArray[np.float64] = field(init=False)  # of the step before
    highest: NDArray[np.float64] = field(init=False)
    at_check: NDArray[np.float64] = field(init=False)  # the highest loss at the last checkpoint
    rises: NDArray[np.int64] = field(init=False)  # since the last checkpoint
    halved: NDArray[np.bool_] = field(init=False)  # at the last checkpoint

    def __post_init__(self) -> None:
        n = len(self.x)
        self.before, self.best = self.x.copy(), self.x.copy()
        self.gradient, self.best_gradient = np.zeros_like(self.x), np.zeros_like(self.x)
        self.size = 2 * self.standing.eps
        self.values, self.highest = np.full(n, np.inf), np.full(n, -np.inf)
        self.at_check = np.full(n, -np.inf)
        self.rises, self.halved = np.zeros(n, np.int64), np.ones(n, bool)

    def see(self, values: NDArray[np.float64], gradient: Array) -> None:
        """Note losses and gradients of the present inputs."""
        self.rises += values > self.values
        self.values, self.gradient = values, gradient.copy()
        better = values > self.highest
        self.highest[better] = values[better]
        self.best[better], self.best_gradient[better] = self.x[better], gradient[better]

    def check(self, steps: int) -> None:
        """Halve the steps of samples without progress, and send them back to their best inputs."""
        slow = self.rises < _PROGRESS * steps
        stuck = ~self.halved & (self.highest <= self.at_check)
        self.halved = slow | stuck
        self.at_check = self.highest.copy()
        self.rises[:] = 0
        self.size[self.halved] /= 2
        self.x = np.where(self.halved[:, None], self.best, self.x)
        self.gradient[self.halved] = self.best_gradient[self.halved]

    def some(self, chosen: NDArray[np.int64]) -> _State:
        """Return the state of some of the samples."""
        part = object.__new__(_State)
        for name, value in vars(self).items():
            if name == "standing":
                part.standing = value.some(chosen)
            else:
                setattr(part, name, None if value is None else value[chosen])
        return part
