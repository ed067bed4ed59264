"""Predictions and means over whole sets of samples, which are in memory or read block by block."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks, _rows
from fastnn._engine import passes, units
from fastnn._engine.network import Network
from fastnn._errors import counted_from

Array = NDArray[Any]
Labels = NDArray[np.int64]
T = TypeVar("T")

# Calls from the check of units up to the line that a warning names, through a network's method.
_LEVEL = 4


def predictions(net: Network, x: Any) -> Any:
    """Return the class of every row of a set, or of a single sample."""
    source = _rows.source_of(x)
    if source is None:
        rows = units.checked(net, x, level=_LEVEL)
        return _checks.as_given(x, passes.predictions(net, rows))
    found: list[Labels] = []
    for block in _rows.ahead(block.read() for block in source.blocks()):
        with counted_from(block.first):
            if block.number:
                rows = _checks.inputs(block.x, net.sizes[0], net.dtype)
            else:
                rows = units.checked(net, block.x, level=_LEVEL)
            found.append(passes.predictions(net, rows))
    return np.concatenate([np.empty(0, np.int64), *found])


def mean_loss(net: Network, x: Any, labels: Any) -> float:
    """Return the mean cross-entropy of a set."""
    found = _of_blocks(net, x, labels, _mean_loss)
    if len(found) == 1:
        return found[0][0]
    return math.fsum(mean * count for mean, count in found) / sum(count for _, count in found)


def accuracy(net: Network, x: Any, labels: Any) -> float:
    """Return the share of the rows of a set that are predicted right."""
    found = _of_blocks(net, x, labels, _hits)
    return sum(hits for hits, _ in found) / sum(count for _, count in found)


def _mean_loss(net: Network, x: Array, labels: Labels) -> float:
    """Return the mean loss of rows in memory."""
    return float(passes.sample_losses(net, x, labels).mean(dtype=np.float64))


def _hits(net: Network, x: Array, labels: Labels) -> int:
    """Return how many rows in memory are predicted right."""
    return int(np.count_nonzero(passes.predictions(net, x) == labels))


def _of_blocks(
    net: Network, x: Any, labels: Any, of: Callable[[Network, Array, Labels], T]
) -> list[tuple[T, int]]:
    """Return what a function says of every block, and how many rows this has."""
    source = _rows.samples_of(x, labels)
    if source is None:
        rows, truth = units.samples(net, x, labels, level=_LEVEL + 2)
        return [(of(net, rows, truth), len(rows))]
    found = []
    for block in _rows.ahead(block.read() for block in source.blocks()):
        with counted_from(block.first):
            if block.number:
                rows = _checks.inputs(block.x, net.sizes[0], net.dtype)
            else:
                rows = units.checked(net, block.x, level=_LEVEL + 1)
            truth = _checks.labels(block.labels, len(rows), net.sizes[-1])
            if len(rows):
                found.append((of(net, rows, truth), len(rows)))
    _checks.some_rows(found)
    return found
