"""What an attack of a batch is to reach."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._errors import row_error


class Goal(NamedTuple):
    """What an attack of a batch is to reach, and where its random numbers come from.

    Attributes
    ----------
    targets : ndarray of int64, shape (N,), or None
        A class for each sample; None: any class but the true one.
    seed : int
    samples : ndarray of int64, shape (N,), or None
        The number of each sample as random numbers count them; None: its position in the batch.
    """

    targets: NDArray[np.int64] | None = None
    seed: int = 0
    samples: NDArray[np.int64] | None = None


def goal_of(targets: ArrayLike | None, rng: Any, labels: NDArray[np.int64], classes: int) -> Goal:
    """Return the goal of an attack on samples with these true classes, after checks."""
    seed, samples = rng, None
    if isinstance(rng, tuple) and len(rng) == 2:
        seed, samples = rng[0], _checks.array_of(rng[1], "rng[1]").reshape(-1)
        if samples.dtype.kind not in "iu" or len(samples) != len(labels):
            raise ValueError(f"rng[1] must be one integer for each of {len(labels)} rows")
        samples = samples.astype(np.int64)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"rng must be an integer, or an integer and sample numbers, got {rng!r}")
    if targets is None:
        return Goal(None, operator.index(seed), samples)
    wanted = _checks.labels(targets, len(labels), classes, name="targets")
    if (wanted == labels).any():
        row = int(np.argmax(wanted == labels))
        raise row_error(ValueError, "targets[", row, f"] is {wanted[row]}, which is the true class")
    return Goal(wanted, operator.index(seed), samples)
