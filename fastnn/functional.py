"""Functions of arrays, checked, for any batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _checks
from fastnn._engine import losses
from fastnn._kernels import elementwise, exponentials


def sigmoid(z: ArrayLike) -> NDArray[Any]:
    """Return ``1 / (1 + e**-z)``, entry by entry.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Infinite entries are allowed: their results are 0 and 1.

    Returns
    -------
    ndarray, shape and dtype of `z`
        Exact to 3 units in the last place, also where the result is subnormal.

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        An entry is NaN.

    Notes
    -----
    ``1 / (1 + e**-z)`` for z >= 0, ``e**z / (e**z + 1)`` below, so that nothing overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _elementwise(exponentials._sigmoid, z)


def tanh(z: ArrayLike) -> NDArray[Any]:
    """Return ``(e**z - e**-z) / (e**z + e**-z)``, entry by entry.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64
        Infinities are taken: the results are -1 and 1.

    Returns
    -------
    ndarray, shape and dtype of `z`
        Within 3 units in the last place.

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        An entry is NaN.

    Notes
    -----
    ``-m / (2 + m)`` with ``m = e**-2|z| - 1``, which is formed without cancellation, and the sign
    of z.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.tanh(np.array([-np.inf, 0.5, np.inf])).round(4).tolist()
    [-1.0, 0.4621, 1.0]
    """
    return _elementwise(exponentials._tanh, z)


def relu(z: ArrayLike) -> NDArray[Any]:
    """Return ``max(0, z)``, entry by entry.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64

    Returns
    -------
    ndarray, shape and dtype of `z`

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        An entry is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return _elementwise(elementwise._relu, z)


def relu_grad(z: ArrayLike) -> NDArray[Any]:
    """Return the derivative of ReLU: 1 where z > 0, and 0 elsewhere, at 0 too.

    Parameters
    ----------
    z : ndarray, any shape, float32 or float64

    Returns
    -------
    ndarray, shape and dtype of `z`

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        An entry is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.relu_grad(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 1.])
    """
    return _elementwise(elementwise._relu_grad, z)


def softmax(z: ArrayLike) -> NDArray[Any]:
    """Return ``e**z_k / sum_j e**z_j`` along the last axis.

    Parameters
    ----------
    z : ndarray, shape (..., C), float32 or float64
        Logits, finite, C > 0.

    Returns
    -------
    ndarray, shape and dtype of `z`
        Rows that add up to 1. In float32, with ``d = max z - z_k``, p_k is exact to ``C + 1 + d``
        units in the last place: rounding d changes p_k by up to d units. Above d = 104 it is 0.

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        There are no classes, or an entry is NaN or infinite; the message names the row.

    Notes
    -----
    The maximum of each row is subtracted first: the result is the same, and nothing overflows.

    Examples
    --------
    The row with a logit of 1000 does not overflow:

    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _rowwise(losses.softmax, z)


