"""Part 1: a sigmoid network with one hidden layer, its parameters in a dict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.gradients import mean_gradients
from fastnn._engine.layers import evaluate_tile
from fastnn._engine.losses import softmax
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn._runtime.signals import numpy_errors
from fastnn.comp7015 import _arrays
from fastnn.comp7015._arrays import Array
from fastnn.networks import MLP

Params = dict[str, Any]

_KEYS = ("W1", "b1", "W2", "b2")
_NAMES = [f"params[{key!r}]" for key in _KEYS]


def forward_prop(
    data: ArrayLike, labels: ArrayLike, params: Mapping[str, Any]
) -> tuple[Array, Array, float]:
    """Return the hidden layer, the probabilities and the mean loss.

    Parameters
    ----------
    data : ndarray, shape (N, D), N > 0
    labels : ndarray, shape (N, K)
        One-hot rows.
    params : dict
        ``W1`` (D, H), ``b1`` (1, H), ``W2`` (H, K), ``b2`` (1, K).

    Returns
    -------
    h : ndarray, shape (N, H), float32 or float64
    y : ndarray, shape (N, K), float32 or float64
    loss : float
        In nats, without the penalty.

    Raises
    ------
    TypeError
        An array does not hold numbers.
    ValueError
        `params` lacks a key; shapes disagree; there are no rows; a row of `labels` is not one-hot;
        an entry is NaN or infinite.
    FloatingPointError
        The logits of a row overflow.

    Notes
    -----
    ``h = sigmoid(x W1 + b1)``, ``y = softmax(h W2 + b2)``; the loss is the mean over the rows of
    ``-log(y_k + 1e-16)``, where k is the true class and y_k is computed from the logits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import forward_prop
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> data, labels = np.zeros((1, 2)), np.array([[1, 0]])
    >>> h, y, loss = forward_prop(data, labels, params)
    >>> h, y, round(loss, 3)
    (array([[0.5, 0.5]]), array([[0.5, 0.5]]), 0.693)
    """
    net, rows, truth = _samples(data, labels, params)
    h = np.empty((len(rows), net.sizes[1]), net.dtype)
    y = np.empty((len(rows), net.sizes[2]), net.dtype)
    losses = np.empty(len(rows), net.dtype)

    def work(ws: Workspace, tile: Rows) -> None:
        evaluate_tile(ws, truth, tile)
        h[tile], losses[tile] = ws.h[1], ws.losses
        softmax(ws.h[2], y[tile])

    for_each_tile(net, rows, work)
    return h, y, mean_loss(losses)


def backward_prop(data: ArrayLike, labels: ArrayLike, params: Mapping[str, Any]) -> Params:
    """Return the gradients ``(sum_i dL_i/dW + lambda W) / N``; biases have no penalty.

    Parameters
    ----------
    data, labels
        As for `forward_prop`.
    params : dict
        As for `forward_prop`, and ``lambda`` >= 0.

    Returns
    -------
    dict
        ``W1 b1 W2 b2``, each of the shape of its parameter, float32 or float64.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `forward_prop`; ``lambda`` is negative or not finite.

    Notes
    -----
    ``delta_1 = y - labels`` without cancellation, ``delta_2 = delta_1 W2^T * h (1 - h)``;
    ``h^T delta_1`` and ``x^T delta_2`` are the sums of the gradients by the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import backward_prop
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> data, labels = np.zeros((1, 2)), np.array([[1, 0]])
    >>> grad = backward_prop(data, labels, params)
    >>> grad["W2"]
    array([[-0.25,  0.25],
           [-0.25,  0.25]])
    >>> grad["b2"]
    array([[-0.5,  0.5]])
    """
    penalty = _checks.real(_arrays.entries(params, ["lambda"])[0], "params['lambda']")
    net, rows, truth = _samples(data, labels, params)
    w1, w2, b1, b2 = mean_gradients(net, rows, truth)
    if penalty > 0:
        with numpy_errors(under="ignore"):
            l2 = net.dtype.type(penalty / len(rows))
            w1 += l2 * net.weights[0]
            w2 += l2 * net.weights[1]
    return {
        key: gradient.reshape(np.shape(params[key]))
        for key, gradient in zip(_KEYS, (w1, b1, w2, b2), strict=True)
    }


def update_params(params: Mapping[str, Any], grad: Mapping[str, Any], learning_rate: float) -> None:
    """``w -= learning_rate * dL/dw`` for ``W1 b1 W2 b2``, in the arrays of `params` themselves.

    If there is an error, none of the four is changed.

    Parameters
    ----------
    params : dict
        Changed in place.
    grad : dict
        From `backward_prop`.
    learning_rate : float

    Raises
    ------
    TypeError
        A parameter is not an array of floats, or a gradient does not hold numbers.
    ValueError
        A key is missing; a gradient has another shape than its parameter, or an entry that is NaN
        or infinite; a parameter is read-only; `learning_rate` is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import backward_prop, update_params
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> grad = backward_prop(np.zeros((1, 2)), np.array([[1, 0]]), params)
    >>> update_params(params, grad, learning_rate=2)
    >>> params["b2"]
    array([[ 1., -1.]])
    """
    rate = _checks.real(learning_rate, "learning_rate", lower=-math.inf)
    arrays = _arrays.entries(params, _KEYS)
    steps = [
        _arrays.numbers(step, f"grad[{key!r}]")
        for key, step in zip(_KEYS, _arrays.entries(grad, _KEYS, "grad"), strict=True)
    ]
    for key, array, step in zip(_KEYS, arrays, steps, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"params[{key!r}] must be an array of floats to change, got {kind}")
        if not array.flags.writeable:
            raise ValueError(f"params[{key!r}] is read-only, expected an array to change")
        if step.shape != array.shape:
            raise ValueError(f"grad[{key!r}] must have shape {array.shape}, got {step.shape}")
        if not np.isfinite(step).all():
            place = tuple(int(k) for k in np.argwhere(~np.isfinite(step))[0])
            raise ValueError(f"grad[{key!r}]{list(place)} is {step[place]}")
    # Compute all before writing one: numpy may be set to raise an error at an overflow.
    with numpy_errors(under="ignore"):
        changed = [array - rate * step for array, step in zip(arrays, steps, strict=True)]
    for array, values in zip(arrays, changed, strict=True):
        np.copyto(array, values)


def nn_test(data: ArrayLike, labels: ArrayLike, params: Mapping[str, Any]) -> int:
    """Count the rows that are classified correctly.

    Parameters
    ----------
    data, labels, params
        As for `forward_prop`.

    Returns
    -------
    int
        A count, as in the assignment's code, which prints it as "Test accuracy".

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `forward_prop`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.comp7015 import nn_test
    >>> params = {"W1": np.eye(2), "b1": np.zeros((1, 2)), "W2": np.zeros((2, 2))}
    >>> params |= {"b2": np.zeros((1, 2)), "lambda": 0}
    >>> data, labels = np.zeros((2, 2)), np.array([[1, 0], [0, 1]])
    >>> nn_test(data, labels, params)
    1
    """
    net, rows, truth = _samples(data, labels, params)
    hits: list[int] = []

    def work(ws: Workspace, tile: Rows) -> None:
        hits.append(evaluate_tile(ws, truth, tile))

    for_each_tile(net, rows, work)
    return sum(hits)


def _samples(
    data: ArrayLike, labels: ArrayLike, params: Mapping[str, Any]
) -> tuple[MLP, Array, NDArray[np.int64]]:
    """Return the network, images and classes, checked, all in their common type."""
    x = _arrays.table(data, "data")
    net = _arrays.network(_arrays.entries(params, _KEYS), _NAMES, "sigmoid")
    kind = _arrays.common_type(x, net)
    if kind != net.dtype:
        net = net.astype(kind)
    return net, *_arrays.samples(x, labels, net.sizes, kind, ("data", "labels"))


def mean_loss(losses: Array) -> float:
    """Return the mean of ``-log(p + 1e-16)`` from losses ``-log(p)``."""
    with numpy_errors(under="ignore"):
        probs = np.exp(-losses.astype(np.float64))
    return float(np.mean(-np.log(probs + 1e-16)))
