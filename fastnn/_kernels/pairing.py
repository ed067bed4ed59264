"""Which rows of a tile share a group: those whose zeros are in the same places."""

from __future__ import annotations

import numpy as np

from fastnn._kernels.jit import kernel
from fastnn._kernels.masked_products import DEPTH, _bit_count, _places

_TAKEN = 1 << 30  # more than any distance


@kernel
def _pair_alike(x, places, distances, order):
    """order = the rows of `x` in pairs; one that is left over comes last.

    The row with the fewest zeros chooses first. It takes the partner with the fewest columns in
    which only one of the two is 0; of several, the first. `places` has a mask for each chunk of
    columns and row, and `distances` a number for each row.
    """
    rows = len(x)
    entries, taken = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for r in range(rows):
        for c in range(len(places)):
            places[c, r] = _places(x, r, c * DEPTH)
            entries[r] += _bit_count(places[c, r])
    count = 0
    for first in np.argsort(-entries, kind="mergesort"):
        if taken[first]:
            continue
        taken[first] = _TAKEN
        order[count] = first
        count += 1
        if count == rows:
            break
        distances[:] = taken
        for c in range(len(places)):
            mine = places[c, first]
            for r in range(rows):
                distances[r] += _bit_count(places[c, r] ^ mine)
        partner = np.argmin(distances)
        taken[partner] = _TAKEN
        order[count] = partner
        count += 1
