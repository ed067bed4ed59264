"""Damaged files: each is loaded as something valid, or refused in one line that names the file."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.hostile._frame import BrokeError, run_checks
from tests.hostile._mutations import mutate
from tests.hostile._originals import READERS, write_all

try:
    import resource
except ImportError:  # not on Windows, where memory is not limited
    resource = None  # type: ignore[assignment]

WIDE = 20_000
SECONDS = 10.0
LIFE = 2000

_MEMORY = 300 * 10**6
_TIMES = 4
_DEFLATE = 1032  # what a compressed file may unpack to, for each of its bytes
_LONGEST_MESSAGE = 1000


def prepare(folder: Path) -> None:
    """Write the valid files, and see that they are taken for valid."""
    write_all(folder / "valid")
    _read_valid(folder / "valid")


def case(seed: int, folder: Path) -> list[str]:
    """Damage one file and load it."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(READERS)))
    valid = folder / "valid"
    _read_valid(valid)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        target = Path(place) / kind
        shutil.copytree(valid / kind, target)
        files = sorted(file for file in target.iterdir() if file.is_file())
        victim = files[rng.integers(len(files))]
        others = sorted(file for file in valid.rglob("*") if file.is_file())
        other = others[rng.integers(len(others))].read_bytes()
        way, content = mutate(rng, kind, victim.read_bytes(), other)
        victim.write_bytes(content)
        what = f"{kind} {victim.name} {way}"
        return run_checks({what: lambda: require_refused_or_valid(kind, target)})


@functools.cache
def _read_valid(valid: Path) -> None:
    """Read what is valid, once a process: the memory of what this imports is not a file's."""
    for kind, read in READERS.items():
        read(valid / kind)


def require_refused_or_valid(kind: str, place: Path) -> None:
    """Raise where a damaged file is neither refused as documented nor loaded as something valid."""
    try:
        with limited_memory(place):
            READERS[kind](place)
    except (ValueError, FileNotFoundError) as error:
        require_one_line(error, place)


def require_one_line(error: Exception, place: Path) -> None:
    """Raise where a message is long, or does not name the file or its folder."""
    text = str(error)
    if "\n" in text or len(text) > _LONGEST_MESSAGE:
        raise BrokeError(f"a message of {len(text)} characters: {text[:200]!r}") from error
    if str(place) not in text:
        raise BrokeError(f"{type(error).__name__} names no file: {text!r}") from error


@contextlib.contextmanager
def limited_memory(place: Path) -> Iterator[None]:
    """Let this process take no more memory than files of this size may need."""
    status = Path("/proc/self/statm")
    if resource is None or not status.is_file():
        yield
        return
    held = int(status.read_text().split()[0]) * resource.getpagesize()
    size = sum(file.stat().st_size for file in place.iterdir())
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = held + _MEMORY + _TIMES * _DEFLATE * size
    if before[1] != resource.RLIM_INFINITY:
        most = min(most, before[1])  # of the shell, which cannot be raised
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
