"""Attacks: each is an object that moves the rows of one tile, and `evaluate` counts what they do.

`ATTACKS` lists them by name. `docs/adding-an-attack.md` says how to add one.
"""

from __future__ import annotations

from fastnn.attacks._base import Answer, Attack
from fastnn.attacks._fgsm import FGSM, fgsm
from fastnn.attacks._iterated_fgsm import IteratedFGSM
from fastnn.attacks._tile import Tile

ATTACKS: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "iterated-fgsm": IteratedFGSM,
}

__all__ = ["ATTACKS", "FGSM", "Answer", "Attack", "IteratedFGSM", "Tile", "fgsm"]
