"""Tables of a report: counts of each class, and which class the attack sends which to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassCounts(NamedTuple):
    """Counts of the samples of each true class.

    Attributes
    ----------
    samples : ndarray of int64, shape (C,)
    clean_correct : ndarray of int64, shape (C,)
        Predicted right without an attack.
    adversarial_correct : ndarray of int64, shape (C,) or (K, C)
        Predicted right under attack, for every eps.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
    >>> report = fastnn.adversarial_accuracy(net, np.array([[0.25], [0.45]]), [1, 1], eps=0.1)
    >>> report.per_class().adversarial_correct
    array([0, 1])
    """

    samples: NDArray[np.int64]
    clean_correct: NDArray[np.int64]
    adversarial_correct: NDArray[np.int64]


def per_class(
    labels: NDArray[np.int64], clean: NDArray[np.int64], attacked: NDArray[np.int64], classes: int
) -> ClassCounts:
    """Return the counts of each class; `attacked` is (n,) or (K, n)."""

    def right(prediction: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(labels[prediction == labels], minlength=classes)

    under = np.array([right(one) for one in np.atleast_2d(attacked)], np.int64)
    samples = np.bincount(labels, minlength=classes)
    return ClassCounts(samples, right(clean), under[0] if attacked.ndim == 1 else under)


def confusion(labels: NDArray[np.int64], attacked: NDArray[np.int64], classes: int) -> Any:
    """Return how many samples of each class are predicted as each: (C, C), or (K, C, C)."""
    counts = [
        np.bincount(labels * classes + one, minlength=classes * classes).reshape(classes, classes)
        for one in np.atleast_2d(attacked)
    ]
    return counts[0] if attacked.ndim == 1 else np.array(counts, np.int64)
