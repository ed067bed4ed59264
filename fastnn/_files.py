"""Files: written whole or not at all, arrays read without pickles, the user's cache folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_NOT_ARRAYS = "holds other things than arrays"


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write or replace. A device or pipe is written straight.

    Yields
    ------
    binary file
        A new file in the folder of `path`. It takes the name `path` when the block ends without an
        exception; otherwise it is removed, and what was at `path` stays as it was.

    Raises
    ------
    FileNotFoundError
        The folder of `path` does not exist.
    IsADirectoryError
        `path` is a folder.
    """
    target = Path(path)
    if target.exists() and not (target.is_file() or target.is_dir()):
        with target.open("wb") as device:
            yield device
        return
    target = Path(os.path.realpath(target))  # a link stays a link
    require_file_place(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require_file_place(path: Path) -> None:
    """Raise where no file could be written to `path`."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder, cannot write {path.name} there")


def require_folder_place(path: Path) -> None:
    """Raise where `path` is no folder and could not be made one, with all that lead to it."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file, expected a folder")


def user_cache_dir() -> Path:
    """Return the folder for what fastnn keeps between runs; it need not exist yet.

    ``$FASTNN_CACHE`` where set; otherwise ``fastnn`` in ``$XDG_CACHE_HOME`` or ``~/.cache``
    (Linux), ``~/Library/Caches`` (macOS) or ``%LOCALAPPDATA%`` (Windows), and in the folder for
    temporary files for a user without a home.
    """
    if own := os.environ.get("FASTNN_CACHE"):
        return Path(own)
    try:
        home = Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "fastnn"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification: a relative path is to be ignored.
        base = base if base.is_absolute() else home / ".cache"
    return base / "fastnn"


def find_spelling(path: str | os.PathLike[str]) -> Path | None:
    """Return `path` or its twin spelt .npz for .npy (and the reverse), whichever is a file."""
    first = Path(path)
    twin = {".npy": ".npz", ".npz": ".npy"}.get(first.suffix)
    candidates = [first] + ([first.with_suffix(twin)] if twin else [])
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def load_npy(path: str | os.PathLike[str], *, mmap: bool = False) -> NDArray[Any]:
    """Load the one array that a NumPy file holds, never a pickle.

    Parameters
    ----------
    path : path-like
        A ``.npy`` file, or an ``.npz`` archive of one array. The name may be spelt either way, for
        the file and for its content: the content decides.
    mmap : bool, optional
        Map a ``.npy`` file into memory, read-only, rather than read it.

    Returns
    -------
    ndarray

    Raises
    ------
    FileNotFoundError
        There is no such file in either spelling.
    ValueError
        The file is empty, truncated, damaged, pickled, of another kind, or holds several arrays.
    """
    found = find_spelling(path)
    if found is None:
        raise FileNotFoundError(f"{path}: no such file")
    with _one_line_errors(found, "a .npy array"):
        content = _read(found, mmap=mmap)
    if isinstance(content, np.ndarray):
        return content
    if len(content) != 1:
        raise ValueError(f"{found} holds {len(content)} arrays, expected one")
    return next(iter(content.values()))


def load_npz(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Load all arrays of an ``.npz`` archive by name; errors as in `load_npy`."""
    found = Path(path)
    if not found.is_file():
        raise FileNotFoundError(f"{found}: no such file")
    with _one_line_errors(found, "an .npz archive"):
        content = _read(found)
    if isinstance(content, np.ndarray):
        raise ValueError(f"{found} is a single array, expected an .npz archive")
    return content


def _read(path: Path, *, mmap: bool = False) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Return the array of a .npy file, or the arrays of an archive by name."""
    with path.open("rb") as file:  # ours to close: NumPy leaves a damaged archive open
        is_archive = file.read(2) == b"PK"
        file.seek(0)
        if mmap and not is_archive:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content as archive:
            arrays = {name: archive[name] for name in archive.files}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError(_NOT_ARRAYS)
    return arrays


@contextlib.contextmanager
def _one_line_errors(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a damaged NumPy file raises into one line that names the file."""
    try:
        yield
    except Exception as error:  # NumPy, zipfile and tokenize have a dozen types for damage
        # EINVAL: a damaged archive points to before its own start.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        with path.open("rb") as file:
            start = file.read(6)
        # NumPy has no error type of its own for pickles, only these words.
        if str(error) == _NOT_ARRAYS:
            what = _NOT_ARRAYS
        elif any(
            word in str(error) for word in ("allow_pickle", "Object arrays", "Python objects")
        ):
            known = start.startswith((b"\x93NUMPY", b"PK"))
            what = (
                "holds pickled objects" if known or start[:1] == b"\x80" else "is not a NumPy file"
            )
        elif not start:
            what = "is empty"
        else:
            what = "is truncated or damaged"
        raise ValueError(f"{path} {what}, expected {expected}") from error
