"""Read tables of text (CSV): a sample a line, one of its columns the label.

Lines are read some at a time, so that memory holds the result and one block of text. Numpy parses
the numbers; only a block with an error is read again, cell by cell, to name its line and column.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _units
from fastnn.io._archive import short

LABELS = ("label", "labels", "class", "target", "y", "species")  # names of a column of labels
LONGEST_LINE = 1 << 24  # bytes
MOST_COLUMNS = 1 << 20  # as many as a picture of 1024 x 1024 has pixels
_SEPARATORS = ",;\t"
_BLOCK = 1 << 22  # bytes of text at a time, unless a line is longer
_LONGEST_NAME = 100  # characters of a class
_BOM = b"\xef\xbb\xbf"


class Table(NamedTuple):
    """The columns of a file: `x` (N, D), `labels` (N,) as numbers or as text."""

    x: NDArray[Any]
    labels: NDArray[Any]


class _Form(NamedTuple):
    """How the lines of a file are read: what separates cells, and which column is the label."""

    path: Path
    separator: str
    names: list[str]  # of the columns; empty if the file names none
    columns: int
    label: int
    text: bool  # whether labels are words

    def column(self, k: int) -> str:
        """Return what column `k` is called in a message."""
        return f"column {k + 1}" + (f" ({short(self.names[k])})" if self.names else "")


def read_table(path: Path, labels: str | int | None = None) -> Table:
    """Read a table of numbers with one column of labels.

    Parameters
    ----------
    path : Path
    labels : str or int, optional
        Name or position of the column of labels. Default: a column of a name in `LABELS`, else the
        last.

    Returns
    -------
    Table
        Inputs are uint8 if they look like pixels of 0 to 255, else float64.

    Raises
    ------
    ValueError
        The file is empty, no text in UTF-8, has lines or columns beyond the limits, has another
        number of cells in a line than in the first, or a cell that is no finite number. The message
        names line and column.
    """
    with path.open("rb") as file:
        blocks = _text(file, path)
        lines = next(blocks, [])
        if not lines:
            raise ValueError(f"{path} is empty, expected a table of numbers")
        form, skipped = _form(path, lines, labels)
        xs, ys = [], []
        for some in _chained(lines[skipped:], blocks):
            x, y = _parsed(form, some)
            xs.append(x)
            ys.append(y)
    if not xs:
        raise ValueError(f"{path} has names of columns and no lines below them")
    return Table(_joined(xs), np.concatenate(ys))


def read_column(path: Path) -> NDArray[Any]:
    """Read labels, one a line: whole numbers or words; errors as for `read_table`."""
    words: list[str] = []
    with path.open("rb") as file:
        for lines in _text(file, path):
            for number, line in lines:
                word = line.strip().strip('"')
                if len(word) > _LONGEST_NAME:
                    raise ValueError(
                        f"{path}, line {number}: expected one label, got {short(word)}"
                    )
                words.append(word)
    if words and words[0].lower() in LABELS:
        del words[0]
    if not words:
        raise ValueError(f"{path} is empty, expected a label in each line")
    return np.array(words)


_Line = tuple[int, str]


def _text(file: Any, path: Path) -> Iterator[list[_Line]]:
    """Yield blocks of lines that are not blank, with their numbers."""
    block: list[_Line] = []
    size, number = 0, 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ValueError(f"{path}, line {number}: it has more than {LONGEST_LINE:,} bytes")
        try:
            text = line.removeprefix(_BOM if number == 1 else b"").decode()
        except UnicodeDecodeError:
            raise ValueError(f"{path}, line {number}: it is no text in UTF-8") from None
        if "\0" in text:
            raise ValueError(f"{path}, line {number}: it is no text, it has a byte of 0")
        if not text.strip():
            continue
        block.append((number, text.rstrip("\r\n")))
        size += len(line)
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _chained(first: list[_Line], rest: Iterator[list[_Line]]) -> Iterator[list[_Line]]:
    """Yield the first block, unless it is empty, and the others."""
    if first:
        yield first
    yield from rest


def _form(path: Path, lines: list[_Line], labels: str | int | None) -> tuple[_Form, int]:
    """Return how a file is to be read, from its first lines, and how many of them are names."""
    number, first = lines[0]
    separator = max(_SEPARATORS, key=first.count)
    columns = first.count(separator) + 1
    if columns > MOST_COLUMNS:
        raise ValueError(f"{path}, line {number}: {columns:,} columns, at most {MOST_COLUMNS:,}")
    cells = _cells(path, number, first, separator)
    if len(cells) < 2:
        raise ValueError(
            f"{path}, line {number}: one column, expected inputs and a label, separated by a comma,"
            " a semicolon or a tab"
        )
    names = [cell.strip() for cell in cells] if _is_header(cells) else []
    if "" in names:
        raise ValueError(
            f"{path}: column {names.index('') + 1} has no name, as an index that pandas writes; "
            "write the table without it (index=False)"
        )
    label = _label_column(path, names, len(cells), labels)
    sample = lines[1] if names and len(lines) > 1 else lines[0]
    of_sample = _cells(path, *sample, separator)
    text = label < len(of_sample) and not _is_number(of_sample[label])
    return _Form(path, separator, names, len(cells), label, text), bool(names)


def _is_header(cells: list[str]) -> bool:
    """Return whether the cells of the first line are names of columns.

    A line of numbers with one word is a sample with the name of its class, unless the word is a
    usual name of a column of labels, or the numbers only count the columns.
    """
    words = [cell.strip() for cell in cells if not _is_number(cell)]
    if len(words) != 1:
        return bool(words)
    counted = [cell.strip() for cell in cells if _is_number(cell)]
    in_order = [[str(k + first) for k in range(len(counted))] for first in (0, 1)]
    return words[0].lower() in LABELS or counted in in_order


def _label_column(path: Path, names: list[str], columns: int, labels: str | int | None) -> int:
    """Return the position of the column of labels."""
    if labels is None:
        usual = [k for k, name in enumerate(names) if name.lower() in LABELS]
        return usual[0] if usual else columns - 1
    if labels in names:
        return names.index(str(labels))
    with contextlib.suppress(ValueError):
        if -columns <= int(labels) < columns:
            return int(labels) % columns
    found = ", ".join(map(short, names[:8])) + (", ..." if len(names) > 8 else "")
    raise ValueError(
        f"{path} has no column {short(labels)}; its columns are "
        + (found or f"0 to {columns - 1}, and have no names")
    )


def _parsed(form: _Form, lines: list[_Line]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return inputs (n, D), as uint8 if they all are whole and from 0 to 255, and labels (n,)."""
    for number, line in lines:
        count = line.count(form.separator) + 1
        if '"' in line:
            count = len(_cells(form.path, number, line, form.separator))
        if count != form.columns:
            raise ValueError(
                f"{form.path}, line {number}: {count:,} columns, but {form.columns:,} in the first"
            )
    text = [line for _, line in lines]
    others = [k for k in range(form.columns) if k != form.label]
    try:
        if form.text:
            labels = _numbers(text, form, f"U{_LONGEST_NAME + 1}", [form.label])[:, 0]
            x = _numbers(text, form, np.float64, others)
        else:
            every = _numbers(text, form, np.float64, None)
            x, labels = every[:, others], every[:, form.label]
    except ValueError as error:
        raise _first_error(form, lines) from error
    if not np.isfinite(x).all():
        raise _first_error(form, lines)
    if form.text and (np.char.str_len(labels) > _LONGEST_NAME).any():
        row = int(np.argmax(np.char.str_len(labels) > _LONGEST_NAME))
        raise ValueError(f"{form.path}, line {lines[row][0]}: label {short(labels[row])}")
    whole = (x >= 0) & (x <= 255) & (x == np.floor(x))
    return (x.astype(np.uint8) if whole.all() else x), labels


