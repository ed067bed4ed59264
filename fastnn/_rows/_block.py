"""Some neighbouring rows, which are read when they are needed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
T = TypeVar("T")

_MOST_BYTES = 1 << 24
_MOST_ROWS = 5120
_STEP = 1280  # rows of four of the largest tiles, so that two and four threads have as much to do


class Later(NamedTuple):
    """Some rows of anything that can be sliced, to be read when they are needed."""

    array: Any
    first: int
    stop: int

    def read(self) -> Array:
        """Return the rows."""
        return np.asarray(self.array[self.first : self.stop])


class InFile(NamedTuple):
    """Some rows in a file, to be read when they are needed, perhaps by another process.

    They are read and not mapped: pages of a map would count as memory of the process, and a file
    that has shrunk would end it.
    """

    path: str
    offset: int
    rows: int
    row: tuple[int, ...]  # the shape of one, empty for labels
    dtype: str
    stamp: tuple[int, int]  # of the file: its size, and when it was last changed

    def read(self) -> Array:
        """Return the rows.

        Raises
        ------
        OSError
            The file cannot be read, or is shorter than it was.
        """
        out = np.empty((self.rows, *self.row), self.dtype)
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - as fast for a string
            file.seek(self.offset)
            view, done = memoryview(cast(Any, out.reshape(-1).view(np.uint8))), 0
            while done < len(view):
                count = file.readinto(view[done:])
                if not count:
                    raise OSError(f"{self.path}: the file ends in the middle of the rows")
                done += count
        return out

    def some(self, first: int, stop: int) -> InFile:
        """Return some of the rows."""
        row_bytes = math.prod(self.row) * np.dtype(self.dtype).itemsize
        return self._replace(offset=self.offset + first * row_bytes, rows=stop - first)

    def is_here(self) -> bool:
        """Say whether this machine has the file, as large and as old as where it was named."""
        try:
            return stamp_of(self.path) == self.stamp
        except OSError:
            return False


class Block(NamedTuple):
    """Some neighbouring rows with what belongs to them.

    Attributes
    ----------
    number, first : int
        Of the block, and of its first row in the whole.
    x : ndarray, shape (n, D), or Later or InFile
    labels : ndarray, or Later or InFile, or None
    """

    number: int
    first: int
    x: Any
    labels: Any = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        if isinstance(self.x, Later):
            return self.x.stop - self.x.first
        return self.x.rows if isinstance(self.x, InFile) else len(self.x)

    def read(self) -> Block:
        """Return the block with its rows and labels in memory."""
        return self._replace(x=_read(self.x), labels=_read(self.labels))


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator yields, which a thread fetches while the one before is in use."""
    with ThreadPoolExecutor(1, "fastnn reader") as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item


def height_of(row_bytes: int) -> int:
    """Return how many rows of so many bytes a block has."""
    rows = min(_MOST_ROWS, _MOST_BYTES // max(1, row_bytes))
    return rows - rows % _STEP if rows >= _STEP else max(1, rows)


def stamp_of(path: str) -> tuple[int, int]:
    """Return the size of a file, and when it was last changed."""
    status = os.stat(path)  # noqa: PTH116 - a string
    return status.st_size, status.st_mtime_ns


def _read(value: Any) -> Any:
    """Return what is to be read later, or the value itself."""
    return value.read() if isinstance(value, (Later, InFile)) else value
