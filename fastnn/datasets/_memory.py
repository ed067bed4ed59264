"""Inputs and labels in memory: arrays, tensors, frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.datasets._tables import LABELS
from fastnn.io._archive import short


class Found(NamedTuple):
    """Inputs and labels as they were found; `where` is for messages, `names` are of columns."""

    x: Any
    labels: Any
    title: str | Callable[[NDArray[np.int64]], str]
    where: str = ""
    names: Sequence[str] = ()
    classes: tuple[str, ...] = ()  # if the labels are positions in them


def from_memory(data: Any, labels: Any) -> Found:
    """Return what an array, a tensor or a frame holds."""
    if hasattr(data, "columns") and hasattr(data, "__array__"):
        return _from_frame(data, labels)
    if labels is None:
        raise ValueError("labels are missing: load_data(x, labels)")
    return Found(data, labels, "array")


def _from_frame(frame: Any, labels: Any) -> Found:
    """Return what a frame of pandas or polars holds; `labels` are a column, or values."""
    columns = list(frame.columns)
    if labels is None or isinstance(labels, (str, int)):
        column = _label_column(columns, labels)
        values, columns = frame[column], [name for name in columns if name != column]
    else:
        values = labels
    if not columns:
        raise ValueError("the frame has no columns of inputs")
    for name in columns:
        if np.asarray(frame[name]).dtype.kind not in "fiub":
            raise TypeError(
                f"column {short(name)} is {frame[name].dtype}, expected numbers, none missing"
            )
    return Found(np.asarray(frame[columns]), np.asarray(values), "frame", names=columns)


def _label_column(columns: list[Any], labels: Any) -> Any:
    """Return the name of the column of labels of a frame."""
    if labels is None:
        usual = [one for one in columns if str(one).lower() in LABELS]
        return (usual or columns[-1:])[0]
    if labels in columns:
        return labels
    found = ", ".join(map(short, columns[:8])) + (", ..." if len(columns) > 8 else "")
    raise ValueError(f"the frame has no column {short(labels)}; its columns are {found}")
