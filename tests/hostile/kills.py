"""Commands that are killed at random moments: what they write is whole, old or absent.

Afterwards the same command succeeds, leaves what it should, and nothing of the one that was killed.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile import _commands
from tests.hostile._frame import ROOT, BrokeError, run_checks

WIDE = 200
SECONDS = 120.0
LIFE = 1000

_OURS = ("-m", "tests.hostile._commands")
_FOREIGN = {"notes.txt": b"keep me", ".mine.tmp": b"keep me too"}
_SAVING = 0.1  # seconds of saves before one is cut short


@dataclass(frozen=True)
class Command:
    """A command, what was there before, and what has to be there after it."""

    words: Callable[[bool], list[str]]  # of one that will be killed, or will not
    before: Callable[[Path], None]
    check: Callable[[Path], None]  # of what was killed, and of what is finished
    written: Callable[[Path], set[str]]  # the names of the files of a finished command
    signals: bool = False  # whether it says that it has begun to write


def case(seed: int, folder: Path) -> list[str]:
    """Kill one command, look at what it left, and run it again."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(list(COMMANDS)))
    command = COMMANDS[name]
    seconds = duration(name, folder)
    delay = rng.uniform(0, _SAVING) if command.signals else rng.uniform(0.2, 1.05) * seconds
    with tempfile.TemporaryDirectory(dir=folder) as name_of_place:
        place = Path(name_of_place)
        set_up(command, place)
        kill_after(command, place, float(delay))
        what = f"{name} killed after {delay:.3f} s"
        return run_checks(
            {
                what: lambda: command.check(place),
                f"{what}, run again": lambda: finish(command, place),
                f"{what}, then": lambda: require_clean(command, place),
            }
        )


@functools.cache
def duration(name: str, folder: Path) -> float:
    """Return how long a command takes, which has to succeed."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        set_up(COMMANDS[name], Path(place))
        start = time.perf_counter()
        finish(COMMANDS[name], Path(place))
        require_clean(COMMANDS[name], Path(place))
        return time.perf_counter() - start


def set_up(command: Command, place: Path) -> None:
    """Write what was there before."""
    command.before(place)
    for name, content in _FOREIGN.items():
        (place / name).write_bytes(content)
        if (place / "net").is_dir():
            (place / "net" / name).write_bytes(content)


def start(command: Command, place: Path, out: int, *, killed: bool) -> subprocess.Popen[bytes]:
    """Start a command in its folder."""
    return subprocess.Popen(
        [sys.executable, *command.words(killed)],
        cwd=place,
        env=os.environ | {"FASTNN_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)},
        stdout=out,
        stderr=subprocess.DEVNULL if out is not subprocess.PIPE else subprocess.STDOUT,
    )


def kill_after(command: Command, place: Path, delay: float) -> None:
    """Start a command and kill it."""
    out = subprocess.PIPE if command.signals else subprocess.DEVNULL
    with start(command, place, out, killed=True) as process:
        if process.stdout is not None:
            process.stdout.readline()
        time.sleep(delay)
        process.kill()


def finish(command: Command, place: Path) -> None:
    """Run a command to its end; raise where it fails or what it wrote is not right."""
    with start(command, place, subprocess.PIPE, killed=False) as process:
        said, _ = process.communicate()
    if process.returncode:
        text = said.decode(errors="replace")[-300:]
        raise BrokeError(f"exit status {process.returncode}: {text}")
    command.check(place)


def require_clean(command: Command, place: Path) -> None:
    """Raise where there are other files than the command's own and those of others."""
    found = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
    expected = command.written(place) | set(_FOREIGN)
    if (place / "net").is_dir():
        expected |= {str(Path("net") / name) for name in _FOREIGN}
    if found != expected:
        raise BrokeError(f"left {sorted(found - expected)}, missing {sorted(expected - found)}")


# --- networks -----------------------------------------------------------------------------------


def require_network(path: Path, allowed: list[Any]) -> None:
    """Raise where there is another network than the allowed ones; a folder may have none."""
    import fastnn

    try:
        net = fastnn.load_mlp(path)
    except FileNotFoundError:
        if path.suffix:
            raise BrokeError(f"{path.name} is gone") from None
        return
    arrays = [*net.weights, *net.biases]
    for one in allowed:
        others = [*one.weights, *one.biases]
        same = net.activation == one.activation and len(arrays) == len(others)
        if same and all(map(np.array_equal, arrays, others)):
            return
    raise BrokeError(f"{path.name} holds a mixture: {net!r}")


