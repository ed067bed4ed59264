"""What float64 says about a problem, and whether an answer agrees with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hostile._exact import Bounded, Exact, Pass
from tests.hostile._frame import BrokeError
from tests.hostile._problems import Problem

Array = NDArray[Any]


class Truth:
    """What float64 says about a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.exact = Exact(problem.net)
        self.arithmetic = self.exact.arithmetic
        self.kind = problem.net.dtype.type
        x = problem.numbers.astype(np.float64)
        pixels = problem.x.dtype == np.uint8
        self.x = Bounded(x, 2 * self.arithmetic.unit * x if pixels else np.zeros_like(x))
        lower, upper = problem.bounds or (-np.inf, np.inf)
        self.lower, self.upper = float(self.kind(lower)), float(self.kind(upper))
        self.run = self.exact.forward(self.x)
        self._attacked: dict[float, Pass] = {}

    @cached_property
    def direction(self) -> tuple[Bounded, Array]:
        """The gradient by the inputs but for a positive factor, and the rows' largest sums."""
        residual = self.exact.residual(self.run, self.problem.labels, direction=True)
        gradients, reach = self.exact.backward(self.run, residual, direction=True)
        return gradients[0], reach

    @cached_property
    def sign(self) -> tuple[Array, Array]:
        """The gradient's sign, and where rounding cannot change it."""
        value, error = self.direction[0]
        return np.sign(value), (np.abs(value) > error) | ((value == 0) & (error == 0))

    @cached_property
    def real(self) -> tuple[list[Bounded], Array]:
        """The gradients of every sample's own loss, and the rows' largest sums."""
        residual = self.exact.residual(self.run, self.problem.labels, direction=False)
        return self.exact.backward(self.run, residual, direction=False)

    def gradient_may_overflow(self) -> Array:
        """Return the rows whose forward or backward pass may leave the range of the type."""
        largest = self.arithmetic.largest / 2
        logits = self.run.may_overflow(self.arithmetic)
        return logits | ~(self.direction[1] < largest) | ~(self.real[1] < largest)

    def attacked(self, eps: float) -> Pass:
        """Return the forward pass of the adversarial inputs."""
        if eps not in self._attacked:
            self._attacked[eps] = self._attack(eps)
        return self._attacked[eps]

    def _attack(self, eps: float) -> Pass:
        sign, sure = self.sign
        step = float(self.kind(eps))
        x = np.clip(self.x.value + step * sign, self.lower, self.upper)
        most = np.clip(self.x.value + step, self.lower, self.upper)
        least = np.clip(self.x.value - step, self.lower, self.upper)
        unsure = np.where(sure, 0, np.maximum(most - x, x - least))
        moved = np.where(sign == 0, 0, np.abs(x - self.x.value)) + unsure
        rounding = self.x.error + self.arithmetic.unit * (np.abs(self.x.value) + moved)
        reach = np.abs(self.x.value) + moved
        return self.exact.forward(Bounded(x, unsure + rounding), reach)


def attempt(
    call: Callable[[], Any], may_overflow: Array, must_overflow: Array, *, names_row: bool = True
) -> Any:
    """Return what `call` gives, None where an overflow is allowed and is raised as documented."""
    try:
        found = call()
    except FloatingPointError as error:
        row = re.match(r"row (\d+):", str(error))
        named = int(row[1]) if row else None
        if named is None and (names_row or not may_overflow.any()):
            raise BrokeError(f"FloatingPointError names no row: {error}") from error
        if named is not None and not may_overflow[named]:
            raise BrokeError(f"FloatingPointError where none can be: {error}") from error
        return None
    if must_overflow.any():
        raise BrokeError(f"row {int(np.argmax(must_overflow))} overflows, and no error is raised")
    return found


def outcome(call: Callable[[], Any]) -> Any:
    """Return what `call` gives, or the type of its error."""
    try:
        return call()
    except FloatingPointError as error:
        documented = ("row ", "the gradient by ", "the training diverges")
        return "overflow" if str(error).startswith(documented) else str(error)


def same(found: Any, expected: Any, what: str) -> None:
    """Raise where two outcomes are not the same bit by bit."""
    if isinstance(found, str) != isinstance(expected, str):
        raise BrokeError(f"{what}: {found!s:.80}, expected {expected!s:.80}")
    if isinstance(expected, (tuple, list)):
        for one, other in zip(found, expected, strict=True):
            same(one, other, what)
    elif not isinstance(expected, str):
        same_bits(np.asarray(found), np.asarray(expected), what)


