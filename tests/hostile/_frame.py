"""What all attackers share: cases by number, run in processes that may die, hang or eat memory.

An attacker is a module of this folder with

- `WIDE`, how many cases a long run tries,
- `SECONDS`, how long one case may take,
- `LIFE`, how many cases a process runs before a new one takes over,
- `case(seed, folder)`, which runs one case and returns what broke, a line each,
- and perhaps `prepare(folder)`, which is called once before the first case.

`folder` is the same for all processes of one attacker, and is removed at the end.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("networks", "files", "caches", "interrupts", "kills")
PREPARE_SECONDS = 300.0
_LAST_WORDS = 300


class BrokeError(Exception):
    """What a case found: the library did something other than it says."""


@dataclass
class Tally:
    """How the cases of one attacker went."""

    name: str
    tried: int = 0
    broke: int = 0
    seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seed: int, found: list[str]) -> None:
        """Count one case, and print what broke with the words that repeat it."""
        with self.lock:
            self.tried += 1
            self.broke += bool(found)
            for text in found:
                again = f"--only {self.name} --seed {seed} --count 1"
                print(f"BROKE  {again}  {' '.join(text.split())}", flush=True)


def attacker(name: str) -> Any:
    """Return the module of an attacker."""
    return import_module(f"tests.hostile.{name}")


def attack(tally: Tally, seeds: Iterator[int], until: float, jobs: int) -> None:
    """Run the cases of one attacker, until they or the time are over."""
    started = time.monotonic()
    taking = threading.Lock()
    stopped = threading.Event()

    def serve(process: Process) -> None:
        while time.monotonic() < until and not stopped.is_set():
            with taking:
                seed = next(seeds, None)
            if seed is None:
                return
            tally.add(seed, process.case(seed))

    with contextlib.ExitStack() as stack:
        place = tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(place)).resolve()
        processes = [stack.enter_context(Process(tally.name, folder)) for _ in range(jobs)]
        if failed := processes[0].prepare():
            tally.add(0, failed)
            return
        servers = [threading.Thread(target=serve, args=(process,)) for process in processes]
        for server in servers:
            server.start()
        try:
            for server in servers:
                server.join()
        finally:
            stopped.set()  # after Ctrl-C, the cases under way are the last
            for server in servers:
                server.join()
            tally.seconds = time.monotonic() - started


class Process:
    """A process that runs cases one by one; another takes its place when it dies."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._module = attacker(name)
        self._left = 0
        self._child: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._errors.close()

    def prepare(self) -> list[str]:
        """Have the attacker make what its cases need; return what went wrong."""
        return self._ask("prepare", PREPARE_SECONDS)

    def case(self, seed: int) -> list[str]:
        """Run one case and return what broke."""
        return self._ask(seed, self._module.SECONDS)

    def _ask(self, order: int | str, seconds: float) -> list[str]:
        """Send one order to the process and return its answer."""
        if self._left <= 0:
            self._end()
            self._start()
        self._left -= 1
        assert self._child
        assert self._child.stdin
        assert self._child.stdout
        late = threading.Event()

        def stop(child: subprocess.Popen[str] = self._child) -> None:
            late.set()
            child.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            with contextlib.suppress(OSError):  # it is dead: there will be no answer
                self._child.stdin.write(json.dumps(order) + "\n")
                self._child.stdin.flush()
            answer = self._child.stdout.readline()
        finally:
            timer.cancel()
        found = json.loads(answer) if answer else None
        if found is None or found:
            self._left = 0  # what broke may last
        if found is not None:
            return list(found)
        status = self._child.wait()
        if late.is_set():
            return [f"it took longer than {seconds:g} s"]
        return [f"its process ended with status {status}: {self._last_words()}"]

    def _start(self) -> None:
        """Start the process."""
        self._errors.seek(0)
        self._errors.truncate()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile._worker", self._name, str(self._folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that keeps the count
        )
        self._left = self._module.LIFE

    def _end(self) -> None:
        """End the process."""
        if self._child is None:
            return
        with contextlib.suppress(OSError):
            self._child.stdin.close()  # type: ignore[union-attr]
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()  # type: ignore[union-attr]
        self._child = None

    def _last_words(self) -> str:
        """Return the end of what the process wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()[-_LAST_WORDS:] or "nothing on standard error"


def run_checks(checks: dict[str, Callable[[], None]]) -> list[str]:
    """Run all checks of a case and return what broke, named."""
    found = []
    for name, check in checks.items():
        try:
            check()
        except Exception as error:
            found.append(f"{name}: {describe(error)}")
    return found


def describe(error: BaseException) -> str:
    """Return an exception as one line; one that is no `BrokeError` with the place it is from."""
    text = " ".join(str(error).split())[:400]
    if isinstance(error, BrokeError):
        return text
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}"
    where += "" if trace is None else f":{trace.tb_lineno})"
    return f"{type(error).__name__}: {text}{where}"
