"""Download data sets, check them, and resume a download that was interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from fastnn._runtime.files import publish
from fastnn._runtime.progress import Progress
from fastnn.datasets._named import DATA_SETS, DataSet, cache_folder, data_set_named
from fastnn.datasets._unpack import is_unpacked, unpack

MIRRORS = DATA_SETS["mnist"].mirrors
_TIMEOUT_SECONDS = 20.0  # for each connection and each read
_ATTEMPTS = 4  # for each mirror, while each attempt brings some data
_CHUNK = 1 << 16
_ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}


class _TransferError(Exception):
    """What went wrong with one attempt, in a few words."""


def fetch(
    name: str = "mnist",
    directory: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] | None = None,
    progress: bool = False,
) -> Path:
    """Download a data set where `fastnn.load_data` finds it by its name.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "kmnist", "emnist-digits"}, optional
        MNIST takes 11.6 MB, Fashion-MNIST 30.9 MB and KMNIST 21.2 MB. EMNIST is published as one
        archive of 562 MB; its digits take 220 MB, and the archive is removed again.
    directory : path-like, optional
        Folder for the files, created if needed. Default: a folder of that name in the user's cache.
    mirrors : sequence of str, optional
        Addresses of folders that have the files, tried in this order. Default: those in
        ``fastnn.datasets.DATA_SETS``.
    progress : bool, optional
        Draw a progress bar on standard error.

    Returns
    -------
    Path
        The folder. Files that exist and have the right sum are kept.

    Raises
    ------
    ConnectionError
        No mirror delivered a file with the right sum. An incomplete file is kept as ``*.part``, and
        the next call resumes it. A file gets its name after its sum was checked.
    ValueError
        There is no data set of that name.
    OSError
        The folder cannot be written.

    Notes
    -----
    All have the four files and the names of MNIST's. The digits of EMNIST are published lying on
    their side; they are turned when they are unpacked.

    Examples
    --------
    >>> from fastnn.datasets import fetch
    >>> folder = fetch("fashion-mnist")  # doctest: +SKIP
    """
    found = data_set_named(name)
    folder = Path(directory) if directory is not None else cache_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    if found.unpacked and is_unpacked(found, folder):
        return folder
    total = sum(size for size, _ in found.files.values())
    behind = 0
    with Progress(f"fetching {found.title}, kB", total // 1000, enabled=progress) as bar:
        for file, known in found.files.items():

            def report(done: int, *, file: str = file, behind: int = behind) -> None:
                bar.update((behind + done) // 1000, file)

            if not _is_right(folder / file, known):
                sources = found.mirrors if mirrors is None else mirrors
                _fetch_file(folder, found, file, sources, report)
            report(known[0])
            behind += known[0]
    if found.unpacked:
        (archive,) = found.files
        unpack(found, folder / archive)
        (folder / archive).unlink()
    return folder


def fetch_mnist(
    directory: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] | None = None,
    progress: bool = False,
) -> Path:
    """Download the four files of MNIST, 11.6 MB, where `fastnn.load_mnist` finds them.

    Parameters
    ----------
    directory, mirrors, progress : optional
        As for `fetch`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ConnectionError, OSError
        As for `fetch`.

    Examples
    --------
    >>> from fastnn.datasets import fetch_mnist
    >>> folder = fetch_mnist()  # doctest: +SKIP
    """
    return fetch("mnist", directory, mirrors=mirrors, progress=progress)


def _fetch_file(
    folder: Path,
    found: DataSet,
    name: str,
    mirrors: Sequence[str],
    report: Callable[[int], None],
) -> None:
    """Try each mirror until the sum of the file is right, then give it its name."""
    part, known = folder / f"{name}.part", found.files[name]
    kind = _ALGORITHMS[known[1].partition(":")[0]]
    reasons = []
    for mirror in mirrors:
        for _ in range(_ATTEMPTS):
            before = _size(part)
            try:
                _transfer(f"{mirror.rstrip('/')}/{name}", part, known[0], report)
            except _TransferError as error:
                reasons.append(str(error))
                if _size(part) != before:  # some data came
                    continue
                break
            if _is_right(part, known):
                publish(part, folder / name)
                return
            part.unlink()
            reasons.append(f"wrong {kind}")
            if not before:  # after a resumed file, try once more from the start
                break
    why = "; ".join(dict.fromkeys(reasons)) or "no mirrors"
    four = len(found.files) > 1
    files, them = ("the four .gz files", "them") if four else (name, "it")
    raise ConnectionError(
        f"could not download {name} ({why}): download {files} of "
        f"{found.title} elsewhere and put {them} in {folder}"
        + (", or set FASTNN_DATA to their folder" if found is DATA_SETS["mnist"] else "")
    )


def _transfer(url: str, part: Path, size: int, report: Callable[[int], None]) -> None:
    """Download the rest of `part` from `url`, or all of it if the server cannot resume."""
    start = _size(part)
    if start == size:
        return
    if start > size:
        part.unlink()
        start = 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with contextlib.closing(_attempt(urlopen, request, timeout=_TIMEOUT_SECONDS)) as response:
        resumed = response.status == 206
        sent = response.headers["Content-Range"] or ""
        if resumed and not sent.startswith(f"bytes {start}-"):
            part.unlink(missing_ok=True)  # the next attempt downloads all of it
            raise _TransferError(f"asked for bytes {start}- but was sent {sent!r}")
        done = start if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while done < size and (chunk := _attempt(response.read, min(_CHUNK, size - done))):
                file.write(chunk)
                done += len(chunk)
                report(done)
    if done < size:
        raise _TransferError(f"the transfer broke off at {done:,} of {size:,} bytes")


def _attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function that uses the network; its errors become a `_TransferError`."""
    try:
        return call(*arguments, **options)
    except HTTPError as error:
        error.close()
        raise _TransferError(f"HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise _TransferError(_reason(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise _TransferError(_reason(error)) from error


def _reason(error: object) -> str:
    """Return what went wrong, of a system error without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_right(path: Path, known: tuple[int, str]) -> bool:
    """Return whether a file has the size and the sum that are known."""
    size, text = known
    if _size(path) != size:
        return False
    algorithm, _, expected = text.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


def _size(path: Path) -> int:
    """Return the size of a file, 0 if it does not exist."""
    return path.stat().st_size if path.is_file() else 0
