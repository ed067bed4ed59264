"""Products of a few rows with a matrix that is read once, as it lies in memory.

Rows are taken in groups of the same height, at most `MOST_ROWS`; the last group may overlap the one
before. A block of sums stays in registers while a whole row or column of the matrix passes by.
"""

from __future__ import annotations

import itertools

import numba
from numba.core import types
from numba.extending import intrinsic

from fastnn._kernels.jit import kernel
from fastnn._kernels.vectors import INTEGER, TARGET, VECTOR_BYTES, Emitter

# Measured: a core of Zen 4 reads six rows of a matrix at once at 75 GB/s, and twelve at 44; rows
# one after the other at 77 GB/s if it fetches two ahead, and at 51 if it fetches six ahead.
_ZEN_4 = TARGET.name == "znver4"
_MOST_DOTS = 6 if _ZEN_4 else 12

# The vectors of columns, or the columns, that a block has beside each number of rows. With their
# sums, the vectors of the matrix and those of the rows fill 32 or 16 registers, or fewer on Zen 4.
_MANY_REGISTERS = TARGET.vector_registers == 32
STRIP_VECTORS = (0, 16, 8, 7, 6, 4, 4, 3, 3) if _MANY_REGISTERS else (0, 8, 5, 4, 3, 2, 2)
_DOTS = (0, 12, 8, 6, 5, 4, 4, 3, 3) if _MANY_REGISTERS else (0, 8, 5, 3, 3, 2, 2)
DOT_COLUMNS = tuple(min(columns, _MOST_DOTS) for columns in _DOTS)
MOST_ROWS = len(STRIP_VECTORS) - 1
BLOCK = 12  # rows of the matrix for which a thread computes `_set_dots` at a time
AHEAD = 2 if _ZEN_4 else 6  # rows of the matrix from which a line is fetched before its turn


def _set_strip(a, row, height, ks, count, b, column, out):
    """out[row : row + height, strip] = a @ b over the columns in ks[:count], strip from `column`.

    `ks` has `AHEAD` more entries.
    """
    width = _strip_width(height, out.itemsize)
    entering = ks[:count]
    rows = slice(row, row + height)
    out[rows, column : column + width] = a[rows][:, entering] @ b[entering, column : column + width]


def _set_vector(a, row, height, ks, count, b, column, out):
    """Do what `_set_strip` does, for a strip of one vector."""
    width = VECTOR_BYTES // out.itemsize
    entering = ks[:count]
    rows = slice(row, row + height)
    out[rows, column : column + width] = a[rows][:, entering] @ b[entering, column : column + width]


def _set_dots(g, row, height, ks, first, count, b, out):
    """out[row + r, k] = g[row + r] . b[k], for a block of the k in ks[first:count]."""
    columns = ks[first : min(first + DOT_COLUMNS[height], count)]
    rows = slice(row, row + height)
    out[rows, columns] = g[rows] @ b[columns].T


