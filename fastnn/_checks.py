"""Checks of the arguments of public functions; messages name the row and the value."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence, Sized
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _units
from fastnn._errors import row_error

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

# Settings must be finite in float32, for networks of both types.
_LARGEST = float(np.finfo(np.float32).max)

_MOST = {kind: float(np.finfo(kind).max) for kind in FLOATS}

# Rows that are checked at a time, so that a check needs little memory however large the set is.
_BLOCK = 512
_FEW = 4 * _BLOCK  # measured: up to so many, other threads are awake too late to help

# Calls a function for each of several items, perhaps on several threads.
Each = Callable[[Callable[[Any], None], Sequence[Any]], None]


class Bounds(NamedTuple):
    """The valid range of an input; infinite on both sides if there are no bounds."""

    lower: float
    upper: float


_UNLIMITED = Bounds(-math.inf, math.inf)


def array_of(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array; masked arrays are refused, as their mask would be ignored."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; use {name}.filled")
    if hasattr(value, "detach"):  # a tensor of PyTorch, perhaps with a gradient
        value = value.detach().cpu()
    return np.asarray(value)


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as float32 or float64."""
    found = np.dtype(dtype)
    if found not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {found}")
    return found


def positive_integer(value: Any, name: str) -> int:
    """Return `value` as an int of at least 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def real(value: Any, name: str, *, lower: float = 0.0, open_below: bool = False) -> float:
    """Return `value` as a finite float >= `lower` (> `lower` if `open_below`)."""
    number = _number(value, name)
    if not abs(number) <= _LARGEST or number < lower or (open_below and number == lower):
        sign = ">" if open_below else ">="
        raise ValueError(f"{name} must be finite in float32 and {sign} {lower:g}, got {number}")
    return number


def per_input(value: ArrayLike, name: str, width: int) -> NDArray[np.float64]:
    """Return one finite float64 for each of `width` inputs."""
    array = array_of(value, name)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number or an array of them, got {array.dtype}")
    if array.shape not in ((), (width,)):
        raise ValueError(f"{name} must be a number or have shape ({width},), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return np.broadcast_to(array.astype(np.float64), (width,))


def _number(value: Any, name: str) -> float:
    """Return `value` as a float; text and booleans are refused."""
    try:
        if not isinstance(value, (str, bytes, bool, np.bool_)):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name} must be a number, got {value!r}")


def eps(value: Any) -> float | NDArray[np.float64]:
    """Return the attack budget: a float, or an array (K,) for a sequence."""
    if type(value) is float and 0 <= value <= _LARGEST:  # the usual case, for less time
        return value
    try:
        values = array_of(value, "eps")
    except ValueError:
        values = np.empty((), object)
    if values.dtype.kind not in "iuf" and values.size:
        raise TypeError(f"eps must be a number or a sequence of numbers, got {value!r}")
    values = values.astype(np.float64)
    if values.ndim > 1 or values.size == 0:
        raise ValueError(f"eps must be one number or a sequence of them, got shape {values.shape}")
    for i, one in enumerate(np.atleast_1d(values)):
        if not 0 <= one <= _LARGEST:
            where = f"eps[{i}]" if values.ndim else "eps"
            raise ValueError(f"{where} must be finite in float32 and >= 0, got {one}")
    return values.copy() if values.ndim else float(values)


def bounds(value: tuple[float, float] | None) -> Bounds:
    """Return the valid range of an input, unlimited for None."""
    if value is None:
        return _UNLIMITED
    try:
        lower, upper = (_number(one, "a bound") for one in value)
    except (TypeError, ValueError):
        raise TypeError(f"bounds must be a pair (lower, upper) or None, got {value!r}") from None
    if not lower < upper:
        raise ValueError(f"bounds must be (lower, upper) with lower < upper, got {value!r}")
    return Bounds(lower, upper)


def inputs(
    x: ArrayLike,
    width: int,
    dtype: np.dtype[Any],
    *,
    limits: Bounds | None = None,
    name: str = "x",
    each: Each | None = None,
) -> NDArray[Any]:
    """Return `x` as (N, width), not copied, after checking that its entries are within `limits`.

    Entries of uint8 are pixels, and 255 means 1.0. Other numbers must be finite; if they are of
    another type than the network's, they are copied to it. With `each`, many rows are checked on
    its threads, with the same errors.
    """
    array = array_of(x, name)
    kept = array.dtype in (dtype, np.uint8)
    if not kept:
        _units.require_numbers(array, dtype, name)
    if array.ndim not in (1, 2) or array.shape[-1] != width:
        flat = array.ndim > 2 and math.prod(array.shape[1:]) == width
        how = f"; use {name}.reshape(len({name}), -1)" if flat else ""
        raise ValueError(
            f"{name} must have shape (N, {width}) or ({width},), got {array.shape}{how}"
        )
    array = array.reshape(-1, width)
    if not kept:
        array = _units.converted(array, dtype, name)
    if array.dtype == np.uint8:
        _require_pixels_within(limits, name)
        return array
    allowed = limits or _UNLIMITED
    if each is None or len(array) <= _FEW:
        _require_within(array, allowed, name)
        return array
    blocks = [array[start : start + _BLOCK] for start in range(0, len(array), _BLOCK)]
    try:
        each(lambda block: _require_within(block, allowed, name), blocks)
    except ValueError:
        _require_within(array, allowed, name)  # of several wrong entries, it finds the first
        raise
    return array


def as_given(x: ArrayLike, out: NDArray[Any]) -> NDArray[Any]:
    """Return results of `inputs` in the form of `x`: all for a batch, one for a single sample."""
    return cast(NDArray[Any], out[0]) if np.ndim(x) == 1 else out


def _require_pixels_within(limits: Bounds | None, name: str) -> None:
    """Raise if uint8 pixels, which mean [0, 1], have narrower bounds."""
    if limits is not None and (limits.lower > 0 or limits.upper < 1):
        raise ValueError(f"{name} is uint8, so in [0, 1], but bounds are {tuple(limits)}")


def _require_within(array: NDArray[Any], limits: Bounds, name: str) -> None:
    """Raise for the first entry that is not finite or outside `limits`."""
    most = _MOST[array.dtype]
    lower, upper = bounds_in(array.dtype, limits)
    lower, upper = max(lower, -most), min(upper, most)
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        if block.min() >= lower and block.max() <= upper:  # and so no entry is infinite or NaN
            continue
        wrong = ~(np.isfinite(block) & (block >= lower) & (block <= upper))
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        value = block[row, column]
        place = ValueError, f"{name}[", start + row
        if not np.isfinite(value):
            raise row_error(*place, f", {column}] is {value}; every entry must be finite")
        hint = ""
        if tuple(limits) == (0.0, 1.0):
            hint = _units.hint(np.nanmin(array), np.nanmax(array), ", or give bounds in its units")
        what = f"{value:g}, outside the bounds {tuple(limits)}{hint}"
        raise row_error(*place, f", {column}] is {what}")


@functools.lru_cache(16)
def bounds_in(dtype: np.dtype[Any], limits: Bounds) -> tuple[Any, Any]:
    """Return bounds in the type of an array, in which 0.1 is not below 0.1.

    One outside of its range is infinite; numpy would warn of it.
    """
    most = _MOST[dtype]
    lower, upper = [dtype.type(b if abs(b) <= most else b * math.inf) for b in limits]
    return lower, upper


def labels(
    values: ArrayLike, rows: int, classes: int, *, name: str = "labels"
) -> NDArray[np.int64]:
    """Return `values` as int64 (rows,), after checking that each is in [0, classes).

    Whole numbers of any type are accepted, and one-hot rows of shape (rows, classes).
    """
    array = array_of(values, name)
    if array.ndim == 2:
        array = _from_one_hot(array, classes, name)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype.kind == "f":
        array = _whole(array, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape ({rows},), got {array.shape}")
    if len(array) != rows:
        raise ValueError(f"{name} must have one entry a row: {rows} rows, {len(array)} labels")
    kept = array.astype(np.int64, copy=False)
    if not kept.flags.carray:  # numba would compile a kernel again for a read-only array
        kept = kept.copy()
    if kept.view(np.uint64).max(initial=0) >= classes:  # where a negative number is a large one
        row = int(np.argmax((array < 0) | (array >= classes)))
        raise row_error(ValueError, f"{name}[", row, f"] is {array[row]}, outside [0, {classes})")
    return kept


def _whole(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Return floats as integers; the first that is not whole is an error."""
    wide = array.astype(np.float64)
    wrong = ~((wide == np.round(wide)) & (np.abs(wide) < 2**53))
    if wrong.any():
        row, *others = (int(k) for k in np.argwhere(wrong)[0])
        place = "".join(f", {k}" for k in others)
        what = f"{place}] is {array[row, *others]}, expected a whole number"
        raise row_error(ValueError, f"{name}[", row, what)
    return wide.astype(np.int64)


def _from_one_hot(array: NDArray[Any], classes: int, name: str) -> NDArray[np.int64]:
    """Return the column of the single 1 in every row."""
    if array.shape[1] != classes:
        raise ValueError(f"one-hot {name} must have {classes} columns, got {array.shape[1]}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"one-hot {name} must be numbers, got {array.dtype}")
    wrong = ((array != 0).sum(axis=1) != 1) | ((array == 1).sum(axis=1) != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise row_error(ValueError, f"{name}[", row, f"] is not one-hot: {array[row].tolist()}")
    columns: NDArray[np.int64] = array.argmax(axis=1).astype(np.int64)
    return columns


def some_rows(array: Sized, name: str = "x") -> None:
    """Raise if there are no rows, which have no mean."""
    if len(array) == 0:
        raise ValueError(f"{name} has no rows")


def samples(
    x: ArrayLike,
    values: ArrayLike,
    sizes: Sequence[int],
    dtype: np.dtype[Any],
    *,
    name: str = "x",
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return inputs (N, D), N > 0, and labels (N,), checked against the widths of a network."""
    rows = inputs(x, sizes[0], dtype, name=name)
    some_rows(rows, name)
    return rows, labels(values, len(rows), sizes[-1])
