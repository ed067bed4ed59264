"""The first layer's products of inputs that move step by step, by what is new in each step."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.layers import layer_product
from fastnn._kernels import increments
from fastnn.attacks._tile import Tile

Array = NDArray[Any]

# In spacings of the numbers at an entry. The same step is rounded otherwise at every place, and
# what is less than this is taken for such a rounding; the sums of a product are rounded by more.
_NOISE = 4


class Steps:
    """Products ``x W_1`` of the inputs of one step after another.

    In most entries, a signed-gradient step is the same as the step before: as long, in the same
    direction, or none at the end of the way. The products of the step before are therefore added
    once more, and only entries that turn or stop are multiplied with the weights: of 100 pixels
    some 10. A row in which more has changed begins from the products of its last input.

    Results differ from those of one product by rounding.
    """

    def __init__(self, tile: Tile, x: Array) -> None:
        self._tile = tile
        shape, kind = (len(x), tile.workspace.net.sizes[1]), x.dtype
        self._x, self._change = x.copy(), np.zeros_like(x)
        self._products, self._change_products = np.empty(shape, kind), np.zeros(shape, kind)
        self._rounding = kind.type(_NOISE * np.finfo(kind).eps)
        layer_product(tile.workspace, x, 0, self._products)

    def products(self, x: Array) -> Array:
        """Return ``x W_1`` of the next inputs, shape (n, width of the first layer), a buffer."""
        ws = self._tile.workspace
        ws.resize(len(x))
        ws.holder = None  # the buffer has had the first layer's values
        surprises, out = self._tile.buffer("surprises"), ws.h[1]
        again = np.empty(len(x), np.bool_)
        increments._surprises(x, self._x, self._change, self._rounding, again, surprises)
        layer_product(ws, surprises, 0, out)
        increments._advance(again, self._change_products, self._products, out)
        return out

    def some(self, tile: Tile, chosen: NDArray[np.int64]) -> Steps:
        """Return the state of some of the samples, whose tile is `tile`."""
        part = copy.copy(self)
        part._tile = tile
        for name in ("_x", "_change", "_products", "_change_products"):
            setattr(part, name, getattr(self, name)[chosen])
        return part
