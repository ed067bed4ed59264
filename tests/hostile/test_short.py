"""A short run of every attacker, and planted defects that they have to find.

The long run is by hand: ``python -m tests.hostile --minutes 30``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.hostile


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [("networks", 25), ("files", 150), ("caches", 2), ("interrupts", 60), ("kills", 2)],
)
def test_what_is_attacked_holds(name, count):
    done = run("-m", "tests.hostile", "--only", name, "--count", str(count), "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name:<12}{count:>8}{count:>8}{0:>8}" in done.stdout


def test_planted_defects_are_found():
    done = run("-m", "tests.hostile._planted")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missed" not in done.stdout
    assert done.stdout.count("found") == 13
