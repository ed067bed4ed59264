"""Projected gradient descent: gradient steps, each back to within eps of the clean input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn.attacks import _norms as norms
from fastnn.attacks import _objectives as objectives
from fastnn.attacks._search import Search, Standing
from fastnn.attacks._steps import Steps
from fastnn.attacks._tile import Residual, Tile
from fastnn.networks import MLP

Array = NDArray[Any]


def pgd(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any,
    bounds: tuple[float, float] | None = None,
    *,
    steps: int = 40,
    step_size: float | None = None,
    norm: str = "linf",
    random_start: bool = True,
    restarts: int = 1,
    targets: ArrayLike | None = None,
    rng: Any = 0,
) -> NDArray[Any]:
    """Attack every sample by projected gradient descent; see `fastnn.attacks.PGD`.

    Parameters
    ----------
    net, x, labels, eps, bounds, targets, rng
        As for `fastnn.attacks.Attack.perturb`.
    steps, step_size, norm, random_start, restarts
        As for `fastnn.attacks.PGD`.

    Returns
    -------
    ndarray, shape of `x`, type of the network
        A new array: of each sample the worst input over all steps and restarts.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `fastnn.attacks.PGD` and `fastnn.fgsm`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0], [-1.0, 1.0]])], [np.zeros(2)])
    >>> fastnn.pgd(net, np.array([[0.5, 0.5]]), [0], eps=0.25, random_start=False)
    array([[0.25, 0.75]])
    """
    attack = PGD(steps, step_size, norm, random_start, restarts)
    return attack.perturb(net, x, labels, eps, bounds, targets=targets, rng=rng)


@dataclass(frozen=True)
class PGD(Search):
    """Projected gradient descent, from the clean inputs or from random ones nearby.

    Parameters
    ----------
    steps : int, optional
        Gradient steps of each restart, at least 1.
    step_size : float, optional
        Length of a step, in the norm of the attack, > 0. Default: ``2.5 * eps / steps``.
    norm : {"linf", "l2", "l1"}, optional
        Norm of the change that eps limits.
    random_start : bool, optional
        Begin at a random point of the ball, another one in each restart, instead of the clean
        input.
    restarts : int, optional
        How often to begin, at least 1.
    momentum : float, optional
        Share of the direction before that each step keeps, >= 0. With signs and from the clean
        input, this is MI-FGSM.
    loss : {"ce", "dlr"}, optional
        Cross-entropy, or difference of logits ratio, with targets its targeted form.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range; without `random_start` and with several
        restarts, which would all be the same; in a call, the network has fewer than three classes
        for "dlr", or four with targets.

    Notes
    -----
    ``x_(t+1) = P(x_t + step_size * d(g_t))`` with the gradient ``g_t`` of the loss at ``x_t``, the
    nearest point P within ball and bounds, and the steepest direction d of the norm: ``sign(g)``,
    ``g / ||g||_2``, or the entries with the largest derivatives. Madry et al. (2018),
    arXiv:1706.06083, section 2; with momentum, ``g`` is ``momentum * g_(t-1) + g / ||g||_1``, Dong
    et al. (2018), arXiv:1710.06081, section 3.

    Each sample keeps its own worst input, of all steps and restarts, the starts among them: the one
    with the smallest margin (the true class's logit less the largest other one). Where only counts
    are wanted, a sample that is fooled is not attacked any more. One sample at a time:
    `fastnn.reference.pgd`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((2, 4), 0.5, np.float32)
    >>> attack = fastnn.attacks.PGD(steps=20, norm="l2")
    >>> x_adv = attack.perturb(net, x, [0, 1], eps=0.25, bounds=(0, 1))
    >>> bool(np.linalg.norm(x_adv - x, axis=1).max() <= 0.2501)
    True
    """

    steps: int = 40
    step_size: float | None = None
    norm: str = "linf"
    random_start: bool = True
    restarts: int = 1
    momentum: float = 0.0
    loss: str = "ce"

    def __post_init__(self) -> None:
        _checks.positive_integer(self.steps, "steps")
        _checks.positive_integer(self.restarts, "restarts")
        norms.require(self.norm)
        objectives.require(self.loss)
        _checks.real(self.momentum, "momentum")
        if self.step_size is not None:
            _checks.real(self.step_size, "step_size", open_below=True)
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts without a random start would all be the same")

    def _runs(self, tile: Tile) -> int:
        """Return the number of restarts."""
        targeted = tile.targets is not None
        objectives.require_classes(self.loss, tile.workspace.net.sizes[-1], targeted=targeted)
        return self.restarts

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Descend once from every sample or from a point near it."""
        tile, eps = standing.tile, standing.eps
        x = np.array(tile.x)
        if self.random_start:
            norms.start(tile, eps, self.norm, number, x)
        sizes = self._sizes(tile, eps)
        velocity = np.zeros_like(x if self.momentum else x[:0])
        signed = Steps(tile, x) if self.norm == "linf" else None
        for _ in range(self.steps):
            products = None if signed is None else signed.products(x)
            logits, gradient = tile.logits_and_gradient(x, self._residual(tile), products=products)
            fooled = standing.see(x, logits)
            if self.momentum:
                gradient = self._with_momentum(velocity, gradient)
            norms.step(tile, x, gradient, sizes, eps, self.norm, out=x)
            if not all_steps and fooled.any():
                left = np.flatnonzero(~fooled)
                if not len(left):
                    return
                standing = standing.some(left)
                tile, eps = standing.tile, standing.eps
                signed = None if signed is None else signed.some(tile, left)
                x, sizes = x[left], sizes[left]
                velocity = velocity[left] if self.momentum else velocity
        products = None if signed is None else signed.products(x)
        standing.see(x, tile.logits(x, products=products))

    def _residual(self, tile: Tile) -> Residual | None:
        """Return the derivative of the loss by the logits; None: that of the cross-entropy."""
        if self.loss == "ce":
            return None
        return lambda logits: objectives.ratio(logits, tile.labels, tile.targets)[1]

    def _sizes(self, tile: Tile, eps: Array) -> Array:
        """Return the length of a step for each sample, shape (n, 1)."""
        kind = tile.x.dtype
        if self.step_size is None:
            return np.asarray(kind.type(2.5 / self.steps) * eps, kind)
        if not kind.type(self.step_size):
            raise ValueError(f"step_size {self.step_size} is 0 in {kind}")
        return np.full_like(eps, self.step_size)

    def _with_momentum(self, velocity: Array, gradient: Array) -> Array:
        """Return the direction: the one before, and the gradient over its L1 norm."""
        largest = np.abs(gradient).max(axis=1, keepdims=True)
        scaled = gradient / np.where(largest > 0, largest, 1)  # the sum may overflow
        total = np.abs(scaled).sum(axis=1, keepdims=True)
        velocity *= velocity.dtype.type(self.momentum)
        velocity += scaled / np.where(total > 0, total, 1)
        return velocity
