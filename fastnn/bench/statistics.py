"""Ratios of times with their intervals, and whether a ratio is resolved. Pure functions of arrays.

Times have the shape `(P, R)`: P fresh processes, R rounds in each. Rounds of one process have the
same memory layout and are not independent, so the bootstrap draws processes first and rounds of
each process second (a two-stage bootstrap: Davison and Hinkley (1997), Bootstrap Methods and their
Application, 3.8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DRAWS = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as long B takes as A: the median, and a 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired_ratio(a_seconds: ArrayLike, b_seconds: ArrayLike, *, rng: int = 0) -> Ratio:
    """Compare two sets of times that were measured in turns.

    Parameters
    ----------
    a_seconds, b_seconds : array_like, shape (P, R)
        Seconds in process p and round r. In a round, A and B ran one after the other, so that what
        slows the machine for some time divides out.
    rng : int, optional
        Seed of the bootstrap.

    Returns
    -------
    Ratio
        Of b over a: above 1 where A is faster. Median over processes of the medians over rounds.

    Raises
    ------
    ValueError
        The shapes differ, are empty or not two-dimensional, or a time is not above 0.
    """
    a, b = _checked_times(a_seconds), _checked_times(b_seconds)
    if a.shape != b.shape:
        raise ValueError(
            f"times that are compared in pairs have one shape, not {a.shape}, {b.shape}"
        )
    logs = np.log(b) - np.log(a)
    return _to_ratio(_median(logs), _bootstrap(logs, np.random.default_rng(rng)))


def divide(new: Ratio, old: Ratio) -> Ratio:
    """Return new / old of two independent ratios; their intervals' logarithms add in quadrature."""
    median = new.median / old.median
    up = np.hypot(np.log(new.high / new.median), np.log(old.median / old.low))
    down = np.hypot(np.log(new.median / new.low), np.log(old.high / old.median))
    return Ratio(float(median), float(median * np.exp(-down)), float(median * np.exp(up)))


def spread(control: Ratio) -> float:
    """Return how far a comparison of A with A is from 1: a factor, at least 1."""
    return max(control.high, 1 / control.low, 1.0)


def is_resolved(ratio: Ratio, control: Ratio) -> bool:
    """Return whether the interval of `ratio` is outside of the noise, the spread of `control`."""
    noise = spread(control)
    return ratio.low > noise or ratio.high < 1 / noise


def _checked_times(seconds: ArrayLike) -> NDArray[np.float64]:
    """Return `seconds` as float64 of shape (P, R), all positive."""
    times = np.asarray(seconds, np.float64)
    if times.ndim != 2 or times.size == 0:
        raise ValueError(f"times have the shape (processes, rounds), not {times.shape}")
    if not (times > 0).all():
        raise ValueError(f"a time is above 0 seconds, not {times[~(times > 0)][0]}")
    return times


def _median(logs: NDArray[np.float64]) -> float:
    """Return the median over processes of the medians over rounds."""
    return float(np.median(np.median(logs, axis=1)))


def _bootstrap(logs: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians of `_DRAWS` samples: processes with replacement, then rounds of each."""
    processes, rounds = logs.shape
    chosen = rng.integers(processes, size=(_DRAWS, processes, 1))
    turns = rng.integers(rounds, size=(_DRAWS, processes, rounds))
    return np.asarray(np.median(np.median(logs[chosen, turns], axis=2), axis=1))


def _to_ratio(log_median: float, log_draws: NDArray[np.float64]) -> Ratio:
    """Return the ratio with the percentile interval of the draws."""
    tail = 50 * (1 - _LEVEL)
    low, high = np.percentile(log_draws, [tail, 100 - tail])
    return Ratio(float(np.exp(log_median)), float(np.exp(low)), float(np.exp(high)))
