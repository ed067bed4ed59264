"""Part 1: a sigmoid network with one hidden layer, its parameters in a dict."""

from typing import Any

import numpy as np

from .. import functional
from ..functional import Array
from .functions import count_correct

Params = dict[str, Any]


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
    return count_correct(forward_prop(data, labels, params)[1], labels)