def log_softmax(z: ArrayLike) -> NDArray[Any]:
    """Return ``z_k - log(sum_j e**z_j)`` along the last axis.

    Parameters
    ----------
    z : ndarray, shape (..., C), float32 or float64
        Logits, finite, C > 0.

    Returns
    -------
    ndarray, shape and dtype of `z`
        In float32 and up to ten classes, exact to 4 units in the last place; the entry of the
        largest logit to 4 units plus its lead over the second largest, see `softmax`. It is -inf
        where the difference to the largest logit exceeds the range of the type.

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64.
    ValueError
        There are no classes, or an entry is NaN or infinite; the message names the row.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _rowwise(losses.log_softmax, z)


def cross_entropy(z: ArrayLike, labels: ArrayLike) -> Any:
    """Return every row's loss, ``log(sum_j e**z_j) - z_label``, from its logits.

    Parameters
    ----------
    z : ndarray, shape (N, C) or (C,), float32 or float64
        Logits, finite, C > 0.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).

    Returns
    -------
    ndarray, shape (N,), dtype of `z`, or one number
        In float32 and up to ten classes, exact to 4 units in the last place; where the label has
        the largest logit, to 4 units plus its lead over the second largest, see `softmax`. It is
        infinite where the label's difference to the largest logit exceeds the range of the type.

    Raises
    ------
    TypeError
        `z` is neither float32 nor float64, or labels are not integers.
    ValueError
        Shapes disagree, a label is out of range, or an entry is NaN or infinite.

    Notes
    -----
    The assignment's form, which takes probabilities, is `fastnn.comp7015.cross_entropy`.

    Examples
    --------
    The probabilities of the labels underflow, and the losses are still finite:

    >>> import numpy as np
    >>> import fastnn
    >>> fastnn.cross_entropy(np.array([[0.0, 1000.0], [1000.0, 0.0]]), [0, 1])
    array([1000., 1000.])
    """
    array = _finite_rows(z)
    if array.ndim > 2:
        raise ValueError(f"z must have shape (N, C) or (C,), got {array.shape}")
    rows = array.reshape(-1, array.shape[-1])
    truth = _checks.labels(labels, len(rows), rows.shape[1])
    out = np.empty(len(rows), array.dtype)
    losses.loss_residual(rows, truth, out, np.empty_like(rows))
    return out[0] if array.ndim == 1 else out


def one_hot(labels: ArrayLike, n_classes: int = 10, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return rows of zeros with a 1 in the column of the label.

    Parameters
    ----------
    labels : ndarray of int, shape (N,), or int
        Classes, each in [0, n_classes).
    n_classes : int, optional
        Number of columns.
    dtype : float32 or float64, optional

    Returns
    -------
    ndarray, shape (N, n_classes) or (n_classes,)

    Raises
    ------
    TypeError
        Labels or `n_classes` are not integers, or `dtype` is neither float32 nor float64.
    ValueError
        A label is out of range; the message names the row.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.one_hot([2, 0], n_classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    kind = _checks.float_dtype(dtype)
    classes = _checks.positive_integer(n_classes, "n_classes")
    truth = _checks.labels(labels, np.size(labels), classes)
    out = np.zeros((len(truth), classes), kind)
    out[np.arange(len(truth)), truth] = 1
    return out[0] if np.ndim(labels) == 0 else out


def _floats(z: ArrayLike) -> NDArray[Any]:
    """Return `z` as a contiguous, writable array of float32 or float64, copied where needed."""
    array = _checks.array_of(z, "z")
    if array.dtype not in _checks.FLOATS:
        raise TypeError(f"z must be float32 or float64, got {array.dtype}")
    # numba would compile a kernel again for read-only and for strided arrays.
    return np.require(array, requirements=["C", "A", "W"])


def _finite_rows(z: ArrayLike) -> NDArray[Any]:
    """Return `z` as finite floats with classes along its last axis."""
    array = _floats(z)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"z must have shape (..., C) with C > 0, got {array.shape}")
    rows = array.reshape(-1, array.shape[-1])
    row = losses.first_not_finite(rows)
    if row is not None:
        raise ValueError(f"z row {row} is {rows[row].tolist()}; every entry must be finite")
    return array


def _elementwise(function: Callable[[Any, Any], None], z: ArrayLike) -> NDArray[Any]:
    """Return `function` of every entry."""
    array = _floats(z)
    if np.isnan(array).any():
        place = [int(k) for k in np.argwhere(np.isnan(array))[0]]
        raise ValueError(f"z{place} is nan" if place else "z is nan")
    out = np.empty_like(array)
    function(array, out)
    return out


def _rowwise(function: Callable[[Any, Any], None], z: ArrayLike) -> NDArray[Any]:
    """Return `function` of every row along the last axis."""
    array = _finite_rows(z)
    out = np.empty_like(array)
    classes = array.shape[-1]
    function(array.reshape(-1, classes), out.reshape(-1, classes))
    return out
