"""How far rounding moves what a network computes, to tell a tie from a wrong result.

Every rounding is taken for an independent error, of at most one unit roundoff: a sum of n products
is then off by about ``u * sqrt(n) * sum |products|``, and what is off goes through the next layer
like any other number. Higham and Mary (2019), doi:10.1137/18M1226312, section 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.networks import MLP

Array = NDArray[Any]

SURE = 8.0  # so many deviations are never an accident
_STEEPEST = {"relu": 1.0, "sigmoid": 0.25, "tanh": 1.0}
_FUNCTION_ROUNDINGS = 4  # of an activation, its derivative, or an exponential


class Rounding(NamedTuple):
    """A network in float64, and the precision of the type that it computes in.

    Attributes
    ----------
    weights, biases : list of ndarray, float64
    activation : str
    unit : float
        Unit roundoff of the type.
    tiny : float
        Its smallest normal number: what is smaller may become 0.
    """

    weights: list[Array]
    biases: list[Array]
    activation: str
    unit: float
    tiny: float

    @classmethod
    def of(cls, net: MLP) -> Rounding:
        """Return that of a network, with copies of its weights."""
        info = np.finfo(net.dtype)
        weights, biases = (
            [array.astype(np.float64) for array in arrays] for arrays in (net.weights, net.biases)
        )
        return cls(weights, biases, net.activation, float(info.eps) / 2, float(info.tiny))

    def of_outputs(self, inputs: list[Array], first: Array) -> list[Array]:
        """Return the deviations of every layer's output before activation.

        Parameters
        ----------
        inputs : list of ndarray, shape (n, width)
            The exact inputs of every layer.
        first : ndarray, shape (n, D)
            The deviations of the network's input.
        """
        found: list[Array] = []
        spread = first
        for h, w, b in zip(inputs, self.weights, self.biases, strict=True):
            if found:
                spread = _STEEPEST[self.activation] * spread
                spread = np.hypot(spread, _FUNCTION_ROUNDINGS * self.unit * np.abs(h) + self.tiny)
            spread = self._through(h, spread, w, np.abs(b))
            found.append(spread)
        return found

    def of_gradient(
        self, deltas: list[Array], outputs: list[Array], slopes: list[Array], spreads: list[Array]
    ) -> Array:
        """Return the deviations (n, D) of a multiple of the gradient by the input.

        Parameters
        ----------
        deltas : list of ndarray, shape (n, width)
            The exact gradient by every layer's output before activation.
        outputs, slopes, spreads : list of ndarray, shape (n, width)
            Those outputs, the derivatives of the activation there, and the outputs' deviations.
        """
        share = 2 * spreads[-1].max(axis=1, keepdims=True) + 2 * _FUNCTION_ROUNDINGS * self.unit
        spread = np.abs(deltas[-1]) * share + self.tiny
        for layer in range(len(deltas) - 1, -1, -1):
            turned = np.ascontiguousarray(self.weights[layer].T)
            spread = self._through(deltas[layer], spread, turned, 0.0)
            if layer:
                before = np.abs(deltas[layer] @ turned)
                off = self._of_slopes(outputs[layer - 1], spreads[layer - 1])
                spread = np.hypot(spread * slopes[layer - 1], (before + spread) * off)
            largest = np.abs(deltas[layer - 1] if layer else spread).max(axis=1, keepdims=True)
            spread = spread + self.tiny * largest
        return np.asarray(spread)

    def _through(self, values: Array, spread: Array, matrix: Array, added: Any) -> Array:
        """Return the deviations of ``values @ matrix + added``."""
        roundings = self.unit * np.sqrt(len(matrix) + 2.0)
        own = roundings * (np.abs(values) @ np.abs(matrix) + added)
        return np.asarray(np.hypot(own, np.sqrt(np.square(spread) @ np.square(matrix))))

    def _of_slopes(self, outputs: Array, spread: Array) -> Array:
        """Return how far the derivatives of the activation may be off."""
        if self.activation == "relu":
            return np.asarray(np.abs(outputs) <= SURE * spread, np.float64)
        return np.asarray(_FUNCTION_ROUNDINGS * self.unit + spread)
