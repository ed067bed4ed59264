"""A second count of some samples, in float64 and by the reference, of what was counted."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._runtime.signals import numpy_errors
from fastnn.attacks import _random
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._rounding import SURE, Rounding
from fastnn.attacks._tally import Tally, Task
from fastnn.networks import MLP
from fastnn.reference.activations import activation_named
from fastnn.reference.networks import backward, forward
from fastnn.reference.residuals import attack_residual

Array = NDArray[Any]
Rows = NDArray[np.int64]

_AT_ONCE = 64  # samples whose layers are kept in memory
_PLACE = 0x5EC0  # of the random numbers that choose samples


class VerificationError(ArithmeticError):
    """A sample was counted otherwise than float64 counts it, and rounding does not explain it.

    A broken processor, memory, compiler or library may be the cause; ``fastnn doctor --check``
    looks for it.

    Attributes
    ----------
    what : str
        How the two counts differ.
    row : int
        The sample.
    eps : float or None
        The budget; None for the clean input.

    Examples
    --------
    >>> from fastnn.attacks import VerificationError
    >>> error = VerificationError("float32 predicts 3, float64 2", 17, 0.1)
    >>> str(error), error.row
    ('row 17 at eps 0.1: float32 predicts 3, float64 2', 17)
    """

    def __init__(self, what: str, row: int, eps: float | None = None) -> None:
        where = f"row {row}" if eps is None else f"row {row} at eps {eps:g}"
        super().__init__(f"{where}: {what}")
        self.what, self.row, self.eps = what, row, eps

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what an error from another process is made of."""
        return type(self), (self.what, self.row, self.eps)

    def _counted_from(self, first: int) -> VerificationError:
        """Return the error with its row as it is counted from `first`."""
        return type(self)(self.what, first + self.row, self.eps)


def share_of(value: Any) -> float:
    """Return a share from 0 to 1."""
    share = _checks.real(value, "verify")
    if share > 1:
        raise ValueError(f"verify must be a share from 0 to 1, got {share:g}")
    return share


def chosen_rows(samples: Rows, share: float, seed: int) -> Rows:
    """Return the rows, ascending, that are counted again: about a share of them, one at least.

    Whether a row is among them follows from the seed and its sample's number, unless none would be.
    """
    if not share or not len(samples):
        return np.empty(0, np.int64)
    numbers = _random.uniform(_random.keys(seed, samples, _PLACE), 1, np.float64)[:, 0]
    found = np.flatnonzero(numbers < share)
    return found if len(found) else np.array([np.argmin(numbers)])


class _Kept:
    """The adversarial inputs of some samples, stored as in an array (K, N, D) of all."""

    def __init__(self, rows: Rows, count: int, width: int, dtype: np.dtype[Any]) -> None:
        self._rows = rows
        self.inputs = np.zeros((count, len(rows), width), dtype)
        self.known = np.zeros((count, len(rows)), bool)

    def __setitem__(self, place: tuple[int, Rows], values: Array) -> None:
        """Keep those of the rows that are to be kept."""
        k, numbers = place
        places = np.searchsorted(self._rows, numbers).clip(max=len(self._rows) - 1)
        mine = np.flatnonzero(self._rows[places] == numbers)
        self.inputs[k, places[mine]] = values[mine]
        self.known[k, places[mine]] = True


class _Passes(NamedTuple):
    """What the reference computes of some samples: a list with an array (n, width) for each layer.

    Attributes
    ----------
    inputs, outputs : list of ndarray
        Every layer's inputs, and its outputs before activation.
    spreads : list of ndarray
        How far rounding moves these outputs in the network's own type.
    """

    inputs: list[Array]
    outputs: list[Array]
    spreads: list[Array]


class Verification:
    """Counts a share of the samples again; made before an evaluation, asked after it.

    A prediction is a tie where float64's largest logit leads the predicted one by no more than
    `SURE` deviations of the rounding errors in the network's type. An entry of FGSM's input may be
    another one where the derivative is not larger than that.
    """

    def __init__(self, share: float, net: MLP, x: Array, tally: Tally) -> None:
        task = self._task = tally.task
        self._tally = tally
        samples = task.goal.samples
        if samples is None:
            samples = np.arange(len(task.labels))
        self._rows = chosen_rows(samples, share, task.goal.seed)
        self._x, self._net = x, net
        self._kept: _Kept | None = None
        if len(self._rows) and tally.inputs is None:
            self._kept = _Kept(self._rows, len(task.eps), net.sizes[0], net.dtype)
            tally.inputs = cast(Any, self._kept)

    def require(self) -> None:
        """Raise VerificationError for the first sample that was counted otherwise."""
        if not len(self._rows):
            return
        if self._kept is not None:
            self._tally.inputs = None
        with numpy_errors():
            rounding = Rounding.of(self._net)
            for start in range(0, len(self._rows), _AT_ONCE):
                self._require_some(rounding, slice(start, start + _AT_ONCE))

    def _require_some(self, rounding: Rounding, some: slice) -> None:
        """Count some of the chosen samples again."""
        tally, rows = self._tally, self._rows[some]
        judge = _Judge(rounding, self._net.dtype, self._x[rows], rows, self._task)
        judge.require_clean(tally.clean[rows])
        for k in range(len(self._task.eps)):
            if self._kept is not None:
                moved, known = self._kept.inputs[k, some], self._kept.known[k, some]
            else:
                assert tally.inputs is not None  # the caller keeps them
                moved, known = tally.inputs[k, rows], np.ones(len(rows), bool)
            judge.require_attacked(k, tally.adversarial[k, rows], moved, known)


