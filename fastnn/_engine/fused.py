"""Gradient descent on small batches: each layer's weights take their step as its gradient is known.

The gradient by the weights is never stored: rows of it are computed, and the rows of the weights
take their step while they are in the cache, where the products of the backward pass have left them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.layers import deactivate, evaluate_tile, layer_product
from fastnn._engine.narrow import SharedProducts
from fastnn._engine.network import Network
from fastnn._engine.workspace import Rows, Workspaces
from fastnn._kernels.descent import _add_column_sums, _sgd_step
from fastnn._runtime.team import Team

Array = NDArray[Any]

# Measured: the multiply-adds of a batch's pass from which helpers, which are awake, save time.
_WORTH_SHARING = 1_500_000


class FusedSteps:
    """Steps of gradient descent on small batches, of which all threads of a team share each.

    Parameters
    ----------
    net : Network
        The network whose arrays every step changes.
    rows : int
        Of the largest batch.
    learning_rate, momentum, l2 : float
    """

    def __init__(
        self, net: Network, rows: int, *, learning_rate: float, momentum: float, l2: float
    ) -> None:
        kind = net.dtype.type
        self._helped = rows * sum(w.size for w in net.weights) >= _WORTH_SHARING
        self._net = net
        self._shared = SharedProducts(net, rows, steps=True)
        self._ws = Workspaces(net, rows, to=1, shared=self._shared)[0]
        self._rate, self._momentum, self._l2 = kind(learning_rate), kind(momentum), kind(l2)
        # Without momentum there is no velocity to keep.
        self._velocities = [
            np.zeros_like(w) if momentum else np.empty((0, w.shape[1]), w.dtype)
            for w in net.weights
        ]
        self._bias_velocities = [np.zeros_like(b) for b in net.biases]

    @property
    def velocities(self) -> list[Array]:
        """The velocities of weights and biases; of weights empty where they are not needed."""
        return [*self._velocities, *self._bias_velocities]

    def restore(self, velocities: Sequence[Array]) -> None:
        """Put `velocities` back."""
        count = len(self._velocities)
        self._velocities = list(velocities[:count])
        self._bias_velocities = list(velocities[count:])

    def on(self, team: Team) -> contextlib.AbstractContextManager[None]:
        """Take the steps of the block, on all threads of a team if that is worth it."""
        return self._shared.on(team.size if self._helped else 1)

    def take(self, x: Array, labels: NDArray[np.int64], batch: Rows) -> None:
        """Take the step of one batch."""
        ws, net = self._ws, self._net
        ws.load(x, batch)
        evaluate_tile(ws, labels, batch)
        for i in range(len(net.weights) - 1, -1, -1):
            g = ws.g[i + 1]
            total = ws.spare("bias", len(net.biases[i]))
            total[:] = 0
            _add_column_sums(g, total)
            self._step_weights(i)
            if i:
                deactivate(ws, i)
            self._move(len(g), net.dtype.type(0), total, self._bias_velocities[i], net.biases[i])

    def _step_weights(self, i: int) -> None:
        """Compute the gradient by ``h[i]``, then move the weights number `i`."""
        ws, weights, velocity = self._ws, self._net.weights[i], self._velocities[i]
        g, h = ws.g[i + 1], ws.h[i]
        out = ws.g[i] if i else ws.g[0][:0]
        if self._shared.fit(len(g), weights.shape[1]):
            settings = np.array([1 / len(g), self._l2, self._momentum, self._rate], weights.dtype)
            masked = not ws.activation.has_slope
            self._shared.multiply_back_and_step(
                g, weights, h, out, velocity, settings, masked=masked
            )
            return
        if i:
            layer_product(ws, g, i, out, transposed=True)
        total = np.matmul(h.T, g, out=ws.spare(f"gradient {i}", *weights.shape))
        if not len(velocity):
            velocity = self._velocities[i] = np.zeros_like(weights)
        self._move(len(g), self._l2, total, velocity, weights)

    def _move(self, rows: int, l2: Any, total: Array, velocity: Array, parameter: Array) -> None:
        """Move a parameter by the sum of its gradients over so many rows."""
        scale = self._net.dtype.type(1 / rows)
        flat = (array.reshape(-1) for array in (total, velocity, parameter))
        _sgd_step(scale, l2, self._momentum, self._rate, *flat)
