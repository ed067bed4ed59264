"""Whether a PNG file is whole: Pillow makes pictures of files that end too early."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from fastnn.io._archive import RefusalError

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # numbers in a pixel, by the type of colour
_PALETTE = 3
# An interlaced picture has seven smaller ones: their first column and row, and their steps.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def require_whole(content: bytes) -> None:
    """Raise unless all chunks of a PNG file are there, as written, and hold all rows of pixels.

    The size in its header must have been compared with that of the file. Takes as much memory as
    the pixels. ISO/IEC 15948, sections 5, 7 and 8.

    Raises
    ------
    RefusalError
        The file is truncated or damaged.
    struct.error, KeyError, zlib.error
        So damaged that it is no PNG file.
    """
    header, packed, has_palette = b"", [], False
    for kind, data in _chunks(content):  # of millions of chunks, only those of pixels are kept
        header = header or data
        has_palette = has_palette or kind == b"PLTE"
        if kind == b"IDAT":
            packed.append(data)
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    pixel = bits * _SAMPLES[colour]
    size = sum(
        rows * (1 + -(-columns * pixel // 8))  # a byte for the filter of each row
        for columns, rows in _parts(width, height, interlaced)
    )
    stream = zlib.decompressobj()
    found = len(stream.decompress(b"".join(packed), size + 1))
    ends = stream.eof or found > size
    if found < size or not ends or (colour == _PALETTE and not has_palette):
        raise RefusalError("is truncated or damaged")


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of every chunk, the last one of which must be IEND."""
    kind, at = b"", 8
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        (expected,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(memoryview(content)[at + 4 : end]) != expected:
            raise RefusalError("is truncated or damaged")
        yield kind, content[at + 8 : end]
        at = end + 4


def _parts(width: int, height: int, interlaced: int) -> Iterator[tuple[int, int]]:
    """Yield the columns and rows of the pictures whose pixels follow each other in a file."""
    if not interlaced:
        yield width, height
        return
    for x, y, across, down in _PASSES:
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns > 0:
            yield columns, max(rows, 0)
