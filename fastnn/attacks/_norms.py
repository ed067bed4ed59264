"""Steps, starts and gradients in the balls of the three norms, for all rows of a tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels import balls
from fastnn.attacks import _random
from fastnn.attacks._tile import Tile

Array = NDArray[Any]

NORMS = ("linf", "l2", "l1")


def require(norm: str, among: tuple[str, ...] = NORMS) -> None:
    """Raise if there is no such norm."""
    if norm not in among:
        raise ValueError(f"norm must be one of {among}, got {norm!r}")


def fast_gradient(tile: Tile, gradient: Array, eps: Any, norm: str, out: Array) -> Array:
    """out = the inputs within eps of the clean ones that gain most by the gradient."""
    if norm == "linf":
        return tile.step(tile.x, gradient, eps, eps, out)
    limits = float(tile.lower), float(tile.upper)
    balls._fast_gradient(
        tile.usable(tile.x), gradient, _wide(tile, eps), norm == "l2", *limits, out
    )
    return out


def step(
    tile: Tile, x: Array, gradient: Array, size: Any, eps: Any, norm: str, out: Array
) -> Array:
    """out = `x` moved by `size` where it is steepest, and back to within eps of the clean inputs.

    Along the gradient's signs; in L2, along ``g / ||g||_2``; in L1, on the entries with the largest
    derivatives that have room. Then each row goes to the nearest one within ball and bounds.
    """
    if norm == "linf":
        return tile.step(x, gradient, size, eps, out)
    limits = float(tile.lower), float(tile.upper)
    sizes, budgets = _wide(tile, size), _wide(tile, eps)
    clean = tile.usable(tile.x)
    balls._ball_step(clean, x, gradient, sizes, budgets, norm == "l2", *limits, out)
    return out


def into(tile: Tile, x: Array, eps: Any, norm: str, out: Array) -> Array:
    """out = of each row the nearest one within eps of the clean input and within the bounds."""
    if norm == "linf":
        return tile.step(x, x, 0, eps, out)
    way = x.astype(np.float64) - tile.x
    limits = float(tile.lower), float(tile.upper)
    balls._move(tile.usable(tile.x), way, _wide(tile, eps), norm == "l2", *limits, out)
    return out


def start(tile: Tile, eps: Any, norm: str, restart: int, out: Array) -> Array:
    """out = a random point of each ball, uniform but for the bounds that it is cut by.

    In L2 the direction of a normal vector, in L1 that of Laplace numbers, each at a radius of ``eps
    * u**(1 / D)``.
    """
    width, kind = tile.x.shape[1], tile.x.dtype
    key = tile.keys(restart, 0)
    if norm == "linf":
        np.subtract(_random.uniform(key, width, kind), kind.type(0.5), out=out)
        out *= 2 * np.reshape(tile.each(eps), (-1, 1))
        out += tile.x
        return into(tile, out, eps, norm, out)
    if norm == "l2":
        way = _random.normal(key, width)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
    else:
        both = _random.uniform(key, 2 * width, np.float64)
        way = -np.log1p(-both[:, :width]) * np.where(both[:, width:] < 0.5, -1, 1)
        way /= np.abs(way).sum(axis=1, keepdims=True)
    radius = _random.uniform(tile.keys(restart, 1), 1, np.float64) ** (1 / width)
    way *= radius * _wide(tile, eps)[:, None]
    way += tile.x
    return into(tile, way, eps, norm, out)


def length(x: Array, clean: Array, norm: str) -> NDArray[np.float64]:
    """Return the norm of the change of every row."""
    change = np.abs(x.astype(np.float64) - clean)
    if norm == "linf":
        return np.asarray(change.max(axis=1, initial=0))
    if norm == "l1":
        return np.asarray(change.sum(axis=1))
    return np.asarray(np.sqrt((change * change).sum(axis=1)))


def _wide(tile: Tile, value: Any) -> NDArray[np.float64]:
    """Return a number, or one for each row, as float64 (n,)."""
    return tile.each(value).astype(np.float64)
