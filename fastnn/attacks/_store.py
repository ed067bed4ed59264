"""Where the outcomes of blocks are until all are there: in memory or in a file.

A file's records are archives of arrays, so that nothing in it is executed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from fastnn._runtime.journal import Journal
from fastnn.attacks._outcome import Outcome

_ARRAYS = ("labels", "clean", "adversarial", "traces", "inputs", "counts")
_SIGN = "sign "


class Store(Protocol):
    """Outcomes by the numbers of their blocks; iterated in the order of the blocks.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    """

    name: str

    def numbers(self) -> Iterable[int]:
        """Return the numbers of the blocks that are there."""

    def __iter__(self) -> Iterator[Outcome]: ...

    def add(self, number: int, outcome: Outcome, digest: str) -> None:
        """Keep an outcome, with the digest of the samples that it is of."""

    def digest(self, number: int) -> str:
        """Return the digest of the samples of a block."""


class InMemory:
    """Outcomes in memory."""

    name = ""

    def __init__(self) -> None:
        self._found: dict[int, Outcome] = {}

    def numbers(self) -> Iterable[int]:
        """Return the numbers of the blocks that are there."""
        return self._found

    def __iter__(self) -> Iterator[Outcome]:
        return (self._found[number] for number in sorted(self._found))

    def add(self, number: int, outcome: Outcome, digest: str) -> None:
        """Keep an outcome."""
        self._found[number] = outcome

    def digest(self, number: int) -> str:
        """Return nothing: no outcome is of an earlier run."""
        return ""


class Journaled:
    """Outcomes in a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self.name = journal, str(journal.path)

    def numbers(self) -> Iterable[int]:
        """Return the numbers of the blocks that are there."""
        return self._journal

    def __iter__(self) -> Iterator[Outcome]:
        return (_unpacked(self._journal[number])[0] for number in sorted(self._journal))

    def add(self, number: int, outcome: Outcome, digest: str) -> None:
        """Write an outcome."""
        self._journal.add(number, _packed(outcome, digest))

    def digest(self, number: int) -> str:
        """Return the digest of the samples of a block."""
        return _unpacked(self._journal[number])[1]


def _packed(outcome: Outcome, digest: str) -> bytes:
    """Return an outcome and a digest as bytes."""
    arrays = {name: getattr(outcome, name) for name in _ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    arrays |= {f"{_SIGN}{name}": rows for name, rows in outcome.signs.items()}
    words = [outcome.probabilities, outcome.normalised, digest]
    file = io.BytesIO()
    np.savez(file, words=np.array(json.dumps(words)), **arrays)
    return file.getvalue()


def _unpacked(content: bytes) -> tuple[Outcome, str]:
    """Return the outcome and the digest in a record; no pickle is read."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays: dict[str, Any] = {name: archive.get(name) for name in _ARRAYS}
        signs = {name[len(_SIGN) :]: archive[name] for name in archive if name.startswith(_SIGN)}
        probabilities, normalised, digest = json.loads(str(archive["words"]))
    return Outcome(
        **arrays, signs=signs, probabilities=probabilities, normalised=normalised
    ), digest
