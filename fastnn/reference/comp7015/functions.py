"""The small functions: labels, activations, probabilities, accuracy, loss."""

import numpy as np
import numpy.typing as npt

from .. import functional
from ..functional import Array, one_hot


def one_hot_labels(labels: npt.NDArray[np.integer]) -> Array:
    """Give every label, an int in [0, 10), a row of ten with a 1 in its place.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)

    Returns
    -------
    ndarray, shape (N, 10), float64

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import one_hot_labels
    >>> one_hot_labels(np.array([5]))
    array([[0., 0., 0., 0., 0., 1., 0., 0., 0., 0.]])
    """
    rows = np.zeros((labels.size, 10))
    for row, label in zip(rows, labels, strict=True):
        row[:] = one_hot(int(label), 10)
    return rows


def softmax(x: Array) -> Array:
    """``e^(x_k - max(x)) / sum_j e^(x_j - max(x))`` of every row.

    Parameters
    ----------
    x : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N, K)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import softmax
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return np.array([functional.softmax(row) for row in x])


def sigmoid(x: Array) -> Array:
    """``1 / (1 + e^-x)`` for positive entries, ``e^x / (e^x + 1)`` for negative ones.

    Parameters
    ----------
    x : ndarray, shape (N, H)

    Returns
    -------
    ndarray, shape (N, H)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import sigmoid
    >>> sigmoid(np.array([[-1000.0, 0.0, 1000.0]]))
    array([[0. , 0.5, 1. ]])
    """
    return np.array([functional.sigmoid(row) for row in x])


def calc_accuracy(y: Array, labels: Array) -> float:
    """Share of the rows whose largest entry (the first, if equal) is where the label's 1 is.

    Parameters
    ----------
    y : ndarray, shape (N, K)
    labels : ndarray, shape (N, K)
        One-hot rows.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import calc_accuracy, one_hot_labels
    >>> y = np.eye(10)[[3, 1, 4, 1]]
    >>> calc_accuracy(y, one_hot_labels(np.array([3, 1, 4, 0])))
    0.75
    """
    return count_correct(y, labels) / len(y)


def count_correct(y: Array, labels: Array) -> int:
    """Count the rows of `y` that name the class of their one-hot label."""
    return sum(int(np.argmax(p) == np.argmax(label)) for p, label in zip(y, labels, strict=True))


def cross_entropy(y: int, y_hat: Array) -> float:
    """``-log(y_hat)[y]``; infinite where that probability is 0.

    Parameters
    ----------
    y : int
        True class, in [0, K).
    y_hat : ndarray, shape (K,)
        Probabilities.

    Returns
    -------
    float
        In nats.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import cross_entropy
    >>> cross_entropy(1, np.array([1.0, 0.0]))
    inf
    """
    with np.errstate(divide="ignore"):
        return float(-np.log(y_hat)[y])
