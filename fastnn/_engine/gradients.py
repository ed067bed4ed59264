"""Gradients by the parameters, summed over a batch in an order that no number of threads changes.

A batch is cut into a few parts. Their number depends on the batch size alone, not on the number of
threads. Every part goes through the network in tiles and has a sum of gradients of its own. The
sums of the parts are then added in order, slice by slice of the parameters.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import masked, narrow, tiles
from fastnn._engine.layers import backward, evaluate_tile, input_transposed_product
from fastnn._engine.losses import first_not_finite
from fastnn._engine.memory import empty
from fastnn._engine.network import Network, parameter_name
from fastnn._engine.workspace import Rows, Workspace, Workspaces
from fastnn._kernels import descent
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count

# A part should have many rows, since each part reads all weights and has sums of its own. But two
# threads need two parts, and more threads need more: a batch of 1,000 keeps two threads busy, one
# of 2,048 eight. All threads share the products of a few rows.
_ROWS = 256
_MOST_PARTS = 8
_HEIGHT = 500  # most rows of a tile here: each has products as large as the weights
_SLICE = 1 << 16  # entries of a parameter that stay in the cache from one operation to the next


def part_count(rows: int) -> int:
    """Return how many parts a batch of `rows` is cut into: a power of two."""
    if rows <= narrow.MOST_ROWS:
        return 1
    return min(_MOST_PARTS, 1 << max(1, (rows // _ROWS).bit_length() - 1))


def _rows_of(batch: Rows, start: int, stop: int) -> Rows:
    """Return the rows from `start` to `stop` of a batch."""
    if isinstance(batch, slice):
        return slice(batch.start + start, batch.start + stop)
    return batch[start:stop]


class GradientSums:
    """Sums of the gradients of up to `rows` samples like those in `x`, in buffers made once.

    Parameters are numbered, weights first, biases after them. `slices` cuts them up for several
    threads: pairs of a number and a slice of the parameter as one row.
    """

    def __init__(self, net: Network, rows: int, x: NDArray[Any]) -> None:
        self.parts = part_count(rows)
        self.height = min(-(-rows // self.parts), _HEIGHT)
        self._mostly_zeros = masked.is_mostly_zeros(x)
        self._shapes = [p.shape for p in (*net.weights, *net.biases)]
        sizes = [math.prod(shape) for shape in self._shapes]
        self._sums = [[empty((size,), net.dtype) for size in sizes] for _ in range(self.parts)]
        self.slices = [
            (k, slice(start, min(start + _SLICE, size)))
            for k, size in enumerate(sizes)
            for start in range(0, size, _SLICE)
        ]

    def add(
        self,
        team: Team,
        workspaces: Workspaces,
        x: NDArray[Any],
        labels: NDArray[np.int64],
        batch: Rows,
    ) -> None:
        """Set the sums to those of the rows of `x` that `batch` names, in that order."""
        rows = batch.stop - batch.start if isinstance(batch, slice) else len(batch)

        def task(worker: int, part: int) -> None:
            ws = workspaces[worker]
            start, stop = rows * part // self.parts, rows * (part + 1) // self.parts
            if start == stop:  # a last batch that is smaller than the number of parts
                for sums in self._sums[part]:
                    sums[:] = 0
            for tile in tiles.cut(stop - start, self.height):
                chosen = _rows_of(batch, start + tile.start, start + tile.stop)
                ws.load(x, chosen)
                evaluate_tile(ws, labels, chosen)
                self._add_tile(ws, part, fresh=tile.start == 0)

        workspaces.pack(team, rows)
        team.run(task, range(self.parts))

    def _add_tile(self, ws: Workspace, part: int, *, fresh: bool) -> None:
        """Go backwards through the tile in `ws`, adding to the sums of `part`."""
        backward(ws, to=1)
        layers = len(ws.net.weights)
        sums = self._sums[part]
        for i, weights in enumerate(ws.net.weights):
            total = sums[i].reshape(weights.shape)
            product = total if fresh else ws.spare(f"product {i}", *weights.shape)
            if i == 0 and self._mostly_zeros:
                input_transposed_product(ws, product)
            else:
                np.matmul(ws.h[i].T, ws.g[i + 1], out=product)
            if not fresh:
                total += product
            bias = sums[layers + i]
            if fresh:
                bias[:] = 0
            descent._add_column_sums(ws.g[i + 1], bias)

    def join(self, k: int, where: slice) -> NDArray[Any]:
        """Return a slice of the sum over all parts; once after every `add`."""
        total, *others = (sums[k][where] for sums in self._sums)
        for other in others:
            np.add(total, other, out=total)
        return total

    def joined(self) -> list[NDArray[Any]]:
        """Return the sums in the shapes of the parameters, once all slices are joined."""
        return [
            total.reshape(shape) for total, shape in zip(self._sums[0], self._shapes, strict=True)
        ]


def mean_gradients(
    net: Network, x: NDArray[Any], labels: NDArray[np.int64], l2: float = 0.0
) -> list[NDArray[Any]]:
    """Return the derivatives of the mean loss by all weights, then by all biases.

    Raises FloatingPointError where one of them, with ``l2 * W`` added to weights, overflows.
    """
    sums = GradientSums(net, len(x), x)
    shared = narrow.SharedProducts(net, len(x)) if sums.parts == 1 else None
    workspaces = Workspaces(net, sums.height, to=1, shared=shared)
    kind = net.dtype.type

    def divide(_: int, number_and_slice: tuple[int, slice]) -> None:
        k, where = number_and_slice
        mean = sums.join(k, where)
        np.divide(mean, kind(len(x)), out=mean)
        if l2 and k < len(net.weights):
            mean += kind(l2) * net.weights[k].reshape(-1)[where]

    size = min(thread_count(), sums.parts)
    if shared is not None:
        size = narrow.worth_threads(net, len(x), thread_count())
    with Team(size) as team:
        with contextlib.nullcontext() if shared is None else shared.on(size):
            sums.add(team, workspaces, x, labels, slice(0, len(x)))
        team.run(divide, sums.slices)
    means = sums.joined()
    for k, mean in enumerate(means):
        if first_not_finite(np.atleast_2d(mean)) is not None:
            raise FloatingPointError(f"the gradient by {parameter_name(net, k)} is not finite")
    return means
