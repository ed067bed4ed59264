"""The gradient of one sample's loss in the logits: without cancellation, with it, for attacks."""

import numpy as np
import numpy.typing as npt

from .functional import Array, as_float, one_hot, softmax


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
