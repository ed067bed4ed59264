"""In which units inputs are: what their types say, and what their numbers look like.

The rule, which `docs/howto/data.md` states for users: uint8 entries are pixels, and 255 means 1.0;
all other numbers mean what they say, and `bounds` say which of them are valid. Numbers that look
like pixels of 0 to 255 are refused by attacks that were given no bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512  # rows that are looked at, or converted, at a time
_SMALLEST_IMAGE = 64  # entries: 8 x 8 pixels
_DARK = 127  # images have brighter pixels, other numbers seldom stop between this and 255

# Up to here a type has all whole numbers. Below, rounding moves no entry by more than a half.
_EXACT = {np.dtype(np.float32): 2.0**24, np.dtype(np.float64): 2.0**53}


def converted(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return numbers (N, D) of any real type as floats of `dtype`, rounded to the nearest.

    Raises
    ------
    TypeError
        They are no real numbers.
    ValueError
        An entry is so large that `dtype` has not all whole numbers there.
    """
    require_numbers(array, dtype, name)
    out, limit = np.empty(array.shape, dtype), _EXACT[dtype]
    for start in range(0, len(array), _BLOCK):
        block = array[start : start + _BLOCK]
        if block.dtype.itemsize > 2:  # two bytes hold no number beyond 65,535
            wrong = np.isfinite(block) & ((block > limit) | (block < -limit))
            if wrong.any():
                row, column = (int(k) for k in np.argwhere(wrong)[0])
                raise ValueError(
                    f"{name}[{start + row}, {column}] is {block[row, column]:g}: {dtype} has not "
                    f"all numbers beyond {limit:,.0f}; subtract an offset, or use a network of more"
                    " digits (net.astype(np.float64))"
                )
        out[start : start + len(block)] = block
    return out


def require_numbers(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> None:
    """Raise TypeError unless an array holds real numbers."""
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be {dtype} as the network is, other real numbers, or uint8 pixels, "
            f"got {array.dtype}"
        )


def like_pixels(array: NDArray[Any]) -> bool:
    """Return whether rows look like pixels of 0 to 255 that are not uint8."""
    if array.dtype == np.uint8 or array.ndim != 2 or array.shape[1] < _SMALLEST_IMAGE:
        return False
    if not len(array) or not _DARK < array[:_BLOCK].max() <= 255:
        return False
    return bool(array.min() >= 0 and array.max() <= 255)


def like_shares(array: NDArray[Any]) -> bool:
    """Return whether rows look like pixels as they are taken: uint8, or floats in [0, 1]."""
    if array.ndim != 2 or array.shape[1] < _SMALLEST_IMAGE or not len(array):
        return False
    return array.dtype == np.uint8 or bool(array.min() >= 0 and array.max() <= 1)


def require_stated(array: NDArray[Any], name: str) -> None:
    """Raise if rows (N, D) look like other units than they are taken for; no bounds were given."""
    if like_pixels(array):
        raise ValueError(
            f"{name} has entries from {array.min():g} to {array.max():g}, and no bounds say in "
            f"which units: for a network that was trained on [0, 1], pass {name} / 255 or uint8 "
            "pixels; for one that was trained on 0 to 255, give bounds=(0, 255)"
        )
    images = array.dtype == np.uint8 and array.shape[-1] >= _SMALLEST_IMAGE and len(array)
    if images and array[:_BLOCK].max() == 1 == array.max():
        raise ValueError(
            f"{name} is uint8 with no entry above 1, but uint8 entries are pixels of 0 to 255: "
            f"if 1 is the brightest, pass {name}.astype(np.float32)"
        )


def hint(least: float, most: float, instead: str = "") -> str:
    """Return a guess about the units of inputs from `least` to `most` that should be in [0, 1].

    Empty if it is not clear; `instead` is what else can be done about normalised pixels.
    """
    if least >= 0 and 1 < most <= 255:
        return "; this looks like 0-255 pixels: divide by 255"
    if -10 < least < 0 and most < 10:
        undo = "undo the normalisation (x * std + mean)"
        return f"; this looks like mean/std-normalised pixels: {undo}{instead}"
    return ""
