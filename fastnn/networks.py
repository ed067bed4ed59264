"""Dense networks: logits, predictions, losses and gradients of whole batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _checks
from fastnn._engine import gradients, layers, losses
from fastnn._engine.activations import activation_named
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn._runtime.signals import numpy_errors


class Gradients(NamedTuple):
    """Derivatives of a loss by the parameters of an `MLP`, in the same order and shapes.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.eye(2)], [np.zeros(2)])
    >>> gradients = net.gradients(np.array([[1.0, 1.0]]), [0])
    >>> gradients.biases
    (array([-0.5,  0.5]),)
    >>> weights, biases = gradients
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]


@dataclass(frozen=True, eq=False, repr=False)
class MLP:
    """A dense network of any depth, with softmax over its last layer.

    Every method takes a batch (N, D) or a single sample (D,), of the network's own type or as
    uint8 pixels, which are divided by 255. Row i of a result depends on row i alone, except for
    rounding: the number of rows and their zeros decide in which order products are summed.

    Parameters
    ----------
    weights : sequence of ndarray, shapes (d_in, d_out), float32 or float64
        One matrix a layer. They are copied.
    biases : sequence of ndarray, shapes (d_out,) or (1, d_out), type of the weights
    activation : {"relu", "sigmoid", "tanh"}
        The function after every layer but the last.

    Raises
    ------
    TypeError
        Parameters are not floats of one type.
    ValueError
        A layer does not fit the one before it, an entry is NaN or infinite, or the activation is
        unknown.

    Notes
    -----
    ``z_i = h_(i-1) W_i + b_i``, ``h_i = activation(z_i)``, ``p = softmax(z_L)``; one sample at a
    time in `fastnn.reference`. Attributes cannot be assigned, but the arrays can be written to, and
    `fastnn.train` does so: every reference to the network then sees the trained one.

    Examples
    --------
    A network with one hidden layer, from given parameters:

    >>> import numpy as np
    >>> import fastnn
    >>> w1, b1 = np.array([[1.0, -1.0]]), np.zeros(2)
    >>> w2, b2 = np.array([[2.0, 0.0], [0.0, 1.0]]), np.zeros(2)
    >>> net = fastnn.MLP([w1, w2], [b1, b2], activation="relu")
    >>> net
    MLP(1-2-2, relu, float64)
    >>> net.predict(np.array([[3.0], [-3.0]]))
    array([0, 1])
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    activation: str = "relu"

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activation: str = "relu",
    ) -> None:
        ws, bs = _checks.parameters(weights, biases)
        activation_named(activation)
        object.__setattr__(self, "weights", ws)
        object.__setattr__(self, "biases", bs)
        object.__setattr__(self, "activation", activation)

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
        kind = _checks.float_dtype(dtype)
        widths = [_checks.positive_integer(size, "sizes") for size in sizes]
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

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all parameters, float32 or float64."""
        return self.weights[0].dtype

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the classes."""
        return (self.weights[0].shape[0], *(w.shape[1] for w in self.weights))

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a copy of the network with parameters of `dtype`, float32 or float64.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> fastnn.MLP.random((4, 2)).astype(np.float64)
        MLP(4-2, relu, float64)
        """
        kind = _checks.float_dtype(dtype)
        with numpy_errors():  # MLP refuses an entry that overflows and names it
            weights = [w.astype(kind) for w in self.weights]
            biases = [b.astype(kind) for b in self.biases]
        return type(self)(weights, biases, self.activation)

    def __repr__(self) -> str:
        return f"MLP({'-'.join(map(str, self.sizes))}, {self.activation}, {self.dtype})"

    def logits(self, x: ArrayLike) -> NDArray[Any]:
        """Return the last layer's values before softmax.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8

        Returns
        -------
        ndarray, shape (N, C) or (C,), type of the network

        Raises
        ------
        TypeError
            `x` has another type.
        ValueError
            `x` has another width, or an entry that is NaN or infinite.
        FloatingPointError
            The logits of a row overflow.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> net.logits(np.array([[2.0, 3.0], [5.0, 4.0]]))
        array([[2., 4.],
               [5., 5.]])
        """
        rows = self._inputs(x)
        out = np.empty((len(rows), self.sizes[-1]), self.dtype)

        def work(ws: Workspace, tile: Rows) -> None:
            out[tile] = layers.forward(ws)
            layers.require_finite(ws.h[-1], tile, "logits")

        for_each_tile(self, rows, work)
        return self._like(x, out)

    def predict(self, x: ArrayLike) -> Any:
        """Return the class with the largest logit, the lowest one if several are equal.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8

        Returns
        -------
        ndarray of int64, shape (N,), or int64

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `logits`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> net.predict(np.array([[2.0, 3.0], [5.0, 4.0]]))
        array([1, 0])
        """
        logits = np.atleast_2d(self.logits(x))
        return self._like(x, losses.predictions(logits, np.empty(len(logits), np.int64)))

    def predict_proba(self, x: ArrayLike) -> NDArray[Any]:
        """Return the softmax of the logits.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8

        Returns
        -------
        ndarray, shape (N, C) or (C,), type of the network

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `logits`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> net.predict_proba(np.array([[5.0, 4.0], [1000.0, 0.0]]))
        array([[0.5, 0.5],
               [1. , 0. ]])
        """
        logits = np.atleast_2d(self.logits(x))
        out = np.empty_like(logits)
        losses.softmax(logits, out)
        return self._like(x, out)

    def loss(self, x: ArrayLike, labels: ArrayLike) -> float:
        """Return the mean cross-entropy, ``mean_i(log sum_k e**z_ik - z_i,label)``.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `logits`; labels are not integers, not one for each row, or out of range; there are
            no rows.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> round(net.loss(np.array([[5.0, 4.0]]), [0]), 3)
        0.693
        """
        rows, truth = self._samples(x, labels)
        of_rows = np.empty(len(rows), self.dtype)

        def work(ws: Workspace, tile: Rows) -> None:
            layers.evaluate_tile(ws, truth, tile)
            of_rows[tile] = ws.losses

        for_each_tile(self, rows, work)
        return float(of_rows.mean(dtype=np.float64))

    def accuracy(self, x: ArrayLike, labels: ArrayLike) -> float:
        """Return the share of rows whose predicted class is the label.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `loss`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> net.accuracy(np.array([[2.0, 3.0], [5.0, 4.0]]), [1, 1])
        0.5
        """
        rows, truth = self._samples(x, labels)
        return int(np.count_nonzero(self.predict(rows) == truth)) / len(rows)

    def gradients(self, x: ArrayLike, labels: ArrayLike, l2: float = 0.0) -> Gradients:
        """Return the derivatives of the mean loss by every weight and bias.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).
        l2 : float, optional
            Weight decay: ``l2 * W`` is added, the derivative of ``l2 / 2 * sum(W**2)``.

        Returns
        -------
        Gradients
            `.weights` and `.biases`, tuples in the order and shapes of the network's.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `loss`; `l2` is negative or not finite; a derivative overflows.

        Notes
        -----
        ``dL/dz_L = softmax - one_hot``, where the true class is minus the sum of the others;
        ``dL/dW_i = h_(i-1)^T dL/dz_i / N``.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> gradients = net.gradients(np.array([[5.0, 4.0]]), [0])
        >>> gradients.weights
        (array([[-2.5,  2.5],
               [-2. ,  2. ]]),)
        >>> gradients.biases
        (array([-0.5,  0.5]),)
        """
        rows, truth = self._samples(x, labels)
        means = gradients.mean_gradients(self, rows, truth, _checks.real(l2, "l2"))
        count = len(self.weights)
        return Gradients(tuple(means[:count]), tuple(means[count:]))

    def input_gradient(self, x: ArrayLike, labels: ArrayLike) -> NDArray[Any]:
        """Return the derivative of every sample's own loss by its inputs.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), type of the network or uint8
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).

        Returns
        -------
        ndarray, shape (N, D) or (D,), type of the network
            For uint8 pixels, the derivative by the pixel divided by 255. A row is all zero where
            every probability but the true one underflows; `fastnn.fgsm` keeps the direction even
            there.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `loss`, but N may be 0; a derivative overflows.

        Notes
        -----
        ``dL/dx = ((softmax - one_hot) W_L^T * activation'(z_(L-1))) ... W_1^T``

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.eye(2)], [np.array([0.0, 1.0])])
        >>> net.input_gradient(np.array([[5.0, 4.0]]), [0])
        array([[-0.5,  0.5]])
        """
        rows = self._inputs(x)
        truth = _checks.labels(labels, len(rows), self.sizes[-1])
        out = np.empty(rows.shape, self.dtype)

        def work(ws: Workspace, tile: Rows) -> None:
            layers.evaluate_tile(ws, truth, tile)
            layers.backward(ws, to=0)
            layers.require_finite(ws.g[0], tile, "derivatives")
            out[tile] = ws.g[0]

        for_each_tile(self, rows, work, to=0)
        return self._like(x, out)

    def _inputs(self, x: ArrayLike) -> NDArray[Any]:
        """Return `x` checked, as (N, D)."""
        return _checks.inputs(x, self.sizes[0], self.dtype)

    def _samples(self, x: ArrayLike, labels: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return `x` as (N, D) with N > 0 and `labels` as (N,), checked."""
        rows = self._inputs(x)
        _checks.some_rows(rows)
        return rows, _checks.labels(labels, len(rows), self.sizes[-1])

    @staticmethod
    def _like(x: ArrayLike, out: NDArray[Any]) -> NDArray[Any]:
        """Return `out` for a batch, its only row for a single sample."""
        return cast(NDArray[Any], out[0]) if np.ndim(x) == 1 else out
