"""Steps and projections in the L2 and L1 balls around clean inputs, cut by bounds.

All sums are of float64. A search halves its interval 60 times, and ends on the side that is inside
of the ball.
"""

from __future__ import annotations

import numpy as np

from fastnn._kernels.jit import kernel

_HALVINGS = 60
_FLAT = 1e-150  # of the largest slope: what is flatter counts as flat


@kernel
def _l2_of_cut(way, scale, least, most):
    """Return the L2 norm of ``clip(scale * way, least, most)``."""
    total = 0.0
    for j in range(way.size):
        moved = min(max(scale * way[j], least[j]), most[j])
        total += moved * moved
    return np.sqrt(total)


@kernel
def _scale_into_l2(way, eps, inside, largest, least, most):
    """Return the largest scale, up to `largest`, for which ``clip(scale * way)`` is in the ball.

    It is at least `inside`.
    """
    if inside == 0 or _l2_of_cut(way, largest, least, most) <= eps:
        return largest if inside > 0 else 0.0
    outside = min(2 * inside, largest)
    while _l2_of_cut(way, outside, least, most) <= eps:
        inside, outside = outside, min(2 * outside, largest)
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if _l2_of_cut(way, middle, least, most) <= eps:
            inside = middle
        else:
            outside = middle
    return inside


@kernel
def _l1_of_cut(way, less, least, most):
    """Return the L1 norm of the entries of `way`, each `less` nearer to 0, cut by bounds."""
    total = 0.0
    for j in range(way.size):
        size = max(abs(way[j]) - less, 0.0)
        total += min(size, most[j] if way[j] > 0 else -least[j])
    return total


@kernel
def _less_into_l1(way, eps, least, most):
    """Return the smallest number that brings `way` into the ball; see `_l1_of_cut`."""
    if _l1_of_cut(way, 0.0, least, most) <= eps:
        return 0.0
    outside, inside = 0.0, np.abs(way).max()
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if _l1_of_cut(way, middle, least, most) <= eps:
            inside = middle
        else:
            outside = middle
    return inside


@kernel
def _most_of_l1(gradient, eps, least, most, way):
    """way = the change of L1 norm eps that gains most: the steepest entries, to their bounds."""
    way[:] = 0
    left = eps
    for j in np.argsort(-np.abs(gradient), kind="mergesort"):
        if left <= 0 or gradient[j] == 0:
            break
        room = most[j] if gradient[j] > 0 else -least[j]
        size = min(left, room)
        way[j] = size if gradient[j] > 0 else -size
        left -= size


@kernel
def _norm(values, is_l2):
    """Return the L2 or the L1 norm of a row."""
    total = 0.0
    for j in range(values.size):
        total += values[j] * values[j] if is_l2 else abs(values[j])
    return np.sqrt(total) if is_l2 else total


@kernel
def _put(clean, way, eps, is_l2, lower, upper, out):
    """out = clean + way, rounded to its type and still within the bounds and the ball.

    Where rounding leads out of the ball, the way is shortened a little, then twice as much.
    """
    scale, less = 1.0, 2.0**-22 if out.itemsize == 4 else 2.0**-51
    while True:
        total = 0.0
        for j in range(out.size):
            out[j] = min(max(clean[j] + scale * way[j], lower), upper)
            change = np.float64(out[j]) - np.float64(clean[j])
            total += change * change if is_l2 else abs(change)
        if (np.sqrt(total) if is_l2 else total) <= eps:
            return
        scale = max(1 - less, 0.0)
        less *= 2


@kernel
def _project(change, eps, is_l2, least, most):
    """Replace a row by the nearest one within the ball and the bounds; 0 is within both."""
    if is_l2:
        norm = _norm(change, True)
        scale = 1.0
        if norm > eps:
            scale = _scale_into_l2(change, eps, eps / norm, 1.0, least, most)
        for j in range(change.size):
            change[j] = min(max(scale * change[j], least[j]), most[j])
    else:
        less = _less_into_l1(change, eps, least, most)
        for j in range(change.size):
            size = max(abs(change[j]) - less, 0.0)
            size = min(size, most[j] if change[j] > 0 else -least[j])
            change[j] = size if change[j] > 0 else -size


@kernel
def _ball_step(clean, x, gradient, step, eps, is_l2, lower, upper, out):
    """out = x moved by `step` in the steepest direction, projected onto ball and bounds.

    The direction is ``gradient / ||gradient||`` in L2. In L1 it is the change of that norm which
    gains most within the bounds. A row without a gradient stays where it is. `out` may be `x` or
    `gradient`.
    """
    width = clean.shape[1]
    way, change = np.empty(width), np.empty(width)
    least, most = np.empty(width), np.empty(width)
    slope = np.empty(width)
    for i in range(len(clean)):
        for j in range(width):
            slope[j] = gradient[i, j]
            change[j] = np.float64(x[i, j]) - np.float64(clean[i, j])
            least[j], most[j] = lower - np.float64(x[i, j]), upper - np.float64(x[i, j])
        top = np.abs(slope).max()
        if top > 0:
            slope /= top  # its square may overflow
            if is_l2:
                way[:] = slope * (step[i] / _norm(slope, True))
            else:
                _most_of_l1(slope, step[i], least, most, way)
        else:
            way[:] = 0
        change += way
        for j in range(width):
            least[j], most[j] = lower - np.float64(clean[i, j]), upper - np.float64(clean[i, j])
        _project(change, eps[i], is_l2, least, most)
        _put(clean[i], change, eps[i], is_l2, lower, upper, out[i])


@kernel
def _fast_l2(slope, eps, least, most, way):
    """way = the change within ball and bounds that gains most: ``clip(scale * slope)``.

    The scale gives it a norm of eps, or brings all entries to their bounds.
    """
    largest = 0.0
    for j in range(slope.size):
        if abs(slope[j]) > _FLAT:
            room = most[j] if slope[j] > 0 else -least[j]
            largest = max(largest, min(eps, room) / abs(slope[j]))
    inside = min(eps / _norm(slope, True), largest)
    scale = _scale_into_l2(slope, eps, inside, largest, least, most)
    for j in range(slope.size):
        way[j] = min(max(scale * slope[j], least[j]), most[j])


@kernel
def _fast_gradient(clean, gradient, eps, is_l2, lower, upper, out):
    """out = clean + the change within ball and bounds that gains most by the gradient.

    A row without a gradient stays where it is. `out` may be `gradient`.
    """
    width = clean.shape[1]
    slope, way = np.empty(width), np.empty(width)
    least, most = np.empty(width), np.empty(width)
    for i in range(len(clean)):
        for j in range(width):
            slope[j] = gradient[i, j]
            least[j], most[j] = lower - np.float64(clean[i, j]), upper - np.float64(clean[i, j])
        top = np.abs(slope).max()
        way[:] = 0
        if top > 0 and eps[i] > 0:
            slope /= top
            if is_l2:
                _fast_l2(slope, eps[i], least, most, way)
            else:
                _most_of_l1(slope, eps[i], least, most, way)
        _put(clean[i], way, eps[i], is_l2, lower, upper, out[i])


@kernel
def _move(clean, way, eps, is_l2, lower, upper, out):
    """out = clean + way, cut by ball and bounds; `way` is of float64 and used up."""
    least, most = np.empty(clean.shape[1]), np.empty(clean.shape[1])
    for i in range(len(clean)):
        for j in range(least.size):
            least[j], most[j] = lower - np.float64(clean[i, j]), upper - np.float64(clean[i, j])
        _project(way[i], eps[i], is_l2, least, most)
        _put(clean[i], way[i], eps[i], is_l2, lower, upper, out[i])