@functools.cache
def trained() -> Any:
    """Return the network that the training makes."""
    import fastnn

    with tempfile.TemporaryDirectory() as place:
        words = ["-m", "fastnn", *_commands.TRAIN, "1", "--out", "net.npz"]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, *words], cwd=place, env=env, check=True, capture_output=True
        )
        return fastnn.load_mlp(Path(place) / "net.npz")


def saves(out: str) -> Command:
    """Return the command that saves two networks in turn."""
    both = [_commands.network(0), _commands.network(1)]
    return Command(
        words=lambda killed: [*_OURS, "save", out, "100" if killed else "1"],
        before=lambda place: write_network(both[1], place / out),
        check=lambda place: require_network(place / out, both),
        written=lambda place: files_of(both[0], out),
        signals=True,
    )


def trains(out: str) -> Command:
    """Return the command that trains and saves over an old network."""
    old = _commands.network(1)
    return Command(
        words=lambda _: ["-m", "fastnn", *_commands.TRAIN, "1", "--out", out],
        before=lambda place: write_network(old, place / out),
        check=lambda place: require_network(place / out, [old, trained()]),
        written=lambda place: files_of(trained(), out),
    )


def write_network(net: Any, path: Path) -> None:
    """Save a network."""
    import fastnn

    fastnn.save_mlp(net, path)


def files_of(net: Any, out: str) -> set[str]:
    """Return the names of the files that hold a network."""
    if out.endswith(".npz"):
        return {out}
    names = {f"fc{i}.{kind}" for i in range(1, len(net.sizes)) for kind in ("weight", "bias")}
    return {str(Path(out) / f"{name}.npy") for name in {*names, "activation"}}


# --- results and downloads ----------------------------------------------------------------------


def require_attack(place: Path) -> None:
    """Raise where the results or the kept network are broken."""
    import fastnn

    text = (place / "attack.json").read_text()
    document = json.loads(text)
    if document != {"old": True} and document["reports"][0]["n"] != 1000:
        raise BrokeError(f"attack.json holds {text[:200]}")
    for file in (place / "cache").rglob("*.npz"):
        if fastnn.load_mlp(file).sizes != _commands.SMALL:
            raise BrokeError(f"{file.name} is another network")


def write_old_results(place: Path) -> None:
    """Write results for a command to replace."""
    (place / "attack.json").write_text(json.dumps({"old": True}))


def kept(place: Path) -> set[str]:
    """Return the names of the files of an attack: its results and one network."""
    networks = sorted((place / "cache").rglob("*.npz"))[:1]
    return {"attack.json", *(str(file.relative_to(place)) for file in networks)}


def require_fetched(place: Path) -> None:
    """Raise where a file has its name but not its content."""
    for name, content in _commands.FETCHED.items():
        file = place / "mnist" / name
        if file.is_file() and file.read_bytes() != content:
            raise BrokeError(f"{name} has its name before it is right")


class Server(http.server.BaseHTTPRequestHandler):
    """Sends the files slowly, from where a download broke off."""

    def do_GET(self) -> None:
        """Answer one request."""
        content = _commands.FETCHED[self.path.lstrip("/")]
        asked = self.headers["Range"]
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked is dead
            for piece in pieces(content[begin:]):
                self.wfile.write(piece)
                time.sleep(0.005)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def pieces(content: bytes) -> Iterator[bytes]:
    """Yield the content bit by bit."""
    size = 10_000
    for k in range(0, len(content), size):
        yield content[k : k + size]


@functools.cache
def address() -> str:
    """Return the address of our server, which runs as long as this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


COMMANDS = {
    "save to a folder": saves("net"),
    "save to an archive": saves("net.npz"),
    "train to a folder": trains("net"),
    "train to an archive": trains("net.npz"),
    "attack": Command(
        words=lambda _: [*_OURS, "attack"],
        before=write_old_results,
        check=require_attack,
        written=kept,
    ),
    "fetch": Command(
        words=lambda _: [*_OURS, "fetch", address()],
        before=lambda place: None,
        check=require_fetched,
        written=lambda place: {str(Path("mnist") / name) for name in _commands.FETCHED},
    ),
}
