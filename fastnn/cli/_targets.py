"""Which class an attack is to reach: ``--targets next``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.networks import MLP

WORDS = ("next", "least-likely", "random")


def add_targets_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --targets."""
    parser.add_argument(
        "--targets",
        metavar="WHICH",
        type=_which,
        help="attack until the network answers a certain class. next: the class after the true "
        "one, and 0 after the last; least-likely: the class that the network finds the least "
        "likely for the clean image, the true one aside; random: any other class, drawn with "
        "--rng; a number: that class, and images of that class are left out (default: any wrong "
        "class will do)",
    )


def _which(text: str) -> str | int:
    """Return one of the words, or a class."""
    if text in WORDS:
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a class nor {', '.join(WORDS)}")


def targets_of(which: str | int, net: MLP, x: Any, labels: Any, seed: int) -> tuple[Any, Any]:
    """Return the rows that have a target, and the target of each.

    Parameters
    ----------
    which : {"next", "least-likely", "random"} or int
    net : MLP
    x : ndarray, shape (N, D)
    labels : ndarray of int64, shape (N,)
    seed : int
        Of the random classes.

    Returns
    -------
    rows : ndarray of int64, shape (M,)
        All, except those of the class to reach if it is one class.
    targets : ndarray of int64, shape (M,)

    Raises
    ------
    ValueError
        The network has no such class, or no row has another class.
    """
    import numpy as np

    classes, rows = net.sizes[-1], np.arange(len(labels))
    if which == "next":
        return rows, (labels + 1) % classes
    if which == "random":
        further = np.random.default_rng(seed).integers(1, classes, len(labels))
        return rows, (labels + further) % classes
    if which == "least-likely":
        logits = net.logits(x)
        logits[rows, labels] = np.inf
        return rows, logits.argmin(axis=1)
    if int(which) >= classes:
        raise ValueError(f"--targets {which}: the network has the classes 0 to {classes - 1}")
    rows = np.flatnonzero(labels != which)
    if not len(rows):
        raise ValueError(f"--targets {which}: all images are of class {which}")
    return rows, np.full(len(rows), which)
