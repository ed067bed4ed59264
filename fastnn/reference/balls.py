"""Projections and fast gradients in norm balls that bounds cut, for one image."""

import numpy as np

from .functional import Array

_NORMS = ("linf", "l2", "l1")


def _scale_of_norm(way: Array, eps: float, least: Array, most: Array) -> float:
    """Return the scale at which ``clip(scale * way, least, most)`` has the L2 norm eps, or inf.

    Between the scales at which an entry meets its bound, the squared norm is that of the entries at
    their bounds and ``scale**2`` times that of the others.
    """
    room = np.where(way > 0, most, -least)
    moving = way != 0
    size, room = np.abs(way[moving]), room[moving]
    meets = room / size
    order = np.argsort(meets)
    size, room, meets = size[order], room[order], meets[order]
    for k in range(len(size)):
        free = float(np.sum(size[k:] ** 2))
        left = eps**2 - float(np.sum(room[:k] ** 2))
        scale = np.sqrt(max(left, 0.0) / free)
        if scale <= meets[k]:
            return float(scale)
    return np.inf


def _less_of_norm(way: Array, eps: float, least: Array, most: Array) -> float:
    """Return by how much every entry is to be nearer to 0 for an L1 norm of eps within bounds.

    Between the numbers at which an entry becomes 0 or leaves its bound, the norm is linear.
    """
    size, room = np.abs(way), np.where(way > 0, most, -least)

    def norm(less: float) -> float:
        return float(np.sum(np.minimum(np.maximum(size - less, 0), room)))

    if norm(0.0) <= eps:
        return 0.0
    corners = np.unique(np.concatenate([[0.0], size, np.maximum(size - room, 0)]))
    values = [norm(corner) for corner in corners]
    k = next(k for k in range(len(corners)) if values[k] <= eps)
    slope = (values[k] - values[k - 1]) / (corners[k] - corners[k - 1])
    return float(corners[k - 1] + (eps - values[k - 1]) / slope)


def project(change: Array, eps: float, norm: str, least: Array, most: Array) -> Array:
    """Return the nearest change of a norm of at most eps, between `least` <= 0 and `most` >= 0.

    Parameters
    ----------
    change : ndarray, shape (D,)
    eps : float
        At least 0.
    norm : {"linf", "l2", "l1"}
    least, most : ndarray, shape (D,)
        Bounds of every entry.

    Returns
    -------
    ndarray, shape (D,), float64

    Notes
    -----
    By the conditions of Karush, Kuhn and Tucker the result is ``clip(s * change)`` with one s for
    all entries in L2, and ``clip(sign(change) * max(|change| - t, 0))`` with one t in L1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> far, most = np.array([3.0, 4.0]), np.array([0.0, 9.0])
    >>> reference.project(far, 2.0, "l2", -most, most)
    array([0., 2.])
    """
    if norm not in _NORMS:
        raise ValueError(f"norm must be one of {_NORMS}, got {norm!r}")
    wide = np.asarray(change, np.float64)
    if norm == "linf":
        return np.asarray(np.clip(np.clip(wide, -eps, eps), least, most))
    if norm == "l2":
        scale = min(_scale_of_norm(wide, eps, least, most), 1.0) if wide.any() else 1.0
        return np.asarray(np.clip(scale * wide, least, most))
    less = _less_of_norm(wide, eps, least, most)
    nearer = np.sign(wide) * np.maximum(np.abs(wide) - less, 0)
    return np.asarray(np.clip(nearer, least, most))


def fast_change(gradient: Array, eps: float, norm: str, least: Array, most: Array) -> Array:
    """Return the change of a norm of at most eps, within bounds, that gains most by a gradient.

    Parameters
    ----------
    gradient : ndarray, shape (D,)
    eps, norm, least, most
        As for `project`.

    Returns
    -------
    ndarray, shape (D,), float64
        The maximum of ``gradient . change``; zeros where the gradient is zero.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> most = np.array([1.0, 1.0])
    >>> reference.fast_change(np.array([3.0, -4.0]), 1.5, "l1", -most, most)
    array([ 0.5, -1. ])
    """
    slope = np.asarray(gradient, np.float64)
    if norm == "linf":
        return np.clip(eps * np.sign(slope), least, most)
    if not slope.any():
        return np.zeros_like(slope)
    room = np.where(slope > 0, most, -least)
    if norm == "l2":
        scale = _scale_of_norm(slope, eps, least, most)
        moved, moving = np.zeros_like(slope), slope != 0
        size = np.minimum(scale * np.abs(slope[moving]), room[moving])
        moved[moving] = np.sign(slope[moving]) * size
        return moved
    change, left = np.zeros_like(slope), eps
    for j in np.argsort(-np.abs(slope), kind="stable"):
        size = min(left, room[j]) if slope[j] else 0.0
        change[j] = np.sign(slope[j]) * size
        left -= size
    return change
