"""Random networks, inputs, bounds and budgets, from plain to extreme."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_BATCHES = (1, 2, 3, 4, 5, 7, 31, 63, 64, 65, 99, 100, 101, 128, 200, 500, 1000, 1203, 4100)
_SCALES = (1e-13, 1e-6, 1e-3, 10.0, 1e3, 1e6)
_EPS = (0.0, 1e-8, 1e-3, 0.05, 0.1, 0.3, 1.0, 2.0, 1e3, 1e8, 1e30)
_BOUNDS = (None, None, (0.0, 1.0), (0.0, 1.0), (-1e6, 1e6), (0.0, math.inf), (-math.inf, 1.0))
_MOST_WORK = 4e7  # rows times weights


@dataclass(frozen=True)
class Problem:
    """What one case asks about."""

    net: Any
    x: Array  # as it is handed over: any layout, float or uint8
    labels: Array
    bounds: tuple[float, float] | None
    eps: list[float]
    rng: np.random.Generator

    @property
    def numbers(self) -> Array:
        """The inputs as floats of the network's type."""
        if self.x.dtype == np.uint8:
            return np.divide(self.x, 255, dtype=self.net.dtype)
        return np.ascontiguousarray(self.x)


def make(seed: int) -> Problem:
    """Return the problem of one case."""
    rng = np.random.default_rng(seed)
    net = make_net(rng)
    weights = sum(w.size for w in net.weights)
    fitting = [n for n in _BATCHES if n * weights <= _MOST_WORK] or [1]
    rows = int(rng.choice(fitting))
    bounds = _BOUNDS[rng.integers(len(_BOUNDS))]
    x = make_inputs(rng, rows, net, bounds)
    kind = rng.choice([np.int64, np.int32, np.uint8])
    labels = rng.integers(0, min(net.sizes[-1], 200), rows).astype(kind)
    many = 40 if rng.random() < 0.1 else 9
    eps = [float(e) for e in rng.choice(_EPS, rng.integers(1, many))]
    return Problem(net, x, labels, bounds, eps, rng)


def make_net(rng: np.random.Generator) -> Any:
    """Return a network: plain in half of the cases, else of odd scales and patterns."""
    from fastnn import MLP

    depth = int(rng.integers(1, 7))
    widest = 300 if depth <= 3 else 100
    sizes = [max(1, int(widest ** rng.random())) for _ in range(depth + 1)]
    sizes[-1] = max(2, sizes[-1] if rng.random() < 0.3 else int(rng.integers(2, 13)))
    kind = rng.choice([np.float32, np.float64], p=[0.7, 0.3])
    activation = str(rng.choice(["relu", "sigmoid", "tanh"], p=[0.6, 0.2, 0.2]))
    odd = rng.random() < 0.5
    scale = float(rng.choice(_SCALES)) if odd and rng.random() < 0.5 else None
    weights, biases = [], []
    for d_in, d_out in pairwise(sizes):
        spread = math.sqrt(2 / d_in) if scale is None else scale
        weights.append(spread * rng.standard_normal((d_in, d_out)))
        largest = float(rng.choice([0.0, 0.3, spread, 1.0]))
        biases.append(largest * np.abs(rng.standard_normal(d_out)))
        if rng.random() < 0.5:
            biases[-1] *= rng.choice([-1, 1], d_out)
        if odd:
            _disfigure(rng, weights[-1], biases[-1])
    if rng.random() < 0.1:  # logits that are equal in all rows
        weights[-1][:], biases[-1][:] = weights[-1][:, :1], biases[-1][:1]
    return MLP([w.astype(kind) for w in weights], [b.astype(kind) for b in biases], activation)


def _disfigure(rng: np.random.Generator, weights: Array, bias: Array) -> None:
    """Make one layer sparse, some of its units dead, and some the twins of others."""
    if rng.random() < 0.3:
        weights[rng.random(weights.shape) < 0.9] = 0
    if rng.random() < 0.3:
        dead = rng.random(len(bias)) < 0.3
        weights[:, dead], bias[dead] = 0, -np.abs(bias[dead])
    if rng.random() < 0.3:
        twins = rng.integers(0, len(bias), len(bias))
        weights[:], bias[:] = weights[:, twins], bias[twins]
    if rng.random() < 0.3:
        weights[rng.random(len(weights)) < 0.3] = 0


def make_inputs(
    rng: np.random.Generator, rows: int, net: Any, bounds: tuple[float, float] | None
) -> Array:
    """Return inputs within the bounds, in any layout."""
    width = net.sizes[0]
    if bounds in (None, (0.0, 1.0)) and rng.random() < 0.2:
        pixels = rng.integers(0, 256, (rows, width)).astype(np.uint8)
        pixels[rng.random(pixels.shape) < 0.7] = 0
        return pixels
    if bounds is None or bounds == (-1e6, 1e6):
        x = float(rng.choice([1e-3, 1.0, 1.0, 1e3])) * rng.standard_normal((rows, width))
    else:
        x = rng.random((rows, width))
    if rng.random() < 0.6:
        x[rng.random(x.shape) < 0.7] = 0
    if rng.random() < 0.3:
        x[rng.random(x.shape) < 0.3] = 1
    if rng.random() < 0.3:
        x[:] = x[rng.integers(0, rows, rows)]
    return _in_some_layout(rng, x.astype(net.dtype))


def _in_some_layout(rng: np.random.Generator, x: Array) -> Array:
    """Return `x` as it is, by columns, spread over the memory, backwards, or read-only."""
    layout = rng.integers(8)
    if layout == 0:
        return np.asfortranarray(x)
    if layout == 1:
        wide = np.full((2 * x.shape[0], 3 * x.shape[1]), np.nan, x.dtype)
        wide[::2, ::3] = x
        return wide[::2, ::3]
    if layout == 2:
        return x[::-1, ::-1].copy()[::-1, ::-1]
    if layout == 3:
        x.flags.writeable = False
    return x
