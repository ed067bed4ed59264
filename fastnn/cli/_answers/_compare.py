"""What a kernel answered, beside what it should have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kind = np.dtype[Any]

WIDE = np.longdouble
KINDS = (np.dtype(np.float32), np.dtype(np.float64))


class Answer(NamedTuple):
    """How far one kernel was from what is right.

    Attributes
    ----------
    kernel : str
    error : float
        The largest error, as a share of what rounding explains.
    wrong : str
        What is wrong; empty where nothing is.
    """

    kernel: str
    error: float
    wrong: str


def near(exact: Array, kind: Kind, units: float = 8, scale: Array | float = 0.0) -> Array:
    """Return what rounding explains: so many units of the exact values, or of a larger scale."""
    info = np.finfo(kind)
    size = np.maximum(np.abs(exact), scale)
    return np.asarray(units * (info.eps * size + info.smallest_subnormal))


def answer(kernel: str, found: Any, exact: Any, allowed: Any = 0.0) -> Answer:
    """Compare an array, or a number, with what it should be; a NaN and an infinity only equal."""
    got, wanted = np.atleast_1d(np.asarray(found)), np.atleast_1d(np.asarray(exact))
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    limit = np.broadcast_to(np.asarray(allowed, WIDE), wanted.shape)
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(WIDE) - wanted) / limit
        share = np.where(same, 0.0, np.where(np.isfinite(wanted) & (limit > 0), off, np.inf))
    share = np.where(np.isnan(share), np.inf, share)
    name = f"{kernel} of {got.dtype}"
    if not share.size:
        return Answer(name, 0.0, "")
    worst = np.unravel_index(np.argmax(share), share.shape)
    error, place = float(share[worst]), ", ".join(str(int(i)) for i in worst)
    if error <= 1:
        return Answer(name, error, "")
    text = f"{name}: [{place}] is {got[worst]:.9g}, expected {float(wanted[worst]):.9g}"
    return Answer(name, error, text)


def special(kind: Kind, rows: int, width: int, rng: np.random.Generator) -> Array:
    """Return numbers of all sizes and both signs, with zeros, a NaN and infinities among them."""
    info = np.finfo(kind)
    few = [0, info.smallest_subnormal, info.tiny, 1e-3, 0.5, 1, 17, 40, 64, 88, 104, 700, 1000]
    x = rng.standard_normal((rows, width)) * 10.0 ** rng.uniform(-3, 2, (rows, width))
    chosen = np.array([*few, *(-one for one in few), np.nan, np.inf, -np.inf])
    x.flat[1 : 3 * len(chosen) : 3] = chosen
    return x.astype(kind)
