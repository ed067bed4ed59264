"""Kernels for products of signs with weights, by tables of sums; see `fastnn._engine.moved`.

Four neighbouring inputs have 16 combinations of signs. For each of them a table has the sum of
their four rows of the weights, times the step, so that a row of signs adds one line of a table
instead of four products: the method of Arlazarov, Dinic, Kronrod and Faradzhev (1970) for matrices
of bits.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from fastnn._kernels.jit import kernel
from fastnn._kernels.vectors import INTEGER, VECTOR_BYTES, Emitter

FOUR = 4
LINES = 1 << FOUR  # of a table
TABLES = 8  # of a chunk, which stay in the first-level cache
DEPTH = TABLES * FOUR  # inputs of a chunk
# The bytes of a strip of columns: its tables take 16 KiB, half of the smallest first-level cache.
STRIP_BYTES = 128
_COUNT = STRIP_BYTES // VECTOR_BYTES  # vectors of a line
_AHEAD = 8  # rows whose sums are fetched before they are needed
# A step may be 64 units of rounding longer or shorter. From inputs in [0, 1], steps of 1/64 or more
# are: the step of the type that is nearest may lie beyond, and the one before it is taken.
_ROUNDINGS = 64


def _above(x, before, row, start):
    """Return a mask of the `DEPTH` columns from `start` in which a row of `x` is above `before`."""
    return sum(1 << k for k in range(DEPTH) if x[row, start + k] > before[row, start + k])


def _set_table(panel, k, column, size, tables, t):
    """Set table number `t` to `size` times the sums of the four rows from `k`, with all signs.

    Row ``k + i`` is added in lines whose number has bit i, and subtracted in others.
    """
    lines = tables[t * LINES : (t + 1) * LINES]
    rows = size * panel[k : k + FOUR, column : column + tables.shape[1]]
    lines[:] = [
        sum(row if line >> i & 1 else -row for i, row in enumerate(rows)) for line in range(LINES)
    ]


def _add_lines(mask, tables, fresh, sums, row, column):
    """Add the lines that a mask chooses of a chunk's tables to a row of sums, from `column`.

    If `fresh`, there are no sums yet.
    """
    chosen = [t * LINES + (int(mask) >> FOUR * t) % LINES for t in range(TABLES)]
    total, strip = tables[chosen].sum(axis=0), slice(column, column + tables.shape[1])
    sums[row, strip] = total if fresh else sums[row, strip] + total


def _emit_above(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_above`."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    lines = [emit.place(emit.array(signature.args[i], args[i]), *args[2:]) for i in (0, 1)]
    return emit.mask(">", *lines, DEPTH)


def _emit_set_table(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_set_table`."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    panel, tables = (emit.array(signature.args[i], args[i]) for i in (0, 4))
    _, k, column, size, _, t = args
    factor = emit.splat(size)
    sources = [emit.place(panel, builder.add(k, INTEGER(i)), column) for i in range(FOUR)]
    for i in range(FOUR):  # of the next chunk
        following = builder.add(k, INTEGER(DEPTH + i))
        emit.prefetch(emit.place(panel, following, column), STRIP_BYTES)
    target = emit.place(tables, builder.mul(t, INTEGER(LINES)), INTEGER(0))
    for v in range(_COUNT):
        sums = [emit.zero]
        for source in sources:
            row = builder.fmul(factor, emit.load(source, INTEGER(v * emit.lanes)))
            sums = [op(s, row) for op in (builder.fsub, builder.fadd) for s in sums]
        for line, value in enumerate(sums):
            emit.store(value, target, INTEGER((line * _COUNT + v) * emit.lanes))
    return context.get_dummy_value()


def _emit_add_lines(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_add_lines`: a strip's sums have registers."""
    emit = Emitter(context, builder, signature.args[1].dtype)
    tables, sums = (emit.array(signature.args[i], args[i]) for i in (1, 3))
    mask, _, fresh, _, row, column = args
    offsets = [INTEGER(v * emit.lanes) for v in range(_COUNT)]
    target = emit.place(sums, row, column)
    emit.prefetch(emit.place(sums, builder.add(row, INTEGER(_AHEAD)), column), STRIP_BYTES)
    values = [builder.select(fresh, emit.zero, emit.load(target, offset)) for offset in offsets]
    width = _COUNT * emit.lanes
    for t in range(TABLES):
        line = builder.and_(builder.lshr(mask, INTEGER(FOUR * t)), INTEGER(LINES - 1))
        place = builder.add(builder.mul(line, INTEGER(width)), INTEGER(t * LINES * width))
        source = emit.in_register(builder.gep(tables.data, [place]))
        values = [
            builder.fadd(value, emit.load(source, offset))
            for value, offset in zip(values, offsets, strict=True)
        ]
    for value, offset in zip(values, offsets, strict=True):
        emit.store(value, target, offset)
    return context.get_dummy_value()


