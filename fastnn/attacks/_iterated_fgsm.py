"""The fast gradient sign method, iterated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks._base import Attack
from fastnn.attacks._steps import Steps
from fastnn.attacks._tile import Tile


@dataclass(frozen=True)
class IteratedFGSM(Attack):
    """Several signed-gradient steps, each kept within eps of the clean input.

    Parameters
    ----------
    steps : int, optional
        Number of steps, at least 1.
    step_size : float, optional
        Length of a step in every entry, > 0. Default: ``2.5 * eps / steps``.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range.

    Notes
    -----
    ``x_(t+1) = clip(x_t + step_size * sign(dL/dx_t))``, clipped to within eps of x_0 = x and to the
    bounds; the last of them is the result. Kurakin, Goodfellow and Bengio (2017),
    arXiv:1607.02533, section 2.2. The default step size is that of Madry et al. (2018),
    arXiv:1706.06083, appendix B. One sample at a time: `fastnn.reference.iterated_fgsm`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((2, 4), 0.5, np.float32)
    >>> attack = fastnn.attacks.IteratedFGSM(steps=20)
    >>> x_adv = attack.perturb(net, x, [0, 1], eps=0.25, bounds=(0, 1))
    >>> bool(np.abs(x_adv - x).max() <= 0.25)
    True
    """

    steps: int = 10
    step_size: float | None = None

    def __post_init__(self) -> None:
        _checks.positive_integer(self.steps, "steps")
        if self.step_size is not None:
            _checks.real(self.step_size, "step_size", open_below=True)

    def perturb_tile(self, tile: Tile, eps: Any) -> NDArray[Any]:
        """Return the inputs after all steps."""
        kind = tile.x.dtype
        size = kind.type(2.5 * eps / self.steps if self.step_size is None else self.step_size)
        if self.step_size and not size:
            raise ValueError(f"step_size {self.step_size} is 0 in {kind}")
        x, out = tile.x, tile.buffer("adversarial")
        steps = Steps(tile, x)
        for _ in range(self.steps):
            gradient = tile.gradient(x, products=None if x is tile.x else steps.products(x))
            x = tile.step(x, gradient, size, eps, out)
        return x
