"""Labels of any form: numbers, one-hot rows, names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.io._archive import short

_MOST_CLASSES = 2**31
_LARGEST_KEPT = 1 << 20  # characters of all names together


def numbered(values: Any, rows: int, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels as numbers, and the names of the classes, if they have names.

    Parameters
    ----------
    values : array-like, shape (rows,), (rows, 1) or (rows, C)
        Whole numbers of any type, one-hot rows, booleans, or words. Words that all are whole
        numbers are those numbers; others are sorted, and a label is a position in that order.
    rows : int
    name : str
        What the labels are called in messages.

    Raises
    ------
    TypeError, ValueError
        There are not as many as rows; one is missing, negative, or no whole number.
    """
    array = _checks.array_of(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "OUST" and array.ndim == 1:
        array, classes = _named(array, name)
        return _checks.labels(array, rows, _MOST_CLASSES, name=name), classes
    if array.dtype.kind == "b" and array.ndim == 1:
        array = array.astype(np.int64)
    if array.ndim == 1 and array.dtype.kind in "iuf" and (array < 0).any():
        row = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{row}] is {array[row]:g}, expected classes 0, 1, 2, ...")
    classes_of = array.shape[1] if array.ndim == 2 else _MOST_CLASSES
    return _checks.labels(array, rows, classes_of, name=name), ()


def _named(array: NDArray[Any], name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the labels of words, and the words, sorted; no words if they are numbers."""
    words = [_word(value, f"{name}[{row}]") for row, value in enumerate(array.tolist())]
    names = sorted(set(words))
    if sum(map(len, names)) > _LARGEST_KEPT:
        raise ValueError(f"{name} has {len(names):,} different names, expected some classes")
    if all(one.isascii() and one.isdecimal() and len(one) < 10 for one in names):
        return np.array([int(word) for word in words], np.int64), ()
    position = {one: k for k, one in enumerate(names)}
    return np.array([position[word] for word in words], np.int64), tuple(names)


def _word(value: Any, where: str) -> str:
    """Return the name of a class; a label that is missing is an error."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is {short(value)}, expected the name or number of a class")
    return value.strip()
