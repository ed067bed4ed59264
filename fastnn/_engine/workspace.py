"""The buffers of one thread, made once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._engine import masked
from fastnn._engine.activations import activation_named
from fastnn._engine.memory import empties, empty
from fastnn._engine.narrow import SharedProducts
from fastnn._engine.network import Network
from fastnn._engine.packed import Packed, buffers, fill
from fastnn._kernels import elementwise
from fastnn._runtime.team import Team

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]  # of a batch: neighbours, or those with these numbers


class Workspace:
    """The buffers of one thread for tiles of up to `rows` rows.

    `h[0]` is the input, `h[-1]` the logits; `g[i]` the loss's derivative by `h[i]`, `g[-1]` the
    residual; `slope[i]` the derivative of the activation at `h[i]`, where it cannot be read off
    `h[i]`. All are cut to the rows of the tile that was loaded last. Gradients go back to
    ``g[to]``; without `to`, there is no slope, and of g the residual alone. `packed` is that of
    `Workspaces`.

    With `direction`, a row of g is known up to a positive factor: it is kept near 1, so that the
    signs survive where the derivatives themselves are too small for the type.
    """

    def __init__(
        self,
        net: Network,
        rows: int,
        to: int | None,
        packed: Packed,
        shared: SharedProducts | None = None,
        *,
        direction: bool = False,
    ) -> None:
        self.net = net
        self.shared = shared
        self.activation = activation_named(net.activation)
        self.packed = packed
        self.capacity = rows
        self.direction = direction
        self.holder: object = None  # the `Clean` whose inputs the layers' values belong to
        last = len(net.weights)
        lowest = last if to is None else to
        slopes = self.activation.has_slope and lowest < last
        used = (range(last + 1), range(lowest, last + 1), range(1, last) if slopes else range(0))
        widths = net.sizes
        shapes = [(rows, widths[i]) for layers in used for i in layers]
        buffers, nothing = iter(empties(shapes, net.dtype)), np.empty((0, 0), net.dtype)
        self._h, self._g, self._slope = (
            [next(buffers) if i in layers else nothing for i in range(last + 1)] for layers in used
        )
        self._losses = np.empty(rows, net.dtype)
        self._spares: dict[tuple[str, np.dtype[Any]], Array] = {}
        self.resize(rows)

    def resize(self, rows: int) -> None:
        """Cut the buffers to `rows` rows, at most `capacity`."""
        if rows == self.capacity:
            self.h, self.g, self.slope = self._h[:], self._g[:], self._slope[:]
        else:
            self.h = [buffer[:rows] for buffer in self._h]
            self.g = [buffer[:rows] for buffer in self._g]
            self.slope = [buffer[:rows] for buffer in self._slope]
        self.losses = self._losses[:rows]

    def spare(self, name: str, *shape: int, dtype: DTypeLike | None = None) -> Array:
        """Return one more buffer, made when it is first asked for or asked for larger.

        A name has one buffer for each `dtype`, by default that of the network.
        """
        key = name, self.net.dtype if dtype is None else np.dtype(dtype)
        size = math.prod(shape)
        buffer = self._spares.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._spares[key] = empty((size,), key[1])
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
            elementwise._scale_pixels(target, self.h[0])


class Workspaces(dict[int, Workspace]):
    """The workspaces of a team, each made by the worker that first needs it.

    `packed` has the weights in panels, if a call has packed them. If none are given, `pack` does
    it, and has to be called again whenever the weights have changed.
    """

    def __init__(
        self,
        net: Network,
        rows: int,
        to: int | None = None,
        shared: SharedProducts | None = None,
        packed: Packed | None = None,
        *,
        direction: bool = False,
    ) -> None:
        super().__init__()
        self.shared = shared
        self._net, self._rows, self._to, self._direction = net, rows, to, direction
        self._buffers: Packed = {}
        self.packed: Packed = dict(packed or {})

    def __missing__(self, worker: int) -> Workspace:
        self[worker] = Workspace(
            self._net,
            self._rows,
            self._to,
            self.packed,
            self.shared,
            direction=self._direction,
        )
        return self[worker]

    def pack(self, team: Team, rows: int) -> None:
        """Pack the weights as they are now, if a call on `rows` rows is worth it."""
        self.packed.clear()
        if rows < masked.PACK_FROM or self.shared is not None:
            return
        if not self._buffers:
            self._buffers = buffers(self._net, self._to)
        fill(self._buffers, self._net, team)
        self.packed.update(self._buffers)
