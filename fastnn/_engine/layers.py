"""Forward and backward through the layers of one tile.

With h_0 = x, a layer is z_i = h_(i-1) W_i + b_i and h_i = activation(z_i); the last z are the
logits. Backwards, g_i = dL/dh_i gives dL/dz_i = g_i * activation'(z_i) in place, then
g_(i-1) = dL/dz_i W_i^T and dL/dW_i = h_(i-1)^T dL/dz_i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import losses, masked
from fastnn._engine.tiles import numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._errors import row_error
from fastnn._kernels import elementwise

Array = NDArray[Any]

_ONE_BY_ONE = 4  # measured: up to four rows, BLAS is faster row by row than in one product


def layer_product(
    ws: Workspace,
    a: Array,
    i: int,
    out: Array,
    *,
    transposed: bool = False,
    only: Array | None = None,
) -> None:
    """out = a W, or a W^T, for the weights number `i`.

    Entries of a W^T that are 0 in `only` may be left 0.
    """
    weights, shared = ws.net.weights[i], ws.shared
    if shared is not None and shared.fit(len(a), weights.shape[1]):
        if transposed:
            shared.multiply_back(a, i, out, only)
        else:
            shared.multiply(a, i, out)
        return
    panels = ws.packed.get((i, transposed))
    if panels is not None and _product_without_zeros(ws, a, panels, out):
        return
    factor = weights.T if transposed else weights
    if len(a) > _ONE_BY_ONE:
        np.matmul(a, factor, out=out)
        return
    for row in range(len(a)):
        np.matmul(a[row], factor, out=out[row])


def input_transposed_product(ws: Workspace, out: Array) -> None:
    """out = x^T g_1, of an input that is mostly zeros."""
    x, g = ws.h[0], ws.g[1]
    shape = masked.panels_shape(len(g), g.shape[1], g.dtype)
    if shape is not None:
        panels = ws.spare("panels", *shape)
        masked.pack(g, panels)
        turned = ws.spare("turned", *x.shape[::-1])
        masked.turn(x, turned)
        if _product_without_zeros(ws, turned, panels, out):
            return
    np.matmul(x.T, g, out=out)


def _product_without_zeros(ws: Workspace, a: Array, panels: Array, out: Array) -> bool:
    """out = a @ the matrix in `panels`; False, and nothing done, where `a` has too few zeros."""
    masks = ws.spare("masks", *masked.masks_shape(*a.shape), dtype=np.uint64)
    sums = ws.spare("sums", *masked.sums_shape(len(a), panels))
    return masked.masked_product(a, panels, masks, sums, out)


def forward(ws: Workspace, *, first: int = 0) -> Array:
    """Fill ``ws.h[first + 1:]`` from ``ws.h[first]`` and return the logits."""
    for i in range(first, len(ws.net.weights)):
        layer_product(ws, ws.h[i], i, ws.h[i + 1])
        activate(ws, i)
    return ws.h[-1]


def activate(ws: Workspace, i: int) -> None:
    """Add the bias of layer `i` to its products in ``ws.h[i + 1]`` and apply its activation."""
    bias, z, slope, kind = ws.net.biases[i], ws.h[i + 1], ws.slope[i + 1], ws.activation
    if i == len(ws.net.weights) - 1:
        elementwise._add_bias(bias, z)
    elif not len(slope):
        kind.forward(bias, z)
    elif ws.direction and kind.forward_with_direction is not None:
        kind.forward_with_direction(bias, z, slope)
    elif kind.forward_with_slope is not None:
        kind.forward_with_slope(bias, z, slope)


def backward(ws: Workspace, *, to: int) -> None:
    """Fill ``ws.g[to:-1]`` from ``ws.g[-1]``, the residual; g by hidden layers end as dL/dz."""
    for i in range(len(ws.net.weights), to, -1):
        only = ws.h[i - 1] if i > 1 and not ws.activation.has_slope else None
        layer_product(ws, ws.g[i], i - 1, ws.g[i - 1], transposed=True, only=only)
        if i > 1:
            deactivate(ws, i - 1)


def deactivate(ws: Workspace, i: int) -> None:
    """Turn dL/dh in ``ws.g[i]`` into dL/dz."""
    ws.activation.backward(ws.slope[i] if ws.activation.has_slope else ws.h[i], ws.g[i])
    if ws.direction:
        elementwise._scale_rows(ws.g[i])


def evaluate_tile(ws: Workspace, labels: NDArray[np.int64], rows: Rows) -> int:
    """Fill ``ws.losses`` and the residual ``ws.g[-1]``; return how many rows are right."""
    logits = forward(ws)
    require_finite(logits, rows, "logits")
    return losses.loss_residual(logits, labels[rows], ws.losses, ws.g[-1])


def require_finite(values: Array, rows: Rows, what: str) -> None:
    """Raise for the first row of a tile with a NaN or an infinity, if there is one."""
    broken = losses.first_not_finite(values)
    if broken is not None:
        row = numbers_of(rows)[broken]
        after = f": the {what} are not finite; the network overflows its type"
        raise row_error(FloatingPointError, "row ", row, after)
