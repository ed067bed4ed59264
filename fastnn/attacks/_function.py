"""Adversarial inputs from a function of the user's, checked before they count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._kernels import elementwise
from fastnn.attacks._base import Attack
from fastnn.attacks._budget import Budget
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

Array = NDArray[Any]

# f(net, x, labels, eps, bounds) -> adversarial inputs
Function = Callable[[MLP, Array, NDArray[np.int64], float, tuple[float, float] | None], Array]


class Given(Attack):
    """An attack by a function, which is called for all samples at once, before the tiles."""

    def __init__(self, function: Function, results: dict[float, Array] | None = None) -> None:
        self._function = function
        self._results = results or {}  # by the eps in the type of the network
        self.name = getattr(function, "__name__", type(function).__name__)

    def _begin(
        self,
        net: MLP,
        x: Array,
        labels: NDArray[np.int64],
        eps: NDArray[np.float64],
        bounds: tuple[float, float] | None,
    ) -> Given:
        """Call the function for every eps, and check what it returns.

        Raises
        ------
        TypeError, ValueError
            A result is no array of the shape and type of `x`; an entry is further than eps from the
            clean one, outside the bounds, or not finite. The message names row, column and value.
        """
        budget, results = Budget(("linf",), _checks.bounds(bounds)), {}
        clean = floats(x, net)
        for one in eps:
            found = self._function(net, clean.copy(), labels.copy(), float(one), bounds)
            if not isinstance(found, np.ndarray):
                raise TypeError(f"the attack returned no array, but {type(found).__name__}")
            if found.shape != clean.shape or found.dtype != clean.dtype:
                raise ValueError(
                    f"the attack returned {found.dtype} of shape {found.shape} for {clean.dtype} "
                    f"of shape {clean.shape}"
                )
            used = net.dtype.type(one)
            budget.require(found, clean, used, np.arange(len(clean)))
            results[float(used)] = found
        return Given(self._function, results)

    def perturb_tile(self, tile: Tile, eps: Any) -> Array:
        """Return the results for an eps."""
        used = float(np.ravel(eps)[0])
        return np.asarray(self._results[used][tile.numbers])


def floats(x: Array, net: MLP) -> Array:
    """Return inputs in the type of the network, pixels of uint8 as numbers in [0, 1]."""
    if x.dtype != np.uint8:
        return x
    out = np.empty(x.shape, net.dtype)
    elementwise._scale_pixels(np.ascontiguousarray(x), out)
    return out
