"""A short run of every attacker, and planted defects that they have to find.

The long run is by hand: ``python -m tests.hostile --minutes 30``.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hostile import caches

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.hostile


def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such jobs")
def test_a_job_that_ignores_ctrl_c_may_attack():
    words = ("-m", "tests.hostile", "--only", "interrupts", "--count", "5", "--jobs", "1")
    done = run(*words, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_a_lower_limit_of_memory_stays(tmp_path):
    script = (
        "import pathlib, resource, sys\n"
        "from tests.hostile import files\n"
        "hard = 4 << 30\n"
        "resource.setrlimit(resource.RLIMIT_AS, (hard, hard))\n"
        "with files.limited_memory(pathlib.Path(sys.argv[1])):\n"
        "    assert resource.getrlimit(resource.RLIMIT_AS) == (hard, hard)\n"
    )
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**7)  # unpacked, it may need more than the limit
    done = run("-c", script, str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_cases_of_a_long_run_damage_every_file_in_every_way(tmp_path):
    names = {"kernels": ("a.kernel", "b.kernel", "sub/c.kernel"), "network": ("d.npz",)}
    for kind, files in names.items():
        for name in files:
            file = tmp_path / kind / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode() * 50)
    plan = caches.planned(tmp_path)
    assert len(set(plan)) == len(plan) == 4 * 8
    for start in range(0, len(plan), 4):  # as many cases as there are files
        kinds = [(kind, file.as_posix()) for kind, file, _ in plan[start : start + 4]]
        assert kinds == [(kind, name) for kind, files in names.items() for name in files]
    rng = np.random.default_rng(0)
    for kind, name, way in plan:
        file = tmp_path / kind / name
        content = file.read_bytes()
        caches.damage(rng, file, way, [tmp_path / kind / names[kind][0]])
        assert not file.exists() or file.read_bytes() != content, way
        file.write_bytes(content)
