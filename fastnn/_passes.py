"""Batched passes over one tile of rows, in buffers that are made once.

With h_0 = x, a layer is z_i = h_(i-1) W_i + b_i and h_i = activation(z_i); the last z are the
logits. Backwards, g_i = dL/dh_i gives dL/dz_i = g_i * activation'(z_i) in place, then
g_(i-1) = dL/dz_i W_i^T and dL/dW_i = h_(i-1)^T dL/dz_i.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn import _kernels, _sparse
from fastnn._parallel import Team, thread_count
from fastnn._progress import Progress
from fastnn._sparse import SparseRows

if TYPE_CHECKING:
    from fastnn.networks import MLP

Array = NDArray[Any]

# A tile has to be tall enough for BLAS to earn back the packing of the weights, and low enough for
# its activations to stay in the cache. Tiles depend on the number of rows alone, never on threads.
MOST_ROWS = 500
FEWEST_ROWS = 64  # from here on there are two tiles at least, so that two threads have work
_GOOD_ROWS = 128  # up to _FEW tiles, more of them only where each keeps this height
_FEW = 8
_EVEN = 4  # beyond, a multiple of this many, so that a few threads have as much to do each


def tiles(rows: int) -> list[slice]:
    """Return slices that cut `rows` into tiles of nearly equal height."""
    if rows > _FEW * MOST_ROWS:
        count = -(-rows // (_EVEN * MOST_ROWS)) * _EVEN
    elif rows >= FEWEST_ROWS:
        count = min(_FEW, 1 << max(1, (rows // _GOOD_ROWS).bit_length() - 1))
    else:
        count = 1
    edges = [rows * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


class Workspace:
    """The buffers of one thread for tiles of up to `rows` rows.

    `h[0]` is the input, `h[-1]` the logits; `g[i]` the loss's derivative by `h[i]`, `g[-1]` the
    residual; `slope[i]` the derivative of a sigmoid at `h[i]` (ReLU's can be read off `h[i]`). All
    are cut to the rows of the tile that was loaded last. Without `backward`, there is no slope,
    and of g the residual alone. With `sparse`, the input's zeros are left out of the first product.
    """

    def __init__(
        self, net: MLP, rows: int, *, backward: bool = False, sparse: bool = False
    ) -> None:
        self.net = net
        last = len(net.weights)
        sigmoid = net.activation == "sigmoid"

        def buffers(used: Callable[[int], bool]) -> list[Array]:
            return [
                np.empty((rows if used(i) else 0, width), net.dtype)
                for i, width in enumerate(net.sizes)
            ]

        self._h = buffers(lambda i: True)
        self._g = buffers(lambda i: backward or i == last)
        self._slope = buffers(lambda i: backward and sigmoid and 0 < i < last)
        self._losses = np.empty(rows, net.dtype)
        self._spares: dict[str, Array] = {}
        self._gathered = SparseRows(rows, net.sizes[0], net.dtype) if sparse else None
        self.input: SparseRows | None = None
        self._resize(rows)

    def _resize(self, rows: int) -> None:
        """Cut the buffers to `rows` rows."""
        self.h = [buffer[:rows] for buffer in self._h]
        self.g = [buffer[:rows] for buffer in self._g]
        self.slope = [buffer[:rows] for buffer in self._slope]
        self.losses = self._losses[:rows]

    def spare(self, name: str, *shape: int, dtype: DTypeLike | None = None) -> Array:
        """Return one more buffer, made when it is first asked for or asked for larger."""
        size = math.prod(shape)
        buffer = self._spares.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._spares[name] = np.empty(size, dtype or self.net.dtype)
        return buffer[:size].reshape(shape)

    def load(self, x: Array, rows: slice | NDArray[np.int64]) -> None:
        """Take the `rows` of `x` as input; pixels of uint8 become numbers in [0, 1]."""
        self._resize(rows.stop - rows.start if isinstance(rows, slice) else len(rows))
        pixels = x.dtype == np.uint8
        target = self.spare("pixels", *self.h[0].shape, dtype=np.uint8) if pixels else self.h[0]
        if isinstance(rows, slice):
            np.copyto(target, x[rows])
        else:
            # The indices are our own; "clip" lets numpy write without a buffer in between.
            np.take(x, rows, axis=0, out=target, mode="clip")
        if pixels:
            _kernels._scale_pixels(target, self.h[0])
        self.input = self._gathered if len(self.h[0]) >= _sparse.FEWEST_ROWS else None
        if self.input is not None:
            self.input.gather(self.h[0])


def multiply_input(ws: Workspace, out: Array) -> None:
    """out = x W_1, for the input as it was loaded."""
    if ws.input is None:
        np.matmul(ws.h[0], ws.net.weights[0], out=out)
    else:
        ws.input.multiply(ws.net.weights[0], out)


def multiply_input_transposed(ws: Workspace, out: Array) -> None:
    """out = x^T g_1, for the input as it was loaded."""
    if ws.input is None:
        np.matmul(ws.h[0].T, ws.g[1], out=out)
    else:
        ws.input.multiply_transposed(ws.g[1], out)


def forward_loaded(ws: Workspace) -> Array:
    """Fill ``ws.h[1:]`` from the input as it was loaded and return the logits."""
    multiply_input(ws, ws.h[1])
    activate(ws, 0)
    return forward(ws, first=1)


def forward(ws: Workspace, *, first: int = 0) -> Array:
    """Fill ``ws.h[first + 1:]`` from ``ws.h[first]``, which may be new, and return the logits."""
    net = ws.net
    for i in range(first, len(net.weights)):
        np.matmul(ws.h[i], net.weights[i], out=ws.h[i + 1])
        activate(ws, i)
    return ws.h[-1]


def activate(ws: Workspace, i: int) -> None:
    """Add the bias of layer `i` to its products in ``ws.h[i + 1]`` and apply its activation."""
    net, z = ws.net, ws.h[i + 1]
    if i == len(net.weights) - 1:
        _kernels._add_bias(net.biases[i], z)
    elif net.activation == "relu":
        _kernels._add_bias_relu(net.biases[i], z)
    elif len(ws.slope[i + 1]):
        _kernels._add_bias_sigmoid_slope(net.biases[i], z, ws.slope[i + 1])
    else:
        _kernels._add_bias_sigmoid(net.biases[i], z)


def backward(ws: Workspace, *, to: int) -> None:
    """Fill ``ws.g[to:-1]`` from ``ws.g[-1]``, the residual; g by hidden layers end as dL/dz."""
    for i in range(len(ws.net.weights), to, -1):
        np.matmul(ws.g[i], ws.net.weights[i - 1].T, out=ws.g[i - 1])
        if i > 1:
            deactivate(ws, i - 1)


def deactivate(ws: Workspace, i: int) -> None:
    """Turn dL/dh in ``ws.g[i]`` into dL/dz."""
    if ws.net.activation == "relu":
        _kernels._mask_relu(ws.h[i], ws.g[i])
    else:
        _kernels._multiply(ws.slope[i], ws.g[i])


def for_each_tile(
    net: MLP,
    x: Array,
    work: Callable[[Workspace, slice], None],
    *,
    backward: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Call ``work(workspace, rows)`` for every tile of `x`, loaded; one workspace a thread."""
    cut = tiles(len(x))
    with Team(min(thread_count(threads), len(cut))) as team:
        tallest = max(rows.stop - rows.start for rows in cut)
        workspaces = Workspaces(net, x, tallest, backward=backward)

        def task(worker: int, rows: slice) -> None:
            workspaces[worker].load(x, rows)
            work(workspaces[worker], rows)
            if progress is not None and worker == 0:  # only the calling thread draws
                progress.update(rows.stop)

        team.run(task, cut if len(x) else [])


class Workspaces(dict[int, Workspace]):
    """The workspaces of a team for tiles of `x`, each made by the worker that first needs it."""

    def __init__(self, net: MLP, x: Array, rows: int, *, backward: bool) -> None:
        super().__init__()
        sparse = _sparse.pays(x, net.sizes[1], net.dtype)
        self._make: Callable[[], Workspace] = lambda: Workspace(
            net, rows, backward=backward, sparse=sparse
        )

    def __missing__(self, worker: int) -> Workspace:
        self[worker] = self._make()
        return self[worker]


def evaluate_tile(ws: Workspace, labels: NDArray[np.int64], rows: slice | NDArray[np.int64]) -> int:
    """Fill ``ws.losses`` and the residual ``ws.g[-1]``; return how many rows are right."""
    logits = forward_loaded(ws)
    require_finite(logits, rows, "logits")
    return int(_kernels._loss_residual(logits, labels[rows], ws.losses, ws.g[-1]))


def require_finite(values: Array, rows: slice | NDArray[np.int64], what: str) -> None:
    """Raise for the first row of a tile with a NaN or an infinity, if there is one."""
    broken = int(_kernels._first_not_finite(values))
    if broken >= 0:
        row = rows.start + broken if isinstance(rows, slice) else rows[broken]
        raise FloatingPointError(
            f"row {row}: the {what} are not finite; the network overflows its type"
        )
