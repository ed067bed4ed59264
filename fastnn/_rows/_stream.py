"""Rows from an iterator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._rows._block import Block, Later, height_of

Array = NDArray[Any]


class Stream:
    """Rows from an iterator of arrays, or of pairs of arrays and labels, cut into new blocks."""

    def __init__(
        self, items: Iterator[Any], labels: Any = None, *, pairs: bool, name: str = "x"
    ) -> None:
        self.rows: int | None = None
        self.height: int | None = None
        self._items, self._labels, self._pairs, self._name = items, labels, pairs, name

    def words(self) -> str:
        """Return what is known before the rows are read."""
        return "an iterator"

    def digested(self) -> None:
        """Return None: what is read once has no digest."""

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks."""
        number = first = 0
        for x, labels in self._cut():
            given = self._labels
            if given is not None and len(given) < first + len(x):
                raise ValueError(
                    f"labels must have one entry a row: {first + len(x)} rows or more, "
                    f"{len(given)} labels"
                )
            here = labels if given is None else Later(given, first, first + len(x))
            yield Block(number, first, x, here)
            number, first = number + 1, first + len(x)
        if self._labels is not None and len(self._labels) != first:
            raise ValueError(
                f"labels must have one entry a row: {first} rows, {len(self._labels)} labels"
            )

    def _cut(self) -> Iterator[tuple[Array, Array | None]]:
        """Yield inputs and labels in blocks of the same height, but for the last."""
        kept: list[tuple[Array, Array | None]] = []
        size, height, first = 0, 0, 0
        for item in self._items:
            x, labels = self._checked(item, first)
            if not height:
                kind, width = x.dtype, x.shape[1]
                height = height_of(width * kind.itemsize)
            elif (x.dtype, x.shape[1]) != (kind, width):
                raise ValueError(
                    f"{self._name} has blocks of {width} columns of {kind}, but from row {first} "
                    f"on {x.shape[1]} of {x.dtype}"
                )
            first += len(x)
            while size + len(x) >= height:
                some = height - size
                yield _joined([*kept, (x[:some], None if labels is None else labels[:some])])
                x, labels = x[some:], None if labels is None else labels[some:]
                kept, size = [], 0
            # Copied, as an iterator may fill the same array again.
            kept.append((x.copy(), None if labels is None else labels.copy()))
            size += len(x)
        if size:
            yield _joined(kept)

    def _checked(self, item: Any, first: int) -> tuple[Array, Array | None]:
        """Return inputs (n, D) and labels of one item."""
        labels = None
        if self._pairs:
            if not (isinstance(item, (tuple, list)) and len(item) == 2):
                raise TypeError(
                    f"the iterator must yield pairs (x, labels), got {type(item).__name__} at row "
                    f"{first}"
                )
            item, labels = item[0], np.asarray(item[1])
        x = np.asarray(item)
        if x.ndim != 2 or (labels is not None and (not labels.ndim or len(labels) != len(x))):
            found = "" if labels is None else f" and labels {labels.shape}"
            raise ValueError(
                f"the iterator must yield inputs (n, D) with a label for each, got {x.shape}"
                f"{found} at row {first}"
            )
        return x, labels


def _joined(parts: list[tuple[Array, Array | None]]) -> tuple[Array, Array | None]:
    """Return inputs and labels of several parts as one, always in new arrays."""
    labels = [part for _, part in parts if part is not None]
    return np.concatenate([x for x, _ in parts]), np.concatenate(labels) if labels else None
