"""fastnn as an implementation; `fastnn.bench.protocol` defines the methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._engine import losses as engine
from fastnn._kernels import attack_steps, elementwise, exponentials
from fastnn.attacks import PGD, Standard, fgsm
from fastnn.attacks.evaluate import adversarial_accuracy
from fastnn.bench.protocol import Array, Bounds, Complete, SeveralInTurn
from fastnn.networks import MLP
from fastnn.training import train


class _InOrder(np.random.Generator):
    """Leaves samples in their order, so that every implementation takes the same steps."""

    def permutation(self, x: Any, axis: int = 0) -> Array:
        """Return 0, 1, ..., x - 1."""
        return np.arange(x)


class Fastnn32:
    """fastnn in float32."""

    exact: ClassVar[bool] = True
    dtype: ClassVar[type[Any]] = np.float32

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> None:
        self.net = MLP(weights, biases, activation).astype(self.dtype)
        self._buffers: dict[str, Array] = {}

    def array(self, values: Array) -> Array:
        """Return a copy in the network's type; integers stay."""
        return np.array(values, self.dtype if values.dtype.kind == "f" else None)

    def sigmoid(self, z: Array, bias: Array) -> Array:
        """Return the logistic function of z + bias, in place as in the passes."""
        exponentials._add_bias_sigmoid(bias, z)
        return z

    def relu(self, z: Array, bias: Array) -> Array:
        """Return max(0, z + bias), in place as in the passes."""
        elementwise._add_bias_relu(bias, z)
        return z

    def softmax(self, logits: Array) -> Array:
        """Return the probabilities, in a buffer that is allocated once."""
        out = self._buffer("softmax", logits.shape)
        engine.softmax(logits, out)
        return out

    def step(self, x: Array, gradient: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one signed step, in a buffer that is allocated once."""
        lower, upper = map(self.dtype, bounds or (-np.inf, np.inf))
        sizes, out = np.full(len(x), eps, self.dtype), self._buffer("step", x.shape)
        rounding = attack_steps.ROUNDING[x.dtype]
        attack_steps._signed_step(x, x, gradient, sizes, sizes, lower, upper, rounding, out)
        return out

    def residual(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the losses and residuals, in buffers that are allocated once, as in the passes."""
        losses = self._buffer("losses", labels.shape)
        out = self._buffer("residual", logits.shape)
        engine.loss_residual(logits, labels, losses, out)
        return losses, out

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the buffer of that name, allocated again if the shape has changed."""
        if name not in self._buffers or self._buffers[name].shape != shape:
            self._buffers[name] = np.empty(shape, self.dtype)
        return self._buffers[name]

    def logits(self, x: Array) -> Array:
        """Return the last layer's values."""
        return self.net.logits(x)

    def gradients(self, x: Array, labels: Array) -> tuple[Array, ...]:
        """Return the mean loss's derivative by every weight, then by every bias."""
        slopes = self.net.gradients(x, labels)
        return *slopes.weights, *slopes.biases

    def input_gradient(self, x: Array, labels: Array) -> Array:
        """Return each sample's derivative of its own loss by its input."""
        return self.net.input_gradient(x, labels)

    def fgsm(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return the inputs after one signed step."""
        return fgsm(self.net, x, labels, eps, bounds=bounds)

    def accuracy(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return how many are correct before and after the attack."""
        report = adversarial_accuracy(self.net, x, labels, eps=eps, bounds=bounds)
        return np.array([report.clean_correct, report.adversarial_correct])

    def sweep(self, x: Array, labels: Array, eps: Sequence[float], bounds: Bounds) -> Array:
        """Return how many are correct at each eps."""
        report = adversarial_accuracy(self.net, x, labels, eps=eps, bounds=bounds)
        return np.asarray(report.adversarial_correct)

    def pgd(
        self,
        x: Array,
        labels: Array,
        eps: float,
        bounds: Bounds,
        steps: int,
        step_size: float,
    ) -> Array:
        """Return how many are correct before and after; a sample that is fooled rests."""
        attack = PGD(steps, step_size, random_start=False)
        report = adversarial_accuracy(self.net, x, labels, eps, bounds, attack=attack)
        return np.array([report.clean_correct, report.adversarial_correct])

    def standard(self, x: Array, labels: Array, eps: float, bounds: Bounds) -> Array:
        """Return how many are correct before and after the attacks of `Standard`."""
        report = adversarial_accuracy(self.net, x, labels, eps, bounds, attack=Standard())
        return np.array([report.clean_correct, report.adversarial_correct])

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
        history = train(
            self.net.astype(self.dtype),  # a copy: training works in place
            x,
            labels,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=momentum,
            validation=(x_val, labels_val),
            rng=_InOrder(np.random.PCG64(0)),
        )
        return np.array(
            [
                history.train_loss[-1],
                history.train_accuracy[-1],
                history.val_loss[-1],
                history.val_accuracy[-1],
            ]
        )


class Fastnn64(Fastnn32):
    """fastnn in float64."""

    dtype = np.float64


if TYPE_CHECKING:  # mypy compares every method with the protocols
    _complete: tuple[type[Complete], ...] = (Fastnn32, Fastnn64)
    _in_turn: tuple[type[SeveralInTurn], ...] = (Fastnn32, Fastnn64)