# Without the compiler the plain functions above are what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _above(typing, x, before, row, start):
        """Type `_above`: arrays of one float type, integers of 64 bits."""
        return types.uint64(x, before, types.int64, types.int64), _emit_above

    @intrinsic
    def _set_table(typing, panel, k, column, size, tables, t):
        """Type `_set_table`: arrays and a number of one float type, integers of 64 bits."""
        i = types.int64
        return types.void(panel, i, i, panel.dtype, tables, i), _emit_set_table

    @intrinsic
    def _add_lines(typing, mask, tables, fresh, sums, row, column):
        """Type `_add_lines`: arrays of one float type, a mask, a boolean, integers."""
        i = types.int64
        return types.void(types.uint64, tables, fresh, sums, i, i), _emit_add_lines


@kernel
def _mark_steps(x, before, size, masks):
    """masks = for every chunk of columns and row, which entries have moved up from `before`.

    Returns False where an entry has not moved by `size`. Rounding changes steps: they are taken to
    be `size` if they differ from it by no more than its 2**17th part in float32, or 2**46th part in
    float64.
    """
    rows, depth = x.shape
    most = size * x.dtype.type(_ROUNDINGS * np.finfo(x.dtype).eps)
    whole = depth - depth % DEPTH
    for i in range(rows):
        now, then = x[i], before[i]
        others = 0
        for j in range(depth):
            others += not abs(abs(now[j] - then[j]) - size) <= most  # a NaN counts, too
        if others > 0:
            return False
        for start in range(0, whole, DEPTH):
            masks[start // DEPTH, i] = _above(x, before, i, start)
        if whole < depth:
            mask = np.uint64(0)
            for j in range(depth - whole):
                mask |= np.uint64(now[whole + j] > then[whole + j]) << np.uint64(j)
            masks[whole // DEPTH, i] = mask
    return True


@kernel
def _set_tables(panel, start, column, size, last, tables):
    """Set the tables of the chunk of a panel from row `start`, for a strip from `column`.

    `last` is a buffer for a chunk that is cut off: rows that it lacks are 0.
    """
    rest = len(panel) - start
    if rest >= DEPTH:
        for t in range(TABLES):
            _set_table(panel, start + t * FOUR, column, size, tables, t)
        return
    last[:] = 0
    for k in range(rest):
        for j in range(last.shape[1]):
            last[k, j] = panel[start + k, column + j]
    for t in range(TABLES):
        _set_table(last, t * FOUR, 0, size, tables, t)


@kernel
def _set_sums(masks, panel, column, size, last, tables, sums, place):
    """Set a strip of `sums`, from `place` on, to (size * signs) @ the strip of a panel at `column`.

    The tables have the `size` in them: sums of the signs alone could overflow where those of the
    inputs do not. `last` and `tables` are buffers as wide as the strip.
    """
    for c in range(len(masks)):
        _set_tables(panel, c * DEPTH, column, size, last, tables)
        for i in range(len(sums)):
            _add_lines(masks[c, i], tables, c == 0, sums, i, place)


@kernel
def _add_sums(z, sums, first, out):
    """out = z + sums, for the columns from `first` on."""
    for i in range(len(out)):
        for j in range(sums.shape[1]):
            out[i, first + j] = z[i, first + j] + sums[i, j]


@kernel
def _add_sign_products(masks, panels, size, z, last, tables, sums, out):
    """out = z + (size * signs) @ the matrix in `panels`, for masks as `_mark_steps` sets them.

    `out` is not `z`. `last` and `tables` are buffers as wide as a strip, `sums` is one as wide as a
    panel. A strip that would be cut off overlaps the one before, as panels do.
    """
    count, _, across = panels.shape
    strip = tables.shape[1]
    for p in range(count):
        for s in range(-(-across // strip)):
            column = min(s * strip, across - strip)
            _set_sums(masks, panels[p], column, size, last, tables, sums, column)
        _add_sums(z, sums, min(p * across, out.shape[1] - across), out)
