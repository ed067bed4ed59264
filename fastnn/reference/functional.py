"""Activations, softmax, the loss of one sample, and the loss's gradient in the logits."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def as_float(z: npt.ArrayLike) -> Array:
    """Return float32 and float64 arrays as they are, anything else as float64."""
    array = np.asarray(z)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def one_hot(label: int, n_classes: int) -> Array:
    """``y_k = 1`` for the true class and 0 elsewhere.

    Parameters
    ----------
    label : int
        True class, in [0, n_classes).
    n_classes : int

    Returns
    -------
    ndarray, shape (n_classes,), float64

    Examples
    --------
    >>> from fastnn import reference
    >>> reference.one_hot(2, 3)
    array([0., 0., 1.])
    """
    y = np.zeros(n_classes)
    y[label] = 1.0
    return y


def tanh(z: npt.ArrayLike) -> Array:
    """``(e**z - e**-z) / (e**z + e**-z)``, entry by entry.

    Parameters
    ----------
    z : ndarray, shape (D,)

    Returns
    -------
    ndarray, shape and dtype of `z`

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.tanh(np.array([-1000.0, 1000.0]))
    array([-1.,  1.])
    """
    return np.tanh(as_float(z))


def relu(z: npt.ArrayLike) -> Array:
    """``max(0, z)``, entry by entry; a result of zero may have either sign.

    Parameters
    ----------
    z : ndarray, shape (D,)

    Returns
    -------
    ndarray, shape and dtype of `z`

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return np.maximum(as_float(z), 0.0)


def relu_grad(z: npt.ArrayLike) -> Array:
    """1 where ``z > 0``, else 0: the derivative of `relu`, taken to be 0 at 0.

    Parameters
    ----------
    z : ndarray, shape (D,)
        Values before activation.

    Returns
    -------
    ndarray, shape and dtype of `z`

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.relu_grad(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 1.])
    """
    z = as_float(z)
    return (z > 0).astype(z.dtype)


def sigmoid(z: npt.ArrayLike) -> Array:
    """``1 / (1 + e^-z)`` where ``z >= 0`` and ``e^z / (e^z + 1)`` elsewhere: never overflows.

    Parameters
    ----------
    z : ndarray, shape (D,)

    Returns
    -------
    ndarray, shape and dtype of `z`
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    z = as_float(z)
    s = np.empty_like(z)
    upper = z >= 0
    s[upper] = 1.0 / (1.0 + np.exp(-z[upper]))
    e = np.exp(z[~upper])
    s[~upper] = e / (e + 1.0)
    return s


def softmax(z: npt.ArrayLike) -> Array:
    """``e^(z_k - m) / sum_j e^(z_j - m)`` with ``m = max(z)``.

    Parameters
    ----------
    z : ndarray, shape (C,)
        Logits.

    Returns
    -------
    ndarray, shape and dtype of `z`
        Probabilities; their sum is 1.

    Notes
    -----
    Goodfellow, Bengio and Courville (2016), *Deep Learning*, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.softmax(np.array([1000.0, 0.0]))
    array([1., 0.])
    """
    z = as_float(z)
    e = np.exp(z - np.max(z))
    return np.asarray(e / np.sum(e))


def log_softmax(z: npt.ArrayLike) -> Array:
    """``z_k - log(sum_j e^z_j)``.

    Parameters
    ----------
    z : ndarray, shape (C,)
        Logits.

    Returns
    -------
    ndarray, shape and dtype of `z`
        Logarithms of the probabilities, each <= 0.

    Notes
    -----
    With ``m = max(z)`` the sum is ``e^m (1 + s)``, `s` being the sum of ``e^(z_j - m)`` over the
    other entries; ``log1p(s)`` is exact for a small `s`, where ``log(1 + s)`` rounds to 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    z = as_float(z)
    top = int(np.argmax(z))
    shifted = z - z[top]
    s = np.sum(np.exp(np.delete(shifted, top)))
    return np.asarray(shifted - np.log1p(s))


def cross_entropy(logits: npt.ArrayLike, label: int) -> float:
    """``-log(softmax(logits)[label])`` by log-sum-exp: the loss of one sample, in nats.

    Parameters
    ----------
    logits : ndarray, shape (C,)
    label : int
        True class, in [0, C).

    Returns
    -------
    float
        At least 0, and finite for finite logits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.cross_entropy(np.array([0.0, 1000.0]), 0)
    1000.0
    """
    return abs(float(log_softmax(logits)[label]))


def residual(logits: npt.ArrayLike, label: int) -> Array:
    """``p - y``, the gradient of `cross_entropy` in the logits, formed without cancellation.

    Parameters
    ----------
    logits : ndarray, shape (C,)
    label : int
        True class, in [0, C).

    Returns
    -------
    ndarray, shape (C,), dtype of `logits`
        The probabilities `p`; for the true class minus the sum of the others, which is
        ``p_label - 1``.

    Examples
    --------
    The true class leads by 40, and the residual is still not 0:

    >>> import numpy as np
    >>> from fastnn import reference
    >>> logits = np.array([40.0, 0.0], dtype=np.float32)
    >>> r = reference.residual(logits, 0)
    >>> float(r[0]) == -float(r[1]) < 0
    True
    """
    r = softmax(logits)
    r[label] = 0.0
    r[label] = -np.sum(r)
    return r


def residual_cancelling(logits: npt.ArrayLike, label: int) -> Array:
    """``p - y`` as it is usually written, to show what goes wrong; fastnn never uses it.

    Parameters
    ----------
    logits : ndarray, shape (C,)
    label : int
        True class, in [0, C).

    Returns
    -------
    ndarray, shape (C,), dtype of `logits`
        As `residual`, but 0 for the true class once its probability rounds to 1: from a lead of
        about 17 in float32 and of about 37 in float64.

    Examples
    --------
    The same logits as in the example of `residual`:

    >>> import numpy as np
    >>> from fastnn import reference
    >>> logits = np.array([40.0, 0.0], dtype=np.float32)
    >>> float(reference.residual_cancelling(logits, 0)[0])
    0.0
    """
    p = softmax(logits)
    return p - one_hot(label, p.size).astype(p.dtype)


def attack_residual(logits: npt.ArrayLike, label: int) -> Array:
    """`residual` divided by the probability of being wrong, ``1 - p_label``.

    Parameters
    ----------
    logits : ndarray, shape (C,)
        With at least two classes.
    label : int
        True class, in [0, C).

    Returns
    -------
    ndarray, shape (C,), dtype of `logits`
        The softmax over the other classes, and -1 for the true one.

    Notes
    -----
    ``p_k / (1 - p_y) = e^z_k / sum_{j != y} e^z_j``. A positive factor changes no sign of a
    gradient, and this residual never underflows as a whole, however far the true class leads.

    Examples
    --------
    No lead is too large, as the logit of the true class plays no part:

    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.attack_residual(np.array([1000.0, 0.0, 0.0]), 0)
    array([-1. ,  0.5,  0.5])
    """
    z = as_float(logits)
    return np.insert(softmax(np.delete(z, label)), label, -1.0)
