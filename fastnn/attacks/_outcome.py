"""What comes of an attack: of samples in memory, of a block of them, and of all blocks together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels.timing import Clock
from fastnn.attacks import _signs as signs
from fastnn.attacks._tally import Tally

Array = NDArray[Any]

_NO_RISES = np.zeros(1, np.int64), np.empty(0, np.int64)

# Makes an array that is filled block by block, of a name, a shape and a type.
Make = Callable[[str, tuple[int, ...], Any], Any]

# The axis of the samples.
_AXES = {"labels": 0, "clean": 0, "adversarial": 1, "traces": 1, "inputs": 1}


class Outcome(NamedTuple):
    """What comes of an attack of n samples.

    Attributes
    ----------
    labels, clean : ndarray of int, shape (n,)
        True classes, and predictions without an attack.
    adversarial : ndarray of int, shape (K, n)
        Predictions under attack.
    traces : ndarray of int, shape (K, n, 3), or None
    inputs : ndarray, shape (K, n, D), or None
        The adversarial arrays.
    counts : ndarray of int64, shape (4 + K,)
        Samples, those without a gradient, those that are saturated, those right without an attack,
        and those right under it.
    signs : dict of str to ndarray of int
        The samples that show each sign, counted from 0.
    probabilities, normalised : bool
        Whether all logits look like probabilities, and the inputs look normalised.
    seconds, compiling : float
    """

    labels: Array
    clean: Array
    adversarial: Array
    traces: Array | None
    inputs: Array | None
    counts: NDArray[np.int64]
    signs: dict[str, Array]
    probabilities: bool
    normalised: bool
    seconds: float = 0.0
    compiling: float = 0.0

    @property
    def clean_share(self) -> float:
        """Share of the samples that are right without an attack; 0 of none."""
        return float(self.counts[3] / max(self.counts[0], 1))

    def packed(self) -> Outcome:
        """Return the same with integers of the smallest types that hold them."""
        small: dict[str, Any] = {
            name: _small(getattr(self, name)) for name in _AXES if name != "inputs"
        }
        return self._replace(
            **small, signs={k: np.asarray(_small(v)) for k, v in self.signs.items()}
        )


class Whole(NamedTuple):
    """What comes of all samples: as `Outcome`, with `found` for the signs of all of them."""

    labels: NDArray[np.int64]
    clean: NDArray[np.int64]
    adversarial: NDArray[np.int64]
    traces: NDArray[np.int32] | None
    inputs: Array | None
    counts: NDArray[np.int64]
    found: dict[str, NDArray[np.int64]]


def outcome_of(tally: Tally, x: Array, time: Clock) -> Outcome:
    """Return what a tally has of samples in memory."""
    task, noted = tally.task, tally.signs
    labels = task.labels
    if tally.progress is not None:
        noted.note(signs.STUCK, tally.stuck(tally.progress))
    for number in signs.black_box(task.attack):
        if tally.traces is not None:
            fooled = (tally.traces[..., 0] == number).any(axis=0)
            noted.note(signs.BLACK_BOX, np.flatnonzero(fooled))
    right = [int(np.count_nonzero(found == labels)) for found in (tally.clean, *tally.adversarial)]
    gradients = noted.count(signs.NO_GRADIENT), noted.count(signs.SATURATED)
    counts = [len(labels), *gradients, *right]
    return Outcome(
        labels.copy(),
        tally.clean,
        tally.adversarial,
        tally.traces,
        tally.inputs,
        np.array(counts, np.int64),
        noted.rows(),
        bool(noted.probabilities) and all(noted.probabilities),
        signs.look_normalised(x),
        time.working,
        time.compiling,
    )


def alone(one: Outcome, eps: Array) -> Whole:
    """Return what comes of samples that were all in memory."""
    shown = {signs.PROBABILITIES: one.probabilities, signs.NORMALISED: one.normalised}
    found = _signs_of(one, 0, shown, *_rises(one.counts, eps))
    arrays = one.labels, one.clean, one.adversarial, one.traces, one.inputs
    return Whole(*arrays, one.counts, found)


def together(outcomes: Iterable[Outcome], eps: Array, make: Make) -> Whole:
    """Return what comes of the samples of all blocks, in their order.

    The outcomes are gone through twice: once for the counts, and once for the arrays of the whole,
    which `make` returns.
    """
    counts, shown = _sums(outcomes)
    arrays: dict[str, Any] = {}
    noted: dict[str, list[Array]] = {}
    begin, order_and_rises = 0, _rises(counts, eps)
    for one in outcomes:
        stop = begin + int(one.counts[0])
        for name, axis in _AXES.items():
            part = getattr(one, name)
            if name not in arrays:
                arrays[name] = None if part is None else _made(make, name, part, int(counts[0]))
            if part is not None:
                arrays[name][(slice(None),) * axis + (slice(begin, stop),)] = part
        for name, rows in _signs_of(one, begin, shown, *order_and_rises).items():
            noted.setdefault(name, []).append(rows)
        begin = stop
    found = {name: np.concatenate(rows) for name, rows in noted.items()}
    return Whole(**arrays, counts=counts, found=found)


def _sums(outcomes: Iterable[Outcome]) -> tuple[NDArray[np.int64], dict[str, bool]]:
    """Return the counts of all blocks, and which signs are those of all samples."""
    counts: Any = 0
    probabilities, normalised = True, False
    for k, one in enumerate(outcomes):
        counts = counts + one.counts
        probabilities = probabilities and one.probabilities
        normalised = normalised or (k == 0 and one.normalised)
    if not np.ndim(counts):
        raise ValueError("the iterator yields no rows")
    return counts, {signs.PROBABILITIES: probabilities, signs.NORMALISED: normalised}


def _made(make: Make, name: str, part: Array, rows: int) -> Any:
    """Return an array for the samples of all blocks."""
    axis = _AXES[name]
    shape = (*part.shape[:axis], rows, *part.shape[axis + 1 :])
    return make(name, shape, {"traces": np.int32, "inputs": part.dtype}.get(name, np.int64))


def _rises(counts: Array, eps: Array) -> tuple[Array, Array]:
    """Return the order of the eps, and after which of them in this order more samples stand."""
    if len(eps) == 1:
        return _NO_RISES
    order = np.argsort(eps, kind="stable")
    return order, np.flatnonzero(np.diff(counts[4:][order]) > 0)


def _signs_of(
    one: Outcome, begin: int, shown: dict[str, bool], order: Array, rises: Array
) -> dict[str, NDArray[np.int64]]:
    """Return the samples of a block that show each sign, counted from `begin`."""
    rows = dict(one.signs)
    if len(rises):
        rows[signs.RISES] = _risen(one, order, rises)
    for name, all_do in shown.items():
        if all_do:
            rows[name] = np.arange(int(one.counts[0]))
    return {name: some + np.int64(begin) for name, some in rows.items() if len(some)}


def _risen(one: Outcome, order: Array, rises: Array) -> Array:
    """Return the samples that stand at a larger eps but not at the one before, where more do."""
    right = one.adversarial[order] == one.labels
    return np.flatnonzero((right[1:] & ~right[:-1])[rises].any(axis=0))


def _small(array: Array | None) -> Array | None:
    """Return integers in the smallest type that holds them."""
    if array is None or not array.size:
        return array
    ends = np.min_scalar_type(array.min()), np.min_scalar_type(array.max())
    return array.astype(np.result_type(*ends))
