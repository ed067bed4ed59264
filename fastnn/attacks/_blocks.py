"""The attack of samples that are read block by block: each block as if it were a set of its own."""

from __future__ import annotations

import contextlib
import operator
import os
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import _checks, _rows
from fastnn._errors import counted_from
from fastnn._runtime.executors import Pool
from fastnn._runtime.journal import Journal
from fastnn._runtime.progress import Progress
from fastnn.attacks._batch import Batch, Run
from fastnn.attacks._folder import Folder
from fastnn.attacks._names import name_of
from fastnn.attacks._outcome import Outcome, Whole, together
from fastnn.attacks._piece import Piece, attack_piece, digest_of, pieces_of
from fastnn.attacks._plan import Plan
from fastnn.attacks._remote import Remote
from fastnn.attacks._store import InMemory, Journaled, Store
from fastnn.networks import MLP
from fastnn.reports._sources import digest

Place = str | os.PathLike[str] | None

_DIGITS = 16  # of a digest
_CHECKED = 1 << 20  # labels that are checked at a time


class Ways(NamedTuple):
    """How blocks are attacked, and what is kept of them.

    Attributes
    ----------
    results : path-like or None
        The folder for arrays of all samples.
    checkpoint : path-like or None
        The file for the outcomes of finished blocks.
    executor : Executor, Client or None
        What attacks the blocks; None: this process.
    threads : int or None
        As it was asked for.
    """

    results: Place = None
    checkpoint: Place = None
    executor: Any = None
    threads: int | None = None

    @property
    def any(self) -> bool:
        """Whether samples in memory are to be attacked in blocks, too."""
        return not (self.results is self.checkpoint is self.executor is None)


def attack_blocks(net: MLP, plan: Plan, batch: Batch, run: Run, ways: Ways) -> Whole:
    """Attack all samples of a source, ``batch.x``, and return what comes of them."""
    source = batch.x
    if source.rows is not None:  # errors early, not after hours
        _require_fitting(batch, source.rows, net.sizes[-1])
    hashed = ways.checkpoint is not None
    with contextlib.ExitStack() as stack:
        folder = None
        if ways.results is not None:
            folder = Folder(Path(ways.results))
            stack.callback(folder.discard)
        store = _store(stack, net, plan, batch, ways, folder)
        pieces = _Unfinished(batch, store)
        if ways.executor is None:
            found = _here(net, plan, iter(pieces), run, hashed=hashed)
        else:
            pool = Pool(ways.executor)
            remote = Remote(net, plan, pool, threads=ways.threads, hashed=hashed)
            found = ((piece, *done) for piece, done in remote.attacked(iter(pieces)))
        with (
            Progress("attack", source.rows, enabled=run.progress) as bar,
            contextlib.closing(found),
        ):
            done = 0
            for piece, outcome, of in found:
                store.add(piece.block.number, outcome, of)
                done += piece.block.rows
                bar.update(done + pieces.finished)
        pieces.require_no_more()
        if folder is None:
            return together(store, plan.eps, lambda _, shape, kind: np.empty(shape, kind))
        return folder.finish(together(store, plan.eps, folder.make))


class _Unfinished:
    """The pieces that are not in a store yet.

    Attributes
    ----------
    finished : int
        Samples that are in the store from an earlier run, as far as they were met.
    """

    def __init__(self, batch: Batch, store: Store) -> None:
        self._batch, self._store = batch, store
        self._before = set(store.numbers())
        self.finished = 0

    def __iter__(self) -> Iterator[Piece]:
        for piece in pieces_of(self._batch):
            number = piece.block.number
            if number not in self._before:
                yield piece
                continue
            if digest_of(piece.read()) != self._store.digest(number):
                first = piece.block.first
                raise ValueError(
                    f"{self._store.name} is the checkpoint of other data: rows {first} to "
                    f"{first + piece.block.rows - 1} have changed"
                )
            self._before.discard(number)
            self.finished += piece.block.rows

    def require_no_more(self) -> None:
        """Raise if the store has blocks that the data has not."""
        if self._before:
            raise ValueError(
                f"{self._store.name} is the checkpoint of other data, which has more rows"
            )


def _here(
    net: MLP, plan: Plan, pieces: Iterator[Piece], run: Run, *, hashed: bool
) -> Generator[tuple[Piece, Outcome, str]]:
    """Attack pieces in this process, while the next one is read."""
    quiet = run._replace(progress=False)
    for piece in _rows.ahead(piece.read() for piece in pieces):
        outcome = attack_piece(net, plan, piece, quiet)
        yield piece, outcome, digest_of(piece) if hashed else ""


def _store(
    stack: contextlib.ExitStack,
    net: MLP,
    plan: Plan,
    batch: Batch,
    ways: Ways,
    folder: Folder | None,
) -> Store:
    """Return where the outcomes of blocks are kept."""
    if ways.checkpoint is not None:
        return Journaled(
            stack.enter_context(Journal(Path(ways.checkpoint), _about(net, plan, batch)))
        )
    if folder is None:
        return InMemory()
    path = folder.path / f".blocks.{secrets.token_hex(4)}.tmp"  # removed as stale after a kill
    stack.callback(path.unlink, missing_ok=True)
    return Journaled(stack.enter_context(Journal(path, {})))


def _about(net: MLP, plan: Plan, batch: Batch) -> dict[str, Any]:
    """Return what a checkpoint is of; the samples of each block have a digest of their own."""
    from fastnn._version import __version__

    every = plan.attack._parts()
    kinds = [f"{type(one).__module__}.{type(one).__qualname__}" for one in every]
    seed, numbers = batch.rng, None
    if isinstance(seed, tuple) and len(seed) == 2:
        seed, numbers = seed
    steps = None if plan.lattice is None else plan.lattice.steps
    seed = operator.index(seed) if hasattr(seed, "__index__") else repr(seed)
    words = [kinds, [name_of(one) for one in every], plan.bounds, seed, steps]
    words += [plan.recount, plan.keep, batch.targets is None, numbers is None]
    given = [np.asarray(one) for one in (batch.targets, numbers) if one is not None]
    return {
        "fastnn": __version__,
        "network": digest(net.activation, (*net.weights, *net.biases))[:_DIGITS],
        "settings": digest(words, [np.atleast_1d(plan.asked), *given])[:_DIGITS],
        "data": batch.x.words(),
    }


def _require_fitting(batch: Batch, rows: int, classes: int) -> None:
    """Raise for labels in memory as an attack would, and for targets or numbers that are not N."""
    labels = batch.x.labels
    if isinstance(labels, np.ndarray):
        for first in range(0, rows, _CHECKED):
            some = labels[first : first + _CHECKED]
            with counted_from(first):
                _checks.labels(some, len(some), classes)
    numbers = batch.rng[1] if isinstance(batch.rng, tuple) and len(batch.rng) == 2 else None
    for name, values in (("targets", batch.targets), ("rng[1]", numbers)):
        if values is not None and (size := len(_checks.array_of(values, name))) != rows:
            raise ValueError(f"{name} must have one entry a row: {rows} rows, {size} entries")
