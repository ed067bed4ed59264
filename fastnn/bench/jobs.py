"""What is asked, how much work it is, and how an answer is judged before anything is timed.

Operations are counted as the formulas state them: a multiply-add is two, and a sum, a product, a
quotient, a comparison, exp and log are one each. An implementation that finds a way round some of
the work may so come out above the peak. Bytes are those that must move at least: inputs and
parameters read once, results written once, in float32.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.bench.implementations import Truth
from fastnn.bench.setting import Setting

Array = NDArray[Any]
Judge = Callable[[Sequence[Array], Sequence[Array], bool, int], None]

EPS = 0.1
SWEEP = tuple(round(0.02 * k, 2) for k in range(16))
UNIT = (0.0, 1.0)
HIDDEN = 300  # the assignment's first part is 784-300-10
RELU_UNITS = 2048  # of the second part's first layer
PART_ONE_SEED = 0


class WrongAnswerError(ArithmeticError):
    """An implementation's answer is not the right one, so that its time means nothing."""


@dataclass(frozen=True)
class Job:
    """One question to every implementation.

    Attributes
    ----------
    name, title : str
        Short for commands, and in words.
    method : str
        The method of an implementation that answers.
    network : tuple
        Weights, biases and activation to build the implementation with.
    arguments : tuple
        For the method; arrays go through the implementation's ``array``.
    n : int
        Samples.
    flops, bytes : float
        Work, counted as the module says.
    judge : callable
        Takes answer, truth, whether the implementation is exact, and n.
    """

    name: str
    title: str
    method: str
    network: tuple[Sequence[Array], Sequence[Array], str]
    arguments: tuple[Any, ...]
    n: int
    flops: float
    bytes: float
    judge: Judge

    def solve(self, implementation: type[Any]) -> Callable[[], Any]:
        """Return a function of no arguments that answers with `implementation`."""
        made = implementation(*self.network)
        arguments = [made.array(a) if isinstance(a, np.ndarray) else a for a in self.arguments]
        return functools.partial(getattr(made, self.method), *arguments)

    def truth(self, folder: Path | None = None) -> list[Array]:
        """Return the float64 answer; it is kept in `folder` for whoever asks next."""
        kept = None if folder is None else folder / f"truth-{self.name}-{self.n}.npz"
        if kept is not None and kept.exists():
            with np.load(kept) as stored:
                return [stored[name] for name in stored.files]
        answer = _as_arrays(self.solve(Truth)())
        if kept is not None:
            np.savez(kept, *answer)
        return answer

    def check(self, answer: Any, truth: Sequence[Array], *, exact: bool) -> list[Array]:
        """Return `answer` as arrays, or raise `WrongAnswerError`."""
        arrays = _as_arrays(answer)
        if [a.shape for a in arrays] != [t.shape for t in truth]:
            shapes = [a.shape for a in arrays]
            raise WrongAnswerError(f"{self.name}: shapes {shapes}, not {[t.shape for t in truth]}")
        try:
            self.judge(arrays, truth, exact, self.n)
        except WrongAnswerError as error:
            raise WrongAnswerError(f"{self.name}: {error}") from None
        return arrays