def same_bits(found: Array, expected: Array, what: str) -> None:
    """Raise where two arrays differ."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise BrokeError(f"{what}: {found.dtype} {found.shape}, not {expected.dtype}")
    if not np.array_equal(found, expected):
        raise BrokeError(f"{what}: {np.count_nonzero(found != expected)} entries differ")


def within(found: Array, truth: Bounded, what: str) -> None:
    """Raise where an entry is further from the truth than rounding can take it."""
    if found.shape != truth.value.shape:
        raise BrokeError(f"{what} have shape {found.shape}, expected {truth.value.shape}")
    wrong = ~(np.abs(found.astype(np.float64) - truth.value) <= truth.error)
    if wrong.any():
        place = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise BrokeError(
            f"{wrong.sum()} {what}; first {list(place)} is {found[place]!r}, expected "
            f"{truth.value[place]:.9g} within {truth.error[place]:.2g}"
        )


def agree(found: Array, expected: Array, run: Pass, what: str) -> None:
    """Raise where two predictions differ and rounding cannot explain it."""
    rows, possible = np.arange(len(found)), run.possible()
    tied = possible[rows, found] & possible[rows, expected]
    wrong = (found != expected) & ~tied
    if wrong.any():
        row = int(np.argmax(wrong))
        text = f"first row {row} is {found[row]} and {expected[row]}"
        raise BrokeError(f"{what}: {wrong.sum()} predictions differ; {text}")


def require_possible(
    prediction: Array, run: Pass, what: str, rows: Array | slice = slice(None)
) -> None:
    """Raise where a class is predicted that another one beats by more than rounding."""
    possible = run.possible()[rows]
    if prediction.shape != (len(possible),):
        raise BrokeError(f"{what}: predictions of shape {prediction.shape}")
    wrong = ~possible[np.arange(len(prediction)), prediction]
    if wrong.any():
        row = int(np.argmax(wrong))
        value, error = (part[rows][row] for part in run.logits)
        best, got = int(value.argmax()), int(prediction[row])
        raise BrokeError(
            f"{what}: {wrong.sum()} predictions; first row {row} is {got}, expected {best}: logits "
            f"{value[got]:.6g} and {value[best]:.6g} within {error[got]:.2g} and {error[best]:.2g}"
        )


def require_counts(report: Any, truth: Truth) -> None:
    """Raise where the counts of a report are not those of its predictions."""
    labels = truth.problem.labels
    hits = np.count_nonzero(np.atleast_2d(report.adversarial_prediction) == labels, axis=1)
    if np.atleast_1d(report.adversarial_correct).tolist() != hits.tolist():
        raise BrokeError(f"counts {report.adversarial_correct} of predictions with {hits}")
    if report.clean_correct != np.count_nonzero(report.clean_prediction == labels):
        raise BrokeError(f"clean count {report.clean_correct} is not that of the predictions")
    value, error = truth.direction[0]
    sure_zero = int(((value == 0) & (error == 0)).all(axis=1).sum())
    may_zero = int((np.abs(value) <= error).all(axis=1).sum())
    if not sure_zero <= report.zero_gradient_rows <= may_zero:
        raise BrokeError(
            f"{report.zero_gradient_rows} rows with an all-zero gradient, "
            f"expected {sure_zero} to {may_zero}"
        )


def answer_of(net: Any, x: Array, labels: Array, eps: Any, bounds: Any) -> list[Any]:
    """Return all of a report but its time."""
    from fastnn import adversarial_accuracy

    report = adversarial_accuracy(net, x, labels, eps, bounds)
    counts = [report.clean_correct, report.zero_gradient_rows, report.saturated_rows]
    return [report.clean_prediction, report.adversarial_prediction, np.array(counts)]


def trained(net: Any, x: Array, labels: Array) -> list[Array]:
    """Return the parameters after one epoch of a copy of the network."""
    import fastnn

    copy = fastnn.MLP(net.weights, net.biases, net.activation)
    size = max(1, len(x) // 3)
    fastnn.train(copy, x, labels, epochs=1, batch_size=size, learning_rate=0.01, momentum=0.5)
    return [*copy.weights, *copy.biases]
