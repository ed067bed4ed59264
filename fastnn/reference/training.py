"""One step of gradient descent, as a loop over the samples of its minibatch."""

import numpy as np
import numpy.typing as npt

from .functional import Array
from .networks import Arrays, gradients

Parameters = tuple[tuple[Array, ...], tuple[Array, ...]]


def mean_gradients(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    labels: npt.NDArray[np.integer],
    activation: str = "relu",
    *,
    l2: float = 0.0,
) -> Parameters:
    """Gradient of ``mean_i L_i + l2/2 * sum_k ||W_k||^2``; biases carry no penalty.

    Parameters
    ----------
    weights, biases, activation
        As for `logits`.
    x : ndarray, shape (N, D)
        At least one sample.
    labels : ndarray of int, shape (N,)
        True classes, each in [0, C).
    l2 : float, optional
        Strength of the penalty, >= 0.

    Returns
    -------
    tuple of tuples
        One array for each layer, in the shapes of `weights` and of `biases`.

    Notes
    -----
    ``(1/N) sum_i dL_i/dW_k + l2 * W_k`` and ``(1/N) sum_i dL_i/db_k``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x, labels = np.array([[5.0, 4.0], [5.0, 4.0]]), np.array([0, 0])
    >>> of_weights, of_biases = reference.mean_gradients(weights, biases, x, labels)
    >>> of_biases
    (array([-0.5,  0.5]),)
    """
    of_weights = [np.zeros_like(w) for w in weights]
    of_biases = [np.zeros_like(b) for b in biases]
    for row, label in zip(x, labels, strict=True):
        by_weights, by_biases = gradients(weights, biases, row, int(label), activation)
        for k in range(len(weights)):
            of_weights[k] += by_weights[k]
            of_biases[k] += by_biases[k]
    n = len(x)
    return (
        tuple(g / n + l2 * w for g, w in zip(of_weights, weights, strict=True)),
        tuple(g / n for g in of_biases),
    )


def sgd_step(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    labels: npt.NDArray[np.integer],
    activation: str = "relu",
    *,
    learning_rate: float,
    velocity: Parameters | None = None,
    momentum: float = 0.0,
    l2: float = 0.0,
) -> tuple[tuple[Array, ...], tuple[Array, ...], Parameters]:
    """``v <- momentum * v + g``, then ``w <- w - learning_rate * v``, for every weight and bias.

    Parameters
    ----------
    weights, biases, x, labels, activation, l2
        As for `mean_gradients`, which gives `g`; `x` and `labels` are the minibatch.
    learning_rate : float
    velocity : tuple of tuples, shaped like (weights, biases), optional
        The velocity that the previous step returned. Default: zeros, for the first step.
    momentum : float, optional
        In [0, 1).

    Returns
    -------
    weights, biases, velocity
        New arrays; the arguments are not changed.

    Notes
    -----
    Polyak (1964), *USSR Computational Mathematics and Mathematical Physics* 4(5), 1-17, with the
    learning rate outside the velocity.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x, labels = np.array([[5.0, 4.0], [5.0, 4.0]]), np.array([0, 0])
    >>> weights, biases, velocity = reference.sgd_step(
    ...     weights, biases, x, labels, learning_rate=1.0
    ... )
    >>> biases
    (array([0.5, 0.5]),)
    """
    of_weights, of_biases = mean_gradients(weights, biases, x, labels, activation, l2=l2)
    if velocity is not None:
        of_weights = tuple(momentum * v + g for v, g in zip(velocity[0], of_weights, strict=True))
        of_biases = tuple(momentum * v + g for v, g in zip(velocity[1], of_biases, strict=True))
    return (
        tuple(w - learning_rate * v for w, v in zip(weights, of_weights, strict=True)),
        tuple(b - learning_rate * v for b, v in zip(biases, of_biases, strict=True)),
        (of_weights, of_biases),
    )
