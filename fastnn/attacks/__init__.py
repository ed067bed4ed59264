"""Attacks: each is an object that moves the rows of one tile, and `evaluate` counts what they do.

`ATTACKS` lists them by name. `docs/adding-an-attack.md` says how to add one.
"""

from __future__ import annotations

from fastnn.attacks._apgd import APGD
from fastnn.attacks._base import Answer, Attack, Found
from fastnn.attacks._deepfool import DeepFool
from fastnn.attacks._fgsm import FGSM, fgsm
from fastnn.attacks._first_flip import first_flip
from fastnn.attacks._in_turn import InTurn, Standard
from fastnn.attacks._iterated_fgsm import IteratedFGSM
from fastnn.attacks._minimal_norm import MinimalNorm
from fastnn.attacks._pgd import PGD, pgd
from fastnn.attacks._square import Square
from fastnn.attacks._tile import Tile
from fastnn.attacks._verification import VerificationError

ATTACKS: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "iterated-fgsm": IteratedFGSM,
    "pgd": PGD,
    "apgd": APGD,
    "deepfool": DeepFool,
    "minimal-norm": MinimalNorm,
    "square": Square,
    "standard": Standard,
}

__all__ = [
    "APGD",
    "ATTACKS",
    "FGSM",
    "PGD",
    "Answer",
    "Attack",
    "DeepFool",
    "Found",
    "InTurn",
    "IteratedFGSM",
    "MinimalNorm",
    "Square",
    "Standard",
    "Tile",
    "VerificationError",
    "fgsm",
    "first_flip",
    "pgd",
]
