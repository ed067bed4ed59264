"""Projected gradient descent on one image, with fixed steps and with steps that are halved."""

import numpy as np

from .attacks import Bounds, ascent
from .balls import fast_change, project
from .functional import Array
from .networks import Arrays, backward, forward


def margin(logits: Array, label: int, target: int | None = None) -> float:
    """Return by how much an attack still fails: below 0 it has succeeded.

    Parameters
    ----------
    logits : ndarray, shape (C,)
    label : int
        True class.
    target : int, optional
        Class that is to be reached. Default: any but the true one.

    Returns
    -------
    float
        The true class's logit less the largest other one; with a target, the largest other logit
        less the target's.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> reference.margin(np.array([1.0, 4.0, 2.0]), 1)
    2.0
    >>> reference.margin(np.array([1.0, 4.0, 2.0]), 1, target=0)
    3.0
    """
    wanted = label if target is None else target
    lead = float(logits[wanted]) - float(np.max(np.delete(logits, wanted)))
    return lead if target is None else -lead


def pgd(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    steps: int = 40,
    step_size: float | None = None,
    norm: str = "linf",
    momentum: float = 0.0,
    loss: str = "ce",
    starts: Arrays | None = None,
    first: bool = False,
    target: int | None = None,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """Projected gradient descent: the worst of all inputs that it passes.

    Parameters
    ----------
    weights, biases, x, label, eps, bounds, activation
        As for `fgsm`; `eps` limits the norm of the change.
    steps : int, optional
        Steps from each start.
    step_size : float, optional
        Length of a step in the norm. Default: ``2.5 * eps / steps``.
    norm : {"linf", "l2", "l1"}, optional
    momentum : float, optional
        Share of the direction before that each step keeps.
    loss : {"ce", "dlr"}, optional
        Cross-entropy, or difference of logits ratio.
    starts : sequence of ndarray, shape (D,), optional
        Where to begin. Default: at `x`.
    first : bool, optional
        Stop at the first input that fools.
    target : int, optional
        Class that is to be reached. Default: any but the true one.

    Returns
    -------
    ndarray, shape (D,), float64
        Of all starts and steps, the first input with the smallest `margin`.

    Notes
    -----
    Madry et al. (2018), arXiv:1706.06083, section 2; momentum of Dong et al. (2018),
    arXiv:1710.06081, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> reference.pgd(weights, biases, np.array([5.0, 4.5]), 0, eps=0.5, norm="l1")
    array([4.5, 4.5])
    """
    clean: Array = np.asarray(x, np.float64)
    lower, upper = bounds or (-np.inf, np.inf)
    size = 2.5 * eps / steps if step_size is None else step_size
    best: Array = clean
    smallest = np.inf
    for start in [clean] if starts is None else starts:
        moved: Array = np.asarray(start, np.float64)
        velocity: Array = np.zeros_like(clean)
        for step in range(steps + 1):
            outputs = forward(weights, biases, moved, activation)[1]
            found = margin(outputs[-1], label, target)
            if found < smallest:
                best, smallest = moved, found
            if first and smallest < 0:
                return best
            if step == steps:
                break
            gradient = _loss_gradient(weights, outputs, label, loss, target, activation)
            if momentum:
                total = np.sum(np.abs(gradient))
                velocity = momentum * velocity + gradient / (total or 1)
                gradient = velocity
            way = _steepest(gradient, size, norm, lower - moved, upper - moved)
            change = project(moved + way - clean, eps, norm, lower - clean, upper - clean)
            moved = clean + change
    return best


def _steepest(gradient: Array, size: float, norm: str, least: Array, most: Array) -> Array:
    """Return the step of a length in a norm that gains most; in L1 within the bounds."""
    top = np.max(np.abs(gradient))
    if norm == "linf" or top == 0:
        return size * np.sign(gradient)
    if norm == "l2":
        return np.asarray(size * gradient / top / np.linalg.norm(gradient / top))
    return fast_change(gradient, size, "l1", least, most)


def apgd(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    starts: Arrays,
    steps: int = 100,
    loss: str = "ce",
    norm: str = "linf",
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """Auto-PGD: the worst of all inputs that it passes.

    Parameters
    ----------
    weights, biases, x, label, eps, bounds, activation
        As for `pgd`.
    starts : sequence of ndarray, shape (D,)
        Where to begin. With "dlr-targeted", the k-th start is for the k-th likeliest other class.
    steps : int, optional
    loss : {"ce", "dlr", "dlr-targeted"}, optional
    norm : {"linf", "l2"}, optional

    Returns
    -------
    ndarray, shape (D,), float64
        The first input with the smallest `margin`.

    Notes
    -----
    Croce and Hein (2020), arXiv:2003.01690, algorithm 1 and equations 6 and 7, with steps that are
    halved at the checkpoints ``ceil(p_j * steps)``, ``p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03,
    0.06)`` from 0 and 0.22.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.eye(2)], [np.array([0.0, 1.0])]
    >>> x = np.array([5.0, 4.5])
    >>> reference.apgd(weights, biases, x, 0, eps=0.5, starts=[x], steps=3)
    array([4.5, 5. ])
    """
    clean: Array = np.asarray(x, np.float64)
    least, most = (bound - clean for bound in bounds or (-np.inf, np.inf))

    def into(point: Array) -> Array:
        return clean + project(point - clean, eps, norm, least, most)

    first = forward(weights, biases, clean, activation)[1][-1]
    likely = np.array([j for j in np.argsort(-first, kind="stable") if j != label])
    best, smallest = clean, np.inf
    for k, start in enumerate(starts):
        aim = int(likely[k]) if loss == "dlr-targeted" else None
        now: Array = np.asarray(start, np.float64)
        size, before = 2 * eps, now
        values, points = list[float](), list[Array]()
        check, share, width, halved, top_at_check = 0, 0.22, 0.22, True, -np.inf
        for step in range(steps + 1):
            outputs = forward(weights, biases, now, activation)[1]
            if margin(outputs[-1], label) < smallest:
                best, smallest = now, margin(outputs[-1], label)
            values.append(_apgd_value(outputs[-1], label, loss, aim))
            points.append(now)
            if 0 < step == int(np.ceil(round(share * steps, 9))):
                top = max(values)
                slow = np.sum(np.diff(values[check:]) > 0) < 0.75 * (step - check)
                halved = bool(slow) or (not halved and top <= top_at_check)
                if halved:
                    size /= 2
                    now = points[values.index(top)]
                top_at_check, check, width = top, step, max(width - 0.03, 0.06)
                share += width
            outputs = forward(weights, biases, now, activation)[1]  # perhaps those of the best
            slope = _loss_gradient(weights, outputs, label, loss, aim, activation)
            ahead = into(now + size * _direction(slope, norm))
            mixed = into(now + 0.75 * (ahead - now) + 0.25 * (now - before))
            before, now = now, mixed if step else ahead
    return best


def _direction(slope: Array, norm: str) -> Array:
    """Return the steepest direction, of length 1 in the norm."""
    if norm == "linf":
        return np.sign(slope)
    return np.asarray(slope / (np.linalg.norm(slope) or 1))


def _apgd_value(logits: Array, label: int, loss: str, aim: int | None) -> float:
    """Return the loss that `apgd` compares."""
    ordered = np.sort(np.asarray(logits, np.float64))[::-1]
    if loss == "ce":
        others = np.delete(np.asarray(logits, np.float64), label)
        top = np.max(others)
        return float(top + np.log(np.sum(np.exp(others - top))) - logits[label])
    below = np.max(np.delete(logits, label)) if aim is None else logits[aim]
    low = ordered[2] if aim is None else (ordered[2] + ordered[3]) / 2
    return float(-(logits[label] - below) / (ordered[0] - low))


def _loss_gradient(
    weights: Arrays, outputs: Arrays, label: int, loss: str, aim: int | None, activation: str
) -> Array:
    """Return a positive multiple of a loss's gradient by the input."""
    if loss == "ce":
        wanted = label if aim is None else aim
        gradient = ascent(weights, outputs, wanted, activation)
        return gradient if aim is None else -gradient
    logits = np.asarray(outputs[-1], np.float64)
    order = np.argsort(-logits, kind="stable")
    other = int(order[1] if order[0] == label else order[0]) if aim is None else aim
    low = order[2:3] if aim is None else order[2:4]
    spread = logits[order[0]] - np.mean(logits[low])
    lead = logits[label] - logits[other]
    residual = np.zeros_like(logits)
    # Times the spread: where the true class is the third, all of it cancels to 0, and has to.
    residual[label] -= 1
    residual[other] += 1
    residual[order[0]] += lead / spread
    residual[low] -= lead / spread / len(low)
    return np.asarray(np.dot(weights[0], backward(weights, outputs, residual, activation)[0]))
