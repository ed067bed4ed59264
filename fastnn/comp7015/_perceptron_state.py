"""What part 2's network keeps: its parameters, and the images of the last call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.layers import layer_product
from fastnn._engine.losses import softmax
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels import elementwise
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array
from fastnn.networks import MLP

_DEPTH = 4
_PARAMETERS = [f"{letter}{i}" for i in range(1, _DEPTH + 1) for letter in "Wb"]
KEYS = [f"fc{i}.{kind}" for i in range(1, _DEPTH + 1) for kind in ("weight", "bias")]
_LAYERS = [*(f"z{i}" for i in range(1, _DEPTH + 1)), "h1", "h2", "h3", "p"]


class PerceptronState:
    """Parameters that can be assigned, and layers that are computed when one is read.

    `MultiLayerPerceptron` describes the attributes.
    """

    W1: Array
    W2: Array
    W3: Array
    W4: Array
    b1: Array
    b2: Array
    b3: Array
    b4: Array
    z1: Array
    z2: Array
    z3: Array
    z4: Array
    h1: Array
    h2: Array
    h3: Array
    p: Array

    def __init__(self) -> None:
        self.eps = 0.1
        self._networks: dict[np.dtype[Any], MLP] = {}
        self._views: list[Array] = []
        self._last: tuple[MLP, Array] | None = None

    def __getattr__(self, name: str) -> Any:
        """Return a layer of the last call; all are computed when the first one is read."""
        last = vars(self).get("_last")
        if name in _LAYERS and last is not None:
            self._compute_layers(*last)
            return vars(self)[name]
        hint = ""
        if name in _PARAMETERS:
            hint = " yet: call load_params first"
        elif name in _LAYERS:
            hint = " yet: call forward first"
        raise AttributeError(f"{type(self).__name__} has no {name}{hint}")

    def _adopt(self, arrays: Sequence[ArrayLike], names: Sequence[str]) -> None:
        """Make the network of these parameters, and read-only views of it the attributes."""
        net = _arrays.network(arrays, names, "relu")
        mine = [p for pair in zip(net.weights, net.biases, strict=True) for p in pair]
        self._networks = {net.dtype: net}
        self._views = [view.reshape(np.shape(a)) for view, a in zip(mine, arrays, strict=True)]
        for name, view in zip(_PARAMETERS, self._views, strict=True):
            view.flags.writeable = False
            setattr(self, name, view)

    def _images(self, x: ArrayLike) -> tuple[MLP, Array]:
        """Return the network and the images, in the shape of `x`, checked, in their common type."""
        current = [getattr(self, name) for name in _PARAMETERS]
        # An assigned parameter is another array; in a copied object the arrays are writable.
        if not self._views or any(
            a is not b or a.flags.writeable for a, b in zip(current, self._views, strict=True)
        ):
            self._adopt(current, _PARAMETERS)
        values = _arrays.images(x, "x")
        net = next(iter(self._networks.values()))
        kind = _arrays.common_type(values, net)
        if kind not in self._networks:
            self._networks[kind] = net.astype(kind)
        rows = _arrays.rows(values, net.sizes[0], kind, "x")
        return self._networks[kind], rows.reshape(values.shape)

    def _samples(self, x: ArrayLike, y: ArrayLike) -> tuple[MLP, Array, NDArray[np.int64]]:
        """Return the network, the images and their classes, checked."""
        net, images = self._images(x)
        return net, images, _checks.labels(y, len(np.atleast_2d(images)), net.sizes[-1], name="y")

    def _remember(self, net: MLP, images: Array) -> None:
        """Keep `images`, from which the layers are computed when one is read."""
        for name in _LAYERS:
            vars(self).pop(name, None)
        self._last = None  # frees the old copy before the new one is made
        self._last = net, images.copy()

    def _compute_layers(self, net: MLP, images: Array) -> None:
        """Go forward through the images and make every layer an attribute."""
        rows = np.atleast_2d(images)
        z, h = ([np.empty((len(rows), n), net.dtype) for n in net.sizes[1:]] for _ in range(2))

        def work(ws: Workspace, tile: Rows) -> None:
            for i, bias in enumerate(net.biases):
                below = h[i - 1][tile] if i else ws.h[0]
                layer_product(ws, below, i, z[i][tile])
                elementwise._add_bias(bias, z[i][tile])
                activation: Any = elementwise._relu if i < _DEPTH - 1 else softmax
                activation(z[i][tile], h[i][tile])

        for_each_tile(net, rows, work)
        for name, layer in zip(_LAYERS, (*z, *h), strict=True):
            # `forward` has set `p`, which it returned, and a caller may have set others.
            vars(self).setdefault(name, layer[0] if images.ndim == 1 else layer)
