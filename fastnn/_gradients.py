"""Gradients by the parameters, summed over a batch in an order that no number of threads changes.

A batch is cut into a few parts, as many as a full one has, whatever the threads. Every part sums
its gradients in buffers of its own, and the parts are added in order, piece by piece.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _kernels, _passes, _sparse
from fastnn._parallel import Team, thread_count

if TYPE_CHECKING:
    from fastnn.networks import MLP

# Parts should be tall, as every one reads the weights and fills sums anew; yet two threads want
# two of them even for a small batch, and more parts serve more threads: a batch of 1,000 keeps
# two busy, one of 2,048 eight.
_ROWS = 256
_SPLIT_FROM = 100
_MOST_PARTS = 8
_PIECE = 1 << 16  # entries of a parameter that stay in the cache from one operation to the next


def part_count(rows: int) -> int:
    """Return how many parts a batch of `rows` is cut into: a power of two."""
    if rows < _SPLIT_FROM:
        return 1
    return min(_MOST_PARTS, 1 << max(1, (rows // _ROWS).bit_length() - 1))


class GradientSums:
    """Sums of the gradients of up to `rows` samples like those in `x`, in buffers made once.

    Parameters are numbered, weights first, biases after them. `pieces` cuts them up for several
    threads: pairs of a number and a slice of the parameter as one row.
    """

    def __init__(self, net: MLP, rows: int, x: NDArray[Any]) -> None:
        self.parts = part_count(rows)
        self.height = min(-(-rows // self.parts), _passes.MOST_ROWS)
        self._mostly_zeros = _sparse.is_mostly_zeros(x)
        self._shapes = [p.shape for p in (*net.weights, *net.biases)]
        sizes = [math.prod(shape) for shape in self._shapes]
        self._sums = [
            [_passes.empty((size,), net.dtype) for size in sizes] for _ in range(self.parts)
        ]
        self.pieces = [
            (k, slice(start, min(start + _PIECE, size)))
            for k, size in enumerate(sizes)
            for start in range(0, size, _PIECE)
        ]

    def add(
        self,
        team: Team,
        workspaces: _passes.Workspaces,
        x: NDArray[Any],
        labels: NDArray[np.int64],
        batch: slice | NDArray[np.int64],
    ) -> None:
        """Set the sums to those of the rows of `x` that `batch` names, in that order."""
        rows = batch.stop - batch.start if isinstance(batch, slice) else len(batch)

        def task(worker: int, part: int) -> None:
            ws = workspaces[worker]
            start, stop = rows * part // self.parts, rows * (part + 1) // self.parts
            if start == stop:  # a last batch that is smaller than the number of parts
                for sums in self._sums[part]:
                    sums[:] = 0
            for first in range(start, stop, self.height):
                last = min(first + self.height, stop)
                if isinstance(batch, slice):
                    chosen: slice | NDArray[np.int64] = slice(
                        batch.start + first, batch.start + last
                    )
                else:
                    chosen = batch[first:last]
                ws.load(x, chosen)
                _passes.evaluate_tile(ws, labels, chosen)
                self._add_tile(ws, part, fresh=first == start)

        workspaces.pack(team, rows)
        team.run(task, range(self.parts))

    def _add_tile(self, ws: _passes.Workspace, part: int, *, fresh: bool) -> None:
        """Go backwards through the tile in `ws`, adding to the sums of `part`."""
        _passes.backward(ws, to=1)
        layers = len(ws.net.weights)
        sums = self._sums[part]
        for i, weights in enumerate(ws.net.weights):
            total = sums[i].reshape(weights.shape)
            product = total if fresh else ws.spare(f"product {i}", *weights.shape)
            if i == 0 and self._mostly_zeros:
                _passes.multiply_input_transposed(ws, product)
            else:
                np.matmul(ws.h[i].T, ws.g[i + 1], out=product)
            if not fresh:
                total += product
            bias = sums[layers + i]
            if fresh:
                bias[:] = 0
            _kernels._add_column_sums(ws.g[i + 1], bias)

    def join(self, k: int, piece: slice) -> NDArray[Any]:
        """Return a piece of the sum over all parts; once after every `add`."""
        total, *others = (sums[k][piece] for sums in self._sums)
        for other in others:
            np.add(total, other, out=total)
        return total

    def joined(self) -> list[NDArray[Any]]:
        """Return the sums in the shapes of the parameters, once all pieces are joined."""
        return [
            total.reshape(shape) for total, shape in zip(self._sums[0], self._shapes, strict=True)
        ]


def mean_gradients(
    net: MLP, x: NDArray[Any], labels: NDArray[np.int64], l2: float = 0.0
) -> list[NDArray[Any]]:
    """Return the derivatives of the mean loss by all weights, then by all biases.

    Raises FloatingPointError where one of them, with ``l2 * W`` added to weights, overflows.
    """
    sums = GradientSums(net, len(x), x)
    workspaces = _passes.Workspaces(net, sums.height, to=1)
    kind = net.dtype.type

    def divide(_: int, number_and_piece: tuple[int, slice]) -> None:
        k, piece = number_and_piece
        mean = sums.join(k, piece)
        np.divide(mean, kind(len(x)), out=mean)
        if l2 and k < len(net.weights):
            mean += kind(l2) * net.weights[k].reshape(-1)[piece]

    with Team(min(thread_count(), sums.parts)) as team:
        sums.add(team, workspaces, x, labels, slice(0, len(x)))
        team.run(divide, sums.pieces)
    means = sums.joined()
    for k, mean in enumerate(means):
        if _kernels._first_not_finite(np.atleast_2d(mean)) >= 0:
            raise FloatingPointError(f"the gradient by {parameter_name(net, k)} is not finite")
    return means


def parameter_name(net: MLP, k: int) -> str:
    """Return what parameter `k` is called, where all weights come before all biases."""
    kind = "weights" if k < len(net.weights) else "biases"
    return f"{kind}[{k % len(net.weights)}]"
