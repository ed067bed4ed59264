"""The assignment's functions, following its text, with a loop over the rows of every batch.

Names, arguments and results are the assignment's: parameters are a dict with ``W1 b1 W2 b2
lambda``, biases have shape ``(1, H)``, labels are one-hot rows. Part 1 is the sigmoid network with
one hidden layer, part 2 the ReLU network with three. There are no functions that read files, and
nothing is printed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import functional
from .functional import Array, one_hot, relu, relu_grad
from .perceptron import MultiLayerPerceptron

Params = dict[str, Any]

__all__ = [
    "MultiLayerPerceptron",
    "backward_prop",
    "calc_accuracy",
    "cross_entropy",
    "forward_prop",
    "nn_test",
    "nn_train",
    "one_hot",
    "one_hot_labels",
    "relu",
    "relu_grad",
    "sigmoid",
    "softmax",
    "update_params",
]


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


def forward_prop(data: Array, labels: Array, params: Params) -> tuple[Array, Array, float]:
    """``h = sigmoid(x W1 + b1)``, ``y = softmax(h W2 + b2)``, and the mean loss.

    Parameters
    ----------
    data : ndarray, shape (N, D)
    labels : ndarray, shape (N, K)
        One-hot rows.
    params : dict
        ``W1`` (D, H), ``b1`` (1, H), ``W2`` (H, K), ``b2`` (1, K).

    Returns
    -------
    h : ndarray, shape (N, H)
    y : ndarray, shape (N, K)
    loss : float
        ``-(1/N) sum_i sum_k labels_ik log(y_ik + 1e-16)``, without the penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import forward_prop
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> h, y, loss = forward_prop(np.zeros((1, 2)), np.array([[1, 0]]), params)
    >>> h, y, round(loss, 3)
    (array([[0.5, 0.5]]), array([[0.5, 0.5]]), 0.693)
    """
    hidden, probs, loss = [], [], 0.0
    for x, label in zip(data, labels, strict=True):
        h = functional.sigmoid(np.dot(x, params["W1"]) + params["b1"][0])
        y = functional.softmax(np.dot(h, params["W2"]) + params["b2"][0])
        loss -= float(np.dot(label, np.log(y + 1e-16)))
        hidden.append(h)
        probs.append(y)
    return np.array(hidden), np.array(probs), loss / len(data)


def backward_prop(data: Array, labels: Array, params: Params) -> dict[str, Array]:
    """Gradients as the assignment scales them: ``(sum_i dL_i/dW + lambda W) / N``.

    Parameters
    ----------
    data, labels
        As for `forward_prop`.
    params : dict
        As for `forward_prop`, and ``lambda``.

    Returns
    -------
    dict
        ``W1 b1 W2 b2``, each shaped like the parameter.

    Notes
    -----
    For one row ``delta_1 = y - label`` and ``delta_2 = (W2 delta_1) * h (1 - h)``; then ``dL/dW2 =
    outer(h, delta_1)`` and ``dL/dW1 = outer(x, delta_2)``. The penalty is divided by N as well, so
    it is that of ``l2 = lambda / N`` in `fastnn.reference.mean_gradients`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import backward_prop
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> grad = backward_prop(np.zeros((1, 2)), np.array([[1, 0]]), params)
    >>> grad["b2"]
    array([[-0.5,  0.5]])
    """
    hidden, probs, _ = forward_prop(data, labels, params)
    grad = {name: np.zeros_like(params[name]) for name in ("W1", "b1", "W2", "b2")}
    for x, label, h, y in zip(data, labels, hidden, probs, strict=True):
        delta_1 = y - label
        delta_2 = np.dot(params["W2"], delta_1) * h * (1 - h)
        grad["W2"] += np.outer(h, delta_1)
        grad["b2"] += delta_1
        grad["W1"] += np.outer(x, delta_2)
        grad["b1"] += delta_2
    if params["lambda"] > 0:
        grad["W2"] += params["lambda"] * params["W2"]
        grad["W1"] += params["lambda"] * params["W1"]
    return {name: g / len(data) for name, g in grad.items()}


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
    return _count_correct(y, labels) / len(y)


def _count_correct(y: Array, labels: Array) -> int:
    """Count the rows of `y` that name the class of their one-hot label."""
    return sum(int(np.argmax(p) == np.argmax(label)) for p, label in zip(y, labels, strict=True))


def update_params(params: Params, grad: dict[str, Array], learning_rate: float) -> None:
    """``w -= learning_rate * dL/dw`` for ``W1 b1 W2 b2``, in the arrays of `params` themselves.

    Parameters
    ----------
    params : dict
        Changed in place.
    grad : dict
        From `backward_prop`.
    learning_rate : float

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import backward_prop, update_params
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> grad = backward_prop(np.zeros((1, 2)), np.array([[1, 0]]), params)
    >>> update_params(params, grad, learning_rate=2)
    >>> params["b2"]
    array([[ 1., -1.]])
    """
    for name in ("W1", "b1", "W2", "b2"):
        params[name] -= learning_rate * grad[name]


def nn_train(
    trainData: Array,
    trainLabels: Array,
    devData: Array,
    devLabels: Array,
    num_hidden: int = 300,
    learning_rate: float = 5,
    batch_size: int = 1000,
    num_epochs: int = 30,
    reg_strength: float = 0,
    *,
    params: Params | None = None,
    seed: int | None = None,
) -> tuple[Params, list[float], list[float], list[float], list[float]]:
    """Train by minibatches in the order given; rows after the last whole batch are left out.

    Parameters
    ----------
    trainData, devData : ndarray, shape (N, D)
    trainLabels, devLabels : ndarray, shape (N, K)
        One-hot rows.
    num_hidden, learning_rate, batch_size, num_epochs, reg_strength
        As in the assignment; `reg_strength` is the ``lambda`` of `backward_prop`.
    params : dict, optional
        ``W1 b1 W2 b2`` to start from; copied. Default: biases 0, and weights drawn from the
        standard normal distribution, first ``W1``, then ``W2``.
    seed : int, optional
        For ``numpy.random.default_rng``, which draws them.

    Returns
    -------
    params : dict
        ``W1 b1 W2 b2 lambda`` after the last epoch.
    tr_loss, tr_metric, dev_loss, dev_metric : list of float
        Loss and accuracy after every epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import nn_train
    >>> data, labels = np.eye(2), np.eye(2)
    >>> params, tr_loss, tr_metric, dev_loss, dev_metric = nn_train(
    ...     data, labels, data, labels, learning_rate=1, batch_size=2, num_epochs=20, seed=0
    ... )
    >>> tr_loss[-1] < tr_loss[0], dev_metric[-1]
    (True, 1.0)
    """
    if params is None:
        rng = np.random.default_rng(seed)
        classes = trainLabels.shape[1]
        params = {
            "W1": rng.standard_normal((trainData.shape[1], num_hidden)),
            "b1": np.zeros((1, num_hidden)),
            "W2": rng.standard_normal((num_hidden, classes)),
            "b2": np.zeros((1, classes)),
        }
    params = {name: params[name].copy() for name in ("W1", "b1", "W2", "b2")}
    params["lambda"] = reg_strength
    tr_loss, tr_metric, dev_loss, dev_metric = [], [], [], []
    for _ in range(num_epochs):
        for j in range(len(trainData) // batch_size):
            rows = slice(j * batch_size, (j + 1) * batch_size)
            grad = backward_prop(trainData[rows], trainLabels[rows], params)
            update_params(params, grad, learning_rate)
        _, y, loss = forward_prop(trainData, trainLabels, params)
        tr_loss.append(loss)
        tr_metric.append(calc_accuracy(y, trainLabels))
        _, y, loss = forward_prop(devData, devLabels, params)
        dev_loss.append(loss)
        dev_metric.append(calc_accuracy(y, devLabels))
    return params, tr_loss, tr_metric, dev_loss, dev_metric


def nn_test(data: Array, labels: Array, params: Params) -> int:
    """Count the rows classified correctly: a count, though the assignment prints "accuracy".

    Parameters
    ----------
    data, labels, params
        As for `forward_prop`.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import nn_test
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> nn_test(np.zeros((2, 2)), np.array([[1, 0], [0, 1]]), params)
    1
    """
    return _count_correct(forward_prop(data, labels, params)[1], labels)


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
