"""A file of records that grows: each is there as a whole or not at all, even after a kill.

A record has a number, and a digest of its content. What follows the last whole record, as a killed
process or a full disk leaves it, is cut off when the file is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from fastnn._runtime.files import atomic_write, lock, named_errors, require_file_place

_MAGIC = b"fastnn journal 1\n"
_FRAME = struct.Struct("<QQ32s")  # number, length and digest of a record
_MOST_HEADER = 1 << 20


class Journal(Mapping[int, bytes]):
    """Records by their numbers, in a file that one process at a time has open.

    Parameters
    ----------
    path : Path
        Created where there is none.
    about : dict of str to str or int
        What the records are of. A file about something else is refused.

    Raises
    ------
    ValueError
        The file is no journal, or about something else: the message names the file and what.
    OSError
        The file cannot be read or written, or another process has it open.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self._using = threading.Lock()  # one thread reads records while another adds one
        require_file_place(path)
        with named_errors(path):
            if not path.exists():
                with atomic_write(path) as file:
                    head = json.dumps(about, sort_keys=True).encode()
                    file.write(_MAGIC + struct.pack("<Q", len(head)) + head)
            self._file: BinaryIO = path.open("r+b")
            try:
                self._begin(about)
            except BaseException:
                self._file.close()
                raise

    def __getitem__(self, number: int) -> bytes:
        place, length, digest = self._places[number]
        with self._using, named_errors(self.path):
            self._file.seek(place)
            content = self._file.read(length)
        if _digest(number, content) != digest:
            raise OSError(f"{self.path}: record {number} is not as it was written")
        return content

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, number: int, content: bytes) -> None:
        """Append a record, and have it on the disk."""
        digest = _digest(number, content)
        frame = _FRAME.pack(number, len(content), digest)
        with self._using, named_errors(self.path):
            self._file.seek(self._end)
            self._file.write(frame + content)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._places[number] = self._end + len(frame), len(content), digest
            self._end += len(frame) + len(content)

    def _begin(self, about: dict[str, Any]) -> None:
        """Lock the file, compare what it is about, and find the whole records."""
        if lock(self._file, wait=False) is False:
            raise OSError(f"{self.path} is in use by another process")
        found = self._header()
        differs = [name for name in about if found.get(name) != about[name]]
        if differs or found.keys() != about.keys():
            what = differs[0] if differs else "format"
            raise ValueError(
                f"{self.path} is the checkpoint of another run: its {what} is "
                f"{found.get(what)!r}, this run's is {about.get(what)!r}"
            )
        self._places: dict[int, tuple[int, int, bytes]] = {}
        self._end = self._file.tell()
        while (record := self._next()) is not None:
            number, length, digest = record
            self._places[number] = self._end + _FRAME.size, length, digest
            self._end += _FRAME.size + length
        self._file.truncate(self._end)

    def _header(self) -> dict[str, Any]:
        """Return what the file is about."""
        start = self._file.read(len(_MAGIC) + 8)
        size = int.from_bytes(start[len(_MAGIC) :], "little")
        if start.startswith(_MAGIC) and size <= _MOST_HEADER:
            try:
                found = json.loads(self._file.read(size))
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise ValueError(f"{self.path} is no checkpoint of fastnn, or is damaged")

    def _next(self) -> tuple[int, int, bytes] | None:
        """Return number, length and digest of the next record; None where no whole one is left."""
        frame = self._file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return None
        number, length, digest = _FRAME.unpack(frame)
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if length > left or _digest(number, self._file.read(length)) != digest:
            return None
        return number, length, digest


def _digest(number: int, content: bytes) -> bytes:
    """Return the digest of a record."""
    return hashlib.sha256(number.to_bytes(8, "little") + content).digest()
