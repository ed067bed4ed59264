"""Small changes of one image that fool: by boundaries, by halving eps; and squares of pixels."""

import numpy as np

from .attacks import Bounds
from .balls import project
from .functional import Array
from .networks import Arrays, backward, forward
from .searches import margin, pgd

# Of 10,000 queries: when the squares of `square` become half as large.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def deepfool(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    norm: str = "l2",
    target: int | None = None,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """DeepFool: steps to the nearest boundary of the linear approximation, brought into the ball.

    Parameters
    ----------
    weights, biases, x, label, eps, target, bounds, activation
        As for `pgd`.
    steps : int, optional
    overshoot : float, optional
        Share by which the whole change is made longer.
    norm : {"l2", "linf"}, optional

    Returns
    -------
    ndarray, shape (D,), float64
        The first input with the smallest `margin`, after projection.

    Notes
    -----
    Moosavi-Dezfooli, Fawzi and Frossard (2016), arXiv:1511.04599, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.array([[3.0, -3.0], [4.0, -4.0]])], [np.zeros(2)]
    >>> x = np.array([0.3, 0.4])
    >>> x_adv = reference.deepfool(weights, biases, x, 0, eps=1, overshoot=0.1)
    >>> x_adv.round(3)
    array([-0.03, -0.04])
    """
    clean: Array = np.asarray(x, np.float64)
    lower, upper = bounds or (-np.inf, np.inf)
    change: Array = np.zeros_like(clean)
    now: Array = clean
    best, smallest = clean, np.inf
    for step in range(steps + 1):
        near = clean + project(now - clean, eps, norm, lower - clean, upper - clean)
        found = margin(forward(weights, biases, near, activation)[1][-1], label, target)
        if found < smallest:
            best, smallest = near, found
        outputs = forward(weights, biases, now, activation)[1]
        logits = outputs[-1]
        winner = int(np.argmax(logits))
        if step == steps or (winner != label if target is None else winner == target):
            return best
        nearest, way = np.inf, np.zeros_like(clean)
        others = [k for k in range(len(logits)) if k != label] if target is None else [target]
        for k in others:
            residual = np.zeros_like(logits)
            residual[k], residual[label] = 1, -1
            delta = backward(weights, outputs, residual, activation)[0]
            slope = np.dot(weights[0], delta)
            gap = abs(float(logits[k] - logits[label]))
            size = float(np.linalg.norm(slope, 2 if norm == "l2" else 1))
            if size > 0 and gap / size < nearest:
                nearest = gap / size
                way = max(nearest, 1e-4) * (slope / size if norm == "l2" else np.sign(slope))
        change = change + way
        now = np.clip(clean + (1 + overshoot) * change, lower, upper)
    return best


def minimal_norm(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 20,
    halvings: int = 10,
    target: int | None = None,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """Return the smallest change that `pgd` finds while the interval of its eps is halved.

    Parameters
    ----------
    weights, biases, x, label, eps, norm, steps, target, bounds, activation
        As for `pgd`; the interval begins as [0, eps].
    halvings : int, optional

    Returns
    -------
    ndarray, shape (D,), float64
        The smallest change that fools, or the worst input at `eps` where none does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.array([[3.0, -3.0], [4.0, -4.0]])], [np.zeros(2)]
    >>> x = np.array([0.3, 0.4])
    >>> x_adv = reference.minimal_norm(weights, biases, x, 0, eps=2, norm="l2")
    >>> bool(0.5 <= np.linalg.norm(x_adv - x) < 0.51)
    True
    """
    clean: Array = np.asarray(x, np.float64)
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]

    def attacked(budget: float) -> tuple[Array, float, bool]:
        found = pgd(
            weights,
            biases,
            clean,
            label,
            budget,
            steps=steps,
            norm=norm,
            first=True,
            target=target,
            bounds=bounds,
            activation=activation,
        )
        logits = forward(weights, biases, found, activation)[1][-1]
        size = float(np.linalg.norm(found - clean, order))
        return found, size, margin(logits, label, target) < 0

    best, upper, fooled = attacked(eps)
    lower = 0.0
    for _ in range(halvings if fooled else 0):
        middle = (lower + upper) / 2
        found, size, fooled = attacked(middle)
        if fooled and size < upper:
            best, upper = found, size
        else:
            lower = middle
    return best


def square(
    weights: Arrays,
    biases: Arrays,
    x: Array,
    label: int,
    eps: float,
    *,
    columns: Array,
    places: Array,
    share: float = 0.8,
    target: int | None = None,
    bounds: Bounds | None = None,
    activation: str = "relu",
) -> Array:
    """Random search by squares of pixels that are moved by eps.

    Parameters
    ----------
    weights, biases, x, label, eps, target, bounds, activation
        As for `pgd`, in L-infinity.
    columns : ndarray, shape (width of the image,)
        Random numbers in [0, 1) that begin the search: below 0.5, a column moves by ``-eps``.
    places : ndarray, shape (queries - 1, 3)
        Random numbers in [0, 1): the place of each square from above and from the left, and the
        sign as for columns.
    share : float, optional
        Share of the pixels that the first squares have.

    Returns
    -------
    ndarray, shape (D,), float64
        The first input with the smallest `margin`.

    Notes
    -----
    Andriushchenko, Croce, Flammarion and Hein (2020), arXiv:1912.00049, algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> weights, biases = [np.array([[1.0, -1.0]] * 4)], [np.zeros(2)]
    >>> x, draws = np.full(4, 0.5), np.array([[0.0, 0.6, 0.1], [0.6, 0.6, 0.9]])
    >>> reference.square(weights, biases, x, 0, 0.25, columns=np.array([0.2, 0.7]), places=draws)
    array([0.25, 0.25, 0.25, 0.75])
    """
    clean: Array = np.asarray(x, np.float64)
    least, most = bounds or (-np.inf, np.inf)
    low, high = np.clip(clean - eps, least, most), np.clip(clean + eps, least, most)
    width = len(columns)
    height, queries = len(clean) // width, len(places) + 1
    now: Array = np.where(np.tile(np.asarray(columns) < 0.5, height), low, high)
    smallest = margin(forward(weights, biases, now, activation)[1][-1], label, target)
    for query, (down, right, sign) in enumerate(places, start=1):
        done = query * 10_000 / queries
        part = share / 2 ** sum(done > start for start in _HALVINGS)
        side = min(max(round(float(np.sqrt(part * height * width))), 1), width)
        tall = min(side, height)
        top, left = int(down * (height - tall + 1)), int(right * (width - side + 1))
        tried = now.copy().reshape(height, width)
        moved = (low if sign < 0.5 else high).reshape(height, width)
        rows, across = slice(top, top + tall), slice(left, left + side)
        tried[rows, across] = moved[rows, across]
        found = margin(forward(weights, biases, tried.ravel(), activation)[1][-1], label, target)
        if found < smallest:
            now, smallest = tried.ravel(), found
    return now
