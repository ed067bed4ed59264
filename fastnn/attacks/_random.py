"""Random numbers that follow from their place alone: seed, sample, restart and step.

A generator with a state would give a sample other numbers in another tile or on another thread.
Here number j of a key is a hash of both: SplitMix64 (Steele, Lea and Flood 2014,
doi:10.1145/2660193.2660195, figure 17), whose state at its j-th number is ``key + j * gamma``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Keys = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, made odd
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mixed(values: Keys) -> Keys:
    """Return a hash of every number."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def keys(seed: int, samples: NDArray[np.int64], *places: int) -> Keys:
    """Return a key (n,) for each sample; `places` are the restart, the step and so on."""
    found = np.full(len(samples), seed % 2**64, np.uint64)
    found = _mixed(_mixed(found + _GAMMA) ^ samples.astype(np.uint64))
    for place in places:
        found = _mixed(_mixed(found + _GAMMA) ^ np.uint64(place))
    return found


def uniform(key: Keys, width: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return numbers from 0 to below 1, shape (n, width), multiples of the type's 2**-24 or -53."""
    kind: np.dtype[Any] = np.dtype(dtype)
    places = np.arange(1, width + 1, dtype=np.uint64) * _GAMMA
    bits = 24 if kind.itemsize == 4 else 53
    numbers = _mixed(key[:, None] + places) >> np.uint64(64 - bits)
    out: NDArray[Any] = numbers.astype(kind)
    out *= kind.type(2.0**-bits)
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
