"""What the tests of faults share: disks that fill, folders that refuse, users who may not write."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534
NEED_POSIX = ["test_caches.py", "test_load.py", "test_memory.py", "test_reading.py"]
collect_ignore = [*NEED_POSIX, "test_writing.py"] if sys.platform == "win32" else []


@pytest.fixture
def no_bytecode(monkeypatch):
    """Keep Python from writing bytecode, which it would write in part and read in the next test."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def full_disk(no_bytecode):
    """Return a context in which no file can have more than a few bytes."""
    import resource

    @contextlib.contextmanager
    def limited(most=700):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture
def read_only(no_bytecode):
    """Return a folder with the file `old`, and a context in which nobody may write there."""
    place = Path(tempfile.mkdtemp(prefix="fastnn-faults-"))
    place.chmod(0o755)
    folder = place / "folder"
    folder.mkdir()
    (folder / "old").write_bytes(b"old")

    @contextlib.contextmanager
    def forbidden():
        folder.chmod(0o555)
        ours = os.geteuid()
        try:
            if ours == 0:  # the administrator may write anywhere
                os.seteuid(NOBODY)
            yield
        finally:
            os.seteuid(ours)
            folder.chmod(0o755)

    yield folder, forbidden
    shutil.rmtree(place)
