"""The Square attack: random search by squares of pixels, without any gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn.attacks import _random
from fastnn.attacks._search import Search, Standing
from fastnn.attacks._tile import Tile

Array = NDArray[Any]

# Of 10,000 queries: when the squares become half as large.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True)
class Square(Search):
    """Random search in L-infinity that moves a square of pixels by eps at a time.

    It uses logits alone. Where it fools more samples than an attack that follows gradients, the
    gradients are masked.

    Parameters
    ----------
    queries : int, optional
        Inputs that are tried for each sample of a run, at least 1.
    share : float, optional
        Share of the pixels that the first squares have, > 0 and at most 1.
    restarts : int, optional
        How often to begin, each time with other random numbers.

    Raises
    ------
    TypeError, ValueError
        A setting is of another type or out of its range.

    Notes
    -----
    Andriushchenko, Croce, Flammarion and Hein (2020), arXiv:1912.00049, algorithms 1 and 2. It
    begins with columns of ``x - eps`` and ``x + eps``. Each try sets a square at a random place to
    one of both; it is kept if it makes the margin smaller. The squares shrink with the queries.
    Inputs of D numbers are images of ``sqrt(D) x sqrt(D)`` pixels or, where D is no square, one
    row of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((16, 16, 3), rng=1)
    >>> x = np.full((2, 16), 0.5, np.float32)
    >>> x_adv = fastnn.attacks.Square(queries=20).perturb(net, x, [0, 1], eps=0.25)
    >>> bool(np.abs(x_adv - x).max() <= 0.25)
    True
    """

    queries: int = 5000
    share: float = 0.8
    restarts: int = 1

    def __post_init__(self) -> None:
        _checks.positive_integer(self.queries, "queries")
        _checks.positive_integer(self.restarts, "restarts")
        if not _checks.real(self.share, "share", open_below=True) <= 1:
            raise ValueError(f"share must be at most 1, got {self.share}")

    def _runs(self, tile: Tile) -> int:
        """Return the number of restarts."""
        return self.restarts

    def _run(self, standing: Standing, number: int, *, all_steps: bool) -> None:
        """Search once."""
        width = standing.tile.x.shape[1]
        side = math.isqrt(width)
        height, across = (side, side) if side * side == width else (1, width)
        tile = standing.tile
        columns = _random.uniform(tile.keys(number, 0), across, np.float64) < 0.5
        signs = np.tile(np.where(columns, -1, 1), (1, height)).astype(tile.x.dtype)
        x = np.empty_like(tile.x)
        tile.step(tile.x, signs, standing.eps, standing.eps, x)
        logits = tile.logits(x)
        fooled, margins = standing.see(x, logits), tile.margins(logits)
        for query in range(1, self.queries):
            if not all_steps and fooled.any():
                left = np.flatnonzero(~fooled)
                if not len(left):
                    return
                standing, x, margins = standing.some(left), x[left], margins[left]
                tile = standing.tile
            tried = self._with_square(standing, x, number, query, height, across)
            logits = tile.logits(tried)
            fooled, found = standing.see(tried, logits), tile.margins(logits)
            better = found < margins
            x[better], margins[better] = tried[better], found[better]

    def _with_square(
        self, standing: Standing, x: Array, number: int, query: int, height: int, across: int
    ) -> Array:
        """Return the inputs with a square at a random place, moved by eps up or down."""
        tile = standing.tile
        done = query * 10_000 / self.queries
        share = self.share / 2 ** sum(done > start for start in _HALVINGS)
        side = min(max(round(math.sqrt(share * height * across)), 1), across)
        tall = min(side, height)
        where = _random.uniform(tile.keys(number, query), 3, np.float64)
        top = (where[:, 0] * (height - tall + 1)).astype(int)
        first = (where[:, 1] * (across - side + 1)).astype(int)
        rows, columns = np.arange(height), np.arange(across)
        inside = ((rows >= top[:, None]) & (rows < top[:, None] + tall))[:, :, None]
        inside = inside & ((columns >= first[:, None]) & (columns < first[:, None] + side))[:, None]
        signs = np.where(where[:, 2:] < 0.5, -1, 1).astype(x.dtype)
        moved = np.empty_like(x)
        whole = np.broadcast_to(signs, x.shape)
        tile.step(tile.x, np.ascontiguousarray(whole), standing.eps, standing.eps, moved)
        return np.where(inside.reshape(len(x), -1), moved, x)
