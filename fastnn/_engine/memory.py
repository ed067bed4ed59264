"""Memory for buffers: aligned to cache lines, and kept by malloc from one call to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._kernels.vectors import LINE_BYTES

_SHARED_BYTES = 1 << 20

# malloc should keep the memory that a call frees for the next call: to get it from the system again
# takes as long as some hundred rows. glibc keeps up to twice the size of the largest block that was
# ever freed, of blocks up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). One is freed here, untouched.
np.empty(33 * 10**6, np.uint8)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array that begins at a cache line: vectors across two lines cost twice."""
    kind = np.dtype(dtype)
    spare = LINE_BYTES // kind.itemsize
    size = math.prod(shape)
    buffer = np.empty(size + spare, kind)
    first = -buffer.ctypes.data % LINE_BYTES // kind.itemsize
    return buffer[first : first + size].reshape(shape)


def empties(shapes: Sequence[tuple[int, ...]], dtype: DTypeLike) -> list[NDArray[Any]]:
    """Return an array of each shape, as `empty` does; small ones share a block, to save time.

    Large ones have blocks of their own, as malloc keeps no block above 32 MiB.
    """
    kind = np.dtype(dtype)
    line = LINE_BYTES // kind.itemsize
    places, total = [], 0
    for shape in shapes:
        size = math.prod(shape)
        places.append(slice(total, total + size))
        total += -(-size // line) * line
    if total * kind.itemsize > _SHARED_BYTES:
        return [empty(shape, kind) for shape in shapes]
    block = empty((total,), kind)
    return [block[place].reshape(shape) for place, shape in zip(places, shapes, strict=True)]
