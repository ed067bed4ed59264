"""The assignment's small functions, for one sample or any number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _checks, functional
from fastnn._engine.losses import predictions
from fastnn._runtime.signals import numpy_errors
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array


def one_hot_labels(labels: ArrayLike) -> Array:
    """Return a row of ten for every label: a 1 at the label, and 0 elsewhere.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Digits, 0 to 9.

    Returns
    -------
    ndarray, shape (N, 10), float64

    Raises
    ------
    TypeError
        Labels are not integers.
    ValueError
        A label is not in 0..9, or labels are not a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import one_hot_labels
    >>> one_hot_labels(np.array([5, 0]))
    array([[0., 0., 0., 0., 0., 1., 0., 0., 0., 0.],
           [1., 0., 0., 0., 0., 0., 0., 0., 0., 0.]])
    """
    return functional.one_hot(np.atleast_1d(labels), 10, np.float64)


def one_hot(labels: ArrayLike, n_classes: int = 10) -> Array:
    """Return ``one_hot(y)``: a 1 at the label, and 0 elsewhere, for one label or many.

    Parameters
    ----------
    labels : int, or ndarray of int, shape (N,)
        Classes, each in [0, n_classes).
    n_classes : int, optional

    Returns
    -------
    ndarray, shape (n_classes,) or (N, n_classes), float64

    Raises
    ------
    TypeError
        Labels or `n_classes` are not integers.
    ValueError
        A label is out of range.

    Examples
    --------
    >>> from fastnn.comp7015 import one_hot
    >>> one_hot(6)
    array([0., 0., 0., 0., 0., 0., 1., 0., 0., 0.])
    """
    return functional.one_hot(labels, n_classes, np.float64)


def softmax(x: ArrayLike) -> Array:
    """Return ``e**(x_k - max x) / sum_j e**(x_j - max x)`` of every row.

    Parameters
    ----------
    x : ndarray, shape (N, K) or (K,)

    Returns
    -------
    ndarray, shape of `x`, float32 or float64

    Raises
    ------
    TypeError
        `x` does not hold numbers.
    ValueError
        There are no classes, or an entry is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import softmax
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _of_x(functional.softmax, x)


def sigmoid(x: ArrayLike) -> Array:
    """Return ``1 / (1 + e**-x)`` for x >= 0 and ``e**x / (e**x + 1)`` below, entry by entry.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, shape of `x`, float32 or float64

    Raises
    ------
    TypeError
        `x` does not hold numbers.
    ValueError
        An entry is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import sigmoid
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _of_x(functional.sigmoid, x)


def relu(x: ArrayLike) -> Array:
    """Return ``max(0, x)``, entry by entry.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, shape of `x`, float32 or float64

    Raises
    ------
    TypeError
        `x` does not hold numbers.
    ValueError
        An entry is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import relu
    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return _of_x(functional.relu, x)


def relu_grad(x: ArrayLike) -> Array:
    """Return 1 where x > 0 and 0 where x <= 0.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    ndarray, shape of `x`, float32 or float64

    Raises
    ------
    TypeError
        `x` does not hold numbers.
    ValueError
        An entry is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import relu_grad
    >>> relu_grad(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 1.])
    """
    return _of_x(functional.relu_grad, x)


def cross_entropy(y: ArrayLike, y_hat: ArrayLike) -> Any:
    """Return ``-log(y_hat)[y]``, for one sample or for every row.

    Parameters
    ----------
    y : int, or ndarray of int, shape (N,)
        True classes, each in [0, K).
    y_hat : ndarray, shape (K,) or (N, K)
        Probabilities. `fastnn.cross_entropy` takes logits, so that no probability underflows.

    Returns
    -------
    float, or ndarray, shape (N,), float32 or float64
        In nats; infinite where the probability is 0.

    Raises
    ------
    TypeError
        `y` does not hold integers, or `y_hat` does not hold numbers.
    ValueError
        Shapes disagree, a class is out of range, a probability is negative, NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import cross_entropy
    >>> print(cross_entropy(1, np.array([0.5, 0.5])).round(3))
    0.693
    >>> cross_entropy([0, 1], np.array([[1.0, 0.0], [1.0, 0.0]])) + 0.0
    array([ 0., inf])
    """
    probs = _arrays.numbers(y_hat, "y_hat")
    if probs.ndim not in {1, 2} or probs.shape[-1] == 0:
        raise ValueError(f"y_hat must have shape (K,) or (N, K), got {probs.shape}")
    rows = np.atleast_2d(probs)
    truth = _checks.labels(y, len(rows), rows.shape[1], name="y")
    wrong = ~((rows >= 0) & (rows < np.inf))
    if wrong.any():
        row, column = (int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"y_hat[{row}, {column}] is {rows[row, column]}, not a probability")
    with numpy_errors(divide="ignore"):
        losses = -np.log(rows[np.arange(len(rows)), truth])
    return losses[0] if probs.ndim == 1 else losses


def calc_accuracy(y: ArrayLike, labels: ArrayLike) -> float:
    """Return the share of rows whose largest entry is in the column of the label's 1.

    Parameters
    ----------
    y : ndarray, shape (N, K), N > 0
        Probabilities, or other numbers that are largest for the predicted class. Of several equal
        entries, the first one counts.
    labels : ndarray, shape (N, K)
        One-hot rows.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        `y` or `labels` do not hold numbers.
    ValueError
        Shapes disagree, there are no rows, a row of `labels` is not one-hot, or an entry of `y` is
        NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import calc_accuracy, one_hot_labels
    >>> y = np.eye(10)[[3, 1, 4, 1]]
    >>> calc_accuracy(y, one_hot_labels(np.array([3, 1, 4, 0])))
    0.75
    """
    scores = _arrays.numbers(y, "y")
    if scores.ndim != 2:
        raise ValueError(f"y must have shape (N, K), got {scores.shape}")
    rows = _checks.inputs(scores, scores.shape[1], scores.dtype, name="y")
    _checks.some_rows(rows, "y")
    truth = _arrays.from_one_hot(labels, len(rows), rows.shape[1], "labels")
    found = predictions(np.require(rows, requirements=["C", "A", "W"]), np.empty_like(truth))
    return int(np.count_nonzero(found == truth)) / len(rows)


def _of_x(function: Callable[[Array], Array], x: ArrayLike) -> Array:
    """Return `function` of x, with error messages about x instead of the engine's z."""
    values = _arrays.numbers(x, "x")
    try:
        return function(values)
    except ValueError as error:
        text = str(error)
    raise ValueError(text.replace("z", "x", 1))
