"""A short run under load, each in a process of its own: a deadlock must not stop the tests."""

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import load

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory and threads from /proc")
def test_eight_threads_and_many_calls_are_held():
    words = ("--seconds", "4", "--calls", "160")
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.load", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 wrong" in done.stdout


def test_a_race_is_found(monkeypatch):
    right, shared = load.calls, []

    def racing():
        every = right()
        shared.append(0)
        every["predict"] = lambda: bytes(shared.append(1) or [len(shared) % 200])
        return every

    monkeypatch.setattr(load, "calls", racing)
    done, wrong = load.under_load(1.0, 2, move=False)
    assert done
    assert wrong
    assert wrong[0].startswith("predict in thread ")


def test_memory_that_grows_is_found(monkeypatch):
    kept = []

    def grow():
        kept.append(mmap.mmap(-1, 1 << 20))  # not from memory that the process has freed
        kept[-1].write(b"x" * (1 << 20))
        return b""

    monkeypatch.setattr(load, "calls", lambda: {"grow": grow})
    if sys.platform == "linux":
        assert load.growth(40) > load.SLACK
