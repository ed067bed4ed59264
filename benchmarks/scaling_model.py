"""A model of the time of `adversarial_accuracy` by rows and threads; `scaling.py` fits it."""

import heapq
from dataclasses import dataclass

import numpy as np

from fastnn import _checks
from fastnn._engine import tiles

MATTERS = 0.05  # of the time: what is less does not bind


def longest(items, workers):
    """Return how much the busiest worker does if a free one takes the next of `items`."""
    ends = [0] * workers
    for item in items:
        heapq.heappush(ends, heapq.heappop(ends) + item)
    return max(ends)


@dataclass(frozen=True)
class Parts:
    """Seconds of a call and its parts, each the least of some calls.

    `busy` is what all processors spent on the tiles: it has no waiting in it, for the other thread
    or for another program. `rest` is spent on one thread.
    """

    seconds: float
    check: float
    pack: float
    busy: float
    rest: float


@dataclass(frozen=True)
class Model:
    """Seconds of a call: a sum of terms, each a parameter times the work of the busiest thread.

    `row` is seconds a row in the tiles, `shared` the slow-down by each further thread, as all read
    weights from the same memory; `lock` is seconds a tile in which Python runs one thread only;
    `check` is seconds a row of the input check, `pack` seconds an entry of the packed weights (of
    `pieces`), `serial` seconds a row on one thread (order, counting), `fixed` seconds a call.
    """

    row: float
    shared: float
    lock: float
    check: float
    pack: float
    serial: float
    fixed: float
    pieces: tuple[int, ...]

    def terms(self, n, threads):
        """Return the seconds of every term; "tiles" is the part that more threads divide."""
        heights = [tile.stop - tile.start for tile in tiles.tiles(n)]
        busiest = longest(heights, threads)
        shared = self.shared * (min(threads, len(heights)) - 1)
        slowed = self.row * busiest * (1 + shared)
        size = _checks._BLOCK if n > _checks._FEW else n
        blocks = [min(size, n - start) for start in range(0, n, size)]
        return {
            "tiles": self.row * n / threads,
            "rounds": self.row * (busiest - n / threads),
            "memory": self.row * busiest * shared,
            "lock": max(0.0, self.lock * len(heights) - slowed),
            "pack": self.pack * longest(self.pieces, threads),
            "check": self.check * longest(blocks, threads),
            "serial": self.serial * n,
            "fixed": self.fixed,
        }

    def seconds(self, n, threads):
        return sum(self.terms(n, threads).values())

    def losses(self, n, threads):
        """Return what every term costs beyond an equal share of its time on one thread."""
        alone, now = self.terms(n, 1), self.terms(n, threads)
        return {name: now[name] - alone[name] / threads for name in now}

    def binding(self, n, threads):
        """Return the term that costs most, None if it costs less than `MATTERS` of the time."""
        losses = self.losses(n, threads)
        name = max(losses, key=losses.__getitem__)
        return name if losses[name] > MATTERS * self.seconds(n, threads) else None


def fit(parts, lock, pieces):
    """Return the model of `parts`, a dict by rows and threads, 1 and 2."""
    alone = {n: one for (n, threads), one in parts.items() if threads == 1}
    rows, rests = zip(*((n, one.rest) for (n, _), one in parts.items()), strict=True)
    serial, fixed = np.polyfit(rows, rests, 1)
    return Model(
        row=np.mean([one.busy / n for n, one in alone.items()]),
        shared=max(0.0, np.mean([parts[n, 2].busy / one.busy - 1 for n, one in alone.items()])),
        lock=lock,
        check=np.mean([one.check / n for n, one in alone.items()]),
        pack=np.mean([one.pack for one in alone.values()]) / sum(pieces),
        serial=max(0.0, serial),
        fixed=max(0.0, fixed),
        pieces=pieces,
    )
