"""Damaged caches: compiled functions and kept networks cost time when damaged, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.hostile._frame import ROOT, BrokeError, run_checks
from tests.hostile._mutations import flip, flip_bit, swap_blocks, truncate

WIDE = 150
SECONDS = 120.0
LIFE = 1000

_KINDS = ("kernels", "kernels", "network")
_WAYS = ("emptied", "truncated", "flipped", "one bit", "shuffled", "foreign", "noise", "removed")
_DAMAGED = 6  # files at most; or all of them


def prepare(folder: Path) -> None:
    """Fill the caches, and note the right answers."""
    for kind in dict.fromkeys(_KINDS):
        place = folder / kind
        place.mkdir()
        done = run(kind, place)
        if done.returncode or not files_in(place):
            raise BrokeError(f"no answer or no cache: {done.stderr[-400:]}")
        (folder / f"{kind}.answer").write_text(done.stdout)


def files_in(place: Path) -> list[Path]:
    """Return all files of a cache."""
    return sorted(file for file in place.rglob("*") if file.is_file())


def run(kind: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Compute the known answer with the caches in `place`."""
    variable = "NUMBA_CACHE_DIR" if kind == "kernels" else "FASTNN_CACHE"
    return subprocess.run(
        [sys.executable, "-m", "tests.hostile._known_answer", kind],
        cwd=ROOT,
        env=os.environ | {variable: str(place)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def case(seed: int, folder: Path) -> list[str]:
    """Damage some files of one cache, and ask for the known answer."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(_KINDS))
    answer = (folder / f"{kind}.answer").read_text()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name) / "cache"
        shutil.copytree(folder / kind, place)
        files = files_in(place)
        many = (
            len(files) if rng.random() < 0.1 else min(len(files), int(rng.integers(_DAMAGED)) + 1)
        )
        chosen = [files[k] for k in rng.permutation(len(files))[:many]]
        damages = [damage(rng, file, files) for file in chosen]
        what = f"{kind}: {', '.join(damages)[:300]}"
        checks = {what: lambda: require_answer(run(kind, place), answer, most_lines=1)}
        if rng.random() < 0.25:
            again = "the next start"
            checks[again] = lambda: require_answer(run(kind, place), answer, most_lines=0)
        return run_checks(checks)


def damage(rng: np.random.Generator, file: Path, files: list[Path]) -> str:
    """Damage one file and say how."""
    way = str(rng.choice(_WAYS))
    content = file.read_bytes() if file.exists() else b""
    if way == "removed" or not content:
        file.unlink(missing_ok=True)
        return f"{file.name} removed"
    foreign = files[rng.integers(len(files))]
    damaged = {
        "emptied": lambda: b"",
        "truncated": lambda: truncate(rng, content, b""),
        "flipped": lambda: flip(rng, content, b""),
        "one bit": lambda: flip_bit(rng, content, b""),
        "shuffled": lambda: swap_blocks(rng, content, b""),
        "foreign": lambda: foreign.read_bytes() if foreign.exists() else b"\x80\x04N.",
        "noise": lambda: rng.bytes(len(content)),
    }[way]()
    file.write_bytes(damaged)
    return f"{file.name} {way}"


def require_answer(done: subprocess.CompletedProcess[str], answer: str, *, most_lines: int) -> None:
    """Raise where the answer is wrong, or more is said than one line."""
    said = [line for line in done.stderr.splitlines() if not line.startswith("training ")]
    if done.returncode:
        raise BrokeError(f"exit status {done.returncode}: {' | '.join(said[-3:])}")
    if done.stdout != answer:
        raise BrokeError(f"a wrong answer: {done.stdout[:200]}")
    if len(said) > most_lines:
        raise BrokeError(f"{len(said)} lines: {' | '.join(said[:5])}")