class _Judge:
    """Some samples that are counted again, in float64."""

    def __init__(
        self, rounding: Rounding, dtype: np.dtype[Any], x: Array, rows: Rows, task: Task
    ) -> None:
        self._rounding, self._dtype = rounding, dtype
        self._x = x / 255.0 if x.dtype == np.uint8 else x.astype(np.float64)
        self._rows, self._task = rows, task
        self._clean = self._passes(self._x, self._unit(self._x))
        self._way: tuple[Array, NDArray[np.bool_]] | None = None

    def _unit(self, x: Array) -> Array:
        """Return the deviations of inputs that were rounded once."""
        return np.abs(x) * self._rounding.unit

    def require_clean(self, counted: Rows) -> None:
        """Raise for the first prediction of a clean input that is another one."""
        self._require(counted, self._clean, None)

    def require_attacked(
        self, k: int, counted: Rows, moved: Array, known: NDArray[np.bool_]
    ) -> None:
        """Raise for the first prediction under attack that is another one.

        `moved` has the inputs that were counted, where they are `known`. FGSM in L-infinity is made
        again, too.
        """
        task, eps = self._task, float(self._task.eps[k])
        inputs, spread = moved.astype(np.float64), np.zeros(self._x.shape)
        whole = type(task.attack) is FGSM and task.attack.norm == "linf" and task.lattice is None
        if whole:
            expected, doubt = self._fgsm(eps)
            self._require_inputs(expected, doubt, inputs, known, eps)
            inputs = np.where(known[:, None], inputs, expected)
            spread = np.where(known[:, None], spread, doubt + self._unit(expected))
        else:
            assert known.all()  # only FGSM's sweeps are counted without inputs
        self._require(counted, self._passes(inputs, spread), eps)

    def _passes(self, x: Array, spread: Array) -> _Passes:
        """Send samples through the network, one after another."""
        rounding = self._rounding
        each = [forward(rounding.weights, rounding.biases, row, rounding.activation) for row in x]
        inputs, outputs = (
            [np.array(layer) for layer in zip(*part, strict=True)]
            for part in zip(*each, strict=True)
        )
        return _Passes(inputs, outputs, rounding.of_outputs(inputs, spread))

    def _fgsm(self, eps: float) -> tuple[Array, Array]:
        """Return FGSM's inputs, and how far each entry is off if its derivative has another sign.

        0 where rounding cannot give it another sign.
        """
        if self._way is None:
            self._way = self._signs()
        signs, unsure = self._way
        lower, upper = (float(self._dtype.type(bound)) for bound in self._task.bounds)
        moved, up, down = (np.clip(self._x + eps * way, lower, upper) for way in (signs, 1.0, -1.0))
        return moved, np.where(unsure, up - down, 0.0)

    def _signs(self) -> tuple[Array, NDArray[np.bool_]]:
        """Return the signs of the way that FGSM takes, and which of them rounding may change."""
        rounding, clean, goal = self._rounding, self._clean, self._task.goal
        wanted = self._task.labels if goal.targets is None else goal.targets
        each = []
        for i, row in enumerate(self._rows):
            outputs = [layer[i] for layer in clean.outputs]
            residual = attack_residual(outputs[-1], int(wanted[row]))
            each.append(backward(rounding.weights, outputs, residual, rounding.activation))
        deltas = [np.array(layer) for layer in zip(*each, strict=True)]
        gradient = np.array([np.dot(rounding.weights[0], delta) for delta in deltas[0]])
        derivative = activation_named(rounding.activation).derivative
        slopes = [derivative(layer) for layer in clean.outputs[:-1]]
        spread = rounding.of_gradient(deltas, clean.outputs, slopes, clean.spreads)
        signs = np.sign(gradient) if goal.targets is None else -np.sign(gradient)
        return signs, np.abs(gradient) <= SURE * spread

    def _require_inputs(
        self, expected: Array, doubt: Array, found: Array, known: NDArray[np.bool_], eps: float
    ) -> None:
        """Raise for the first entry that FGSM moves elsewhere."""
        allowed = doubt + 4 * self._rounding.unit * (np.abs(self._x) + eps)
        wrong = ~(np.abs(found - expected) <= allowed) & known[:, None]
        if wrong.any():
            i, column = (int(one) for one in np.argwhere(wrong)[0])
            raise VerificationError(
                f"{self._dtype} moves entry {column} to {found[i, column]:g}, float64 to "
                f"{expected[i, column]:g}",
                int(self._rows[i]),
                eps,
            )

    def _require(self, counted: Rows, passes: _Passes, eps: float | None) -> None:
        """Raise for the first prediction that is neither float64's nor a tie."""
        logits, spread = passes.outputs[-1], passes.spreads[-1]
        rows, best = np.arange(len(logits)), logits.argmax(axis=1)
        lead = logits[rows, best] - logits[rows, counted]
        allowed = SURE * np.hypot(spread[rows, best], spread[rows, counted])
        wrong = (counted != best) & ~(lead <= allowed)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise VerificationError(
                f"{self._dtype} predicts {counted[i]}, float64 {best[i]}, whose logit is larger by "
                f"{lead[i]:.3g}; rounding explains {allowed[i]:.2g}",
                int(self._rows[i]),
                eps,
            )
