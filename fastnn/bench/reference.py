"""The implementation that takes one sample at a time, by `fastnn.reference`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import reference
from fastnn.bench.protocol import (
    Array,
    ArrayFunctions,
    Attacks,
    Bounds,
    Implementation,
    Passes,
)


class Reference:
    """One sample at a time in float32, from the formulas (`fastnn.reference`)."""

    exact: ClassVar[bool] = True
    dtype: ClassVar[type[Any]] = np.float32

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> None:
        self.parameters: tuple[tuple[Array, ...], tuple[Array, ...]] = (
            tuple(np.array(w, self.dtype) for w in weights),
            tuple(np.array(b, self.dtype) for b in biases),
        )
        self.activation = activation

    def array(self, values: Array) -> Array:
        """Return a copy in float32; integers stay."""
        return np.array(values, self.dtype if values.dtype.kind == "f" else None)

    def sigmoid(self, z: Array, bias: Array) -> Array:
        """Return the logistic function of z + bias, row by row."""
        return np.stack([reference.sigmoid(row + bias) for row in z])

    def relu(self, z: Array, bias: Array) -> Array:
        """Return max(0, z + bias), row by row."""
        return np.stack([reference.relu(row + bias) for row in z])

    def softmax(self, logits: Array) -> Array:
        """Return the probabilities, row by row."""
        return np.stack([reference.softmax(row) for row in logits])

    def step(self, x: Array, gradient: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one signed step, row by row."""
        lower, upper = bounds or (-np.inf, np.inf)
        pairs = zip(x, gradient, strict=True)
        return np.stack([np.clip(row + eps * np.sign(g), lower, upper) for row, g in pairs])

    def residual(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return losses and residuals, row by row."""
        pairs = list(zip(logits, map(int, labels), strict=True))
        losses = [reference.cross_entropy(row, label) for row, label in pairs]
        return np.array(losses), np.stack([reference.residual(row, label) for row, label in pairs])

    def logits(self, x: Array) -> Array:
        """Return the last layer's values, row by row."""
        return np.stack([reference.logits(*self.parameters, row, self.activation) for row in x])

    def gradients(self, x: Array, labels: Array) -> tuple[Array, ...]:
        """Return the mean of the samples' gradients."""
        weights, biases = reference.mean_gradients(
            *self.parameters, x, labels, activation=self.activation
        )
        return *weights, *biases

    def input_gradient(self, x: Array, labels: Array) -> Array:
        """Return the gradients by the input, row by row."""
        of_one = functools.partial(reference.input_gradient, *self.parameters)
        pairs = zip(x, map(int, labels), strict=True)
        return np.stack([of_one(row, label, self.activation) for row, label in pairs])

    def fgsm(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one signed step, row by row."""
        of_one = functools.partial(
            reference.fgsm, *self.parameters, bounds=bounds, activation=self.activation
        )
        pairs = zip(x, map(int, labels), strict=True)
        return np.stack([of_one(row, label, eps) for row, label in pairs])

    def accuracy(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return how many are correct before and after the attack."""
        return np.array(
            reference.adversarial_accuracy(
                *self.parameters, x, labels, eps, bounds=bounds, activation=self.activation
            )
        )


if TYPE_CHECKING:  # mypy compares every method with the protocols
    _reference: type[Implementation] = Reference
    _functions: type[ArrayFunctions] = Reference
    _passes: type[Passes] = Reference
    _attacks: type[Attacks] = Reference
