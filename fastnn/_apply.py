"""Apply a kernel to arrays of any shape and layout: to every entry, or to every row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.losses import first_not_finite


def floats(z: ArrayLike) -> NDArray[Any]:
    """Return `z` as a contiguous, writable array of float32 or float64, copied where needed."""
    array = _checks.array_of(z, "z")
    if array.dtype not in _checks.FLOATS:
        raise TypeError(f"z must be float32 or float64, got {array.dtype}")
    # numba would compile a kernel again for read-only and for strided arrays.
    return np.require(array, requirements=["C", "A", "W"])


def finite_rows(z: ArrayLike) -> NDArray[Any]:
    """Return `z` as finite floats with classes along its last axis."""
    array = floats(z)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"z must have shape (..., C) with C > 0, got {array.shape}")
    rows = array.reshape(-1, array.shape[-1])
    row = first_not_finite(rows)
    if row is not None:
        raise ValueError(f"z row {row} is {rows[row].tolist()}; every entry must be finite")
    return array


def entry_by_entry(function: Callable[[Any, Any], None], z: ArrayLike) -> NDArray[Any]:
    """Return `function` of every entry."""
    array = floats(z)
    if np.isnan(array).any():
        place = [int(k) for k in np.argwhere(np.isnan(array))[0]]
        raise ValueError(f"z{place} is nan" if place else "z is nan")
    out = np.empty_like(array)
    function(array, out)
    return out


def row_by_row(function: Callable[[Any, Any], None], z: ArrayLike) -> NDArray[Any]:
    """Return `function` of every row along the last axis."""
    array = finite_rows(z)
    out = np.empty_like(array)
    classes = array.shape[-1]
    function(array.reshape(-1, classes), out.reshape(-1, classes))
    return out
