"""The fast gradient sign method: batch in, batch out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _kernels, _passes
from fastnn.networks import MLP


def fgsm(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: float,
    bounds: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Move every sample one signed-gradient step up its own loss.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), type of the network or uint8
        Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255 first.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).
    eps : float
        Largest change of any entry, >= 0.
    bounds : tuple (lower, upper), optional
        Valid range of an input; the result is clipped to it. Default: no clipping.

    Returns
    -------
    ndarray, shape of `x`, type of the network
        A new array, also for ``eps=0``. Row i depends on row i alone, but for rounding: how many
        rows there are and how many zeros decide how products are summed.

    Raises
    ------
    TypeError
        `x` is neither of the network's type nor uint8; labels are not integers.
    ValueError
        Shapes disagree; a label is outside [0, C); `eps` is negative or not finite; an entry of
        `x` is NaN, infinite, or outside `bounds`. The message names the row and the value.
    FloatingPointError
        The logits or the gradient of a row overflow.

    Notes
    -----
    ``x + eps * sign(dL_i/dx_i)``; entries with a zero gradient stay. Goodfellow, Shlens and
    Szegedy (2015), arXiv:1412.6572, section 4. The gradient's sign is right however sure the
    network is, since the residual is formed without cancellation or underflow, and however small
    the gradient is, since every row is scaled by a power of two on its way back through the
    layers. Two limits of the type remain. An entry whose derivative is 2**126 (in float64:
    2**1022) times smaller than the largest of its row may stay where it is. A hidden unit whose
    value underflows in the forward pass (below 1e-45 in float32) counts as inactive; a row in which
    every unit of a layer does so is one of `AdversarialReport.zero_gradient_rows`. One sample at a
    time: `fastnn.reference.fgsm`.
    """
    limits = _checks.bounds(bounds)
    rows = _checks.inputs(x, net.sizes[0], net.dtype, limits=limits)
    truth = _checks.labels(labels, len(rows), net.sizes[-1])
    budget = _checks.eps(eps)
    if not isinstance(budget, float):
        raise ValueError(f"fgsm takes one eps, got {len(budget)}")
    out = np.empty(rows.shape, net.dtype)

    def work(ws: _passes.Workspace, tile: _passes.Rows) -> None:
        _passes.forward(ws)
        ascend(ws, truth, tile)
        step(ws, budget, limits)
        _passes.require_finite(ws.h[0], tile, "steps")
        out[tile] = ws.h[0]

    _passes.for_each_tile(net, rows, work, to=0, direction=True)
    return out[0] if np.ndim(x) == 1 else out


def ascend(ws: _passes.Workspace, labels: NDArray[np.int64], rows: _passes.Rows) -> int:
    """Fill ``ws.g[0]`` with a positive multiple of every row's gradient; the forward pass is done.

    The workspace is one with `direction`.

    Returns the number of rows whose true class has a probability that rounds to 1.
    """
    _passes.require_finite(ws.h[-1], rows, "logits")
    truth = _passes.labels_of(ws, labels, rows)
    saturated = _kernels._attack_residual(ws.h[-1], truth, ws.g[-1])
    _passes.backward(ws, to=0)
    _passes.require_finite(ws.g[0], rows, "derivatives")
    return int(saturated)


def step(ws: _passes.Workspace, eps: float, limits: _checks.Bounds) -> int:
    """Take the signed step from ``ws.h[0]`` along ``ws.g[0]``, in place.

    Returns the number of rows whose gradient is all zero.
    """
    kind = ws.net.dtype.type
    return int(
        _kernels._signed_step(ws.g[0], kind(eps), kind(limits.lower), kind(limits.upper), ws.h[0])
    )
