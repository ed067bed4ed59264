"""Dense networks in float64 from the formulas, with bounds on what rounding may change.

Nothing here is from fastnn. Beside every value v goes an error e: a computation in the network's
own type that sums in any order gives a number within e of v, if nothing overflows. For one layer
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1)

    error of h W + b  <=  e_h |W|  +  n u (|h| + e_h) |W| + n u |b|  +  n eta

with n the number of terms, u the unit roundoff and eta the smallest subnormal number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SLACK = 2.0  # for the rounding of float64 itself and for terms of second order
_FEW_ULPS = 16  # what an exponential or a quotient may be off by

_TINY = 1e-300  # below, the numbers of this module underflow themselves


class Bounded(NamedTuple):
    """Values and how far a rounded computation may be from them."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Arithmetic:
    """The type that is judged."""

    unit: float
    eta: float
    largest: float
    # What a gradient may lose to underflow where only its direction counts, as a share of the
    # largest entry of the layer before: rows may be scaled, so the absolute size must not matter.
    lost: float

    @classmethod
    def of(cls, dtype: Any) -> Arithmetic:
        """Return the constants of float32 or float64."""
        info = np.finfo(dtype)
        lost = 1e-30 if info.bits == 32 else 1e-250
        return cls(float(info.eps) / 2, float(info.smallest_subnormal), float(info.max), lost)


@dataclass(frozen=True)
class Pass:
    """A forward pass: `h[0]` is the input, `z[-1]` the logits, `reach` the largest sum of a row."""

    h: list[Bounded]
    z: list[Bounded]
    reach: Array

    @property
    def logits(self) -> Bounded:
        """The last layer's values."""
        return self.z[-1]

    def may_overflow(self, arithmetic: Arithmetic) -> Array:
        """Return the rows in which a sum may leave the range of the type."""
        return ~(self.reach < arithmetic.largest / 2)

    def must_overflow(self, arithmetic: Arithmetic) -> Array:
        """Return the rows in which a logit is out of the range of the type."""
        value, error = self.logits
        return (np.abs(value) - error > 2 * arithmetic.largest).any(axis=1)

    def possible(self) -> Array:
        """Return (N, C): the classes that may have the largest logit."""
        value, error = self.logits
        with np.errstate(all="ignore"):
            return value + error >= (value - error).max(axis=1, keepdims=True)


