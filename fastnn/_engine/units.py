"""Inputs of a network, checked; a warning where it knows them in other units."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _units
from fastnn._engine import passes
from fastnn._engine.network import Network

_ROWS = 256
# Shares of rows, of probability. Networks of tanh that were trained on 0 to 255 reach 0.93, 0.77.
_SAME, _SURE = 0.9, 0.85


def checked(net: Network, x: ArrayLike, *, level: int = 3) -> NDArray[Any]:
    """Return `x` as (N, D), and warn if it looks like 0 to 255 and the network knows [0, 1].

    The warning names the line that is `level` calls up.

    The network is asked about ``x / 255``: one that was trained on [0, 1] is sure of its answers
    there, and they are those that it gives for `x`. One that was trained on 0 to 255 is not sure,
    as all that is divided by 255 is nearly 0 to it.
    """
    rows = _checks.inputs(x, net.sizes[0], net.dtype)
    if _units.like_pixels(rows):
        some = rows[:: -(-len(rows) // _ROWS)]
        scaled = some / some.dtype.type(255)
        same = passes.predictions(net, some) == passes.predictions(net, scaled)
        if same.mean() >= _SAME and passes.probabilities(net, scaled).max(axis=1).mean() >= _SURE:
            warnings.warn(
                f"x has entries up to {rows.max():g}, but the network seems to be trained on "
                "[0, 1]: it says the same about x / 255, and is sure of it; pass that, or uint8 "
                "pixels",
                stacklevel=level,
            )
    return rows


def samples(
    net: Network, x: ArrayLike, labels: ArrayLike, *, level: int = 4
) -> tuple[Any, NDArray[np.int64]]:
    """Return inputs (N, D), N > 0, and labels (N,), checked against the widths of a network."""
    rows = checked(net, x, level=level)
    _checks.some_rows(rows)
    return rows, _checks.labels(labels, len(rows), net.sizes[-1])
