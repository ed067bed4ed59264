"""Kernels for products that leave zeros out; `fastnn._engine.masked` says what they do."""

from __future__ import annotations

import itertools

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnn._kernels.jit import kernel
from fastnn._kernels.vectors import INTEGER, LINE_BYTES, TARGET, VECTOR_BYTES, Emitter
from fastnn._runtime.processors import Target

_MOST_DEPTH = 64  # a mask has a bit for each column of a chunk
_BIT = ir.IntType(1)


def shape_for(processor: Target) -> tuple[int, tuple[int, ...], int]:
    """Return the rows of a group, the vectors that a panel may have, and the columns of a chunk.

    Measured on real digits: a row alone has so many more zeros than a pair that it is faster with
    vectors of 256 bits. With 512 bits it is as fast as a pair for one eps, and slower for several,
    whose rows have zeros in the same places. On ARM a pair needs fewer loads for its multiply-adds.
    The sums, the weights and the rows' values have registers.
    """
    rows = 1
    vectors: tuple[int, ...] = 8, 12
    if processor.vector_bytes == 64:
        rows, vectors = 2, (7, 8)
    elif processor.vector_bytes == 32:
        vectors = (8, 10, 12)
    elif processor.vector_registers == 32:
        rows, vectors = 2, (8,)
    # Rows and sums pass through the first-level cache, beside the chunk that stays there.
    fits = max(vectors) * processor.vector_bytes * _MOST_DEPTH < processor.first_cache_bytes
    return rows, vectors, _MOST_DEPTH if fits else _MOST_DEPTH // 2


ROWS, VECTORS, DEPTH = shape_for(TARGET)


def _not_zero(a, row, start):
    """Return a mask of the `DEPTH` columns from `start` in which a row is not 0."""
    return np.uint64(sum(1 << k for k in range(DEPTH) if a[row, start + k] != 0))


def _bit_count(mask):
    """Return how many bits of a mask are 1."""
    return int(mask).bit_count()


def _add_products(a, row, start, mask, panel, vectors, lines, fresh, sums, out, column):
    """out = sums + a group's products of one chunk, over the columns in `mask`, for one panel.

    The panel's columns of `out` begin at `column`. If `fresh`, there are no sums yet. Every group
    fetches so many cache lines of the next chunk.
    """
    count = panel.shape[1]
    columns = [k for k in range(DEPTH) if int(mask) >> k & 1]
    group = [min(row + r, len(a) - 1) for r in range(ROWS)]
    for r in set(group):
        products = a[r, [start + k for k in columns]] @ panel[columns]
        out[r, column : column + count] = products if fresh else sums[r] + products


