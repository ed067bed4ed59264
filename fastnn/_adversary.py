"""Adversarial training: every batch is moved by an attack on the network as it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks, _units
from fastnn._engine.descent import Part
from fastnn._engine.tiles import numbers_of
from fastnn._engine.workspace import Rows
from fastnn.attacks import Attack
from fastnn.attacks._plan import attack_of
from fastnn.networks import MLP


class Adversary(NamedTuple):
    """The attack of adversarial training, its budget and the range of an input."""

    attack: Attack
    eps: float
    bounds: tuple[float, float] | None


class Moves:
    """Moves the rows of a batch by an attack on the network as it is."""

    def __init__(self, adversary: Adversary, net: MLP, generator: np.random.Generator) -> None:
        self._adversary = adversary
        self._net, self._generator = net, generator
        self._seed = 0

    def begin_epoch(self, _: int) -> None:
        """Draw a new seed for random starts."""
        self._seed = int(self._generator.integers(2**63))

    def __call__(self, part: Part, rows: Rows) -> NDArray[Any]:
        """Return adversarial inputs for some of the samples."""
        attack, eps, bounds = self._adversary
        numbers = numbers_of(rows) if part.numbers is None else part.numbers[rows]
        rng = self._seed, numbers
        return attack.perturb(self._net, part.x[rows], part.labels[rows], eps, bounds, rng=rng)


def adversary_of(
    attack: Any,
    eps: float | None,
    bounds: tuple[float, float] | None,
    net: MLP,
    x: NDArray[Any],
) -> Adversary | None:
    """Return what moves the batches, None where nothing does, after checks.

    `x` are the inputs, or some of those that are outside of memory.
    """
    if attack is None:
        if eps is not None or bounds is not None:
            raise TypeError("eps and bounds are those of an attack: give attack, too")
        return None
    if eps is None:
        raise TypeError("attack needs eps, the budget of a sample")
    budget, limits = _checks.real(eps, "eps"), _checks.bounds(bounds)
    _checks.inputs(x, net.sizes[0], net.dtype, limits=limits)
    if bounds is None:
        _units.require_stated(x, "x")
    return Adversary(attack_of(attack), budget, bounds)
