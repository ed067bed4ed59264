"""Tiles: a batch is cut into tiles of rows, and every tile goes through the network on one thread.

A few rows are one tile, which all threads share (`fastnn._engine.narrow`).
Tiles depend on the number of rows alone, never on the number of threads.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import masked
from fastnn._engine.narrow import MOST_ROWS as MOST_SHARED
from fastnn._engine.narrow import SharedProducts, worth_threads
from fastnn._engine.network import Network
from fastnn._engine.packed import Packed, kept_for
from fastnn._engine.workspace import Rows, Workspace, Workspaces
from fastnn._runtime.progress import Progress
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count

# A tile needs many rows, since it reads all weights. But many threads need many tiles: 10,000 rows
# are 32, as many for each of 4, 8, 16 or 32 threads.
MOST_ROWS = 320
_GOOD_ROWS = 128  # up to _FEW tiles, more of them only where each keeps this height
_FEW = 8
_EVEN = 4  # beyond, a multiple of this many, so that a few threads have as much to do each

Work = Callable[[Workspace, Rows], None]


def tiles(rows: int) -> list[slice]:
    """Return slices that cut `rows` into tiles of nearly equal height."""
    if rows <= MOST_SHARED:
        return [slice(0, rows)]
    if rows > _FEW * MOST_ROWS:
        count = -(-rows // (_EVEN * MOST_ROWS)) * _EVEN
    else:
        count = min(_FEW, 1 << max(1, (rows // _GOOD_ROWS).bit_length() - 1))
    edges = [rows * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def cut(rows: int, height: int) -> list[slice]:
    """Return slices of `height` rows, the last of which may have fewer."""
    return [slice(start, min(start + height, rows)) for start in range(0, rows, height)]


def for_each_tile(
    net: Network,
    x: NDArray[Any],
    work: Work,
    *,
    to: int | None = None,
    direction: bool = False,
    variants: int = 1,
    order: NDArray[np.int64] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Call ``work(workspace, rows)`` for every tile of `x`, loaded; one workspace a thread.

    Rows are taken in the order of `x`, or those whose numbers an `order` has; inside of its tiles
    rows may change places so that products leave out more zeros. Gradients go back to layer `to`;
    for `direction` see `Workspace`. `work` sends every row through the network in so many
    `variants`.
    """
    rows = len(x) if order is None else len(order)
    every_tile = tiles(rows)
    height = max(tile.stop - tile.start for tile in every_tile)
    capacity = max(height, min(rows * variants, MOST_ROWS))
    count = thread_count(threads)
    if len(every_tile) > 1:
        shared, size = None, min(count, len(every_tile))
    else:
        shared = SharedProducts(net, capacity)
        size = worth_threads(net, rows * variants, count)
    with Team(size) as team:
        helped: contextlib.AbstractContextManager[Packed | None]
        helped = kept_for(net, to, team) if shared is None else shared.on(size)
        with helped as packed:
            workspaces = Workspaces(net, capacity, to, shared, packed, direction=direction)
            run_tiles(team, workspaces, x, work, order=order, progress=progress)


def run_tiles(
    team: Team,
    workspaces: Workspaces,
    x: NDArray[Any],
    work: Work,
    *,
    order: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> None:
    """Do the work of `for_each_tile` with a team and workspaces that are there already."""

    def task(worker: int, tile: slice) -> None:
        rows, ws = tile if order is None else order[tile], workspaces[worker]
        ws.load(x, rows)
        if isinstance(rows, np.ndarray):
            pairs = masked.alike(ws.h[0])
            if pairs is not None:
                rows = rows[pairs]
                ws.load(x, rows)
        work(ws, rows)
        if progress is not None and worker == 0:  # only the calling thread draws
            progress.update(tile.stop)

    count = len(x) if order is None else len(order)
    team.run(task, tiles(count) if count else [])


def numbers_of(rows: Rows) -> NDArray[np.int64]:
    """Return the numbers of the rows of a tile."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
