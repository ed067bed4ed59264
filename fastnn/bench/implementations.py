"""Implementations in numpy: whole batches in float32, and the truth in float64.

They use nothing of fastnn. `fastnn.bench.protocol` defines the methods; fastnn itself is in
`fastnn.bench.ours`, one sample at a time in `fastnn.bench.reference`, its peers are in
`benchmarks/peers/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastnn.bench.protocol import (
    Array,
    Bounds,
    Complete,
    SeveralInTurn,
)


class Activation(NamedTuple):
    """An activation, and its derivative in terms of its own values."""

    apply: Callable[[Array, Array], Array]  # of z and the bias; may work in place
    slope: Callable[[Array], Array]


def _sigmoid(z: Array, bias: Array) -> Array:
    """Return 1 / (1 + e**-(z + bias)), which is right where the exponential overflows, too."""
    z = z + bias
    with np.errstate(over="ignore"):
        np.exp(np.negative(z, out=z), out=z)
    z += 1
    return np.reciprocal(z, out=z)


def _relu(z: Array, bias: Array) -> Array:
    """Return max(0, z + bias), in place."""
    z += bias
    return np.maximum(z, 0, out=z)


def _tanh(z: Array, bias: Array) -> Array:
    """Return the hyperbolic tangent of z + bias, in place."""
    z += bias
    return np.tanh(z, out=z)


ACTIVATIONS = {
    "relu": Activation(_relu, lambda h: h > 0),
    "sigmoid": Activation(_sigmoid, lambda h: h * (1 - h)),
    "tanh": Activation(_tanh, lambda h: 1 - h * h),
}


class Numpy:
    """Whole batches, vectorised, in float32: what a good engineer writes without this library."""

    exact: ClassVar[bool] = False
    dtype: ClassVar[type[Any]] = np.float32

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> None:
        self.weights: list[Array] = [np.array(w, self.dtype) for w in weights]
        self.biases: list[Array] = [np.array(b, self.dtype) for b in biases]
        self.activation = activation

    def array(self, values: Array) -> Array:
        """Return a copy in the type that this class computes in; integers stay."""
        return np.array(values, self.dtype if values.dtype.kind == "f" else None)

    def sigmoid(self, z: Array, bias: Array) -> Array:
        """Return the logistic function of z + bias."""
        return _sigmoid(z, bias)

    def relu(self, z: Array, bias: Array) -> Array:
        """Return max(0, z + bias), in place."""
        return _relu(z, bias)

    def softmax(self, logits: Array) -> Array:
        """Return the probabilities, row by row."""
        p: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def residual(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the losses (N,), and softmax minus one_hot (N, C)."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(shifted)
        total = p.sum(axis=1, keepdims=True)
        rows = np.arange(len(labels))
        losses = np.log(total[:, 0]) - shifted[rows, labels]
        p /= total
        p[rows, labels] -= 1
        return losses, p

    def _forward(self, x: Array) -> list[Array]:
        """Return the input of every layer, and the logits."""
        activate = ACTIVATIONS[self.activation].apply
        h = [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            h.append(activate(h[-1] @ w, b) if i < len(self.weights) else h[-1] @ w + b)
        return h

    def _back(self, h: Array, gradient: Array) -> Array:
        """Return dL/dz from dL/dh."""
        return gradient * ACTIVATIONS[self.activation].slope(h)

    def logits(self, x: Array) -> Array:
        """Return the last layer's values."""
        return self._forward(x)[-1]

    def gradients(self, x: Array, labels: Array) -> tuple[Array, ...]:
        """Return the mean loss's derivative by every weight, then by every bias."""
        h = self._forward(x)
        delta = self.residual(h.pop(), labels)[1] / self.dtype(len(x))
        by_weights: list[Array] = []
        by_biases: list[Array] = []
        for i in reversed(range(len(self.weights))):
            by_weights.insert(0, h[i].T @ delta)
            by_biases.insert(0, delta.sum(axis=0))
            if i:
                delta = self._back(h[i], delta @ self.weights[i].T)
        return *by_weights, *by_biases

    def input_gradient(self, x: Array, labels: Array) -> Array:
        """Return each sample's derivative of its own loss by its input."""
        return self._input_gradient(self._forward(x), labels)

    def _input_gradient(self, h: list[Array], labels: Array) -> Array:
        delta = self.residual(h[-1], labels)[1]
        for i in reversed(range(1, len(self.weights))):
            delta = self._back(h[i], delta @ self.weights[i].T)
        return np.asarray(delta @ self.weights[0].T)

    def step(self, x: Array, gradient: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one step along the gradient's signs."""
        return self._step(x, np.sign(gradient), eps, bounds)

    def fgsm(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one signed step."""
        return self._step(x, np.sign(self.input_gradient(x, labels)), eps, bounds)

    def _step(self, x: Array, signs: Array, eps: float, bounds: Bounds) -> Array:
        moved: Array = self.dtype(eps) * signs
        moved += x
        if bounds is not None:
            np.clip(moved, *bounds, out=moved)
        return moved

    def accuracy(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return how many are correct before and after the attack."""
        h = self._forward(x)  # one forward pass serves the clean count and the gradient
        moved = self._step(x, np.sign(self._input_gradient(h, labels)), eps, bounds)
        return np.array([_right(h[-1], labels), _right(self.logits(moved), labels)])

    def sweep(self, x: Array, labels: Array, eps: Sequence[float], bounds: Bounds) -> Array:
        """Return how many are correct at each eps, with one gradient for all of them."""
        signs = np.sign(self.input_gradient(x, labels))
        moved = (self._step(x, signs, e, bounds) for e in eps)
        return np.array([_right(self.logits(m), labels) for m in moved])

    def pgd(
        self,
        x: Array,
        labels: Array,
        eps: float,
        bounds: Bounds,
        steps: int,
        step_size: float,
    ) -> Array:
        """Return how many are correct before the attack and at all of its steps."""
        lower, upper = bounds or (-np.inf, np.inf)
        least, most = np.maximum(x - self.dtype(eps), lower), np.minimum(x + self.dtype(eps), upper)
        moved, standing, clean = x, np.ones(len(x), bool), 0
        for step in range(steps + 1):
            h = self._forward(moved)
            standing &= h[-1].argmax(axis=1) == labels
            if step == 0:
                clean = int(standing.sum())
            if step < steps:
                signs = np.sign(self._input_gradient(h, labels))
                moved = np.clip(moved + self.dtype(step_size) * signs, least, most)
        return np.array([clean, standing.sum()])

    def train(
        self,
        x: Array,
        labels: Array,
        x_val: Array,
        labels_val: Array,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        momentum: float,
    ) -> Array:
        """Run minibatch descent from the first weights, with both metrics after every epoch."""
        net = type(self)(self.weights, self.biases, self.activation)
        parameters = (*net.weights, *net.biases)
        velocities = [np.zeros_like(parameter) for parameter in parameters]
        metrics = np.empty(4)
        for _ in range(epochs):
            for start in range(0, len(x), batch_size):
                batch = slice(start, start + batch_size)
                slopes = net.gradients(x[batch], labels[batch])
                for parameter, velocity, slope in zip(parameters, velocities, slopes, strict=True):
                    np.multiply(velocity, self.dtype(momentum), out=velocity)
                    np.add(velocity, slope, out=velocity)
                    np.subtract(parameter, self.dtype(learning_rate) * velocity, out=parameter)
            metrics[:2] = net._metrics(x, labels)
            metrics[2:] = net._metrics(x_val, labels_val)
        return metrics

    def _metrics(self, x: Array, labels: Array) -> tuple[float, float]:
        logits = self.logits(x)
        return self.residual(logits, labels)[0].mean(), _right(logits, labels) / len(x)


class Truth(Numpy):
    """The same in float64 with a residual that does not cancel: the right answers."""

    exact: ClassVar[bool] = True
    dtype = np.float64

    def residual(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the losses, and softmax minus one_hot by the sum of the other probabilities."""
        losses, delta = super().residual(logits, labels)
        rows = np.arange(len(labels))
        delta[rows, labels] = 0
        delta[rows, labels] = -delta.sum(axis=1)
        return losses, delta

    def standard(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return how many are correct before and after PGD, of which no more may stand."""
        return self.pgd(x, labels, eps, bounds, steps=40, step_size=eps / 10)


def _right(logits: Array, labels: Array) -> int:
    """Return how many rows have their largest logit at the label."""
    return int((logits.argmax(axis=1) == labels).sum())


if TYPE_CHECKING:  # mypy compares every method with the protocols
    _complete: tuple[type[Complete], ...] = (Numpy, Truth)
    _in_turn: type[SeveralInTurn] = Truth
