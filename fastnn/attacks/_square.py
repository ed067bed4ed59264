"""The Square attack: random search by squares of pixels, without any gradient."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine.layers import layer_product
from fastnn._kernels import squares
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
        height, across = _shape(standing.tile.x.shape[1])
        state = _State(standing, number, height, across)
        fooled = state.begin()
        for query in range(1, self.queries):
            if not all_steps and fooled.any():
                left = np.flatnonzero(~fooled)
                if not len(left):
                    return
                state = state.some(left)
            fooled = state.try_square(query, self._side(query, height, across))

    def _side(self, query: int, height: int, across: int) -> int:
        """Return how many pixels wide the squares of a query are."""
        done = query * 10_000 / self.queries
        share = self.share / 2 ** sum(done > start for start in _HALVINGS)
        return min(max(round(math.sqrt(share * height * across)), 1), across)


def _shape(width: int) -> tuple[int, int]:
    """Return the height and the width of an image of so many pixels."""
    side = math.isqrt(width)
    return (side, side) if side * side == width else (1, width)


class _State:
    """The best inputs so far, with the products of the first layer.

    A square changes few pixels, so ``x W_1`` is kept, and a try adds ``change W_1`` to it.
    """

    def __init__(self, standing: Standing, number: int, height: int, across: int) -> None:
        self._standing, self._number = standing, number
        self._height, self._across = height, across
        tile = standing.tile
        kind, shape = tile.x.dtype, (len(tile.x), tile.workspace.net.sizes[1])
        self._x, self._low, self._high = (np.empty_like(tile.x) for _ in range(3))
        self._products, self._margins = np.empty(shape, kind), np.empty(len(tile.x), kind)
        for signs, out in ((-1, self._low), (1, self._high)):
            tile.step(tile.x, np.full(tile.x.shape, signs, kind), standing.eps, standing.eps, out)

    def begin(self) -> NDArray[np.bool_]:
        """Move whole columns of pixels by eps; return which samples that fools."""
        key = self._standing.tile.keys(self._number, 0)
        columns = _random.uniform(key, self._across, np.float64) < 0.5
        self._x = np.where(np.tile(columns, (1, self._height)), self._low, self._high)
        workspace = self._standing.tile.workspace
        layer_product(workspace, self._x, 0, self._products)
        fooled, self._margins = self._look(self._x, self._products)
        return fooled

    def try_square(self, query: int, side: int) -> NDArray[np.bool_]:
        """Keep squares that make margins smaller; return which samples these fool."""
        tile, x = self._standing.tile, self._x
        tall = min(side, self._height)
        where = _random.uniform(tile.keys(self._number, query), 3, np.float64)
        room = np.array([self._height - tall + 1, self._across - side + 1, 2])
        places = (where * room).astype(np.int64)
        tried, change = tile.buffer("tried"), tile.buffer("change")
        squares._with_square(
            x, self._low, self._high, places, tall, side, self._across, tried, change
        )
        products = tile.workspace.spare("products of squares", *self._products.shape)
        layer_product(tile.workspace, change, 0, products)
        products += self._products
        fooled, margins = self._look(tried, products)
        better = margins < self._margins
        for kept, new in ((x, tried), (self._products, products), (self._margins, margins)):
            kept[better] = new[better]
        return fooled

    def _look(self, x: Array, products: Array) -> tuple[NDArray[np.bool_], Array]:
        """Show inputs to the search; return which samples they fool, and the margins."""
        tile = self._standing.tile
        logits = tile.logits(x, products=products)
        return self._standing.see(x, logits), tile.margins(logits)

    def some(self, chosen: NDArray[np.int64]) -> _State:
        """Return the state of some of the samples."""
        part = copy.copy(self)
        part._standing = self._standing.some(chosen)
        part._x, part._low, part._high = self._x[chosen], self._low[chosen], self._high[chosen]
        part._products, part._margins = self._products[chosen], self._margins[chosen]
        return part
