"""Zip archives whose members cannot announce more than the file holds, and errors of one line."""

from __future__ import annotations

import contextlib
import errno
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

LONGEST_TEXT = 1 << 20  # bytes that describe a network; a layer takes some hundred
MOST_SHARED = 4  # times the size of a file that arrays may have together if they share bytes
DEFLATE_LIMIT = 1032  # deflate cannot shrink anything more than this
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_BLOCK = 1 << 20
_LONGEST_NAME = 40  # characters of a name from a file in a message

START = b"PK"


class RefusalError(Exception):
    """What is wrong with a file; `one_line_errors` adds its name and what was expected."""


def short(name: object) -> str:
    """Return a name from a file, short enough for a message of one line."""
    text = str(name)
    return repr(text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}...")


@contextlib.contextmanager
def one_line_errors(path: Path, expected: str) -> Iterator[None]:
    """Turn any error about a damaged file into one line that names the file."""
    try:
        yield
    except RefusalError as error:
        raise ValueError(f"{path} {error}, expected {expected}") from error.__cause__
    except MemoryError:  # the file really has that size
        raise
    except Exception as error:  # parsers raise a dozen types for a damaged file
        # EINVAL: a damaged archive points to before its own start.
        if isinstance(error, OSError) and error.errno not in {errno.EINVAL, None}:
            raise
        raise ValueError(f"{path} is truncated or damaged, expected {expected}") from error


@contextlib.contextmanager
def open_archive(path: Path, expected: str) -> Iterator[tuple[zipfile.ZipFile, list[Any]]]:
    """Open an archive; yield it and its members, whose sizes the file can hold."""
    with path.open("rb") as file:
        with one_line_errors(path, expected):
            archive = zipfile.ZipFile(file)
            members = _honest(archive.infolist(), os.fstat(file.fileno()).st_size)
        with archive:
            yield archive, members


def read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, start: int, size: int
) -> NDArray[np.uint8]:
    """Return `size` bytes of a member from `start` on, which must be all that it has there."""
    if size != member.file_size - start:
        raise RefusalError("is truncated or damaged")
    with archive.open(member) as file:
        file.read(start)
        content = np.empty(size, np.uint8)
        for first in range(0, size, _BLOCK):
            block = content[first : first + _BLOCK]
            if cast(Any, file).readinto(block.data) != len(block):
                raise RefusalError("is truncated or damaged")
    return content


def read_stored(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int | None = None
) -> NDArray[np.uint8]:
    """Return all of a member that is not compressed and, if given, has so many bytes."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise RefusalError(f"has a compressed member {short(member.filename)}")
    return read_member(archive, member, 0, member.file_size if size is None else size)


def read_text(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return all of a short member that is not compressed."""
    if member.file_size > LONGEST_TEXT:
        raise RefusalError(f"has more than {LONGEST_TEXT:,} bytes in {short(member.filename)}")
    return read_stored(archive, member).tobytes()


def _honest(members: list[zipfile.ZipInfo], size: int) -> list[zipfile.ZipInfo]:
    """Return the members after checking what they announce in an archive of `size` bytes."""
    for member in members:
        compressed, stored = member.compress_size, member.compress_type == zipfile.ZIP_STORED
        limit = compressed if stored else compressed * DEFLATE_LIMIT
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
            raise RefusalError("is encrypted, or compressed in an unusual way")
        if member.file_size > limit:
            raise RefusalError("is truncated or damaged")
    # Members that share bytes could announce many times the size of the file.
    if sum(member.compress_size for member in members) > size:
        raise RefusalError("is truncated or damaged")
    return members
