"""Products of some dozen rows, panel by panel, with a matrix as it lies in memory or in panels.

From some dozen rows on, the sums of `narrow_products` no longer fit into registers at once,
and hardly a column is 0 in a whole group of rows. Here groups are those of `masked_products`, and
each thread packs one chunk of a panel at a time, while all rows wait for it. A matrix that has many
products is packed once: its panels are kept.
"""

from __future__ import annotations

from fastnn._kernels.jit import kernel
from fastnn._kernels.masked_products import DEPTH, ROWS, _add_products
from fastnn._kernels.packing import _pack_chunk, _pack_chunk_transposed
from fastnn._kernels.vectors import LINE_BYTES, VECTOR_BYTES

# Measured: from so many rows on, panels are faster than strips and blocks.
PANELS_FROM = 12 if VECTOR_BYTES == 64 else 10


@kernel
def _set_panel(a, masks, first, last, b, transposed, column, panel, filled, sums, out):
    """out[:, columns] = a @ b, or a @ b.T, for the groups of rows from `first` to `last`.

    The columns are those of a panel, from `column` on. `masks` are those of `_mark`. `panel` has
    all rows of the matrix, or one chunk, which every chunk in turn is packed into; a panel that is
    `filled` is not packed. `sums` is as wide as the panel, and has a row for each of `a`.
    """
    across = panel.shape[1]
    vectors = across * panel.itemsize // VECTOR_BYTES
    lines = 0
    if filled:
        lines = -(-DEPTH * across * panel.itemsize // (LINE_BYTES * max(1, last - first)))
    cut_off = column + across > out.shape[1]
    for c in range(masks.shape[0]):
        start = c * DEPTH
        chunk = panel[start : start + DEPTH] if len(panel) > DEPTH else panel
        if not filled and transposed:
            _pack_chunk_transposed(b, start, column, chunk)
        elif not filled:
            _pack_chunk(b, start, column, chunk)
        to_sums = cut_off or c < masks.shape[0] - 1
        target, place = (sums, 0) if to_sums else (out, column)
        for g in range(first, last):
            row = g * ROWS
            mask = masks[c, g]
            if mask == 0 and 0 < c < masks.shape[0] - 1:
                continue  # the sums stay as they are
            _add_products(a, row, start, mask, chunk, vectors, lines, c == 0, sums, target, place)
    if cut_off:
        for row in range(first * ROWS, min(last * ROWS, a.shape[0])):
            for j in range(out.shape[1] - column):
                out[row, column + j] = sums[row, j]
