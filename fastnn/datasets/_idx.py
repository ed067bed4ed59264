"""Read IDX files, the format of MNIST: bytes of any shape, raw or gzip, in blocks of rows."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnn.io._archive import DEFLATE_LIMIT

_DIMENSIONS = {"labels": 1, "images": 3}
_BYTES = 0x08  # the code of unsigned bytes in the magic number
_MOST_DIMENSIONS = 8
_BLOCK = 1 << 20  # bytes, unless a row is larger
_GZIP = b"\x1f\x8b"

Blocks = Iterator[NDArray[np.uint8]]


def is_idx(start: bytes) -> bool:
    """Return whether a file that begins so, when unpacked, is IDX: two zeros, type, dimensions."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] != 0 and 0 < start[3] <= 8


@contextlib.contextmanager
def open_idx(path: Path, kind: str | None = None) -> Iterator[tuple[tuple[int, ...], Blocks]]:
    """Open an IDX file of "images", of "labels" or of any kind: the shape, and blocks of rows.

    The content decides whether the file is compressed, not the name, as browsers unpack downloads.

    Raises
    ------
    ValueError
        The file is truncated or damaged, is of another kind, holds other types than unsigned bytes,
        or announces more than it can hold.
    """
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        file: BinaryIO = raw
        limit = os.fstat(raw.fileno()).st_size
        if packed:
            file = stack.enter_context(gzip.GzipFile(fileobj=raw))  # type: ignore[assignment]
            limit *= DEFLATE_LIMIT
        shape = _read_shape(file, path, kind)
        size = 4 + 4 * len(shape) + math.prod(shape)
        # Checked before memory is allocated: a damaged header may announce any size.
        if size > limit:
            found = "" if packed else f", found {limit:,}"
            what = f"{shape[0]:,} {kind or 'rows'}"
            raise ValueError(f"{path} is truncated: {what} take {size:,} bytes{found}")
        yield shape, _blocks(file, path, shape)


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked if it is gzip; none if it is damaged."""
    with path.open("rb") as raw:
        start = raw.read(8)
        if not start.startswith(_GZIP):
            return start
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                return file.read(8)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b""


def _read_shape(file: BinaryIO, path: Path, kind: str | None) -> tuple[int, ...]:
    """Return the shape after checking the magic number."""
    magic = struct.unpack(">I", _read(file, 4, path))[0]
    names = {(_BYTES << 8) + n: name for name, n in _DIMENSIONS.items()}
    if kind is not None and names.get(magic) != kind:
        expected = (_BYTES << 8) + _DIMENSIONS[kind]
        meaning = f" ({names[magic]})" if magic in names else ""
        raise ValueError(
            f"{path} has magic number {magic}{meaning}, expected {expected} (IDX {kind})"
        )
    if magic >> 8 != _BYTES or not 0 < magic & 0xFF <= _MOST_DIMENSIONS:
        raise ValueError(f"{path} has magic number {magic}, expected IDX of unsigned bytes")
    dimensions = magic & 0xFF
    return struct.unpack(f">{dimensions}I", _read(file, 4 * dimensions, path))


def _blocks(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> Blocks:
    """Yield the rows, some at a time, and check that nothing follows the last."""
    count, *item = shape
    width = math.prod(item)
    height = max(1, _BLOCK // max(width, 1))
    for start in range(0, count, height):
        rows = min(height, count - start)
        content = _read(file, rows * width, path)
        yield np.frombuffer(content, np.uint8).reshape(rows, *item)
    if _read(file, 1, path, exactly=False):
        raise ValueError(
            f"{path} is too long: there is data after the {count:,} rows in its header"
        )


def _read(file: BinaryIO, size: int, path: Path, *, exactly: bool = True) -> bytes:
    """Read `size` bytes; ValueError if the file is truncated or damaged."""
    try:
        content = file.read(size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged, expected a whole gzip file") from error
    if exactly and len(content) < size:
        raise ValueError(f"{path} is truncated: expected {size:,} more bytes, found {len(content)}")
    return content
