"""Products of some dozen rows, panel by panel, with a matrix that is read as it lies in memory.

From some dozen rows on, the sums of `narrow_products` no longer fit into registers at once,
and hardly a column is 0 in a whole group of rows. Here groups are those of `masked_products`, and
each thread packs one chunk of a panel at a time, while all rows wait for it.
"""

from __future__ import annotations

from fastnn._kernels.jit import kernel
from fastnn._kernels.masked_products import DEPTH, ROWS, _add_products
from fastnn._kernels.packing import _pack_chunk, _pack_chunk_transposed


@kernel
def _set_panel(a, masks, first, last, b, transposed, column, vectors, chunk, sums, out):
    """out[:, panel] = a @ b, or a @ b.T, for the groups of rows from `first` to `last`.

    The panel begins at `column`. `masks` are those of `_mark`. `chunk` is as wide as the panel, and
    so is `sums`, which has a row for each of `a`.
    """
    across = chunk.shape[1]
    cut_off = column + across > out.shape[1]
    for c in range(masks.shape[0]):
        start = c * DEPTH
        if transposed:
            _pack_chunk_transposed(b, start, column, chunk)
        else:
            _pack_chunk(b, start, column, chunk)
        to_sums = cut_off or c < masks.shape[0] - 1
        target, place = (sums, 0) if to_sums else (out, column)
        for g in range(first, last):
            row = g * ROWS
            mask = masks[c, g]
            _add_products(a, row, start, mask, chunk, vectors, 0, c == 0, sums, target, place)
    if cut_off:
        for row in range(first * ROWS, min(last * ROWS, a.shape[0])):
            for j in range(out.shape[1] - column):
                out[row, column + j] = sums[row, j]
