"""What a dense network is: weights, biases and an activation, checked once and then fixed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _models
from fastnn._checks import FLOATS, array_of, float_dtype, per_input, positive_integer
from fastnn._engine.activations import activation_named
from fastnn._runtime.signals import numpy_errors


@dataclass(frozen=True, eq=False, repr=False)
class Parameters:
    """The parameters of an `MLP`, which has their description, and what follows from them."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    activation: str = "relu"
    _sizes: tuple[int, ...] = field(init=False)  # kept, as every call asks for it several times

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activation: str = "relu",
    ) -> None:
        ws, bs = _checked(weights, biases)
        activation_named(activation)
        object.__setattr__(self, "weights", ws)
        object.__setattr__(self, "biases", bs)
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "_sizes", (len(ws[0]), *(w.shape[1] for w in ws)))

    @classmethod
    def random(
        cls,
        sizes: Sequence[int],
        activation: str = "relu",
        rng: int | np.random.Generator | None = 0,
        dtype: DTypeLike = np.float32,
    ) -> Self:
        """Return a network with random weights and zero biases.

        Parameters
        ----------
        sizes : sequence of int
            Widths from the input to the classes, two or more.
        activation : {"relu", "sigmoid", "tanh"}
        rng : int, Generator or None
            Seed or source of the weights; None draws a new seed.
        dtype : float32 or float64

        Raises
        ------
        TypeError, ValueError
            A size is not a positive integer, there are fewer than two sizes, or `dtype` is neither
            float32 nor float64.

        Notes
        -----
        Normal weights of variance ``2 / d_in`` before ReLU (He et al. 2015, arXiv:1502.01852) and
        ``2 / (d_in + d_out)`` before sigmoid or tanh (Glorot and Bengio 2010, AISTATS 9, 249-256).

        Examples
        --------
        >>> import fastnn
        >>> fastnn.MLP.random((784, 2048, 512, 512, 10), activation="relu", rng=0)
        MLP(784-2048-512-512-10, relu, float32)
        """
        kind = float_dtype(dtype)
        widths = [positive_integer(size, "sizes") for size in sizes]
        if len(widths) < 2:
            raise ValueError(f"sizes must name two widths or more, got {tuple(sizes)}")
        variance = activation_named(activation).variance
        generator = np.random.default_rng(rng)
        weights = [
            math.sqrt(variance(d_in, d_out)) * generator.standard_normal((d_in, d_out))
            for d_in, d_out in itertools.pairwise(widths)
        ]
        return cls(
            [w.astype(kind) for w in weights], [np.zeros(w, kind) for w in widths[1:]], activation
        )

    @classmethod
    def from_torch(cls, module: Any) -> Self:
        """Return the network of a PyTorch module, with copies of its parameters.

        Parameters
        ----------
        module : torch.nn.Sequential
            Of ``Linear`` with one kind of ``ReLU``, ``Sigmoid`` or ``Tanh`` between them, perhaps
            nested. ``Flatten``, ``Dropout``, ``Identity`` and a last ``Softmax`` or ``LogSoftmax``
            are left out. A single output with a ``Sigmoid`` becomes two classes, 0 and 1.

        Raises
        ------
        ValueError
            The module has another layer, or two kinds of activations; the message names the layer.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.MLP.from_torch(nn.Sequential(nn.Linear(784, 10)))  # doctest: +SKIP
        MLP(784-10, relu, float32)
        """
        found = _models.from_torch(module)
        return cls(found.weights, found.biases, found.activation or "relu")

    @classmethod
    def from_sklearn(cls, classifier: Any) -> Self:
        """Return the network of a fitted scikit-learn classifier, with copies of its parameters.

        Parameters
        ----------
        classifier : MLPClassifier or Pipeline
            With the activation ``"relu"``, ``"logistic"`` or ``"tanh"``. A pipeline may have
            ``StandardScaler`` and ``MinMaxScaler`` before it; they become part of the first layer.

        Returns
        -------
        MLP
            Class k is ``classifier.classes_[k]``. Two classes have the logits 0 and z, where
            scikit-learn has z alone.

        Raises
        ------
        TypeError, ValueError
            `classifier` is another estimator or not fitted; it gives a sample several labels; a
            step of the pipeline is of another kind.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.MLP.from_sklearn(MLPClassifier().fit(x, labels))  # doctest: +SKIP
        MLP(784-100-10, relu, float64)
        """
        found, scalings = _models.from_sklearn(classifier)
        net = cls(found.weights, found.biases, found.activation or "relu")
        for scaling in scalings:
            net = net.with_input(**scaling)
        return net

    def with_input(
        self, *, mean: ArrayLike = 0.0, std: ArrayLike = 1.0, scale: ArrayLike = 1.0
    ) -> Self:
        """Return a network that takes inputs as they were before a normalisation.

        The normalisation becomes part of the first layer, so that inputs, eps and bounds are in
        the units of the data itself.

        Parameters
        ----------
        mean, std : float or ndarray, shape (D,), optional
            What was subtracted from every input, and what it was then divided by; `std` > 0.
        scale : float or ndarray, shape (D,), optional
            What it was multiplied by before: 1 / 255 if pixels from 0 to 255 were divided by 255.

        Raises
        ------
        TypeError, ValueError
            An argument is not a number or (D,) of them, is not finite, or `std` or `scale` is 0 or
            negative.

        Notes
        -----
        ``net.with_input(mean=m, std=s, scale=c).logits(x) = net.logits((x * c - m) / s)``, but for
        rounding: ``W_1 * c / s`` and ``b_1 - m / s W_1`` are computed in float64.

        Examples
        --------
        A network that was trained on ``(pixels - 0.1307) / 0.3081`` takes pixels in [0, 1]:

        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.zeros(2)])
        >>> pixels = net.with_input(mean=0.1307, std=0.3081)
        >>> pixels.logits(np.array([0.1307, 0.4388])).round(6)
        array([0., 1.])
        """
        width = self.sizes[0]
        shift, spread, factor = (
            per_input(value, name, width)
            for value, name in ((mean, "mean"), (std, "std"), (scale, "scale"))
        )
        for name, values in (("std", spread), ("scale", factor)):
            if not (values > 0).all():
                raise ValueError(f"{name} must be > 0, got {values.min():g}")
        first = self.weights[0].astype(np.float64)
        bias = self.biases[0] - (shift / spread) @ first
        with numpy_errors():  # `__init__` refuses an entry that overflows and names it
            weights = [(first * (factor / spread)[:, None]).astype(self.dtype), *self.weights[1:]]
            biases = [bias.astype(self.dtype), *self.biases[1:]]
        return type(self)(weights, biases, self.activation)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all parameters, float32 or float64."""
        return self.weights[0].dtype

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the classes."""
        return self._sizes

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a copy of the network with parameters of `dtype`, float32 or float64.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> fastnn.MLP.random((4, 2)).astype(np.float64)
        MLP(4-2, relu, float64)
        """
        kind = float_dtype(dtype)
        with numpy_errors():  # `__init__` refuses an entry that overflows and names it
            weights = [w.astype(kind) for w in self.weights]
            biases = [b.astype(kind) for b in self.biases]
        return type(self)(weights, biases, self.activation)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        return f"{type(self).__name__}({sizes}, {self.activation}, {self.dtype})"

    def _repr_html_(self) -> str:
        """Return the layers as a table, for a notebook."""
        from fastnn import _html

        return _html.layers(self.weights, self.biases, self.activation, caption=repr(self))


def _checked(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]
) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
    """Return copies of weights and biases after checking their shapes, types and entries."""
    ws, bs = (
        tuple(
            np.array(array_of(_detached(a), f"{name}[{i}]"), order="C")
            for i, a in enumerate(arrays)
        )
        for name, arrays in (("weights", weights), ("biases", biases))
    )
    if not ws:
        raise ValueError("a network needs at least one layer, got no weights")
    if len(ws) != len(bs):
        raise ValueError(f"one bias a layer: {len(ws)} weights, {len(bs)} biases")
    inner = None
    for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
        _require_layer(i, w, b, inner, ws[0].dtype)
        inner = w.shape[1]
    if inner is not None and inner < 2:
        raise ValueError(
            f"weights[{len(ws) - 1}] has {inner} output; a classifier needs at least 2"
        )
    return ws, tuple(b.reshape(-1) for b in bs)


def _detached(array: Any) -> Any:
    """Return a tensor of PyTorch without its gradient, with which it is not made an array."""
    return array.detach() if hasattr(array, "detach") else array


def _require_layer(
    i: int, w: NDArray[Any], b: NDArray[Any], inner: int | None, dtype: np.dtype[Any]
) -> None:
    """Raise if layer `i` does not fit the one before it, or its bias its weights."""
    if w.ndim != 2 or 0 in w.shape:
        raise ValueError(f"weights[{i}] must have shape (d_in, d_out), got {w.shape}")
    if inner is not None and w.shape[0] != inner:
        hint = " (transposed it would: (d_in, d_out) is wanted)" if w.shape[1] == inner else ""
        raise ValueError(f"weights[{i}] must have {inner} rows to follow, got {w.shape}{hint}")
    if b.shape not in ((w.shape[1],), (1, w.shape[1])):
        hint = "; weights must be (d_in, d_out), and PyTorch's are (d_out, d_in): pass weight.T"
        turned = hint if b.shape == w.shape[:1] else ""
        raise ValueError(f"biases[{i}] must have shape ({w.shape[1]},), got {b.shape}{turned}")
    for name, array in ((f"weights[{i}]", w), (f"biases[{i}]", b)):
        if array.dtype not in FLOATS:
            raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
        if array.dtype != dtype:
            raise TypeError(f"{name} is {array.dtype} but weights[0] is {dtype}; use one type")
        if not np.isfinite(array).all():
            place = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}{list(place)} is {array[place]}; every entry must be finite")


def require_network(net: Any) -> None:
    """Raise TypeError, with what to do instead, unless `net` is a network."""
    if not isinstance(net, Parameters):
        raise TypeError(f"net must be an MLP, got {_models.foreign(net)}")
