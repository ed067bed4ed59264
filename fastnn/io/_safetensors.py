"""Networks in ``.safetensors`` files: a header of JSON, and then the arrays.

The format is so small that it is read here, without the library of that name: what a header says
would have to be compared with the size of the file in any case.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import atomic_write, require_file_place
from fastnn.io._archive import LONGEST_TEXT, RefusalError, one_line_errors, short
from fastnn.io._names import read_layers
from fastnn.io._npy import StoredArray
from fastnn.io._parameters import ACTIVATION, OUT_IN, Saved, arrays_of
from fastnn.networks import MLP

SUFFIXES = (".safetensors",)
require_place = require_file_place

_EXPECTED = "a .safetensors file"
_NOTES = "__metadata__"
_BFLOAT16 = "BF16"  # not a type of NumPy: the upper half of a float32
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    _BFLOAT16: "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_LENGTH = 8  # bytes of the number that a file begins with: the length of its header
_ALIGNMENT = 8  # of the arrays in a file


class _Entry(NamedTuple):
    """Where an array lies in a file."""

    kind: str
    shape: tuple[int, ...]
    start: int

    def read(self, path: Path) -> NDArray[Any]:
        """Return the array."""
        with one_line_errors(path, _EXPECTED):
            count = math.prod(self.shape)
            array = np.fromfile(path, _DTYPES[self.kind], count, offset=self.start)
            if self.kind == _BFLOAT16:
                array = (array.astype(np.uint32) << 16).view(np.float32)
            return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(self.shape)

    def header(self, path: Path) -> StoredArray:
        """Return the array as one that is not read yet."""
        dtype = np.dtype(np.float32 if self.kind == _BFLOAT16 else _DTYPES[self.kind])
        read = functools.partial(self.read, path)
        return StoredArray(self.shape, dtype.newbyteorder("="), read)


def recognises(start: bytes, members: Collection[str]) -> bool:
    """Return whether a file that begins so is of this format."""
    length = int.from_bytes(start[:_LENGTH], "little")
    return start[_LENGTH : _LENGTH + 1] == b"{" and 1 < length < 2**40


def read(path: Path) -> Saved:
    """Return the parameters, and the activation if it was saved."""
    with one_line_errors(path, _EXPECTED):
        entries, notes = _entries_in(path)
    arrays = {name: functools.partial(one.header, path) for name, one in entries.items()}
    saved = read_layers(path, arrays, all_of_them=True)
    usual = OUT_IN if notes.get("format") == "pt" else None
    return saved._replace(activation=notes.get(ACTIVATION), usual_layout=usual)


def write(net: MLP, path: Path) -> None:
    """Write a network as PyTorch has it; the old file is replaced when the new one is complete."""
    arrays = arrays_of(net, OUT_IN)
    header: dict[str, Any] = {_NOTES: {"format": "pt", ACTIVATION: net.activation}}
    start = 0
    for name, array in arrays.items():
        place = [start, start + array.nbytes]
        kind = f"F{8 * array.itemsize}"
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": place}
        start += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(_LENGTH, "little") + text)
        for array in arrays.values():
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            file.write(little.reshape(-1).view(np.uint8).data)


def _entries_in(path: Path) -> tuple[dict[str, _Entry], dict[str, str]]:
    """Return where the arrays of a file lie, and what is noted beside them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length > LONGEST_TEXT:
            raise RefusalError(f"has a header of {length:,} bytes")
        header = json.loads(file.read(length).decode(), object_pairs_hook=_without_doubles)
    notes = header.pop(_NOTES, {})
    if not all(type(word) is str for word in notes.values()):
        raise RefusalError("is truncated or damaged")
    start = _LENGTH + length
    entries = {name: _entry(one, start, size) for name, one in header.items()}
    total = sum(
        math.prod(one.shape) * np.dtype(_DTYPES[one.kind]).itemsize for one in entries.values()
    )
    if total > size - start:  # arrays that share bytes could announce many times the size
        raise RefusalError("is truncated or damaged")
    return entries, notes


def _entry(given: dict[str, Any], start: int, size: int) -> _Entry:
    """Return where an array lies; the file has all of it."""
    kind, shape, (first, end) = given["dtype"], given["shape"], given["data_offsets"]
    if kind not in _DTYPES:
        raise RefusalError(f"has an array of type {short(kind)}")
    if not all(type(number) is int and number >= 0 for number in (*shape, first, end)):
        raise RefusalError("is truncated or damaged")
    if end - first != math.prod(shape) * np.dtype(_DTYPES[kind]).itemsize or start + end > size:
        raise RefusalError("is truncated or damaged")
    return _Entry(kind, tuple(shape), start + first)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a name that is there twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusalError("has two entries of the same name")
    return found
