"""Random numbers that follow from their place alone: seed, sample, restart and step.

A generator with a state would give a sample other numbers in another tile or on another thread.
Here number j of a key is a hash of both: SplitMix64 (Steele, Lea and Flood 2014,
doi:10.1145/2660193.2660195, figure 17), whose state at its j-th number is ``key + j * gamma``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._kernels import counters

Keys = NDArray[np.uint64]


def keys(seed: int, samples: NDArray[np.int64], *places: int) -> Keys:
    """Return a key (n,) for each sample; `places` are the restart, the step and so on."""
    found = np.empty(len(samples), np.uint64)
    counters._keys(np.uint64(seed % 2**64), samples, np.array(places, np.uint64), found)
    return found


def uniform(key: Keys, width: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return numbers from 0 to below 1, shape (n, width), multiples of the type's 2**-24 or -53."""
    out = np.empty((len(key), width), dtype)
    counters._uniform(key, 24 if out.itemsize == 4 else 53, out)
    return out


def normal(key: Keys, width: int) -> NDArray[np.float64]:
    """Return normal numbers of mean 0 and variance 1, shape (n, width).

    By pairs of uniform ones: Box and Muller 1958, doi:10.1214/aoms/1177706645.
    """
    half = -(-width // 2)
    both = uniform(key, 2 * half, np.float64)
    radius = np.sqrt(-2 * np.log1p(-both[:, :half]))
    angle = 2 * np.pi * both[:, half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :width]
