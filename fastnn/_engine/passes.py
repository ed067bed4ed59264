"""Results for every row of a batch, computed tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import layers, losses
from fastnn._engine.network import Network
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace

Array = NDArray[Any]


def logits(net: Network, x: Array) -> Array:
    """Return the logits (N, C); FloatingPointError where those of a row overflow."""
    out = np.empty((len(x), net.sizes[-1]), net.dtype)

    def work(ws: Workspace, tile: Rows) -> None:
        out[tile] = layers.forward(ws)
        layers.require_finite(ws.h[-1], tile, "logits")

    for_each_tile(net, x, work)
    return out


def predictions(net: Network, x: Array) -> NDArray[np.int64]:
    """Return the class (N,) of the largest logit of every row, the first of equals."""
    z = logits(net, x)
    return losses.predictions(z, np.empty(len(z), np.int64))


def probabilities(net: Network, x: Array) -> Array:
    """Return the softmax (N, C) of the logits."""
    z = logits(net, x)
    out = np.empty_like(z)
    losses.softmax(z, out)
    return out


def sample_losses(net: Network, x: Array, labels: NDArray[np.int64]) -> Array:
    """Return every sample's own loss (N,); FloatingPointError where the logits overflow."""
    out = np.empty(len(x), net.dtype)

    def work(ws: Workspace, tile: Rows) -> None:
        layers.evaluate_tile(ws, labels, tile)
        out[tile] = ws.losses

    for_each_tile(net, x, work)
    return out


def input_gradients(net: Network, x: Array, labels: NDArray[np.int64]) -> Array:
    """Return the derivatives (N, D) of every sample's own loss by its inputs.

    Raises FloatingPointError where the logits or the derivatives of a row overflow.
    """
    out = np.empty(x.shape, net.dtype)

    def work(ws: Workspace, tile: Rows) -> None:
        layers.evaluate_tile(ws, labels, tile)
        layers.backward(ws, to=0)
        layers.require_finite(ws.g[0], tile, "derivatives")
        out[tile] = ws.g[0]

    for_each_tile(net, x, work, to=0)
    return out
