"""Write files completely or not at all, and find the user's cache folder.

A new file is written under a temporary name in the folder of the old one, and renamed when it is
complete and on the disk. A write removes temporary files that killed processes left for the same
target. A temporary file in use is locked, and the lock ends with its process.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_WINDOWS: bool = sys.platform == "win32"  # has no such locks and cannot rename an open file
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")
_STALE_SECONDS = 3600.0  # a temporary file of this age is stale, where files have no locks


class Temporary:
    """A new file that replaces `target` when it is complete.

    Parameters
    ----------
    target : Path
        In a folder that exists.

    Attributes
    ----------
    file : binary file
        To write into; `commit` or `discard` closes it.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        while True:
            self._path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
            self.file: BinaryIO = self._path.open("xb")
            if not _lock(self.file) or os.fstat(self.file.fileno()).st_nlink:
                return
            self.file.close()  # another process removed it as stale before it was locked

    def sync(self) -> None:
        """Flush the content to the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def rename(self) -> None:
        """Give the file its name; only after `sync_folder` is the name on the disk, too."""
        if _WINDOWS:
            self.file.close()
        self._path.replace(self._target)
        self.file.close()

    def commit(self) -> None:
        """Flush the content to the disk and give the file its name."""
        self.file.flush()
        if _WINDOWS:
            self.file.close()
        publish(self._path, self._target)
        self.file.close()  # which ends the lock

    def discard(self) -> None:
        """Remove the file, unless it has its name already."""
        with contextlib.suppress(OSError):  # closing writes the rest, which fails on a full disk
            self.file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def publish(part: Path, target: Path) -> None:
    """Have a file that is whole on the disk, and then give it its name."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk: otherwise a power cut may undo or reorder renames."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_stale(folder: Path, is_ours: Callable[[str], bool]) -> None:
    """Remove temporary files of killed processes whose target's name `is_ours` accepts."""
    for path in folder.iterdir():
        name = _TEMPORARY.fullmatch(path.name)
        if name and is_ours(name[1]):
            with contextlib.suppress(OSError):  # removed by another process, or no permission
                _remove_if_stale(path)


def _remove_if_stale(path: Path) -> None:
    """Remove a temporary file unless a process is writing it."""
    with path.open("rb") as file:
        stale = _lock(file, wait=False)
        if stale is None:
            stale = time.time() - os.fstat(file.fileno()).st_mtime > _STALE_SECONDS
        if stale and not _WINDOWS:
            path.unlink()  # while it is locked
    if stale and _WINDOWS:
        path.unlink()


if sys.platform == "win32":

    def _lock(file: BinaryIO, *, wait: bool = True) -> bool | None:
        """Return None: files have no locks of this kind."""
        return None

else:

    def _lock(file: BinaryIO, *, wait: bool = True) -> bool | None:
        """Lock a file until it is closed: False if another has, None if files have no locks."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems
            return None
        return True


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file completely or not at all.

    Parameters
    ----------
    path : path-like
        The file to write or replace. A device or pipe is written directly.

    Yields
    ------
    binary file
        A new file in the folder of `path`. It gets the name `path` when the block ends without an
        exception; otherwise it is removed, and an old file at `path` stays as it was.

    Raises
    ------
    FileNotFoundError
        The folder of `path` does not exist.
    IsADirectoryError
        `path` is a folder.
    OSError
        The disk is full, or the folder cannot be written. The message names the file.
    """
    target = Path(path)
    with named_errors(target):
        if target.exists() and not (target.is_file() or target.is_dir()):
            with target.open("wb") as device:
                yield device
            return
        target = Path(os.path.realpath(target))  # replaces the target of a link, not the link
        require_file_place(target)
        remove_stale(target.parent, lambda name: name == target.name)
        temporary = Temporary(target)
        try:
            yield temporary.file
            temporary.commit()
        except BaseException:
            temporary.discard()
            raise


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Add the file's name to system errors that lack one, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, os.strerror(error.errno), str(path)) from error


def is_plain(text: str) -> bool:
    """Return whether text from a file may be printed: it has no escapes of terminals."""
    return all(letter.isprintable() or letter in "\n\t" for letter in text)


def require_file_place(path: Path) -> None:
    """Raise if `path` is a folder or is in a folder that does not exist."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder, cannot write {path.name} there")


def require_folder_place(path: Path) -> None:
    """Raise if `path` is not a folder and cannot be created, as it or a parent is a file."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file, expected a folder")


def user_cache_dir() -> Path:
    """Return the folder for what fastnn keeps between runs; it need not exist yet.

    ``$FASTNN_CACHE`` where set; otherwise ``fastnn`` in ``$XDG_CACHE_HOME`` or ``~/.cache``
    (Linux), ``~/Library/Caches`` (macOS) or ``%LOCALAPPDATA%`` (Windows); for a user without a
    home, in the folder for temporary files.
    """
    if own := os.environ.get("FASTNN_CACHE"):
        return Path(own)
    from platformdirs import user_cache_path

    with contextlib.suppress(RuntimeError):  # no home; older releases return a relative path then
        folder = user_cache_path("fastnn", appauthor=False, opinion=False)
        if folder.is_absolute():
            return folder
    return Path(tempfile.gettempdir()) / "fastnn"
