"""Known answers of the kernel that attacks a few rows, and of the products that are its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._engine.crews import new_board
from fastnn._engine.few import Signed, attack_by_sign
from fastnn._kernels import narrow_helpers, narrow_passes
from fastnn._kernels.attack_steps import ROUNDING
from fastnn._kernels.narrow_first_layer import MOST_INPUTS
from fastnn._kernels.narrow_passes import DONE, PROBABILITIES, READ_ONCE_TO, UNUSUAL
from fastnn._kernels.narrow_products import MOST_ROWS
from fastnn._kernels.vectors import VECTOR_BYTES
from fastnn.cli._answers._compare import WIDE, Answer, Array, Kind, answer
from fastnn.networks import MLP

_EPS = 0.25
Bounds = tuple[float, float]


def of_attacks(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for products with narrow matrices, and for attacks of a few rows by FGSM."""
    lanes = VECTOR_BYTES // kind.itemsize
    for rows in (1, MOST_ROWS + 1):
        for width in (1, lanes, lanes + 3):
            a, b = rng.standard_normal((rows, 9)), rng.standard_normal((9, width))
            out = np.full((rows, width), np.nan, kind)
            narrow_passes._narrow_product(a.astype(kind), b.astype(kind), out)
            wanted = a.astype(kind).astype(WIDE) @ b.astype(kind).astype(WIDE)
            allowed = 16 * np.finfo(kind).eps * (np.abs(a) @ np.abs(b))
            yield answer("_narrow_product", out, wanted, allowed)
    for rows in (1, 3, READ_ONCE_TO, READ_ONCE_TO + 1):
        yield from _of_rows(kind, rows, 7, 1, (0, 1), rng)
    yield from _of_rows(kind, MOST_ROWS, MOST_INPUTS + 5, 2, (0, 1), rng)
    yield from _of_rows(kind, READ_ONCE_TO + 1, 40, 2, (-np.inf, np.inf), rng)  # tables of sums
    yield from _of_states(kind)
    board, nobody = new_board(), np.empty(0, np.int64)
    steps = [narrow_helpers._take(board, nobody, owner, 0) for owner in (1, 2)]
    steps.append(narrow_helpers._end(board, nobody))  # not while it is taken
    narrow_helpers._give_back(board)
    steps.append(narrow_helpers._end(board, nobody))
    yield answer("_take and _end", np.array(steps), np.array([True, False, False, True]))


def _attack(
    net: MLP, x: Array, labels: Array, threads: int = 1, bounds: Bounds = (0, 1)
) -> tuple[int, Signed]:
    """Return the state and what was found."""
    settings = np.array([_EPS, *bounds, *ROUNDING[net.dtype]], net.dtype)
    found = Signed.of(x)
    return attack_by_sign(net, x, labels, settings, found, threads), found


def _of_rows(
    kind: Kind, rows: int, inputs: int, threads: int, bounds: Bounds, rng: np.random.Generator
) -> Iterator[Answer]:
    """Attack so many rows; what is nearly 0 may have either sign, and equal logits any order."""
    net = MLP.random((inputs, 300, 5), rng=2, dtype=kind)
    x, labels = rng.random((rows, inputs)).astype(kind), rng.integers(0, 5, rows)
    state, found = _attack(net, x, labels, threads, bounds)
    yield answer("_attack_by_sign", state, DONE)
    (w, v), (b, c) = ([a.astype(WIDE) for a in arrays] for arrays in (net.weights, net.biases))

    def passed(inputs: Array) -> tuple[Array, Array]:
        h = np.maximum(inputs.astype(WIDE) @ w + b, 0)
        return h, h @ v + c

    h, logits = passed(x)
    residual = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual /= residual.sum(axis=1, keepdims=True)
    residual[np.arange(rows), labels] -= 1
    slope = ((residual @ v.T) * (h > 0)) @ w.T
    unsure = np.abs(slope) < 1e-3 * np.abs(slope).max(axis=1, keepdims=True)
    wanted = np.clip(x + _EPS * np.sign(slope), *bounds)
    allowed = np.where(unsure, 2 * _EPS, 4 * np.finfo(kind).eps)
    yield answer("_attack_by_sign, inputs", found.moved, wanted, allowed)
    for classes, exact in ((found.classes[0], logits), (found.classes[1], passed(found.moved)[1])):
        behind = exact.max(axis=1) - exact[np.arange(rows), classes]
        yield answer("_attack_by_sign, classes", behind, np.zeros(rows), 1e-4)


def _of_states(kind: Kind) -> Iterator[Answer]:
    """Ask whether logits look like probabilities, and what happens to those that overflow."""
    large = np.sqrt(np.finfo(kind).max)
    for weight, biases, state in (
        (0.0, [0.25, 0.75], PROBABILITIES),
        (0.0, [0.25, 0.5], DONE),
        (0.0, [-0.25, 1.25], DONE),
        (large, [0.0, 0.0], UNUSUAL),
    ):
        weights = [np.full((2, 2), weight, kind), np.full((2, 2), weight, kind)]
        net = MLP(weights, [np.zeros(2, kind), np.array(biases, kind)])
        with np.errstate(all="ignore"):  # for the plain functions that are compiled
            found, _ = _attack(net, np.ones((2, 2), kind), np.array([0, 1]))
        yield answer("_attack_by_sign, state", found, state)
