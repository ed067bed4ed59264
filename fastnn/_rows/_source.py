"""Rows that can be sliced: memory maps, datasets, arrays of other libraries, arrays in memory."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._rows._block import Block, InFile, Later, height_of, stamp_of

Array = NDArray[Any]

_ONLY_READ = ("r", "r+", "w+")  # modes in which a memory map shows what is in its file


class Source:
    """Rows that can be sliced, and perhaps labels of them.

    Attributes
    ----------
    rows : int
    height : int or None
        Rows of a block; None where the chunks of a `dask.array` say how many.
    """

    def __init__(self, x: Any, labels: Any = None, *, name: str = "x") -> None:
        if len(x.shape) != 2:
            width = math.prod(x.shape[1:])
            raise ValueError(
                f"{name} must have shape (N, D), got {x.shape}; use {name}.reshape(N, {width})"
            )
        if math.isnan(x.shape[0]):
            raise ValueError(f"{name} has chunks of unknown size: {name}.compute_chunk_sizes()")
        self.x, self.labels = x, labels
        self.rows = int(x.shape[0])
        if labels is not None and labels.shape[0] != self.rows:
            raise ValueError(
                f"labels must have one entry a row: {self.rows} rows, {labels.shape[0]} labels"
            )
        height = height_of(int(x.shape[1]) * np.dtype(x.dtype).itemsize)
        self.height: int | None = height
        self._file, self._label_file = _in_file(x), _in_file(labels)
        self._edges = _edges(x, self.rows, height)
        if hasattr(x, "dask"):
            self.height = None

    def words(self) -> str:
        """Return size, type and blocks in words, which differ where the blocks do."""
        text = f"{self.rows} rows of {self.shape[1]} {self.dtype}, {len(self._edges)} blocks"
        return text if self.height is not None else f"{text} of {self.x.chunks[0]}"

    def digested(self) -> Source | None:
        """Return what digests of the inputs are made from: something like an array of them.

        None for chunks that may be on other machines, which to hash would bring here.
        """
        return None if self.height is None else self

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows."""
        kind: np.dtype[Any] = np.dtype(self.x.dtype)
        return kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return tuple(self.x.shape)

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __getitem__(self, some: slice) -> Array:
        rows: Array = self.some(*some.indices(len(self))[:2]).read()
        return rows

    def some(self, first: int, stop: int) -> Any:
        """Return rows to be read later."""
        return _some(self.x, self._file, first, stop)

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks, not read yet."""
        for number, edges in enumerate(self._edges):
            yield self.block(*edges)._replace(number=number)

    def block(self, first: int, stop: int) -> Block:
        """Return some rows with their labels, not read yet."""
        labels = None
        if self.labels is not None:
            labels = _some(self.labels, self._label_file, first, stop)
        return Block(0, first, self.some(first, stop), labels)


def map_of(array: Array) -> mmap.mmap | None:
    """Return the memory map that an array is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _edges(x: Any, rows: int, height: int) -> list[tuple[int, int]]:
    """Return where each block begins and ends."""
    chunks = (rows,)
    if hasattr(x, "dask"):
        chunks = x.chunks[0]
    edges, begin = [], 0
    for size in chunks:
        edges += [(a, min(a + height, begin + size)) for a in range(begin, begin + size, height)]
        begin += size
    return edges or [(0, 0)]


def _in_file(x: Any) -> InFile | None:
    """Return where the rows of a memory map are in its file; None where they are not together."""
    mapped = map_of(x) if isinstance(x, np.memmap) else None
    if mapped is None or x.filename is None or x.mode not in _ONLY_READ or not x.flags.c_contiguous:
        return None
    begin = np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
    skipped = x.__array_interface__["data"][0] - begin
    start = x.offset - x.offset % mmap.ALLOCATIONGRANULARITY  # where the map begins
    path = str(Path(x.filename).resolve())
    try:
        stamp = stamp_of(path)
        file = InFile(path, start + skipped, len(x), x.shape[1:], x.dtype.str, stamp)
        return file if _shows(x, file) else None
    except OSError:  # the map outlives its file
        return None


def _shows(x: Any, file: InFile) -> bool:
    """Say whether a map shows its file, and not one that has lost its name to another since."""
    if file.offset + x.nbytes > file.stamp[0]:
        return True  # to look at a part of the map that the file has lost would end the process
    return all(
        x[k : k + 1].tobytes() == file.some(k, k + 1).read().tobytes()
        for k in {0, len(x) // 2, len(x) - 1}
    )


def _some(array: Any, file: InFile | None, first: int, stop: int) -> Later | InFile:
    """Return some rows to be read later: from the file, if all are in one."""
    return Later(array, first, stop) if file is None else file.some(first, stop)
