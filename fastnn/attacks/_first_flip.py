"""The smallest eps of FGSM that changes the prediction, for each sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.losses import predictions
from fastnn._engine.narrow import MOST_ROWS as MOST_SHARED
from fastnn._engine.tiles import for_each_tile, numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._runtime.progress import Progress
from fastnn._runtime.threads import thread_count
from fastnn.attacks._base import checked
from fastnn.attacks._fgsm import FirstLayer
from fastnn.attacks._goal import Goal
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

_AT_ONCE = 8  # eps between two looks at which samples are left
_MOST = 2**20  # multiples of the tolerance


def first_flip(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    bounds: tuple[float, float] | None = None,
    *,
    largest: float | None = None,
    tolerance: float = 0.005,
    threads: int | None = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Find for every sample the smallest eps at which FGSM makes the network wrong.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), real numbers or uint8
        Inputs, in the units that eps is given in; uint8 pixels are divided by 255 first.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).
    bounds : tuple (lower, upper), optional
        Valid range of an input; adversarial inputs are clipped to it. Default: no clipping, and
        inputs that look like pixels of 0 to 255, of any type but uint8, are an error.
    largest : float, optional
        The largest eps that is tried, > 0. Default: the width of the bounds, beyond which nothing
        changes; without bounds it has to be given.
    tolerance : float, optional
        Distance of the eps that are tried, > 0.
    threads : int, optional
        Number of threads. Default: as for `fastnn.adversarial_accuracy`.
    progress : bool, optional
        Draw a bar on standard error.

    Returns
    -------
    ndarray of float64, shape (N,) or ()
        A multiple of `tolerance`; 0 where the network is wrong without an attack, infinite where it
        is right at every eps up to `largest`.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `fastnn.fgsm`; `largest` or `tolerance` is not a positive number; there are neither
        bounds nor `largest`; `largest` is more than 2**20 times the tolerance.

    Notes
    -----
    On the ray ``x(eps) = clip(x + eps * sign(dL/dx))``, every multiple of the tolerance is tried
    until one changes the prediction. The network is right at all smaller multiples. It may be wrong
    and right again between two of them. One gradient serves all eps, and a sample that has flipped
    is left out.

    The accuracy under FGSM at any multiple of the tolerance up to the first flip follows: it is at
    most ``(first_flip > eps).mean()``, and equal to it where no prediction becomes right again. One
    sample at a time: `fastnn.reference.first_flip`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
    >>> x = np.array([[0.25], [0.45], [0.75]])  # class 0 begins at 0.5
    >>> flips = fastnn.first_flip(net, x, [1, 1, 1], bounds=(0, 1), tolerance=0.02)
    >>> flips.round(2)
    array([0.26, 0.06, 0.  ])
    >>> float((flips > 0.1).mean().round(2))  # the accuracy at eps 0.1
    0.33
    """
    limits, rows, truth = checked(net, x, labels, bounds)
    eps = _tried(limits, largest, tolerance, net.dtype)
    found = np.full(len(rows), math.inf)

    def work(ws: Workspace, some: Rows) -> None:
        numbers = numbers_of(some)
        tile = Tile(ws, ws.h[0], truth[numbers], numbers, limits, Goal())
        found[numbers] = _of_tile(tile, eps)

    with Progress("first flip", len(rows), enabled=progress) as bar:
        for_each_tile(
            net,
            rows,
            work,
            to=0,
            direction=True,
            variants=_AT_ONCE,
            order=truth.argsort(kind="stable") if len(rows) > MOST_SHARED else None,
            threads=thread_count(threads),
            progress=bar,
        )
        bar.update(len(rows))
    return np.asarray(_checks.as_given(x, found))


def _tried(
    limits: _checks.Bounds, largest: float | None, tolerance: float, dtype: Any
) -> NDArray[np.float64]:
    """Return the eps that are tried, ascending, without 0."""
    spacing = _checks.real(tolerance, "tolerance", open_below=True)
    if largest is None:
        if not math.isfinite(limits.upper - limits.lower):
            raise ValueError("first_flip needs bounds, or the largest eps to try")
        most = limits.upper - limits.lower
    else:
        most = _checks.real(largest, "largest", open_below=True)
    count = math.ceil(most / spacing * (1 - 1e-12))
    if count > _MOST:
        raise ValueError(f"largest {most:g} is {count:,} times the tolerance {spacing:g}")
    eps: NDArray[np.float64] = np.minimum(spacing * np.arange(1, count + 1), most)
    if not eps[:1].astype(dtype).all():
        raise ValueError(f"tolerance {spacing:g} is 0 in {dtype}")
    return eps


def _of_tile(tile: Tile, eps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first flips of the samples of a tile."""
    labels, found = tile.labels, np.full(len(tile.x), math.inf)
    first, left = FirstLayer(tile), np.arange(len(tile.x))

    def right(logits: NDArray[Any], classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(predictions(logits, np.empty(len(logits), np.int64)) == classes)

    stands = right(tile.clean_logits(), labels)
    found[~stands] = 0
    at_once = min(_AT_ONCE, tile.workspace.capacity)
    for start in range(0, len(eps), at_once):
        left, some = left[stands], np.arange(start, min(start + at_once, len(eps)))
        if not len(left):
            break
        if not stands.all():
            first.keep(stands)
        stands = np.ones(len(left), bool)
        for rows, _, logits in first.answers(eps.astype(tile.x.dtype), some):
            same = right(logits, labels[left[rows]].repeat(len(some))).reshape(-1, len(some))
            stands[rows] = same.all(axis=1)
            flips = left[rows][~stands[rows]]
            found[flips] = eps[some[same[~stands[rows]].argmin(axis=1)]]
    return found
