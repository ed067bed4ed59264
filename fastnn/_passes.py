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

if TYPE_CHECKING:
    from fastnn.networks import MLP

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]
Packed = dict[tuple[int, bool], Array]

# A tile has to be tall enough to earn back the reading of all weights, and low enough for its
# activations to stay in the cache. Tiles depend on the number of rows alone, never on threads.
MOST_ROWS = 500
SPLIT_FROM = 64  # from here on there are two tiles at least, so that two threads have work
_GOOD_ROWS = 128  # up to _FEW tiles, more of them only where each keeps this height
_FEW = 8
_LINE_BYTES = 64
_EVEN = 4  # beyond, a multiple of this many, so that a few threads have as much to do each

_ONE_BY_ONE = 4  # measured: BLAS takes longer for a product of two rows than for each of four

# Memory that a call frees is there for the next one if malloc keeps it; to have it from the system
# again takes as long as some hundred rows. glibc keeps up to twice the largest piece that was ever
# freed, of pieces up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). This one is never touched.
np.empty(33 * 10**6, np.uint8)


def tiles(rows: int) -> list[slice]:
    """Return slices that cut `rows` into tiles of nearly equal height."""
    if rows > _FEW * MOST_ROWS:
        count = -(-rows // (_EVEN * MOST_ROWS)) * _EVEN
    elif rows >= SPLIT_FROM:
        count = min(_FEW, 1 << max(1, (rows // _GOOD_ROWS).bit_length() - 1))
    else:
        count = 1
    edges = [rows * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def cut(rows: int, height: int) -> list[slice]:
    """Return slices of `height` rows, the last of which may have fewer."""
    return [slice(start, min(start + height, rows)) for start in range(0, rows, height)]


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array that begins at a cache line: vectors across two lines cost twice."""
    kind = np.dtype(dtype)
    spare = _LINE_BYTES // kind.itemsize
    size = math.prod(shape)
    buffer = np.empty(size + spare, kind)
    first = -buffer.ctypes.data % _LINE_BYTES // kind.itemsize
    return buffer[first : first + size].reshape(shape)


class Workspace:
    """The buffers of one thread for tiles of up to `rows` rows.

    `h[0]` is the input, `h[-1]` the logits; `g[i]` the loss's derivative by `h[i]`, `g[-1]` the
    residual; `slope[i]` the derivative of a sigmoid at `h[i]` (ReLU's can be read off `h[i]`). All
    are cut to the rows of the tile that was loaded last. Gradients go back to ``g[to]``; without
    `to`, there is no slope, and of g the residual alone. `packed` is that of `Workspaces`.

    With `direction`, a row of g is known up to a positive factor: it is kept near 1, so that the
    signs survive where the derivatives themselves are too small for the type.
    """

    def __init__(
        self, net: MLP, rows: int, to: int | None, packed: Packed, *, direction: bool = False
    ) -> None:
        self.net = net
        self.packed = packed
        self.capacity = rows
        self.direction = direction
        last = len(net.weights)
        lowest = last if to is None else to
        sigmoid = net.activation == "sigmoid"

        def buffers(used: Callable[[int], bool]) -> list[Array]:
            return [
                empty((rows if used(i) else 0, width), net.dtype)
                for i, width in enumerate(net.sizes)
            ]

        self._h = buffers(lambda i: True)
        self._g = buffers(lambda i: i >= lowest)
        self._slope = buffers(lambda i: sigmoid and lowest < last and 0 < i < last)
        self._losses = np.empty(rows, net.dtype)
        self._spares: dict[str, Array] = {}
        self.resize(rows)

    def resize(self, rows: int) -> None:
        """Cut the buffers to `rows` rows, at most `capacity`."""
        self.h = [buffer[:rows] for buffer in self._h]
        self.g = [buffer[:rows] for buffer in self._g]
        self.slope = [buffer[:rows] for buffer in self._slope]
        self.losses = self._losses[:rows]

    def spare(self, name: str, *shape: int, dtype: DTypeLike | None = None) -> Array:
        """Return one more buffer, made when it is first asked for or asked for larger."""
        size = math.prod(shape)
        buffer = self._spares.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._spares[name] = empty((size,), dtype or self.net.dtype)
        return buffer[:size].reshape(shape)

    def load(self, x: Array, rows: Rows) -> None:
        """Take the `rows` of `x` as input; pixels of uint8 become numbers in [0, 1]."""
        self.resize(rows.stop - rows.start if isinstance(rows, slice) else len(rows))
        pixels = x.dtype == np.uint8
        target = self.spare("pixels", *self.h[0].shape, dtype=np.uint8) if pixels else self.h[0]
        if isinstance(rows, slice) or not x.flags.c_contiguous:
            # `take` would copy all of an x whose rows are spread over the memory.
            np.copyto(target, x[rows])
        else:
            # The indices are our own; "clip" lets numpy write without a buffer in between.
            np.take(x, rows, axis=0, out=target, mode="clip")
        if pixels:
            _kernels._scale_pixels(target, self.h[0])


def multiply(ws: Workspace, a: Array, i: int, out: Array, *, transposed: bool = False) -> None:
    """out = a W, or a W^T, for the weights number `i`."""
    weights, panels = ws.net.weights[i], ws.packed.get((i, transposed))
    if panels is not None:
        masks = ws.spare("masks", *_sparse.masks_shape(*a.shape), dtype=np.uint64)
        if _sparse.multiply(a, panels, masks, out):
            return
    factor = weights.T if transposed else weights
    if len(a) > _ONE_BY_ONE:
        np.matmul(a, factor, out=out)
        return
    for row in range(len(a)):
        np.matmul(a[row], factor, out=out[row])


def multiply_input_transposed(ws: Workspace, out: Array) -> None:
    """out = x^T g_1, of an input that is mostly zeros."""
    x, g = ws.h[0], ws.g[1]
    shape = _sparse.panels_shape(len(g), g.shape[1], g.dtype)
    if shape is not None:
        panels = ws.spare("panels", *shape)
        _sparse.pack(g, panels)
        turned = ws.spare("turned", *x.shape[::-1])
        np.copyto(turned, x.T)
        masks = ws.spare("turned masks", *_sparse.masks_shape(*turned.shape), dtype=np.uint64)
        if _sparse.multiply(turned, panels, masks, out):
            return
    np.matmul(x.T, g, out=out)


def forward(ws: Workspace, *, first: int = 0) -> Array:
    """Fill ``ws.h[first + 1:]`` from ``ws.h[first]`` and return the logits."""
    for i in range(first, len(ws.net.weights)):
        multiply(ws, ws.h[i], i, ws.h[i + 1])
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
        if ws.direction:
            _kernels._add_bias_sigmoid_direction(net.biases[i], z, ws.slope[i + 1])
        else:
            _kernels._add_bias_sigmoid_slope(net.biases[i], z, ws.slope[i + 1])
    else:
        _kernels._add_bias_sigmoid(net.biases[i], z)


def backward(ws: Workspace, *, to: int) -> None:
    """Fill ``ws.g[to:-1]`` from ``ws.g[-1]``, the residual; g by hidden layers end as dL/dz."""
    for i in range(len(ws.net.weights), to, -1):
        multiply(ws, ws.g[i], i - 1, ws.g[i - 1], transposed=True)
        if i > 1:
            deactivate(ws, i - 1)


def deactivate(ws: Workspace, i: int) -> None:
    """Turn dL/dh in ``ws.g[i]`` into dL/dz."""
    if ws.net.activation == "relu":
        _kernels._mask_relu(ws.h[i], ws.g[i])
    else:
        _kernels._multiply(ws.slope[i], ws.g[i])
    if ws.direction:
        _kernels._scale_rows(ws.g[i])


def for_each_tile(
    net: MLP,
    x: Array,
    work: Callable[[Workspace, Rows], None],
    *,
    to: int | None = None,
    direction: bool = False,
    variants: int = 1,
    order: NDArray[np.int64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Call ``work(workspace, rows)`` for every tile of `x`, loaded; one workspace a thread.

    Rows are taken as they stand, or in the `order` given. Gradients go back to layer `to`; for
    `direction` see `Workspace`. `work` sends every row through the network in so many `variants`.
    """
    every_tile = tiles(len(x))
    height = max(tile.stop - tile.start for tile in every_tile)
    with Team(min(thread_count(threads), len(every_tile))) as team:
        capacity = max(height, min(len(x) * variants, MOST_ROWS))
        workspaces = Workspaces(net, capacity, to, direction=direction)
        workspaces.pack(team, len(x) * variants)

        def task(worker: int, tile: slice) -> None:
            rows = tile if order is None else order[tile]
            workspaces[worker].load(x, rows)
            work(workspaces[worker], rows)
            if progress is not None and worker == 0:  # only the calling thread draws
                progress.update(tile.stop)

        team.run(task, every_tile if len(x) else [])


class Workspaces(dict[int, Workspace]):
    """The workspaces of a team, each made by the worker that first needs it.

    `packed` has the weights that are packed for `_sparse`, by their number and whether transposed;
    it must be renewed or cleared whenever the weights change.
    """

    def __init__(
        self, net: MLP, rows: int, to: int | None = None, *, direction: bool = False
    ) -> None:
        super().__init__()
        self._net, self._rows, self._to, self._direction = net, rows, to, direction
        self._panels: Packed = {}
        self.packed: Packed = {}

    def __missing__(self, worker: int) -> Workspace:
        self[worker] = Workspace(
            self._net, self._rows, self._to, self.packed, direction=self._direction
        )
        return self[worker]

    def pack(self, team: Team, rows: int) -> None:
        """Pack the weights as they are now, if a call on `rows` rows is worth it."""
        self.packed.clear()
        if rows < _sparse.PACK_FROM:
            return
        if not self._panels:
            self._panels = self._make_panels()

        def task(_: int, key: tuple[int, bool]) -> None:
            i, transposed = key
            _sparse.pack(self._net.weights[i], self._panels[key], transposed=transposed)

        team.run(task, sorted(self._panels, key=lambda key: -self._panels[key].size))
        self.packed.update(self._panels)

    def _make_panels(self) -> Packed:
        """Return buffers for all weights, and for their transposes where gradients go back."""
        net = self._net
        panels = {}
        for i, weights in enumerate(net.weights):
            for transposed in (False, True):
                depth, width = weights.shape[::-1] if transposed else weights.shape
                shape = _sparse.panels_shape(depth, width, net.dtype)
                needed = not transposed or (self._to is not None and i >= self._to)
                if shape is not None and needed:
                    panels[i, transposed] = empty(shape, net.dtype)
        return panels


def numbers_of(rows: Rows) -> NDArray[np.int64]:
    """Return the numbers of the rows of a tile."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def labels_of(ws: Workspace, labels: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    """Return the labels of a tile."""
    if isinstance(rows, slice):
        return labels[rows]
    return np.take(labels, rows, out=ws.spare("labels", len(rows), dtype=np.int64), mode="clip")


def evaluate_tile(ws: Workspace, labels: NDArray[np.int64], rows: Rows) -> int:
    """Fill ``ws.losses`` and the residual ``ws.g[-1]``; return how many rows are right."""
    logits = forward(ws)
    require_finite(logits, rows, "logits")
    truth = labels_of(ws, labels, rows)
    return int(_kernels._loss_residual(logits, truth, ws.losses, ws.g[-1]))


def require_finite(values: Array, rows: Rows, what: str) -> None:
    """Raise for the first row of a tile with a NaN or an infinity, if there is one."""
    broken = int(_kernels._first_not_finite(values))
    if broken >= 0:
        row = numbers_of(rows)[broken]
        raise FloatingPointError(
            f"row {row}: the {what} are not finite; the network overflows its type"
        )