def _emit_strip(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_set_strip`."""
    return _emit_strips(context, builder, signature, args, STRIP_VECTORS)


def _emit_vector(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_set_vector`."""
    return _emit_strips(context, builder, signature, args, [1] * len(STRIP_VECTORS))


def _emit_strips(context, builder, signature, args, across):  # pragma: no cover - for LLVM
    """Emit a strip of so many vectors `across` for every height that there is."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    a, ks, b, out = (emit.array(signature.args[i], args[i]) for i in (0, 3, 5, 7))
    _, row, height, _, count, _, column, _ = args

    def block(rows, vectors):
        def body(p, sums):
            k = builder.load(builder.gep(ks.data, [p]))
            later = builder.load(builder.gep(ks.data, [builder.add(p, INTEGER(AHEAD))]))
            emit.prefetch(emit.place(b, later, column), vectors * VECTOR_BYTES)
            line = emit.place(b, k, column)
            weights = [emit.load(line, INTEGER(v * emit.lanes)) for v in range(vectors)]
            # Before all products: LLVM would repeat a number's load for every vector otherwise.
            spread = [
                emit.splat(builder.load(emit.place(a, builder.add(row, INTEGER(r)), k)))
                for r in range(rows)
            ]
            pairs = itertools.product(spread, weights)
            return [emit.fused(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

        def case():
            sums = emit.loop(count, [emit.zero] * (rows * vectors), body)
            for r in range(rows):
                target = emit.place(out, builder.add(row, INTEGER(r)), column)
                for v in range(vectors):
                    emit.store(sums[r * vectors + v], target, INTEGER(v * emit.lanes))

        return case

    emit.choose(height, {r: block(r, across[r]) for r in range(1, MOST_ROWS + 1)})
    return context.get_dummy_value()


def _emit_dots(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_set_dots`, for every height that there is."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    g, ks, b, out = (emit.array(signature.args[i], args[i]) for i in (0, 3, 6, 7))
    _, row, height, _, first, count, _, _ = args
    last = builder.sub(count, INTEGER(1))
    depth = builder.extract_value(g.shape, 1)

    def block(rows, columns):
        def case():
            of_rows = [builder.add(row, INTEGER(r)) for r in range(rows)]
            places = [builder.add(first, INTEGER(c)) for c in range(columns)]
            # Behind the last column the block has that column again, and sets it again.
            places = [builder.select(builder.icmp_signed("<", p, last), p, last) for p in places]
            numbers = [builder.load(builder.gep(ks.data, [p])) for p in places]
            x = [emit.place(g, r, INTEGER(0)) for r in of_rows]
            y = [emit.place(b, k, INTEGER(0)) for k in numbers]
            totals = _emit_sums_of_products(emit, x, y, depth)
            for r in range(rows):
                for c in range(columns):
                    target = emit.place(out, of_rows[r], numbers[c])
                    builder.store(totals[r * columns + c], target)

        return case

    emit.choose(height, {r: block(r, DOT_COLUMNS[r]) for r in range(1, MOST_ROWS + 1)})
    return context.get_dummy_value()


def _emit_sums_of_products(emit, x, y, depth):  # pragma: no cover - for LLVM
    """Emit the sums of so many products of every line in `x` with every line in `y`."""
    builder, lanes = emit.builder, INTEGER(emit.lanes)
    whole, left = builder.sdiv(depth, lanes), builder.srem(depth, lanes)

    def add(load, multiply_add, j, sums):
        pairs = itertools.product([load(p, j) for p in x], [load(p, j) for p in y])
        return [multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

    def of_vectors(i, sums):
        return add(emit.load, emit.fused, builder.mul(i, lanes), sums)

    def of_numbers(i, sums):
        return add(
            lambda p, j: builder.load(builder.gep(p, [j])),
            lambda one, other, total: builder.fadd(total, builder.fmul(one, other)),
            builder.add(builder.mul(whole, lanes), i),
            sums,
        )

    sums = emit.loop(whole, [emit.zero] * (len(x) * len(y)), of_vectors)
    return emit.loop(left, [emit.sum(value) for value in sums], of_numbers)


# Without the compiler the plain functions above are what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _set_strip(typing, a, row, height, ks, count, b, column, out):
        """Type `_set_strip`: arrays of one float type, and of int64, and integers of 64 bits."""
        i = types.int64
        return types.void(a, i, i, ks, i, b, i, out), _emit_strip

    @intrinsic
    def _set_vector(typing, a, row, height, ks, count, b, column, out):
        """Type `_set_vector`: as `_set_strip`."""
        i = types.int64
        return types.void(a, i, i, ks, i, b, i, out), _emit_vector

    @intrinsic
    def _set_dots(typing, g, row, height, ks, first, count, b, out):
        """Type `_set_dots`: as `_set_strip`."""
        i = types.int64
        return types.void(g, i, i, ks, i, i, b, out), _emit_dots


@kernel
def _group_height(rows):
    """Return the height of a group of rows."""
    groups = -(-rows // MOST_ROWS)
    return -(-rows // groups)


@kernel
def _strip_width(height, itemsize):
    """Return the columns of a strip beside a group of that height."""
    return STRIP_VECTORS[height] * VECTOR_BYTES // itemsize


@kernel
def _entering(a, row, height, first, last, ks):
    """ks = the columns from `first` to `last` with an entry that is not 0 in a group of rows.

    The last one follows `AHEAD` times more. Returns how many there are.
    """
    for k in range(last - first):
        ks[k] = a[row, first + k] != 0
    for r in range(1, height):
        for k in range(last - first):
            ks[k] |= a[row + r, first + k] != 0
    count = 0
    for k in range(last - first):
        there = ks[k]
        ks[count] = first + k
        count += there
    for k in range(AHEAD):
        ks[count + k] = ks[max(count - 1, 0)]
    return count


@kernel
def _forward_task(task, a, b, out, lists, counts):
    """Compute one strip of columns of out = a @ b; the last one may overlap the one before."""
    rows = a.shape[0]
    height = _group_height(rows)
    across = _strip_width(height, a.itemsize)
    column = min(task * across, out.shape[1] - across)
    for g in range(counts.shape[1]):
        row = min(g * height, rows - height)
        _set_strip(a, row, height, lists[g], counts[0, g], b, column, out)


@kernel
def _backward_task(first, last, g, b, h, masked, ks, out):
    """Compute the columns from `first` to `last` of out = g @ b.T."""
    rows = g.shape[0]
    height = _group_height(rows)
    for i in range(-(-rows // height)):
        row = min(i * height, rows - height)
        count = last - first
        if masked:
            out[row : row + height, first:last] = 0
            count = _entering(h, row, height, first, last, ks)
        else:
            for k in range(count):
                ks[k] = first + k
        for p in range(0, count, DOT_COLUMNS[height]):
            _set_dots(g, row, height, ks, p, count, b, out)
