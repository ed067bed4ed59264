"""Shares of samples, in words and with their intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks

# What eps limits, by the norm.
MEANINGS = {
    "linf": "the largest change of a pixel",
    "l2": "the Euclidean length of the change",
    "l1": "the sum of all changes",
}


def share_text(correct: Any, n: int) -> str:
    """Return a count with its percentage."""
    return f"{correct / n:7.2%}  ({int(correct):,} of {n:,})" if n else "no samples"


def eps_text(eps: float) -> str:
    """Return an eps in few digits: 0.1, 8/255, 0.01234."""
    for text, value in (
        (f"{eps:.3g}", float(f"{eps:.3g}")),
        (f"{round(eps * 255)}/255", round(eps * 255) / 255),
    ):
        if math.isclose(value, eps, rel_tol=1e-6):
            return text
    return f"{eps:.4g}"


def share(count: Any, n: int) -> Any:
    """Return ``count / n``, NaN where there are none: a float, or an array for an array."""
    if np.ndim(count):
        return np.asarray(count / n if n else np.full(np.shape(count), math.nan))
    return int(count) / n if n else math.nan


def wilson_interval(
    count: ArrayLike, n: int, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Wilson score interval of a share.

    Parameters
    ----------
    count : int or ndarray of int
        How many of `n` samples.
    n : int
    confidence : float, optional
        Between 0 and 1: the share of such intervals that hold the true share.

    Returns
    -------
    tuple (lower, upper) of ndarray of float64, shape of `count`
        NaN where `n` is 0.

    Raises
    ------
    TypeError, ValueError
        `confidence` is no number, or not between 0 and 1.

    Notes
    -----
    With p = count / n and z the standard normal quantile of (1 + confidence) / 2::

        (p + z**2 / (2 n) -+ z sqrt(p (1 - p) / n + z**2 / (4 n**2))) / (1 + z**2 / n)

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22, 209-212. It says how well the samples represent the
    data that they were drawn from, not how strong the attack is.

    Examples
    --------
    >>> from fastnn.reports import wilson_interval
    >>> lower, upper = wilson_interval(8, 10)
    >>> round(float(lower), 4), round(float(upper), 4)
    (0.4902, 0.9433)
    """
    if not 0 < _checks.real(confidence, "confidence") < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    from statistics import NormalDist

    found = np.asarray(count, np.float64)
    if not n:
        return np.full(found.shape, math.nan), np.full(found.shape, math.nan)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = found / n
    middle = p + z * z / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Where none or all are counted, the formula gives 0 or 1 up to rounding.
    lower = np.where(found == 0, 0.0, (middle - half) / scale)
    return lower, np.where(found == n, 1.0, (middle + half) / scale)