def _as_arrays(answer: Any) -> list[Array]:
    """Return an answer of one array or several as a list of numpy arrays."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    return [np.asarray(part) for part in parts]


# --- judges --------------------------------------------------------------------------------------


def _close(answer: Sequence[Array], truth: Sequence[Array], _exact: bool, _n: int) -> None:
    """Every array agrees to 2e-5 of its largest entry."""
    for a, t in zip(answer, truth, strict=True):
        error = float(np.abs(a - t).max() / np.abs(t).max())
        if not error <= 2e-5:
            raise WrongAnswerError(f"relative error {error:.1e}, at most 2e-5 allowed")


def _same_steps(answer: Sequence[Array], truth: Sequence[Array], exact: bool, _n: int) -> None:
    """Entries agree, but for gradients near 0 and, with a cancelling residual, rows it spoils."""
    wrong = float((~(np.abs(answer[0] - truth[0]) <= 1e-5)).mean())  # NaN is wrong, too
    allowed = 0.005 if exact else 0.25
    if wrong > allowed:
        raise WrongAnswerError(f"{wrong:.2%} of the entries differ, at most {allowed:.1%} allowed")


def _same_counts(answer: Sequence[Array], truth: Sequence[Array], exact: bool, n: int) -> None:
    """Every count is float64's to 1, or to 2 in 10,000 rows.

    A cancelling residual spoils up to 5 % of the rows, and of a few rows more by chance: one more
    than expected, and three times the root of what is expected.
    """
    spoilt = n / 20
    allowed = max(1, n // 5000) if exact else 1 + spoilt + 3 * spoilt**0.5
    off = np.abs(answer[0] - truth[0])
    if exact and not off.max() <= allowed:
        raise WrongAnswerError(f"counts {answer[0]}, float64 has {truth[0]}")
    if not off.flat[:2].max() <= allowed:  # of a sweep, the smallest eps
        raise WrongAnswerError(f"counts {answer[0]}, float64 has {truth[0]}")


def _same_training(answer: Sequence[Array], truth: Sequence[Array], exact: bool, _n: int) -> None:
    """Accuracies agree to 0.01, exact losses to 3 %: rounding grows from step to step."""
    loss_off = np.abs(answer[0][::2] / truth[0][::2] - 1).max()
    accuracy_off = np.abs(answer[0][1::2] - truth[0][1::2]).max()
    if (exact and not loss_off <= 0.03) or not accuracy_off <= 0.01:
        raise WrongAnswerError(f"loss and accuracy {answer[0]}, float64 has {truth[0]}")


# --- jobs ----------------------------------------------------------------------------------------


def _parameters(weights: Sequence[Array]) -> int:
    """Return the number of multiply-adds of one forward pass for one sample."""
    return sum(w.size for w in weights)


def _part_two(setting: Setting) -> tuple[Sequence[Array], Sequence[Array], str]:
    return setting.weights, setting.biases, "relu"


def _part_one() -> tuple[Sequence[Array], Sequence[Array], str]:
    """Return the assignment's first network with its normal weights, drawn from a fixed seed."""
    rng = np.random.default_rng(PART_ONE_SEED)
    weights = [rng.standard_normal(s) for s in ((784, HIDDEN), (HIDDEN, 10))]
    return weights, [np.zeros(HIDDEN), np.zeros(10)], "sigmoid"


def _rows(array: Array, n: int) -> Array:
    """Return `n` rows of `array`, from the top again where it has fewer."""
    return array[:n] if n <= len(array) else np.take(array, np.arange(n) % len(array), axis=0)


def _of_a_kernel(
    title: str, method: str, arguments: tuple[Any, ...], flops: float, moved: float
) -> dict[str, Any]:
    """Return a job on arrays alone; no network has a part in it."""
    return {
        "title": title,
        "method": method,
        "network": _part_one(),
        "arguments": arguments,
        "flops": flops,
        "bytes": moved,
        "judge": _close,
    }