class Exact:
    """One network in float64."""

    def __init__(self, net: Any) -> None:
        self.arithmetic = Arithmetic.of(net.weights[0].dtype)
        self.weights = [w.astype(np.float64) for w in net.weights]
        self.biases = [b.astype(np.float64) for b in net.biases]
        self.activation = net.activation

    def forward(self, x: Bounded, reach: Array | None = None) -> Pass:
        """Go forward; `reach` has the magnitudes of the inputs' terms, if not their own."""
        hidden, before = [x], []
        largest = np.zeros(len(x.value))
        terms = 4 if reach is not None else 1
        with np.errstate(all="ignore"):
            for i, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                own = np.abs(hidden[-1].value) + hidden[-1].error
                sizes = own if reach is None or i else reach
                z, size = self._layer(hidden[-1], weights, bias, sizes, terms if not i else 1)
                largest = np.maximum(largest, _no_nan(size).max(axis=1))
                before.append(z)
                hidden.append(self._activate(z))
        return Pass(hidden[:-1], before, largest)

    def _layer(
        self, h: Bounded, weights: Array, bias: Array, sizes: Array, terms: int
    ) -> tuple[Bounded, Array]:
        """Return ``h W + b`` and the sum of its terms' magnitudes."""
        sum_of_sizes = sizes @ np.abs(weights) + np.abs(bias)
        share = _SLACK * (terms * len(weights) + 4) * self.arithmetic.unit
        # Only where something is multiplied can something underflow.
        products = terms * ((sizes > 0).astype(np.float64) @ (weights != 0).astype(np.float64))
        error = h.error @ np.abs(weights) + share * sum_of_sizes + products * self.arithmetic.eta
        return Bounded(h.value @ weights + bias, _no_nan(error)), sum_of_sizes

    def _activate(self, z: Bounded) -> Bounded:
        """Return ``activation(z)``."""
        if self.activation == "relu":
            return Bounded(np.maximum(z.value, 0), np.where(z.value < -z.error, 0, z.error))
        if self.activation == "tanh":  # its slope is at most 1, that of a sigmoid 1/4
            h, near = np.tanh(z.value), np.minimum(z.error, 2)
        else:
            h, near = _sigmoid(z.value), np.minimum(z.error / 4, 1)
        rounding = _FEW_ULPS * self.arithmetic.unit * np.abs(h) + self.arithmetic.eta
        return Bounded(h, near + rounding)

    def residual(self, run: Pass, labels: Array, *, direction: bool) -> Bounded:
        """Return ``softmax - one_hot``; for a `direction`, divided by minus its true entry."""
        rows = np.arange(len(labels))
        unit, eta = self.arithmetic.unit, self.arithmetic.eta
        with np.errstate(all="ignore"):
            z = run.logits.value.copy()
            doubt = 4 * run.logits.error.max(axis=1, keepdims=True)
            if direction:
                z[rows, labels] = -np.inf
            e = np.exp(z - z.max(axis=1, keepdims=True))
            out = e / e.sum(axis=1, keepdims=True)
            out[rows, labels] = 0
            out[rows, labels] = -1.0 if direction else -out.sum(axis=1)
            share = np.expm1(doubt) + _SLACK * (_FEW_ULPS + out.shape[1]) * unit * (
                1 + np.abs(run.logits.value - z.max(axis=1, keepdims=True))
            )
            error = np.minimum(_no_nan(np.abs(out) * share) + 2 * eta, 1)
        error[rows, labels] = 0
        if not direction:
            error[rows, labels] = error.sum(axis=1)
        return Bounded(out, error)

    def backward(
        self, run: Pass, residual: Bounded, *, direction: bool
    ) -> tuple[list[Bounded], Array]:
        """Return dL/dz of every layer after dL/dx, and the largest sum of every row."""
        gradients = [residual]
        reach = np.zeros(len(residual.value))
        with np.errstate(all="ignore"):
            for i in range(len(self.weights) - 1, -1, -1):
                back, sizes = self._back(gradients[0], self.weights[i], direction=direction)
                reach = np.maximum(reach, _no_nan(sizes).max(axis=1))
                gradients.insert(0, self._deactivate(run.z[i - 1], back) if i else back)
        return gradients, reach

    def _back(self, g: Bounded, weights: Array, *, direction: bool) -> tuple[Bounded, Array]:
        """Return ``g W^T`` and the sum of its terms' magnitudes."""
        own = np.abs(g.value) + g.error
        sizes = own @ np.abs(weights).T
        share = _SLACK * (weights.shape[1] + 4) * self.arithmetic.unit
        products = (own > 0).astype(np.float64) @ (weights != 0).T.astype(np.float64)
        lost = self.arithmetic.eta
        if direction:
            lost = self.arithmetic.lost * own.max(axis=1, keepdims=True)
        error = g.error @ np.abs(weights).T + share * sizes + products * lost
        error = np.maximum(error, np.where(products > 0, _TINY, 0))
        return Bounded(g.value @ weights.T, _no_nan(error)), sizes

    def _deactivate(self, z: Bounded, g: Bounded) -> Bounded:
        """Return ``g * activation'(z)``."""
        if self.activation == "relu":
            on, off = z.value > z.error, z.value <= -z.error
            unsure = np.where(off, 0, np.abs(g.value) + g.error)
            return Bounded(np.where(z.value > 0, g.value, 0), np.where(on, g.error, unsure))
        # 1 - tanh(z)**2 = 4 s (1 - s) with s = sigmoid(2 z).
        steep, most = (2, 1.0) if self.activation == "tanh" else (1, 0.25)
        far = steep * np.abs(z.value)
        h = _sigmoid(-far)
        slope = 4 * most * h * (1 - h)
        relative = np.expm1(steep * z.error) + _FEW_ULPS * self.arithmetic.unit * (1 + far)
        unsure = np.minimum(_no_nan(slope * relative) + 4 * self.arithmetic.eta, most)
        error = g.error * (slope + unsure) + np.abs(g.value) * unsure
        error += np.where(np.abs(g.value) + g.error > 0, self.arithmetic.eta, 0)
        return Bounded(g.value * slope, _no_nan(error))


def log_softmax(z: Array, arithmetic: Arithmetic) -> tuple[Bounded, Bounded]:
    """Return ``softmax(z)`` and its logarithm; the largest entry's is ``-log1p(the others)``."""
    below = z - z.max(axis=1, keepdims=True)
    share = 2 * _FEW_ULPS * z.shape[1] * arithmetic.unit
    with np.errstate(all="ignore"):
        e = np.exp(below)
        others = np.where(np.arange(z.shape[1]) == z.argmax(axis=1)[:, None], 0, e)
        total = 1 + others.sum(axis=1, keepdims=True)
        logs = below - np.log1p(others.sum(axis=1, keepdims=True))
        doubt = (others * (1 + np.abs(below))).sum(axis=1, keepdims=True)
        of_probs = share * (e / total) * (1 + np.abs(below)) + 4 * arithmetic.eta
        of_logs = share * (np.abs(logs) + np.abs(below) + doubt) + 4 * arithmetic.eta
    return Bounded(e / total, of_probs), Bounded(logs, of_logs)


def _sigmoid(z: Array) -> Array:
    """Return ``1 / (1 + e**-z)``."""
    with np.errstate(all="ignore"):
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1, e) / (1 + e)


def _no_nan(error: Array) -> Array:
    """Return `error` where it is known, else infinity."""
    return np.where(np.isnan(error), np.inf, error)
