"""Damaged caches: compiled functions and kept networks cost time when damaged, and nothing else.

As many cases in a row as there are files damage every file in one way, the next as many in another.
"""

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

WIDE = 320  # about forty files, each in all of the ways
SECONDS = 120.0
LIFE = 1000

_KINDS = ("kernels", "network")
_WAYS = ("emptied", "truncated", "flipped", "one bit", "shuffled", "foreign", "noise", "removed")
_FEWEST_WAYS = 3  # in which a long run damages every file
_DAMAGED = 6  # other files at most; or all of them


def prepare(folder: Path) -> None:
    """Fill the caches, and note the right answers."""
    for kind in _KINDS:
        place = folder / kind
        place.mkdir()
        done = run(kind, place)
        if done.returncode or not files_in(place):
            raise BrokeError(f"no answer or no cache: {done.stderr[-400:]}")
        (folder / f"{kind}.answer").write_text(done.stdout)
    if len(list(planned(folder))) > WIDE * len(_WAYS) // _FEWEST_WAYS:
        raise BrokeError(f"{WIDE} cases cannot damage every file in {_FEWEST_WAYS} ways")


def planned(folder: Path) -> list[tuple[str, Path, str]]:
    """Return every kind of cache with each of its files and each way to damage it."""
    files = [(kind, file) for kind in _KINDS for file in files_in(folder / kind)]
    return [(kind, file.relative_to(folder / kind), way) for way in _WAYS for kind, file in files]


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
    """Damage a file of one cache, perhaps others besides, and ask for the known answer."""
    rng = np.random.default_rng(seed)
    plan = planned(folder)
    kind, chosen, way = plan[seed % len(plan)]
    answer = (folder / f"{kind}.answer").read_text()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name) / "cache"
        shutil.copytree(folder / kind, place)
        files = files_in(place)
        damages = [damage(rng, place / chosen, way, files)]
        if rng.random() < 0.5:
            many = len(files) if rng.random() < 0.2 else int(rng.integers(_DAMAGED)) + 1
            others = [files[k] for k in rng.permutation(len(files))[:many]]
            others = [file for file in others if file != place / chosen]
            damages += [damage(rng, file, str(rng.choice(_WAYS)), files) for file in others]
        what = f"{kind}: {', '.join(damages)[:300]}"
        checks = {what: lambda: require_answer(run(kind, place), answer, most_lines=1)}
        if rng.random() < 0.25:
            again = "the next start"
            checks[again] = lambda: require_answer(run(kind, place), answer, most_lines=0)
        return run_checks(checks)


def damage(rng: np.random.Generator, file: Path, way: str, files: list[Path]) -> str:
    """Damage one file and say how."""
    content = file.read_bytes()
    foreign = files[rng.integers(len(files))]
    if way == "removed" or not content:
        file.unlink()
        return f"{file.name} removed"
    damaged = {
        "emptied": lambda: b"",
        "truncated": lambda: truncate(rng, content, b""),
        "flipped": lambda: flip(rng, content, b""),
        "one bit": lambda: flip_bit(rng, content, b""),
        "shuffled": lambda: swap_blocks(rng, content, b""),
        "foreign": lambda: foreign.read_bytes() if foreign.exists() else b"\x80\x04N.",
        "noise": lambda: rng.bytes(len(content)),
    }[way]()
    file.write_bytes(damaged if damaged != content else content + b"\0")
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
