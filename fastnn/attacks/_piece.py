"""A block of samples with what an attack is to reach for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn import _checks, _rows
from fastnn._errors import counted_from
from fastnn.attacks._batch import Batch, Run, attack_batch
from fastnn.attacks._outcome import Outcome
from fastnn.attacks._plan import Plan
from fastnn.networks import MLP
from fastnn.reports._sources import digest


class Piece(NamedTuple):
    """A block with what an attack is to reach for its samples.

    Attributes
    ----------
    block : Block
    targets : ndarray, shape (n,), or None
    rng : pair of int and ndarray, shape (n,)
        The seed, and the numbers of the samples in the whole.
    """

    block: _rows.Block
    targets: Any
    rng: Any

    def read(self) -> Piece:
        """Return the piece with its block in memory."""
        return self._replace(block=self.block.read())


def pieces_of(batch: Batch) -> Iterator[Piece]:
    """Yield every block of a source with its targets and the numbers of its samples."""
    targets = None if batch.targets is None else _checks.array_of(batch.targets, "targets")
    for block in batch.x.blocks():
        some = slice(block.first, block.first + block.rows)
        seed, numbers = batch.rng, np.arange(some.start, some.stop)
        if isinstance(seed, tuple) and len(seed) == 2:
            seed, numbers = seed[0], _checks.array_of(seed[1], "rng[1]")[some]
        yield Piece(block, None if targets is None else targets[some], (seed, numbers))


def attack_piece(net: MLP, plan: Plan, piece: Piece, run: Run) -> Outcome:
    """Attack the samples of a block, which has been read."""
    block = piece.block
    batch = Batch(block.x, block.labels, piece.targets, piece.rng)
    with counted_from(block.first):
        [outcome], _ = attack_batch(net, [plan], batch, run, first=not block.number)
    return outcome.packed()


def digest_of(piece: Piece) -> str:
    """Return the SHA-256 of the samples of a block, which has been read."""
    return digest("", (piece.block.x, np.asarray(piece.block.labels)))
