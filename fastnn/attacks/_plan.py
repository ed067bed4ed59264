"""What is asked for of samples: an attack with its budget, range and random numbers, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks import ATTACKS, Attack, InTurn
from fastnn.attacks._function import Function, Given
from fastnn.attacks._lattice import Lattice
from fastnn.attacks._names import norms_of

AttackLike = str | Attack | Function | Sequence[str | Attack | Function]


class Plan(NamedTuple):
    """What is to be done with every sample; it can be sent to another process.

    Attributes
    ----------
    attack : Attack
        As it was asked for.
    asked : float or ndarray of float64, shape (K,)
        The eps that were asked for.
    eps : ndarray of float64, shape (K,)
        What the attack is given: `asked`, in L-infinity rounded down to the lattice.
    bounds : tuple (lower, upper) or None
    recount : bool
        Count the sweep of FGSM again from adversarial arrays.
    keep : bool
        Keep the adversarial arrays.
    lattice : Lattice, optional
        Count inputs after they were rounded to it.
    verify : float
        Share of the samples that are counted again in float64.
    """

    attack: Attack
    asked: float | NDArray[np.float64]
    eps: NDArray[np.float64]
    bounds: tuple[float, float] | None
    recount: bool = False
    keep: bool = False
    lattice: Lattice | None = None
    verify: float = 0.0


def plan_of(
    attack: AttackLike,
    eps: Any,
    bounds: tuple[float, float] | None,
    *,
    recount: bool,
    keep: bool,
    lattice: int | None,
    verify: float = 0.0,
) -> Plan:
    """Return what is asked for, after checks."""
    chosen, asked, limits = attack_of(attack), _checks.eps(eps), _checks.bounds(bounds)
    used, grid = np.array(asked, np.float64, ndmin=1), None
    if lattice is not None:
        grid = Lattice.of(lattice, used, norms_of(chosen), limits)
        used = grid.eps
    pair = None if bounds is None else (limits.lower, limits.upper)
    return Plan(chosen, asked, used, pair, recount, keep, grid, verify)


def attack_of(attack: AttackLike) -> Attack:
    """Return an attack given by name, as an object, as several or as a function.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or no attack has that name.
    """
    if isinstance(attack, str):
        if attack not in ATTACKS:
            raise ValueError(f"attack must be one of {tuple(ATTACKS)}, got {attack!r}")
        return ATTACKS[attack]()
    if isinstance(attack, Attack):
        return attack
    if isinstance(attack, (list, tuple)):
        return InTurn(tuple(attack_of(one) for one in attack))
    if callable(attack) and not isinstance(attack, type):
        return Given(attack)
    raise TypeError(f"attack must be a name, an Attack or a function, got {attack!r}")
