"""Samples to train on that are outside of memory: read block by block, in a new order every epoch.

The rule: the rows are cut into runs of up to 512 neighbours, the runs are put into a random order,
and as many of them as fit into a group are read together. The rows of a group are put into a random
order and cut into batches; what is too little for a batch goes to the next group. A group has up to
20,480 rows and up to 64 MiB. So which rows form a batch follows from the generator and from the
size, width and type of the rows alone, never from the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks, _rows
from fastnn._engine.descent import Part, Samples
from fastnn._errors import counted_from
from fastnn.networks import MLP

Array = NDArray[Any]

_RUN = 512  # rows that are read at a place of the file
_GROUP = 20_480
_GROUP_BYTES = 1 << 26
_SOME = 1000  # samples by which a loss is estimated


class Shuffled:
    """Samples that are read block by block, checked against the widths of a network.

    Parameters
    ----------
    source : Source
    sizes : sequence of int
    dtype : dtype
        Of the network.
    name : str
        What messages call the inputs.
    """

    def __init__(
        self, source: _rows.Source, sizes: Sequence[int], dtype: np.dtype[Any], name: str
    ) -> None:
        self._source, self._sizes, self._dtype, self._name = source, sizes, dtype, name
        _checks.some_rows(range(len(source)), name)
        row_bytes = source.shape[1] * source.dtype.itemsize
        self._group = max(1, min(_GROUP, _GROUP_BYTES // row_bytes) // _RUN)

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[tuple[Array, NDArray[np.int64]]]:
        """Yield inputs and labels of all samples, in their order."""
        for block in _rows.ahead(block.read() for block in self._source.blocks()):
            yield self._checked(block)

    def some(self, most: int) -> tuple[Array, NDArray[np.int64]]:
        """Return up to `most` samples, from the first block."""
        block = next(self._source.blocks()).read()
        x, labels = self._checked(block)
        return x[:most], labels[:most]

    def parts(self, generator: np.random.Generator, batch: int) -> Iterator[Part]:
        """Yield all samples once, in groups with an order of their own."""
        starts = generator.permutation(-(-len(self) // _RUN)) * _RUN
        groups = [starts[i : i + self._group] for i in range(0, len(starts), self._group)]
        read = _rows.ahead(self._read(group) for group in groups)
        kept: Part | None = None
        for k, part in enumerate(read):
            whole = part if kept is None else _joined(kept, part)
            order = generator.permutation(len(whole.x))
            last = k == len(groups) - 1
            usable = len(order) if last else len(order) - len(order) % batch
            if usable:
                yield whole._replace(order=order[:usable])
            kept = _some(whole, order[usable:])

    def _read(self, starts: Array) -> Part:
        """Return the runs that begin at these rows."""
        parts = []
        for first in starts:
            stop = min(int(first) + _RUN, len(self))
            x, labels = self._checked(self._source.block(int(first), stop).read())
            parts.append(Part(x, labels, None, np.arange(first, stop)))
        return _joined(*parts)

    def _checked(self, block: _rows.Block) -> tuple[Array, NDArray[np.int64]]:
        """Return inputs and labels of a block, after checks."""
        with counted_from(block.first):
            x = _checks.inputs(block.x, self._sizes[0], self._dtype, name=self._name)
            return x, _checks.labels(block.labels, len(x), self._sizes[-1])


def taken(x: Any, labels: Any, net: MLP, name: str) -> Samples | Shuffled:
    """Return samples after checks; those outside of memory are checked as they are read."""
    source = _rows.samples_of(x, labels)
    if source is None:
        return _checks.samples(x, labels, net.sizes, net.dtype, name=name)
    if isinstance(source, _rows.Stream):
        raise TypeError(f"{name} is an iterator, which can be read once; every epoch reads it")
    return Shuffled(source, net.sizes, net.dtype, name)


def count_of(samples: Samples | Shuffled) -> int:
    """Return the number of samples."""
    return len(samples) if isinstance(samples, Shuffled) else len(samples[0])


def like_of(samples: Samples | Shuffled) -> NDArray[Any]:
    """Return the inputs, or some of those outside of memory."""
    return samples.some(_SOME)[0] if isinstance(samples, Shuffled) else samples[0]


def some_of(samples: Samples | Shuffled) -> Samples:
    """Return some hundred of the samples: from all parts of the set, or of its first block."""
    if isinstance(samples, Shuffled):
        return samples.some(_SOME)
    every = -(-len(samples[0]) // _SOME)
    return samples[0][::every], samples[1][::every]


def parts_of(
    samples: Samples | Shuffled, generator: np.random.Generator, batch: int
) -> Iterable[Part]:
    """Return the samples of an epoch in a new order: in one part, or in several."""
    if isinstance(samples, Shuffled):
        return samples.parts(generator, batch)
    return [Part(*samples, generator.permutation(len(samples[0])))]


def _joined(*parts: Part) -> Part:
    """Return several parts as one, without an order."""
    return Part(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.labels for part in parts]),
        None,
        np.concatenate([part.numbers for part in parts if part.numbers is not None]),
    )


def _some(part: Part, rows: Array) -> Part:
    """Return some rows of a part."""
    assert part.numbers is not None
    return Part(part.x[rows], part.labels[rows], None, part.numbers[rows])
