"""Errors that name a row, so that the number can become that of the whole where a part was given.

Blocks of a large set go through functions that count from 0. `counted_from` adds the number of the
block's first row to what their errors say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

_PLACE = "_fastnn_row"  # of an exception: the message before the row, the row, the message after it


def row_error(kind: type[Exception], before: str, row: int, after: str) -> Exception:
    """Return an exception with the message ``before + row + after``."""
    error = kind(f"{before}{row}{after}")
    error.__dict__[_PLACE] = before, int(row), after
    return error


@contextlib.contextmanager
def counted_from(first: int) -> Iterator[None]:
    """Have errors of the block name rows as they are counted from `first`."""
    try:
        yield
    except Exception as error:
        move = getattr(error, "_counted_from", None)
        if move is not None:
            raise move(first) from None
        place = error.__dict__.get(_PLACE)
        if place is None or not first:
            raise
        before, row, after = place
        raise row_error(type(error), before, first + row, after) from None
