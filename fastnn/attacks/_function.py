"""Adversarial inputs from a function of the user's, checked before they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks._base import Attack, Found
from fastnn.attacks._budget import Budget
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

Array = NDArray[Any]

# f(net, x, labels, eps, bounds) -> adversarial inputs
Function = Callable[[MLP, Array, NDArray[np.int64], float, tuple[float, float] | None], Array]


class Given(Attack):
    """An attack whose results are there already: an array (N, D) for every eps."""

    def __init__(self, results: list[Array], name: str) -> None:
        self._results = results
        self.name = name

    def perturb_tile(self, tile: Tile, eps: Any) -> Array:
        """Return the results for the first eps."""
        return np.asarray(self._results[0][tile.numbers])

    def answers(self, tile: Tile, eps: Array) -> Iterator[Found]:
        """Yield the results for each eps."""
        for k in range(len(eps)):
            yield Found(k, self._results[k][tile.numbers])


def given_by(
    function: Function,
    net: MLP,
    x: Array,
    labels: NDArray[np.int64],
    eps: NDArray[np.float64],
    bounds: tuple[float, float] | None,
    limits: _checks.Bounds,
) -> Given:
    """Call a function for every eps, and check what it returns.

    Raises
    ------
    TypeError, ValueError
        A result is no array of the shape and type of `x`; an entry is further than eps from the
        clean one, outside the bounds, or not finite. The message names row, column and value.
    """
    results = []
    for one in eps:
        found = function(net, x.copy(), labels.copy(), float(one), bounds)
        if not isinstance(found, np.ndarray):
            raise TypeError(f"the attack returned no array, but {type(found).__name__}")
        if found.shape != x.shape or found.dtype != x.dtype:
            raise ValueError(
                f"the attack returned {found.dtype} of shape {found.shape} for {x.dtype} of shape "
                f"{x.shape}"
            )
        Budget(("linf",), limits).require(found, x, x.dtype.type(one), np.arange(len(x)))
        results.append(found)
    return Given(results, getattr(function, "__name__", type(function).__name__))
