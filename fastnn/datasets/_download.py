"""Download MNIST, check it, and resume a download that was interrupted."""

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

from fastnn._runtime.files import publish, user_cache_dir
from fastnn._runtime.progress import Progress

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# Size in bytes and SHA-256. The test set comes last: without it a folder does not count as MNIST.
_FILES = {
    "train-images-idx3-ubyte.gz": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
_TIMEOUT_SECONDS = 20.0  # for each connection and each read
_ATTEMPTS = 4  # for each mirror, while each attempt brings some data
_CHUNK = 1 << 16


class _TransferError(Exception):
    """What went wrong with one attempt, in a few words."""


def fetch_mnist(
    directory: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
    progress: bool = False,
) -> Path:
    """Download the four files of MNIST, 11.6 MB, where `fastnn.load_mnist` finds them.

    Parameters
    ----------
    directory : path-like, optional
        Folder for the files, created if needed. Default: ``mnist`` in the user's cache.
    mirrors : sequence of str, optional
        Addresses of folders that have the files, tried in this order.
    progress : bool, optional
        Draw a progress bar on standard error.

    Returns
    -------
    Path
        The folder. Files that exist and have the right SHA-256 are kept.

    Raises
    ------
    ConnectionError
        No mirror delivered a file with the right SHA-256. An incomplete file is kept as ``*.part``,
        and the next call resumes it. A file gets its name after its SHA-256 was checked.
    OSError
        The folder cannot be written.

    Examples
    --------
    >>> from fastnn.datasets import fetch_mnist
    >>> folder = fetch_mnist()  # doctest: +SKIP
    """
    folder = Path(directory) if directory is not None else user_cache_dir() / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(size for size, _ in _FILES.values())
    behind = 0
    with Progress("fetching MNIST, kB", total // 1000, enabled=progress) as bar:
        for name, (size, _) in _FILES.items():

            def report(done: int, *, name: str = name, behind: int = behind) -> None:
                bar.update((behind + done) // 1000, name)

            if not _is_right(folder / name, name):
                _fetch_file(folder, name, mirrors, report)
            report(size)
            behind += size
    return folder


def _fetch_file(
    folder: Path, name: str, mirrors: Sequence[str], report: Callable[[int], None]
) -> None:
    """Try each mirror until the SHA-256 of the file is right, then give it its name."""
    part = folder / f"{name}.part"
    reasons = []
    for mirror in mirrors:
        for _ in range(_ATTEMPTS):
            before = _size(part)
            try:
                _transfer(f"{mirror.rstrip('/')}/{name}", part, _FILES[name][0], report)
            except _TransferError as error:
                reasons.append(str(error))
                if _size(part) != before:  # some data came
                    continue
                break
            if _is_right(part, name):
                publish(part, folder / name)
                return
            part.unlink()
            reasons.append("wrong SHA-256")
            if not before:  # after a resumed file, try once more from the start
                break
    why = "; ".join(dict.fromkeys(reasons)) or "no mirrors"
    raise ConnectionError(
        f"could not download {name} ({why}): download the four .gz files of MNIST elsewhere and "
        f"put them in {folder}, or set FASTNN_DATA to their folder"
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
        raise _TransferError(str(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise _TransferError(str(error) or type(error).__name__) from error


def _is_right(path: Path, name: str) -> bool:
    """Return whether the file has the size and the SHA-256 of MNIST's file `name`."""
    size, expected = _FILES[name]
    if _size(path) != size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == expected


def _size(path: Path) -> int:
    """Return the size of a file, 0 if it does not exist."""
    return path.stat().st_size if path.is_file() else 0
