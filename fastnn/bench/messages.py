"""The messages between the harness and a worker process: one record as JSON on each line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from fastnn.bench.records import from_json


@dataclass(frozen=True)
class Prepare:
    """Command: build a job for `n` samples and check the first answer. Reply: Prepared."""

    job: str
    n: int


@dataclass(frozen=True)
class Time:
    """Command: run the job this many times. Reply: Timed."""

    calls: int


@dataclass(frozen=True)
class Ready:
    """Reply at the start: the implementation is imported."""


@dataclass(frozen=True)
class Absent:
    """Reply at the start or to Prepare: the implementation is left out, and why."""

    reason: str


@dataclass(frozen=True)
class Prepared:
    """Reply to Prepare: the answer is right.

    Attributes
    ----------
    calls : int
        How many calls take long enough to be timed.
    dtype : str
        The type of the computation.
    answer : tuple of float or None
        If it is short, as counts and metrics are.
    peak_memory : int or None
        The most bytes that were resident during the first call, None if not known.
    """

    calls: int
    dtype: str
    answer: tuple[float, ...] | None
    peak_memory: int | None


@dataclass(frozen=True)
class Timed:
    """Reply to Time: the mean seconds of one call."""

    seconds: float


@dataclass(frozen=True)
class Wrong:
    """Reply to Prepare: the answer is wrong, and how."""

    message: str


Command = Prepare | Time
Reply = Ready | Absent | Prepared | Timed | Wrong
_COMMANDS: dict[str, type[Command]] = {kind.__name__: kind for kind in (Prepare, Time)}
_REPLIES: dict[str, type[Reply]] = {
    kind.__name__: kind for kind in (Ready, Absent, Prepared, Timed, Wrong)
}


def encode(message: Command | Reply) -> str:
    """Return a message as a line."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}) + "\n"


def decode_command(line: str) -> Command:
    """Return the command in a line; ValueError if a field has another type."""
    values = json.loads(line)
    return from_json(_COMMANDS[values["kind"]], values)


def decode_reply(line: str) -> Reply:
    """Return the reply in a line; ValueError if a field has another type."""
    values = json.loads(line)
    return from_json(_REPLIES[values["kind"]], values)
