"""Which inputs are read in blocks, and which are in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._checks import array_of
from fastnn._rows._source import Source, map_of
from fastnn._rows._stream import Stream


def source_of(x: Any) -> Source | Stream | None:
    """Return what is read in blocks; None for what is in memory already, or a single sample.

    An array in a file, one of another library that is sliced as an ndarray is, and an iterator are
    read in blocks.
    """
    if type(x) is np.ndarray:
        return None
    if hasattr(x, "__next__"):
        return Stream(x, pairs=False)
    return Source(x) if _is_set(x) else None


def samples_of(x: Any, labels: Any, *, always: bool = False) -> Source | Stream | None:
    """Return inputs and labels that are read in blocks, as `source_of`.

    An iterator yields pairs (x, labels) unless there are labels. With `always`, inputs in memory
    are taken in blocks, too.
    """
    if type(x) is np.ndarray and not always:
        return None
    if labels is not None and not is_sliced(labels):
        labels = array_of(labels, "labels")
    if hasattr(x, "__next__"):
        return Stream(x, labels, pairs=labels is None)
    if not _is_set(x):
        if not always:
            return None
        x = array_of(x, "x")
    if labels is None:
        raise TypeError("labels are missing; only an iterator has them with the inputs")
    if len(x.shape) == 1:  # a single sample
        x, labels = x[None], np.atleast_1d(labels)
    return Source(x, labels)


def _is_set(x: Any) -> bool:
    """Say whether an array is sliced, and has more than a single sample."""
    return is_sliced(x) and len(x.shape) > 1


def is_sliced(value: Any) -> bool:
    """Say whether an array is outside of memory, or can be sliced only."""
    if isinstance(value, np.ndarray):
        return isinstance(value, np.memmap) and map_of(value) is not None
    of_memory = any(hasattr(value, name) for name in ("__dlpack__", "iloc"))
    kind = getattr(value, "dtype", None)
    return (
        isinstance(kind, np.dtype)
        and not of_memory
        and not isinstance(value, np.generic)
        and hasattr(value, "__getitem__")
        and hasattr(value, "shape")
    )
