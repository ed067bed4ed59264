"""Known answers of whole passes: networks, gradients and counts, with kernels and BLAS together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn.attacks import PGD
from fastnn.attacks.evaluate import adversarial_accuracy
from fastnn.cli._answers._compare import Answer, Kind
from fastnn.networks import MLP

_ATTACKS: tuple[tuple[str, str | PGD, float | list[float]], ...] = (
    ("FGSM", "fgsm", 0.05),
    ("FGSM, a sweep", "fgsm", [0.02, 0.05]),
    ("PGD", PGD(3), 0.05),
)
_ROWS = (5, 40, 200)  # a few, panels of few rows, tiles with packed weights


def of_passes(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for counts under attack, every one of which float64 counts again."""
    for activation in ("relu", "sigmoid", "tanh"):
        net = MLP.random((150, 170, 130, 10), activation, rng=1, dtype=kind)
        for rows in _ROWS:
            x = np.where(rng.random((rows, 150)) < 0.3, rng.random((rows, 150)), 0).astype(kind)
            labels = net.predict(x)
            for name, attack, eps in _ATTACKS:
                what = f"{name} on {rows} rows, {activation}, {kind}"
                try:
                    adversarial_accuracy(net, x, labels, eps, (0, 1), attack=attack, verify=1)
                except (ArithmeticError, ValueError) as error:
                    inf = float("inf")
                    yield Answer(what, inf, f"{what}: {type(error).__name__}: {error}")
                else:
                    yield Answer(what, 0.0, "")
