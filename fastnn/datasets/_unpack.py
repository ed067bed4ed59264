"""Unpack the digits of EMNIST, and turn them, as they are published lying on their side."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastnn._runtime.files import atomic_write
from fastnn.datasets._named import DataSet
from fastnn.io._archive import RefusalError, one_line_errors, open_archive

_SIDE = 28
_BLOCK = 1000  # images
_EXPECTED = "the archive of EMNIST"
# Ends of the names in the archive, and the names in the folder, images last.
_KINDS = (("labels-idx1-ubyte", 2049), ("images-idx3-ubyte", 2051))
_SPLITS = ("train", "t10k")


def is_unpacked(found: DataSet, folder: Path) -> bool:
    """Return whether a folder has all files of a data set, in the sizes that they have."""
    return all(
        path.is_file() and path.stat().st_size == size for path, size in _targets(found, folder)
    )


def _targets(found: DataSet, folder: Path) -> list[tuple[Path, int]]:
    """Return the files that are unpacked, and their sizes."""
    return [
        (folder / f"{split}-{kind}", _size(magic, count))
        for split, count in zip(_SPLITS, found.counts, strict=True)
        for kind, magic in _KINDS
    ]


def _size(magic: int, count: int) -> int:
    """Return the size of an IDX file."""
    return 8 + count if magic == 2049 else 16 + count * _SIDE * _SIDE


def unpack(found: DataSet, archive: Path) -> None:
    """Write the files of a data set beside its archive.

    Raises
    ------
    ValueError
        The archive is damaged, lacks a file, or has one of another kind, number or shape.
    """
    with open_archive(archive, _EXPECTED) as (opened, members), one_line_errors(archive, _EXPECTED):
        by_name = {member.filename: member for member in members}
        for start, split, count in zip(found.unpacked, _SPLITS, found.counts, strict=True):
            for kind, magic in _KINDS:
                name = f"{start}{kind}.gz"
                if name not in by_name:
                    raise RefusalError(f"lacks {name}")
                with (
                    opened.open(by_name[name]) as packed,
                    gzip.GzipFile(fileobj=packed) as file,
                    atomic_write(archive.parent / f"{split}-{kind}") as out,
                ):
                    try:
                        _copy(file, out, name, magic, count)
                    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                        raise RefusalError(f"has a damaged {name}") from error


def _copy(file: Any, out: IO[bytes], name: str, magic: int, count: int) -> None:
    """Copy an IDX file whose header is known, images with rows and columns exchanged."""
    images = magic == 2051
    header = struct.pack(">II", magic, count) + (
        struct.pack(">II", _SIDE, _SIDE) if images else b""
    )
    if file.read(len(header)) != header:
        raise RefusalError(f"has other contents in {name}")
    out.write(header)
    width = _SIDE * _SIDE if images else 1
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        block = np.frombuffer(file.read(rows * width), np.uint8)
        if len(block) < rows * width:
            raise RefusalError(f"has a damaged {name}")
        if images:
            block = block.reshape(rows, _SIDE, _SIDE).transpose(0, 2, 1)
        out.write(np.ascontiguousarray(block).tobytes())
    if file.read(1):
        raise RefusalError(f"has other contents in {name}")
