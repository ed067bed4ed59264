"""The figure of ``fastnn attack --plot``: a digit of every class that fell, at every eps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fastnn.attacks import Attack

MOST_BLOCKS = 6  # of an attack and an eps, so that digits can still be seen


class Fall(NamedTuple):
    """One attack at one eps: what the network says then."""

    title: str
    attack: Attack
    eps: float
    prediction: Any  # ndarray of int64, shape (N,)


def draw(
    path: Path,
    net: Any,
    x: Any,
    labels: Any,
    clean: Any,
    falls: list[Fall],
    goal: tuple[Any, int],
    way: tuple[str, tuple[float, float] | None],
) -> str:
    """Draw up to one digit of each class, and say what the figure shows.

    A digit is the first of its class that was right and is wrong in one of the blocks; where no
    digit at all fell, it is the first of its class. `goal` has the targets, or None, and the seed;
    `way` has the bounds.
    """
    import numpy as np

    from fastnn import _drawing, plots

    every = np.unique(np.linspace(0, len(falls) - 1, MOST_BLOCKS).astype(int))
    drawn = [falls[k] for k in every]
    fell = (clean == labels) & np.any([one.prediction != labels for one in drawn], axis=0)
    of_class = [np.flatnonzero(fell & (labels == c))[:1] for c in range(net.sizes[-1])]
    if not fell.any():
        of_class = [np.flatnonzero(labels == c)[:1] for c in range(net.sizes[-1])]
    shown = np.concatenate(of_class)[: _drawing.MOST_IMAGES]
    targets, seed = goal
    blocks = [
        (
            one.title,
            one.attack.perturb(
                net,
                x[shown],
                labels[shown],
                one.eps,
                way[1],
                targets=None if targets is None else targets[shown],
                rng=(seed, shown),
            ),
            one.prediction[shown],
        )
        for one in drawn
    ]
    figure = _drawing.attacked_images(x[shown], labels[shown], clean[shown], blocks)
    plots.save(figure, path)
    what = "the first of each class that fell" if fell.any() else "the first of each; none fell"
    left_out = f"; {len(falls) - len(drawn)} more not drawn" if len(falls) > len(drawn) else ""
    names = ", ".join(one.title for one in drawn)
    return f"{len(shown)} images, {what}, {way[0]}: {names}{left_out}"
