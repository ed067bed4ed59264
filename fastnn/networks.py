"""Dense networks: logits, predictions, losses and gradients of whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine import gradients, passes, sets, units
from fastnn._parameters import Parameters


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


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MLP(Parameters):
    """A dense network of any depth, with softmax over its last layer.

    Every method takes a batch (N, D) or a single sample (D,). uint8 entries are pixels and divided
    by 255; other real numbers mean what they say, and are rounded to the network's type. Row i of a
    result depends on row i alone, except for rounding: the number of rows and their zeros decide in
    which order products are summed.

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

    def logits(self, x: ArrayLike) -> NDArray[Any]:
        """Return the last layer's values before softmax.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8

        Returns
        -------
        ndarray, shape (N, C) or (C,), type of the network

        Raises
        ------
        TypeError
            `x` holds no real numbers.
        ValueError
            `x` has another width, an entry that is NaN or infinite, or one that the network's type
            cannot hold: beyond 2**24 in float32.
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
        rows = units.checked(self, x)
        return _checks.as_given(x, passes.logits(self, rows))

    def predict(self, x: Any) -> Any:
        """Return the class with the largest logit, the lowest one if several are equal.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8; or sliceable, or iterator

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
        return sets.predictions(self, x)

    def predict_proba(self, x: ArrayLike) -> NDArray[Any]:
        """Return the softmax of the logits.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8

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
        rows = units.checked(self, x)
        return _checks.as_given(x, passes.probabilities(self, rows))

    def loss(self, x: Any, labels: Any = None) -> float:
        """Return the mean cross-entropy, ``mean_i(log sum_k e**z_ik - z_i,label)``.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8; or sliceable, or iterator
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C). None where an iterator has them.

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
        return sets.mean_loss(self, x, labels)

    def accuracy(self, x: Any, labels: Any = None) -> float:
        """Return the share of rows whose predicted class is the label.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8; or sliceable, or iterator
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C). None where an iterator has them.

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
        return sets.accuracy(self, x, labels)

    def gradients(self, x: ArrayLike, labels: ArrayLike, l2: float = 0.0) -> Gradients:
        """Return the derivatives of the mean loss by every weight and bias.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8
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
        rows, truth = units.samples(self, x, labels)
        means = gradients.mean_gradients(self, rows, truth, _checks.real(l2, "l2"))
        count = len(self.weights)
        return Gradients(tuple(means[:count]), tuple(means[count:]))

    def input_gradient(self, x: ArrayLike, labels: ArrayLike) -> NDArray[Any]:
        """Return the derivative of every sample's own loss by its inputs.

        Parameters
        ----------
        x : ndarray, shape (N, D) or (D,), real numbers or uint8
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
        rows = units.checked(self, x)
        truth = _checks.labels(labels, len(rows), self.sizes[-1])
        return _checks.as_given(x, passes.input_gradients(self, rows, truth))
