"""Part 2: the network with three hidden ReLU layers, and its attack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _kernels, _passes
from fastnn.attacks import ascend, step
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array
from fastnn.networks import MLP

_LAYERS = 4
_ATTRIBUTES = [f"{letter}{i}" for i in range(1, _LAYERS + 1) for letter in "Wb"]
_KEYS = [f"fc{i}.{kind}" for i in range(1, _LAYERS + 1) for kind in ("weight", "bias")]
_LAYER_ATTRIBUTES = [*(f"z{i}" for i in range(1, _LAYERS + 1)), "h1", "h2", "h3", "p"]


class MultiLayerPerceptron:
    """Three hidden ReLU layers and a softmax, for one image or a whole test set.

    Every method takes `x` as one image (D,) or as images (N, D), and returns one result or N. Each
    call that goes forward keeps the layers of all its images: for 10,000 images of the assignment's
    network that is 250 MB. `fastnn.adversarial_accuracy` keeps none.

    Attributes
    ----------
    eps : float
        The attack's budget, 0.1 until it is set.
    W1, W2, W3, W4 : ndarray, shape (d_in, d_out)
    b1, b2, b3, b4 : ndarray, shape (d_out,) or (1, d_out)
        Parameters, read-only: to change one, assign another array.
    z1, z2, z3, z4, h1, h2, h3, p : ndarray, shapes (d_out,) or (N, d_out)
        Values before and after activation and the probabilities, from the last `forward`,
        `predict`, `gradient` or `attack`.
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

    def load_params(self, params: Mapping[str, ArrayLike]) -> None:
        """Take weights and biases; they are copied.

        Parameters
        ----------
        params : dict
            ``fc1.weight``, ``fc1.bias``, ..., ``fc4.bias``: (d_in, d_out), and (d_out,) or
            (1, d_out).

        Raises
        ------
        TypeError
            A parameter does not hold numbers.
        ValueError
            A key is missing, shapes do not chain, an entry is NaN or infinite. What was loaded
            before stays.
        """
        arrays = _arrays.entries(params, _KEYS)
        self._adopt(arrays, [f"params[{key!r}]" for key in _KEYS])

    def set_attack_budget(self, eps: float) -> None:
        """Set the largest change of a pixel, in the units of the image.

        Parameters
        ----------
        eps : float
            >= 0.

        Raises
        ------
        TypeError, ValueError
            `eps` is not a number, negative, or not finite.
        """
        self.eps = _checks.real(eps, "eps")

    def forward(self, x: ArrayLike) -> Array:
        """Return the probabilities, and keep ``z1`` to ``z4``, ``h1`` to ``h3`` and ``p``.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        ndarray, shape (C,) or (N, C), float32 or float64
            The array that is `p`.

        Raises
        ------
        TypeError
            `x` does not hold numbers.
        ValueError
            `x` has another width, or an entry that is NaN or infinite.
        FloatingPointError
            The logits of a row overflow.

        Notes
        -----
        ``z_i = h_(i-1) W_i + b_i``, ``h_i = relu(z_i)``, ``p = softmax(z_4)``.
        """
        self._forward(*self._images(x), np.ndim(x) == 1)
        return self.p

    def predict(self, x: ArrayLike) -> Any:
        """Return the class of the largest logit, the first of equals.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        int64, or ndarray of int64, shape (N,)
            One number for one image, in the shape (1, D) too, as `np.argmax` gives.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `forward`.
        """
        self.forward(x)
        logits = np.atleast_2d(self.z4)
        found = np.empty(len(logits), np.int64)
        _kernels._argmax(logits, found)
        return found[0] if len(found) == 1 else found

    def gradient(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return the derivative of every image's own loss by its pixels.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)
        y : int, or ndarray of int, shape (N,)
            True classes, each in [0, C).

        Returns
        -------
        ndarray, shape of `x`, float32 or float64

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `forward`; classes are of another type, number or range.

        Notes
        -----
        ``p - one_hot(y)``, formed without cancellation, taken back through the four layers.
        """

        def work(ws: _passes.Workspace, truth: NDArray[np.int64], tile: slice) -> Array:
            _kernels._loss_residual(ws.h[-1], truth[tile], ws.losses, ws.g[-1])
            _passes.backward(ws, to=0)
            return ws.g[0]

        return self._backward(x, y, work)

    def attack(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return adversarial images, ``x + eps * sign(dL/dx)``, not clipped.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)
        y : int, or ndarray of int, shape (N,)
            True classes, each in [0, C).

        Returns
        -------
        ndarray, shape of `x`, float32 or float64
            A new array.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `gradient`; `eps` is not a number, negative, or not finite.

        Notes
        -----
        As `fastnn.fgsm`: the signs hold where the gradient itself underflows.
        """
        eps, everywhere = _checks.real(self.eps, "eps"), _checks.bounds(None)

        def work(ws: _passes.Workspace, truth: NDArray[np.int64], tile: slice) -> Array:
            ascend(ws, truth, tile)
            step(ws, eps, everywhere)
            return ws.h[0]

        return self._backward(x, y, work)

    def _adopt(self, arrays: Sequence[ArrayLike], names: Sequence[str]) -> None:
        """Make the network of these parameters, and read-only views of it the attributes."""
        net = _arrays.network(arrays, names, "relu")
        mine = [p for pair in zip(net.weights, net.biases, strict=True) for p in pair]
        self._networks = {net.dtype: net}
        self._views = [view.reshape(np.shape(a)) for view, a in zip(mine, arrays, strict=True)]
        for name, view in zip(_ATTRIBUTES, self._views, strict=True):
            view.flags.writeable = False
            setattr(self, name, view)

    def _images(self, x: ArrayLike) -> tuple[MLP, Array]:
        """Return the network and the images (N, D), checked, in their common type."""
        current = [getattr(self, name) for name in _ATTRIBUTES]
        if not self._views or any(a is not b for a, b in zip(current, self._views, strict=True)):
            self._adopt(current, _ATTRIBUTES)
        values = _arrays.images(x, "x")
        net = next(iter(self._networks.values()))
        kind = _arrays.common_type(values, net)
        if kind not in self._networks:
            self._networks[kind] = net.astype(kind)
        return self._networks[kind], _arrays.rows(values, net.sizes[0], kind, "x")

    def _forward(
        self,
        net: MLP,
        rows: Array,
        single: bool,
        work: Callable[[_passes.Workspace, slice], None] | None = None,
    ) -> None:
        """Go forward through all rows, keep every layer, and call `work` on every tile."""
        z, h = ([np.empty((len(rows), n), net.dtype) for n in net.sizes[1:]] for _ in range(2))

        def task(ws: _passes.Workspace, tile: slice) -> None:
            # The workspace's layers are rows of the attributes, so that nothing is copied.
            ws.h[1:] = [*(layer[tile] for layer in h[:-1]), z[-1][tile]]
            for i, (weights, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
                np.matmul(ws.h[i], weights, out=z[i][tile])
                _kernels._add_bias(bias, z[i][tile])
                activation: Any = _kernels._relu if i < _LAYERS - 1 else _kernels._softmax
                activation(z[i][tile], h[i][tile])
            _passes.require_finite(z[-1][tile], tile, "logits")
            if work is not None:
                work(ws, tile)

        _passes.for_each_tile(net, rows, task, backward=work is not None)
        kept = [layer[0] if single else layer for layer in (*z, *h)]
        for name, layer in zip(_LAYER_ATTRIBUTES, kept, strict=True):
            setattr(self, name, layer)

    def _backward(
        self,
        x: ArrayLike,
        y: ArrayLike,
        work: Callable[[_passes.Workspace, NDArray[np.int64], slice], Array],
    ) -> Array:
        """Go forward through `x` and return, image by image, what `work` makes of every tile."""
        net, rows = self._images(x)
        truth = _checks.labels(y, len(rows), net.sizes[-1], name="y")
        out = np.empty(rows.shape, net.dtype)

        def task(ws: _passes.Workspace, tile: slice) -> None:
            out[tile] = work(ws, truth, tile)

        self._forward(net, rows, np.ndim(x) == 1, task)
        return out[0] if np.ndim(x) == 1 else out
