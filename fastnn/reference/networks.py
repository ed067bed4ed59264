"""One sample through a dense network, forward and backward."""

import numpy as np

from .activations import activation_named
from .functional import Array, as_float, cross_entropy, residual, softmax

Arrays = tuple[Array, ...] | list[Array]


def forward(
    weights: Arrays, biases: Arrays, x: Array, activation: str
) -> tuple[list[Array], list[Array]]:
    """Return every layer's input and its output before activation; the last is the logits."""
    function = activation_named(activation).function
    inputs: list[Array] = []
    outputs: list[Array] = []
    for k in range(len(weights)):
        inputs.append(as_float(x) if k == 0 else function(outputs[k - 1]))
        outputs.append(np.dot(inputs[k], weights[k]) + biases[k])
    return inputs, outputs


def backward(weights: Arrays, outputs: Arrays, delta: Array, activation: str) -> list[Array]:
    """Take `delta`, the gradient in the logits, back to the gradient in every layer's output.

    ``delta_k = (W_{k+1} delta_{k+1}) * activation'(z_k)``.
    """
    derivative = activation_named(activation).derivative
    deltas = [delta]
    for k in range(len(weights) - 1, 0, -1):
        deltas.append(np.dot(weights[k], deltas[-1]) * derivative(outputs[k - 1]))
    return deltas[::-1]


def logits(weights: Arrays, biases: Arrays, x: Array, activation: str = "relu") -> Array:
    """``z_k = h_{k-1} W_k + b_k``, ``h_k = activation(z_k)``, ``h_0 = x``: the last `z`.

    Parameters
    ----------
    weights : sequence of ndarray, shape (d_in, d_out)
    biases : sequence of ndarray, shape (d_out,)
    x : ndarray, shape (D,)
    activation : {"relu", "sigmoid", "tanh"}

    Returns
    -------
    ndarray, shape (C,)

    Raises
    ------
    ValueError
        `activation` is none of the three.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.logits(weights, biases, x)
    array([5., 5.])
    """
    return forward(weights, biases, x, activation)[1][-1]


def predict(weights: Arrays, biases: Arrays, x: Array, activation: str = "relu") -> int:
    """``argmax_k z_k``, the lowest k if several are equal; parameters as for `logits`.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.predict(weights, biases, x)
    0
    """
    return int(np.argmax(logits(weights, biases, x, activation)))


def predict_proba(weights: Arrays, biases: Arrays, x: Array, activation: str = "relu") -> Array:
    """``softmax(z)``; parameters as for `logits`.

    Returns
    -------
    ndarray, shape (C,)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.predict_proba(weights, biases, x)
    array([0.5, 0.5])
    """
    return softmax(logits(weights, biases, x, activation))


def loss(weights: Arrays, biases: Arrays, x: Array, label: int, activation: str = "relu") -> float:
    """``-log softmax(z)_label``, from the logits; parameters as for `logits`.

    Returns
    -------
    float
        In nats.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> round(reference.loss(weights, biases, x, 0), 3)
    0.693
    """
    return cross_entropy(logits(weights, biases, x, activation), label)


def gradients(
    weights: Arrays, biases: Arrays, x: Array, label: int, activation: str = "relu"
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Gradient of one sample's `loss` in every weight and bias.

    Parameters
    ----------
    weights, biases, x, activation
        As for `logits`.
    label : int
        True class, in [0, C).

    Returns
    -------
    tuple of tuples
        One array a layer, shaped like `weights`, and like `biases`.

    Notes
    -----
    ``dL/dW_k = outer(h_{k-1}, delta_k)`` and ``dL/db_k = delta_k``. Rumelhart, Hinton and Williams
    (1986), *Nature* 323, 533-536.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> of_weights, of_biases = reference.gradients(weights, biases, x, 0)
    >>> of_weights
    (array([[-2.5,  2.5],
           [-2. ,  2. ]]),)
    >>> of_biases
    (array([-0.5,  0.5]),)
    """
    inputs, outputs = forward(weights, biases, x, activation)
    deltas = backward(weights, outputs, residual(outputs[-1], label), activation)
    return tuple(np.outer(h, delta) for h, delta in zip(inputs, deltas, strict=True)), tuple(deltas)


def input_gradient(
    weights: Arrays, biases: Arrays, x: Array, label: int, activation: str = "relu"
) -> Array:
    """``dL/dx = W_1 delta_1``, the gradient of one sample's `loss` in its input.

    Parameters
    ----------
    weights, biases, x, activation
        As for `logits`.
    label : int
        True class, in [0, C).

    Returns
    -------
    ndarray, shape (D,)

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.input_gradient(weights, biases, x, 0)
    array([-0.5,  0.5])
    """
    outputs = forward(weights, biases, x, activation)[1]
    deltas = backward(weights, outputs, residual(outputs[-1], label), activation)
    return np.asarray(np.dot(weights[0], deltas[0]))
