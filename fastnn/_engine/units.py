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
_FEW = 0.5  # share that is right


def checked(net: Network, x: ArrayLike, *, level: int = 3) -> NDArray[Any]:
    """Return `x` as (N, D), and warn if it looks like 0 to 255 and the network knows [0, 1].

    The warning names the line that is `level` calls up.
    """
    rows = _checks.inputs(x, net.sizes[0], net.dtype)
    warn_of_pixels(net, rows, level=level + 1)
    return rows


def warn_of_pixels(net: Network, rows: NDArray[Any], *, level: int) -> None:
    """Warn if inputs (N, D) look like 0 to 255 and the network knows [0, 1].

    The network is asked about ``x / 255``: one that was trained on [0, 1] is sure of its answers
    there, and they are those that it gives for `x`. One that was trained on 0 to 255 is not sure,
    as all that is divided by 255 is nearly 0 to it.
    """
    if not _units.like_pixels(rows):
        return
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


def warn_of_shares(
    net: Network, rows: NDArray[Any], labels: NDArray[np.int64], right: float, *, level: int
) -> None:
    """Warn if a network is wrong about most inputs in [0, 1], and right about 255 times those.

    `right` is the share of the inputs (N, D) that it is right about.
    """
    if right >= _FEW or not _units.like_shares(rows):
        return
    step = -(-len(rows) // _ROWS)
    some = rows[::step].astype(net.dtype)
    larger = some if rows.dtype == np.uint8 else some * some.dtype.type(255)
    then = float((passes.predictions(net, larger) == labels[::step]).mean())
    if then > max(_FEW, 2 * right):
        warnings.warn(
            f"the network is right about {right:.1%} of x, but about {then:.1%} of what is 255 "
            "times as large: it seems to be trained on 0 to 255; net.with_input(scale=255) takes "
            "[0, 1] and uint8 pixels, with eps and bounds in these units",
            stacklevel=level,
        )


def samples(net: Network, x: ArrayLike, labels: ArrayLike) -> tuple[Any, NDArray[np.int64]]:
    """Return inputs (N, D), N > 0, and labels (N,), checked against the widths of a network."""
    rows = checked(net, x, level=4)
    _checks.some_rows(rows)
    return rows, _checks.labels(labels, len(rows), net.sizes[-1])
