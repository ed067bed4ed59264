"""Products of a few rows: all threads of a call share each of them.

From many rows, every thread takes tiles of its own. A few rows are one tile, so the threads share
the columns of its products instead. Weights are read as they are, since packing them beforehand
takes longer than such a product; but a call with many passes keeps what it has packed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.crews import crews, new_board
from fastnn._engine.memory import empty
from fastnn._engine.network import Network
from fastnn._kernels import narrow_jobs, narrow_passes, narrow_products
from fastnn._kernels.narrow_panels import PANELS_FROM

Array = NDArray[Any]
How = tuple[Array, Array, int, int, Array, bool]  # what `SharedProducts._how` returns

# Measured: up to so many rows, shared products are faster than tiles with packed weights.
MOST_ROWS = 160
# Measured on Zen 4 and on an Intel server, not on others: the multiply-adds of a pass from which a
# second thread saves more than it costs. An image in the network of part 2 has 2.9 million.
_WORTH_SHARING = 2_500_000
# To wake a helper takes its caller 8 to 13 us (measured with up to 15 of them on two cores). One
# thread needs some 0.2 ms for the three passes of a single image with so many in each.
_WORTH_A_HELPER = 700_000
# Measured: from so many products on, new memory for their weights' panels is worth it.
KEEP_FROM = 4


def worth_threads(net: Network, rows: int, most: int) -> int:
    """Return how many threads, up to `most`, shared products of so many rows are worth."""
    products = rows * sum(w.size for w in net.weights)
    return min(most, max(2, products // _WORTH_A_HELPER)) if products >= _WORTH_SHARING else 1


class SharedProducts:
    """Products that the calling thread may share with helpers.

    Parameters
    ----------
    net : Network
        Whose weights are multiplied.
    rows : int
        The most rows of a product.
    steps : bool, optional
        Whether `multiply_back_and_step` will be called, so that weights change.
    """

    def __init__(self, net: Network, rows: int, *, steps: bool = False) -> None:
        self._net = net
        self._board = new_board()
        self._like = np.empty((0, 0), net.dtype)
        room = narrow_jobs._room_size(rows, net.dtype.itemsize)
        if steps:
            room = max(room, narrow_products.BLOCK * (rows + max(net.sizes)))
        self._room = empty((room,), net.dtype)
        self._masks = np.empty(narrow_jobs._mask_count(rows, max(net.sizes)), np.uint64)
        self._threads = 1
        self._keeps = not steps
        self._uses: dict[tuple[int, bool], int] = {}  # of weights, perhaps transposed, in panels
        self._panels: dict[tuple[int, bool], Array] = {}
        self._nothing = np.empty((0, 0, 0), net.dtype)
        self._unpacked: How = self._masks, self._room, 0, 1, self._nothing, False
        self._rows, self._narrowest = 0, 0  # columns that a product of so many rows needs

    def _across(self, rows: int, width: int) -> tuple[int, int]:
        """Return the columns of a panel, 0 without panels, and in how many parts its rows go."""
        panels: tuple[int, int] = narrow_passes._panels(
            rows, width, self._like.itemsize, self._threads
        )
        return panels

    @contextlib.contextmanager
    def on(self, threads: int) -> Iterator[None]:
        """Share the products of the block with so many threads, the calling one among them.

        They are fewer where other calls have all helpers. Handlers of signals have to be delayed,
        as a `Team` does, unless there is one thread.
        """
        if threads == 1:
            yield
            return
        crew = crews.ready(self._like.dtype, threads - 1)
        if crew is None or not crew.take(threads - 1, self._room.size):
            yield
            return
        own, self._board, self._threads = self._board, crew.board, threads
        try:
            yield
        finally:
            self._board, self._threads = own, 1
            crew.give_back()

    def fit(self, rows: int, width: int) -> bool:
        """Say whether a product of so many rows with a matrix of so many columns can be shared."""
        if rows != self._rows:
            height = narrow_products._group_height(rows)
            self._rows = rows
            self._narrowest = narrow_products._strip_width(height, self._like.itemsize)
        return rows > 0 and width >= self._narrowest

    def multiply(self, a: Array, i: int, out: Array) -> None:
        """out = a @ the weights number `i`."""
        how = self._how(i, len(a), transposed=False)
        narrow_jobs._forward(self._board, a, self._net.weights[i], *how, out)

    def multiply_back(self, g: Array, i: int, out: Array, only: Array | None) -> None:
        """out = g @ the weights number `i`, transposed; columns in which `only` is 0 may be 0."""
        h, masked_by_h = (out, False) if only is None else (only, True)
        how = self._how(i, len(g), transposed=True)
        narrow_jobs._backward(self._board, g, self._net.weights[i], h, masked_by_h, *how, out)

    def _how(self, i: int, rows: int, *, transposed: bool) -> How:
        """Return masks, room, width and parts of panels, and those that are kept, for a job."""
        if rows < PANELS_FROM:
            return self._unpacked
        shape = self._net.weights[i].shape
        depth, width = shape[::-1] if transposed else shape
        across, parts = self._across(rows, width)
        kept = self._kept((i, transposed), across, depth, width)
        return self._masks, self._room, across, parts, *kept

    def _kept(
        self, key: tuple[int, bool], across: int, depth: int, width: int
    ) -> tuple[Array, bool]:
        """Return panels of weights that are kept, and whether they are filled; at first none."""
        if not across or not self._keeps:
            return self._nothing, False
        uses = self._uses[key] = self._uses.get(key, 0) + 1
        if uses < KEEP_FROM:
            return self._nothing, False
        if uses == KEEP_FROM:
            self._panels[key] = empty((-(-width // across), depth, across), self._like.dtype)
        return self._panels[key], uses > KEEP_FROM

    def multiply_back_and_step(
        self,
        g: Array,
        weights: Array,
        h: Array,
        out: Array,
        velocity: Array,
        settings: Array,
        *,
        masked: bool,
    ) -> None:
        """out = g @ weights.T, then a step of gradient descent on the weights by h.T @ g.

        Where `masked`, columns in which `h` is all 0 may be left 0 in `out`. An `out` without rows
        is not computed; a `velocity` without rows is that of momentum 0. `settings` has the scale
        of the gradient, l2, momentum and learning rate, shape (4,).
        """
        across, _ = self._across(len(g), len(weights))
        narrow_jobs._backward_and_step(
            self._board,
            g,
            weights,
            h,
            masked,
            self._masks,
            self._room,
            across,
            out,
            velocity,
            settings,
        )
