"""Rows that need not be in memory: files, arrays of other libraries, iterators; read in blocks.

A block is some thousand neighbouring rows. How many depends on the width and the type of the rows
alone (for a `dask.array` also on its chunks), so that results do not depend on who computes them.
"""

from fastnn._rows._block import Block, InFile, Later, ahead
from fastnn._rows._pick import is_sliced, samples_of, source_of
from fastnn._rows._source import Source
from fastnn._rows._stream import Stream

__all__ = [
    "Block",
    "InFile",
    "Later",
    "Source",
    "Stream",
    "ahead",
    "is_sliced",
    "samples_of",
    "source_of",
]
