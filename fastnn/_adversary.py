"""Adversarial training: every batch is moved by an attack on the network as it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks, _units
from fastnn._engine.descent import Samples
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

    def __init__(
        self,
        adversary: Adversary,
        net: MLP,
        samples: Samples,
        generator: np.random.Generator,
    ) -> None:
        self._adversary = adversary
        self._net, self._samples, self._generator = net, samples, generator
        self._seed = 0

    def begin_epoch(self, _: int) -> None:
        """Draw a new seed for random starts."""
        self._seed = int(self._generator.integers(2**63))

    def __call__(self, rows: Rows) -> NDArray[Any]:
        """Return adversarial inputs for some of the samples."""
        attack, eps, bounds = self._adversary
        x, labels = self._samples[0][rows], self._samples[1][rows]
        rng = self._seed, numbers_of(rows)
        return attack.perturb(self._net, x, labels, eps, bounds, rng=rng)


def adversary_of(
    attack: Any,
    eps: float | None,
    bounds: tuple[float, float] | None,
    net: MLP,
    samples: Samples,
) -> Adversary | None:
    """Return what moves the batches, None where nothing does, after checks."""
    if attack is None:
        if eps is not None or bounds is not None:
            raise TypeError("eps and bounds are those of an attack: give attack, too")
        return None
    if eps is None:
        raise TypeError("attack needs eps, the budget of a sample")
    budget, limits = _checks.real(eps, "eps"), _checks.bounds(bounds)
    _checks.inputs(samples[0], net.sizes[0], net.dtype, limits=limits)
    if bounds is None:
        _units.require_stated(samples[0], "x")
    return Adversary(attack_of(attack), budget, bounds)
