"""Several attacks in turn, each on the samples that still stand."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.attacks._apgd import APGD
from fastnn.attacks._base import Attack
from fastnn.attacks._minimal_norm import MinimalNorm
from fastnn.attacks._search import Search, Standing
from fastnn.attacks._square import Square
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

Array = NDArray[Any]


@dataclass(frozen=True)
class InTurn(Search):
    """Several attacks, each on the samples that the ones before have not fooled.

    Parameters
    ----------
    attacks : tuple of Attack
        At least one. ``adversarial_accuracy(..., attack=[...])`` makes this from a list.

    Raises
    ------
    ValueError
        There are no attacks.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn.attacks import FGSM, PGD, InTurn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((2, 4), 0.5, np.float32)
    >>> InTurn((FGSM(), PGD())).perturb(net, x, [0, 1], eps=0.25).shape
    (2, 4)
    """

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ValueError("attacks in turn need at least one attack")

    def _begin(
        self,
        net: MLP,
        x: Array,
        labels: NDArray[np.int64],
        eps: NDArray[np.float64],
        bounds: tuple[float, float] | None,
    ) -> InTurn:
        """Return the attacks for a batch: functions among them are called now."""
        begun = tuple(one._begin(net, x, labels, eps, bounds) for one in self.attacks)
        return self if all(map(operator.is_, begun, self.attacks)) else InTurn(begun)

    def _parts(self) -> tuple[Attack, ...]:
        """Return the attacks."""
        return self.attacks

    def _runs(self, tile: Tile) -> int:
        """Return the number of attacks."""
        return len(self._stages_of(tile))

    def _stages_of(self, tile: Tile) -> list[tuple[int, Attack]]:
        """Return the stages of an attack on a tile."""
        targeted = tile.targets is not None
        return self._stages(tile.workspace.net.sizes[-1], targeted=targeted)

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Let one of the attacks at the samples; those that are fooled are left in peace."""
        left = np.flatnonzero(~standing.worst.fooled[standing.rows])
        if not len(left):
            return
        number, attack = self._stages_of(standing.tile)[number]
        part = replace(standing.some(left), attack=number, run=0)
        if isinstance(attack, Search):
            part.take(attack._search(part.tile, part.eps, all_steps=all_steps))
        else:
            x = np.array(attack.perturb_tile(part.tile, part.eps))
            replace(part, run=-1, seen=-1).see(x, part.tile.logits(x))


@dataclass(frozen=True)
class Standard(InTurn):
    """Four attacks in turn that leave little to chance: a network's accuracy under attack.

    APGD with cross-entropy, targeted APGD with the difference of logits ratio, the search for the
    minimal norm, and Square, which uses no gradients; in L2 without Square.

    Parameters
    ----------
    norm : {"linf", "l2"}, optional
        Norm of the change that eps limits.

    Notes
    -----
    The plan is that of AutoAttack, Croce and Hein (2020), arXiv:2003.01690, with another
    minimal-norm attack. With three classes, the untargeted ratio is used; with two, or with three
    and targets, none is.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((1, 4), 0.5, np.float32)
    >>> labels = net.predict(x)
    >>> report = fastnn.adversarial_accuracy(net, x, labels, 0.5, (0, 1), attack="standard")
    >>> report.adversarial_correct
    0
    """

    attacks: tuple[Attack, ...] = field(init=False, repr=False)
    norm: str = "linf"

    def __post_init__(self) -> None:
        every: list[Attack] = [
            APGD(norm=self.norm),
            APGD(loss="dlr-targeted", norm=self.norm),
            MinimalNorm(self.norm),
        ]
        if self.norm == "linf":
            every.append(Square())
        object.__setattr__(self, "attacks", tuple(every))

    def _stages(self, classes: int, *, targeted: bool) -> list[tuple[int, Attack]]:
        """Return the attacks with their numbers, those that a network of so many classes allows."""
        found: list[tuple[int, Attack]] = []
        for number, attack in enumerate(self.attacks):
            if not (isinstance(attack, APGD) and attack.loss == "dlr-targeted" and classes < 4):
                found.append((number, attack))
            elif classes == 3 and not targeted:
                found.append((number, replace(attack, loss="dlr")))
        return found