def _sigmoid(setting: Setting, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    z, bias = rng.normal(0, 4, (n, HIDDEN)), rng.normal(0, 1, HIDDEN)
    title = f"sigmoid(z + bias), {n:,} x {HIDDEN}"
    return _of_a_kernel(title, "sigmoid", (z, bias), 4.0 * z.size, 8.0 * z.size)


def _relu(setting: Setting, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    z, bias = rng.normal(0, 1, (n, RELU_UNITS)), rng.normal(0, 1, RELU_UNITS)
    title = f"ReLU(z + bias), {n:,} x {RELU_UNITS}"
    return _of_a_kernel(title, "relu", (z, bias), 2.0 * z.size, 8.0 * z.size)


def _softmax(setting: Setting, n: int) -> dict[str, Any]:
    logits = np.random.default_rng(2).normal(0, 5, (n, 10))
    size = logits.size
    return _of_a_kernel(f"softmax, {n:,} x 10", "softmax", (logits,), 5.0 * size, 8.0 * size)


def _residual(setting: Setting, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(0, 5, (n, 10)), rng.integers(0, 10, n)
    title, moved = f"softmax, loss and residual, {n:,} x 10", 8.0 * logits.size + 12.0 * n
    return _of_a_kernel(title, "residual", (logits, labels), 5.0 * logits.size, moved)


def _step(setting: Setting, n: int) -> dict[str, Any]:
    x = _rows(setting.x, n)
    gradient = np.random.default_rng(3).normal(0, 1, x.shape)
    gradient[:, ::50] = 0
    title, arguments = f"signed step, clipped, {n:,} x 784", (x, gradient, EPS, UNIT)
    return _of_a_kernel(title, "step", arguments, 5.0 * x.size, 12.0 * x.size)


def _pass(
    method: str, title: str, passes: float, written: str, judge: Judge, *more: Any
) -> Callable[[Setting, int], dict[str, Any]]:
    """Return a job on the large network that takes `passes` times a forward pass's products."""

    def make(setting: Setting, n: int) -> dict[str, Any]:
        per_row = _parameters(setting.weights)
        width = {"logits": 10 * n, "inputs": 784 * n, "parameters": per_row, "counts": 0}[written]
        labels = () if method == "logits" else (_rows(setting.labels, n),)
        return {
            "title": f"{title}, {n:,} images",
            "method": method,
            "network": _part_two(setting),
            "arguments": (_rows(setting.x, n), *labels, *more),
            "flops": 2.0 * passes * per_row * n,
            "bytes": 4.0 * (784 * n + per_row + width),
            "judge": judge,
        }

    return make


def _gradients(setting: Setting, n: int) -> dict[str, Any]:
    make = _pass("gradients", "gradient by the parameters", 3, "parameters", _close)
    fields = make(setting, n)
    fields["flops"] -= 2.0 * setting.weights[0].size * n  # none flows on to the input
    return fields


def _training(
    setting: Setting, n: int, network: Any, label: str, epochs: int, *how: Any
) -> dict[str, Any]:
    first, total = network[0][0].size, _parameters(network[0])
    validation = min(len(setting.x), 10_000)
    per_epoch = 2.0 * n * (3 * total - first) + 2.0 * (n + validation) * total
    return {
        "title": f"{label}, {epochs} epoch{'s' * (epochs > 1)} of {n:,} images with metrics",
        "method": "train",
        "network": network,
        "arguments": (
            _rows(setting.x_train, n),
            _rows(setting.labels_train, n),
            _rows(setting.x, validation),
            _rows(setting.labels, validation),
            epochs,
            *how,
        ),
        "flops": epochs * per_epoch,
        "bytes": 4.0 * 784 * (2 * n + validation) * epochs,
        "judge": _same_training,
    }


def _part_one_training(epochs: int) -> Callable[[Setting, int], dict[str, Any]]:
    def make(setting: Setting, n: int) -> dict[str, Any]:
        return _training(setting, n, _part_one(), "part 1", epochs, 1000, 5.0)

    return make


def _part_two_training(setting: Setting, n: int) -> dict[str, Any]:
    return _training(setting, n, _part_two(setting), "part 2", 1, 100, 0.05)


_JOBS: dict[str, Callable[[Setting, int], dict[str, Any]]] = {
    "sigmoid": _sigmoid,
    "relu": _relu,
    "softmax": _softmax,
    "residual": _residual,
    "step": _step,
    "forward": _pass("logits", "forward pass", 1, "logits", _close),
    "gradients": _gradients,
    "input-gradient": _pass("input_gradient", "gradient by the input", 2, "inputs", _close),
    "fgsm": _pass("fgsm", "FGSM", 2, "inputs", _same_steps, EPS, UNIT),
    "accuracy": _pass("accuracy", "clean and FGSM accuracy", 3, "counts", _same_counts, EPS, UNIT),
    "sweep": _pass("sweep", "16 eps, clipped", 2 + len(SWEEP), "counts", _same_counts, SWEEP, UNIT),
    "sweep-unclipped": _pass(
        "sweep", "16 eps, not clipped", 2 + len(SWEEP), "counts", _same_counts, SWEEP, None
    ),
    "epoch": _part_one_training(1),
    "training": _part_one_training(30),
    "epoch-part2": _part_two_training,
}
NAMES = tuple(_JOBS)


def make_job(name: str, setting: Setting, n: int) -> Job:
    """Return the job of that name for `n` samples.

    Raises
    ------
    KeyError
        There is no job of that name; `NAMES` has those there are.
    """
    return Job(name=name, n=n, **_JOBS[name](setting, n))
