"""Read NumPy files without pickles, and never allocate more than the file can hold.

The header of an array announces its size. Before memory is allocated, this size is compared with
the number of bytes that the file, or the member of an archive, can hold.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.io._archive import (
    START,
    RefusalError,
    one_line_errors,
    open_archive,
    read_member,
    short,
)

MAGIC = b"\x93NUMPY"
_EXPECTED_ARRAY, _EXPECTED_ARCHIVE = "a .npy array", "an .npz archive"


@dataclass(frozen=True)
class StoredArray:
    """An array in a file whose header was read and checked.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    read : callable
        Returns the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


def find_spelling(path: str | os.PathLike[str]) -> Path | None:
    """Return `path`, or the same with .npz for .npy (or the reverse), whichever is a file."""
    first = Path(path)
    twin = {".npy": ".npz", ".npz": ".npy"}.get(first.suffix)
    candidates = [first] + ([first.with_suffix(twin)] if twin else [])
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def load_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Load the one array that a NumPy file holds, never a pickle.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file, or an ``.npz`` archive of one array. A file is found under either suffix,
        and read by its content, not by its suffix.

    Returns
    -------
    ndarray

    Raises
    ------
    FileNotFoundError
        There is no such file under either suffix.
    ValueError
        The file is empty, truncated, damaged, pickled, of another kind, or holds several arrays.
    """
    with open_npy(path) as stored:
        return stored.read()


@contextlib.contextmanager
def open_npy(path: str | os.PathLike[str], *, mmap: bool = False) -> Iterator[StoredArray]:
    """Open the one array that a NumPy file holds; path and errors as for `load_npy`.

    With `mmap`, a ``.npy`` file is mapped into memory, read-only, rather than read.
    """
    found = find_spelling(path)
    if found is None:
        raise FileNotFoundError(f"{path}: no such file")
    with found.open("rb") as file:
        if _starts_with(file, b"PK"):
            with open_npz(found, expected=_EXPECTED_ARRAY) as members:
                if len(members) != 1:
                    raise ValueError(f"{found} holds {len(members)} arrays, expected one")
                yield next(iter(members.values()))()
        else:
            with one_line_errors(found, _EXPECTED_ARRAY):
                stored = _stored_in_file(file, found, mmap=mmap)
            yield stored


@contextlib.contextmanager
def open_npz(
    path: Path, *, expected: str = _EXPECTED_ARCHIVE
) -> Iterator[dict[str, Callable[[], StoredArray]]]:
    """Open an ``.npz`` archive: functions that open its arrays, by name; errors as in `load_npy`.

    A member is read only when its function is called.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file, one_line_errors(path, expected):
        if _starts_with(file, MAGIC):
            raise RefusalError("is a single array")
        _require_start(file, START)
    with open_archive(path, expected) as (archive, found):
        with one_line_errors(path, expected):
            members = _by_name(found)
        yield {
            name: functools.partial(_stored_in_archive, archive, member, path, expected)
            for name, member in members.items()
        }


def save_npy(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write an array as `numpy.save` does, but keep the error number of system errors."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _starts_with(file: BinaryIO, start: bytes) -> bool:
    """Return whether the file begins with `start`; it is left at its beginning."""
    found = file.read(len(start))
    file.seek(0)
    return found == start


def _require_start(file: BinaryIO, start: bytes) -> None:
    """Raise if the file is empty, a pickle, or does not begin with `start`."""
    found = file.read(len(start))
    file.seek(0)
    if not found:
        raise RefusalError("is empty")
    if found[:1] == b"\x80":
        raise RefusalError("holds pickled objects")
    if found != start:
        what = "truncated or damaged" if start == b"PK" else "not a NumPy file"
        raise RefusalError(f"is {what}")


def _stored_in_file(file: BinaryIO, path: Path, *, mmap: bool) -> StoredArray:
    """Return the array of a .npy file that is open."""
    _require_start(file, MAGIC)
    shape, fortran, dtype = _read_header(file, os.fstat(file.fileno()).st_size)
    start, order = file.tell(), cast(Any, "F" if fortran else "C")

    def read() -> NDArray[Any]:
        with one_line_errors(path, _EXPECTED_ARRAY):
            if mmap:
                return np.memmap(path, dtype, "r", start, shape, order)
            file.seek(start)
            return np.fromfile(file, dtype, math.prod(shape)).reshape(shape, order=order)

    return StoredArray(shape, dtype, read)


def _stored_in_archive(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, expected: str
) -> StoredArray:
    """Return the array of one member of an archive."""
    with one_line_errors(path, expected), archive.open(member) as file:
        if not _starts_with(cast(BinaryIO, file), MAGIC):
            raise RefusalError("holds other things than arrays")
        shape, fortran, dtype = _read_header(cast(BinaryIO, file), member.file_size)
        start = file.tell()
    size = math.prod(shape) * dtype.itemsize

    def read() -> NDArray[Any]:
        with one_line_errors(path, expected):
            content = read_member(archive, member, start, size)
            return content.view(dtype).reshape(shape, order="F" if fortran else "C")

    return StoredArray(shape, dtype, read)


def _by_name(found: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the names of their arrays."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in found:
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise RefusalError(f"holds {short(name)} twice")
        members[name] = member
    return members


def _read_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and dtype of an array that fits in `size` bytes."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = readers[version](file)
    except Exception as error:  # ast, tokenize and NumPy raise a dozen types for a damaged file
        raise RefusalError("is truncated or damaged") from error
    if dtype.hasobject:
        raise RefusalError("holds pickled objects")
    count = math.prod(shape)
    # NumPy 1.26 reads '<U1000000000' as a type of negative size.
    if min(shape, default=0) < 0 or (count and dtype.itemsize <= 0):
        raise RefusalError("is truncated or damaged")
    if count * dtype.itemsize > size - file.tell():
        raise RefusalError("is truncated or damaged")
    return shape, fortran, dtype
