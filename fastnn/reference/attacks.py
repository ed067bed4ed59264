"""The fast gradient sign method, once or iterated, on one image; FGSM on one after another."""

import numpy as np
import numpy.typing as npt

from .functional import Array, as_float
from .networks import Arrays, backward, forward, predict
from .residuals import attack_residual

Bounds = tuple[float, float]


def ascent(weights: Arrays, outputs: Arrays, label: int, activation: str) -> Array:
    """Return a positive multiple of the loss's gradient in the input, given the layer outputs."""
    deltas = backward(weights, outputs, attack_residual(outputs[-1], label), activation)
    return np.asarray(np.dot(weights[0], deltas[0]))


def _step(x: Array, gradient: Array, eps: float, bounds: Bounds | None) -> Array:
    """Move `x` by `eps` along the signs of the gradient, and no further than `bounds`."""
    moved = as_float(x) + eps * np.sign(gradient)
    return moved if bounds is None else np.asarray(np.clip(moved, bounds[0], bounds[1]))


def fgsm(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """``x + eps * sign(dL/dx)``; entries with a zero gradient stay.

    Parameters
    ----------
    weights, biases, x, activation
        As for `logits`.
    label : int
        True class, in [0, C).
    eps : float
        Largest change of any entry, in the units of `x`.
    bounds : tuple (lower, upper), optional
        Valid range of an entry; the result is clipped to it. Default: no clipping.

    Returns
    -------
    ndarray, shape (D,), dtype of `x`
        A new array.

    Notes
    -----
    Goodfellow, Shlens and Szegedy (2015), arXiv:1412.6572, section 4. The signs are taken from
    `attack_residual`, so that they are right however confident the network is.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.fgsm(weights, biases, x, 0, eps=0.5)
    array([4.5, 4.5])
    """
    outputs = forward(weights, biases, x, activation)[1]
    return _step(x, ascent(weights, outputs, label, activation), eps, bounds)


def first_flip(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    *,
    largest: float,
    tolerance: float,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> float:
    """Return the smallest multiple of a tolerance at which `fgsm` changes the prediction.

    Parameters
    ----------
    weights, biases, x, label, bounds, activation
        As for `fgsm`.
    largest : float
        The largest eps that is tried, also if it is no multiple.
    tolerance : float
        Distance of the eps that are tried.

    Returns
    -------
    float
        0 where the prediction is wrong without an attack, infinite where no eps changes it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 3.5])
    >>> reference.first_flip(weights, biases, x, 0, largest=1.0, tolerance=0.25)
    0.5
    """
    eps, step = 0.0, 0
    while True:
        moved = fgsm(weights, biases, x, label, eps, bounds=bounds, activation=activation)
        if predict(weights, biases, moved, activation) != label:
            return eps
        if eps == largest:
            return float(np.inf)
        step += 1
        eps = min(step * tolerance, largest)


def iterated_fgsm(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    steps: int = 10,
    step_size: float | None = None,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """``x_(t+1) = clip(x_t + step_size * sign(dL/dx_t))``, to within eps of `x` and the bounds.

    Parameters
    ----------
    weights, biases, x, label, eps, bounds, activation
        As for `fgsm`.
    steps : int, optional
        Number of steps.
    step_size : float, optional
        Length of a step in every entry. Default: ``2.5 * eps / steps``.

    Returns
    -------
    ndarray, shape (D,), dtype of `x`
        The result of the last step, a new array.

    Notes
    -----
    Kurakin, Goodfellow and Bengio (2017), arXiv:1607.02533, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.0])
    >>> reference.iterated_fgsm(weights, biases, x, 0, eps=0.5)
    array([4.5, 4.5])
    """
    size = 2.5 * eps / steps if step_size is None else step_size
    clean = as_float(x)
    moved = clean.copy()
    for _ in range(steps):
        outputs = forward(weights, biases, moved, activation)[1]
        moved = _step(moved, ascent(weights, outputs, label, activation), size, None)
        moved = np.clip(moved, clean - eps, clean + eps)
        if bounds is not None:
            moved = np.clip(moved, bounds[0], bounds[1])
    return moved


def adversarial_accuracy(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    labels: npt.NDArray[np.integer],
    eps: float,
    *,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> tuple[int, int]:
    """Count the images classified correctly before and after `fgsm`, one image at a time.

    Parameters
    ----------
    weights, biases, activation
        As for `logits`.
    x : ndarray, shape (N, D)
    labels : ndarray of int, shape (N,)
        True classes, each in [0, C).
    eps, bounds
        As for `fgsm`.

    Returns
    -------
    clean_correct, adversarial_correct : int

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x, labels = np.array([[5.0, 3.5], [9.0, 4.0]]), np.array([0, 0])
    >>> reference.adversarial_accuracy(weights, biases, x, labels, eps=0.5)
    (2, 1)
    """
    clean_correct = adversarial_correct = 0
    for row, true in zip(x, labels, strict=True):
        label = int(true)
        outputs = forward(weights, biases, row, activation)[1]
        clean_correct += int(np.argmax(outputs[-1])) == label
        moved = _step(row, ascent(weights, outputs, label, activation), eps, bounds)
        adversarial_correct += predict(weights, biases, moved, activation) == label
    return clean_correct, adversarial_correct
