"""Memory for buffers: aligned to cache lines, and kept by malloc from one call to the next."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE_BYTES = 64

# Memory that a call frees is there for the next one if malloc keeps it; to have it from the system
# again takes as long as some hundred rows. glibc keeps up to twice the largest piece that was ever
# freed, of pieces up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). This one is never touched.
np.empty(33 * 10**6, np.uint8)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array that begins at a cache line: vectors across two lines cost twice."""
    kind = np.dtype(dtype)
    spare = _LINE_BYTES // kind.itemsize
    size = math.prod(shape)
    buffer = np.empty(size + spare, kind)
    first = -buffer.ctypes.data % _LINE_BYTES // kind.itemsize
    return buffer[first : first + size].reshape(shape)