def _numbers(text: list[str], form: _Form, dtype: Any, columns: list[int] | None) -> NDArray[Any]:
    """Return some columns of lines."""
    return np.loadtxt(
        text,
        dtype,
        delimiter=form.separator,
        comments=None,
        quotechar='"',
        usecols=columns,
        ndmin=2,
    )


def _first_error(form: _Form, lines: list[_Line]) -> ValueError:
    """Return an error that names the first cell that is no finite number."""
    for number, line in lines:
        for k, cell in enumerate(_cells(form.path, number, line, form.separator)):
            if k == form.label and form.text:
                continue
            where = f"{form.path}, line {number}, {form.column(k)}"
            if not cell.strip():
                return ValueError(f"{where} is empty, expected a number")
            if not _is_number(cell):
                return ValueError(f"{where} is {short(cell)}, expected a number")
            if not np.isfinite(float(cell)):
                return ValueError(f"{where} is {cell.strip()}, expected a finite number")
    first, last = lines[0][0], lines[-1][0]
    return ValueError(f"{form.path}, lines {first} to {last}: expected numbers")


def _cells(path: Path, number: int, line: str, separator: str) -> list[str]:
    """Return the cells of a line; ValueError if it is no line of a table."""
    try:
        (cells,) = csv.reader([line], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}, line {number}: no line of a table ({error})") from None
    return cells


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number as numpy reads it."""
    with contextlib.suppress(ValueError):
        float(cell)
        return "_" not in cell
    return False


def _joined(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the rows of all blocks: uint8 if they look like pixels of 0 to 255, else float64."""
    if any(block.dtype != np.uint8 for block in blocks):
        return np.concatenate([block.astype(np.float64, copy=False) for block in blocks])
    rows = np.concatenate(blocks)
    wide = rows.astype(np.int16, copy=False)  # uint8 itself is pixels whatever it looks like
    return rows if _units.like_pixels(wide) else rows.astype(np.float64)
