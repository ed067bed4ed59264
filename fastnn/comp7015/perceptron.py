"""Part 2: the network with three hidden ReLU layers, and its attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.layers import layer_product
from fastnn._engine.losses import softmax
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels import elementwise
from fastnn.attacks import fgsm
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array
from fastnn.networks import MLP

_DEPTH = 4
_PARAMETERS = [f"{letter}{i}" for i in range(1, _DEPTH + 1) for letter in "Wb"]
_KEYS = [f"fc{i}.{kind}" for i in range(1, _DEPTH + 1) for kind in ("weight", "bias")]
_LAYERS = [*(f"z{i}" for i in range(1, _DEPTH + 1)), "h1", "h2", "h3", "p"]


class MultiLayerPerceptron:
    """Three hidden ReLU layers and a softmax, for one image or a whole test set.

    Every method takes `x` as one image (D,) or as images (N, D), and returns one result or N.
    Results are float32 if the parameters are float32 and `x` is float32 or uint8; if either is
    float64, they are float64, as in numpy.

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

    Notes
    -----
    A call keeps a copy of its images. The layers are computed from this copy when one of them is
    first read. For 10,000 images of the assignment's network, the copy takes 31 MB in float32 and
    63 MB in float64, all layers together 250 and 490 MB.

    Examples
    --------
    Weights that are unit matrices make the logits ``relu(x)``:

    >>> import numpy as np
    >>> from fastnn.comp7015 import MultiLayerPerceptron
    >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
    >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
    >>> clf = MultiLayerPerceptron()
    >>> clf.load_params(params)
    >>> clf.set_attack_budget(0.5)
    >>> x = np.array([[1.0, 0.0], [3.0, 3.0]])
    >>> clf.predict(x)
    array([0, 0])
    >>> clf.attack(x, [0, 0])
    array([[0.5, 0. ],
           [2.5, 3.5]])
    >>> clf.z1
    array([[1., 0.],
           [3., 3.]])
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
        raise AttributeError(f"MultiLayerPerceptron has no {name}{hint}")

    def load_params(self, params: Mapping[str, ArrayLike]) -> None:
        """Copy weights and biases into the network.

        Parameters
        ----------
        params : dict
            ``fc1.weight``, ``fc1.bias``, ..., ``fc4.bias``: (d_in, d_out), and (d_out,) or
            (1, d_out). Each may be an archive of one array, as `np.load` opens an ``.npz``.

        Raises
        ------
        TypeError
            A parameter does not hold numbers.
        ValueError
            A key is missing, an archive has several arrays, a layer does not fit the one before it,
            or an entry is NaN or infinite. The network then keeps its earlier parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.W4
        array([[1., 0.],
               [0., 1.]])
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

        Examples
        --------
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> clf = MultiLayerPerceptron()
        >>> clf.set_attack_budget(0.3)
        >>> clf.eps
        0.3
        """
        self.eps = _checks.real(eps, "eps")

    def forward(self, x: ArrayLike) -> Array:
        """Return the probabilities, and set ``z1`` to ``z4``, ``h1`` to ``h3`` and ``p``.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        ndarray, shape (C,) or (N, C), float32 or float64
            The array that is `p`.

        Raises
        ------
        AttributeError
            There are no parameters yet.
        TypeError
            `x` does not hold numbers.
        ValueError
            `x` has another width, or an entry that is NaN or infinite.
        FloatingPointError
            The logits of a row overflow.

        Notes
        -----
        ``z_i = h_(i-1) W_i + b_i``, ``h_i = relu(z_i)``, ``p = softmax(z_4)``.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.forward(np.array([2.0, 2.0]))
        array([0.5, 0.5])
        >>> clf.z4
        array([2., 2.])
        """
        net, images = self._images(x)
        p = net.predict_proba(images)
        self._remember(net, images)
        self.p = p
        return p

    def predict(self, x: ArrayLike) -> Any:
        """Return the class of the largest logit, the lowest one if several are equal.

        Parameters
        ----------
        x : ndarray, shape (D,) or (N, D)

        Returns
        -------
        int64, or ndarray of int64, shape (N,)

        Raises
        ------
        AttributeError, TypeError, ValueError, FloatingPointError
            As `forward`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.predict(np.array([[1.0, 2.0], [2.0, 1.0]]))
        array([1, 0])
        """
        net, images = self._images(x)
        found = net.predict(images)
        self._remember(net, images)
        return found

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
        AttributeError, TypeError, ValueError, FloatingPointError
            As `forward`; classes are not integers, not one for each image, or out of range; a
            derivative overflows.

        Notes
        -----
        ``p - one_hot(y)``, formed without cancellation, taken back through the four layers.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.gradient(np.array([2.0, 2.0]), 0)
        array([-0.5,  0.5])
        """
        net, images, truth = self._samples(x, y)
        gradient = net.input_gradient(images, truth)
        self._remember(net, images)
        return gradient

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
        AttributeError, TypeError, ValueError, FloatingPointError
            As `gradient`; `eps` is not a number, negative, or not finite; a pixel overflows.

        Notes
        -----
        As `fastnn.fgsm`: the signs are right even where the gradient underflows.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn.comp7015 import MultiLayerPerceptron
        >>> params = {f"fc{i}.weight": np.eye(2) for i in range(1, 5)}
        >>> params |= {f"fc{i}.bias": np.zeros(2) for i in range(1, 5)}
        >>> clf = MultiLayerPerceptron()
        >>> clf.load_params(params)
        >>> clf.attack(np.array([2.0, 2.0]), 0)
        array([1.9, 2.1])
        """
        eps = _checks.real(self.eps, "eps")
        net, images, truth = self._samples(x, y)
        out = fgsm(net, images, truth, eps)
        self._remember(net, images)
        return out

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
