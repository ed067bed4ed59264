"""The attack of samples that are read block by block: each block as if it were a set of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import _checks, _rows
from fastnn._errors import counted_from
from fastnn._runtime.journal import Journal
from fastnn._runtime.progress import Progress
from fastnn.attacks._batch import Batch, Run, attack_batch
from fastnn.attacks._folder import Folder
from fastnn.attacks._outcome import Outcome, Whole, together
from fastnn.attacks._plan import Plan
from fastnn.attacks._store import InFile, InMemory, Store
from fastnn.networks import MLP

Path_ = str | os.PathLike[str]


class Piece(NamedTuple):
    """A block with what an attack is to reach for its samples."""

    block: _rows.Block
    targets: Any
    rng: Any

    def read(self) -> Piece:
        """Return the piece with its block in memory."""
        return self._replace(block=self.block.read())


def attack_blocks(
    net: MLP, plan: Plan, batch: Batch, run: Run, results: Path_ | None = None
) -> Whole:
    """Attack all samples of a source, ``batch.x``, and return what comes of them.

    With `results`, arrays of all samples are in files of this folder.
    """
    source = batch.x
    if source.rows is not None:  # errors early, not after hours
        _require_fitting(batch, source.rows, net.sizes[-1])
    with contextlib.ExitStack() as stack:
        store, folder = _places(stack, results)
        with Progress("attack", source.rows, enabled=run.progress) as bar:
            for piece in _rows.ahead(piece.read() for piece in _pieces(batch)):
                store.add(piece.block.number, attack_piece(net, plan, piece, run), "")
                bar.update(piece.block.first + len(piece.block.x))
        if folder is None:
            return together(store, plan.eps, lambda _, shape, kind: np.empty(shape, kind))
        return folder.finish(together(store, plan.eps, folder.make))


def attack_piece(net: MLP, plan: Plan, piece: Piece, run: Run) -> Outcome:
    """Attack the samples of a block, which has been read."""
    block = piece.block
    with counted_from(block.first):
        batch = Batch(block.x, block.labels, piece.targets, piece.rng)
        outcome, _ = attack_batch(
            net, plan, batch, run._replace(progress=False), first=not block.number
        )
    return outcome.packed()


def _pieces(batch: Batch) -> Iterator[Piece]:
    """Yield every block of a source with its targets and the numbers of its samples."""
    targets = None if batch.targets is None else _checks.array_of(batch.targets, "targets")
    for block in batch.x.blocks():
        some = slice(block.first, block.first + block.rows)
        seed, numbers = batch.rng, np.arange(some.start, some.stop)
        if isinstance(seed, tuple) and len(seed) == 2:
            seed, numbers = seed[0], _checks.array_of(seed[1], "rng[1]")[some]
        yield Piece(block, None if targets is None else targets[some], (seed, numbers))


def _places(stack: contextlib.ExitStack, results: Path_ | None) -> tuple[Store, Folder | None]:
    """Return where the outcomes of blocks are kept, and where arrays of all samples go."""
    if results is None:
        return InMemory(), None
    folder = Folder(Path(results))
    stack.callback(folder.discard)
    path = folder.path / f".blocks.{secrets.token_hex(4)}.tmp"  # removed as stale after a kill
    stack.callback(path.unlink, missing_ok=True)
    return InFile(stack.enter_context(Journal(path, {}))), folder


def _require_fitting(batch: Batch, rows: int, classes: int) -> None:
    """Raise for labels in memory as an attack would, and for targets or numbers that are not N."""
    if isinstance(batch.x.labels, np.ndarray):
        _checks.labels(batch.x.labels, rows, classes)
    numbers = batch.rng[1] if isinstance(batch.rng, tuple) and len(batch.rng) == 2 else None
    for name, values in (("targets", batch.targets), ("rng[1]", numbers)):
        if values is not None and (size := len(_checks.array_of(values, name))) != rows:
            raise ValueError(f"{name} must have one entry a row: {rows} rows, {size} entries")