def _emit_not_zero(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_not_zero`: a comparison of vectors has a bit for each number."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    line = emit.place(emit.array(signature.args[0], args[0]), *args[1:])
    return emit.mask("!=", line, None, DEPTH)


def _emit_bit_count(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_bit_count`."""
    kind = ir.FunctionType(INTEGER, [INTEGER])
    return builder.call(builder.module.declare_intrinsic("llvm.ctpop.i64", (), kind), args)


def _emit_add_products(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_add_products`, for every number of vectors that there is."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    a, panel, sums, out = (emit.array(signature.args[k], args[k]) for k in (0, 4, 8, 9))
    _, row, start, mask, _, vectors, lines, fresh, _, _, column = args
    last = builder.sub(builder.extract_value(a.shape, 0), INTEGER(1))

    def place(array, r, index):
        # A group that is cut off has its last row twice: computed twice, stored twice.
        line = builder.add(row, INTEGER(r))
        line = builder.select(builder.icmp_signed("<", line, last), line, last)
        return emit.place(array, line, index)

    for r in range(ROWS, 2 * ROWS):  # the next group's: no processor guesses so long a stride
        emit.prefetch(place(a, r, start), DEPTH * emit.size)
        if ROWS > 1:  # measured: for a row alone it takes longer than it saves
            emit.prefetch(place(sums, r, INTEGER(0)), max(VECTORS) * VECTOR_BYTES)
    # What follows in memory is the next chunk, or the next panel's first.
    behind = emit.place(panel, builder.extract_value(panel.shape, 0), INTEGER(0))
    emit.prefetch_lines(behind, builder.mul(builder.sdiv(row, INTEGER(ROWS)), lines), lines)
    sources = [place(a, r, start) for r in range(ROWS)]
    origins = [place(sums, r, INTEGER(0)) for r in range(ROWS)]
    targets = [place(out, r, column) for r in range(ROWS)]

    def case(count):
        def places(lines):
            offsets = [INTEGER(v * emit.lanes) for v in range(count)]
            return [(line, offset) for offset, line in itertools.product(offsets, lines)]

        def body():
            before = _emit_sums_before(emit, places(origins), fresh)
            after = _emit_sums(emit, count, sources, mask, panel.data, before)
            for value, found in zip(after, places(targets), strict=True):
                emit.store(value, *found)

        return body

    emit.choose(vectors, {count: case(count) for count in VECTORS})
    return context.get_dummy_value()


def _emit_sums_before(emit, places, fresh):  # pragma: no cover - for LLVM
    """Emit the sums of the chunks before: zeros if `fresh`, else those in `places`."""
    builder = emit.builder
    begin = builder.block
    old, first = map(builder.append_basic_block, ("old", "first"))
    builder.cbranch(fresh, first, old)
    builder.position_at_end(old)
    kept = [emit.load(*place) for place in places]
    builder.branch(first)
    builder.position_at_end(first)
    sums = [builder.phi(emit.vector) for _ in places]
    for phi, value in zip(sums, kept, strict=True):
        phi.add_incoming(emit.zero, begin)
        phi.add_incoming(value, old)
    return sums


def _emit_sums(emit, count, sources, mask, panel, before):  # pragma: no cover - for LLVM
    """Emit a loop over the bits of the mask that keeps every sum in a register."""
    builder = emit.builder
    lowest_bit = builder.module.declare_intrinsic(
        "llvm.cttz.i64", (), ir.FunctionType(INTEGER, [INTEGER, _BIT])
    )
    begin = builder.block
    head, inside, end = map(builder.append_basic_block, ("head", "inside", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    rest = builder.phi(INTEGER)
    sums = [builder.phi(emit.vector) for _ in before]
    builder.cbranch(builder.icmp_unsigned("!=", rest, INTEGER(0)), inside, end)

    builder.position_at_end(inside)
    k = builder.call(lowest_bit, [rest, _BIT(1)])
    following = builder.and_(rest, builder.sub(rest, INTEGER(1)))
    line = emit.in_register(builder.gep(panel, [builder.mul(k, INTEGER(count * emit.lanes))]))
    numbers = [emit.splat(builder.load(builder.gep(source, [k]))) for source in sources]
    new = []
    for v in range(count):  # LLVM keeps to this order: one vector of the weights has a register
        weights = emit.load(line, INTEGER(v * emit.lanes))
        old = sums[v * ROWS : (v + 1) * ROWS]
        new += [emit.fused(x, weights, total) for x, total in zip(numbers, old, strict=True)]
    for phi, first, later in zip([rest, *sums], [mask, *before], [following, *new], strict=True):
        phi.add_incoming(first, begin)
        phi.add_incoming(later, inside)
    builder.branch(head)
    builder.position_at_end(end)
    return sums


# Without the compiler the plain functions above are what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _not_zero(typing, a, row, start):
        """Type `_not_zero`: an array and integers of 64 bits."""
        return types.uint64(a, types.int64, types.int64), _emit_not_zero

    @intrinsic
    def _bit_count(typing, mask):
        """Type `_bit_count`: an integer of 64 bits."""
        return types.int64(types.uint64), _emit_bit_count

    @intrinsic
    def _add_products(typing, a, row, start, mask, panel, vectors, lines, fresh, sums, out, column):
        """Type `_add_products`: arrays of one float type, integers of 64 bits, a boolean."""
        return types.void(
            a, row, start, mask, panel, vectors, lines, fresh, sums, out, column
        ), _emit_add_products


@kernel
def _places(a, row, start):
    """Return a mask of a chunk's columns in which a row is not 0."""
    columns = a.shape[1] - start
    if columns >= DEPTH:
        return _not_zero(a, row, start)
    mask = np.uint64(0)
    for k in range(columns):
        mask |= np.uint64(a[row, start + k] != 0) << np.uint64(k)
    return mask


@kernel
def _mark(a, masks):
    """masks = for every chunk of columns and group of rows, which columns are not all 0.

    Returns the number of those columns, of all groups together.
    """
    count = 0
    for g in range(masks.shape[1]):
        for c in range(masks.shape[0]):
            mask = np.uint64(0)
            for r in range(ROWS):
                mask |= _places(a, min(g * ROWS + r, a.shape[0] - 1), c * DEPTH)
            masks[c, g] = mask
            count += _bit_count(mask)
    return count


@kernel
def _masked_product(a, masks, panels, vectors, sums, out):
    """out = a @ the matrix in `panels` of so many vectors, over the columns in `masks`.

    `sums` has a row for every row of `a`, as wide as a panel. A panel's sums stay there until its
    last chunk: rows of `out` can be 8 KiB apart, and would fall on the same few sets of the caches.
    """
    count, _, across = panels.shape
    last = masks.shape[0] - 1
    lines = -(-DEPTH * across * panels.itemsize // (LINE_BYTES * masks.shape[1]))
    for p in range(count):
        column = min(p * across, out.shape[1] - across)
        for c in range(last + 1):
            start = c * DEPTH
            panel = panels[p, start : start + DEPTH]
            target, first = (out, column) if c == last else (sums, 0)
            for g in range(masks.shape[1]):
                row = g * ROWS
                mask = masks[c, g]
                if mask == 0 and 0 < c < last:
                    continue  # the sums stay as they are
                _add_products(
                    a, row, start, mask, panel, vectors, lines, c == 0, sums, target, first
                )
