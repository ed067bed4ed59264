"""Kernels for products that leave zeros out; `fastnn._engine.masked` says what they do."""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastnn._kernels.jit import kernel
from fastnn._runtime.processors import vector_bytes

ROWS = 2  # of a group: more would share fewer zeros
DEPTH = 64  # columns of a chunk, a bit for each in a mask
WIDE = vector_bytes() == 64
# Sums for every row and vector, the vectors of the weights and the rows' values fill the registers.
VECTOR_BYTES, VECTORS = (64, (7, 8)) if WIDE else (32, (4,))
_LINE_BYTES = 64
_ABREAST = 8  # rows that `_pack` reads side by side: a divisor of the width of every panel
_BIT, _WORD, _INTEGER = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def _add_products(a, row, start, mask, panel, vectors, out, column, fresh):
    """Add a group's products of one chunk, over the columns in `mask`, to a panel of `out`."""
    count = vectors * VECTOR_BYTES // out.itemsize
    columns = [k for k in range(DEPTH) if int(mask) >> k & 1]
    group = [min(row + r, len(a) - 1) for r in range(ROWS)]
    for r in set(group):
        sums = out[r, column : column + count]
        products = a[r, [start + k for k in columns]] @ panel[columns]
        sums[:] = products if fresh else sums + products


def _emit_add_products(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_add_products`, for every number of vectors that there is."""
    a, panel, out = (
        context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 4, 6)
    )
    _, row, start, mask, _, vectors, _, column, fresh = args
    number = context.get_value_type(signature.args[0].dtype)
    size = context.get_abi_sizeof(number)
    last = builder.sub(cgutils.unpack_tuple(builder, a.shape)[0], _INTEGER(1))

    def pointer_at(array, r, index):
        # A group that is cut off has its last row twice: computed twice, stored twice.
        line = builder.add(row, _INTEGER(r))
        line = builder.select(builder.icmp_signed("<", line, last), line, last)
        stride = builder.sdiv(cgutils.unpack_tuple(builder, array.strides)[0], _INTEGER(size))
        return builder.gep(array.data, [builder.add(builder.mul(line, stride), index)])

    for r in range(ROWS, 2 * ROWS):  # the next group's: no processor guesses so long a stride
        _emit_prefetch(builder, pointer_at(a, r, start), DEPTH * size)
        _emit_prefetch(builder, pointer_at(out, r, column), max(VECTORS) * VECTOR_BYTES)
    sources = [pointer_at(a, r, start) for r in range(ROWS)]
    targets = [pointer_at(out, r, column) for r in range(ROWS)]
    end = builder.append_basic_block("end")
    choice = builder.switch(vectors, end)
    vector = ir.VectorType(number, VECTOR_BYTES // size)
    for count in VECTORS:
        begin = builder.append_basic_block("begin")
        choice.add_case(_INTEGER(count), begin)
        builder.position_at_end(begin)
        _emit_sums(builder, vector, count, sources, mask, panel.data, fresh, targets)
        builder.branch(end)
    builder.position_at_end(end)
    return context.get_dummy_value()


def _emit_prefetch(builder, pointer, size):  # pragma: no cover - for LLVM
    """Emit fetching so many bytes into the first-level cache."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, _WORD, _WORD, _WORD])
    fetch = builder.module.declare_intrinsic("llvm.prefetch", [_BYTES], kind)
    start = builder.bitcast(pointer, _BYTES)
    for offset in range(0, size, _LINE_BYTES):
        line = builder.gep(start, [_INTEGER(offset)])
        builder.call(fetch, [line, _WORD(0), _WORD(3), _WORD(1)])  # to read, to keep, data


def _emit_sums(
    builder, vector, count, sources, mask, panel, fresh, targets
):  # pragma: no cover - for LLVM
    """Emit a loop over the bits of the mask that keeps every sum in a register."""
    lanes = vector.count
    size = VECTOR_BYTES // lanes
    multiply_add = builder.module.declare_intrinsic(
        f"llvm.fmuladd.v{lanes}f{8 * size}", (), ir.FunctionType(vector, [vector] * 3)
    )
    lowest_bit = builder.module.declare_intrinsic(
        "llvm.cttz.i64", (), ir.FunctionType(_INTEGER, [_INTEGER, _BIT])
    )
    nothing, zero = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * lanes)
    first_lane = ir.Constant(ir.VectorType(_WORD, lanes), [0] * lanes)

    def vector_at(pointer, v):
        place = builder.gep(pointer, [_INTEGER(v * lanes)])
        return builder.bitcast(place, vector.as_pointer())

    def joined(*incoming):
        """Return what the values are, coming from one place in the code or the other."""
        phis = [builder.phi(vector) for _ in incoming[0][0]]
        for values, origin in incoming:
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, origin)
        return phis

    begin = builder.block
    old, first, loop, after = map(builder.append_basic_block, ("old", "first", "loop", "after"))
    places = [(r, v) for r in range(ROWS) for v in range(count)]
    builder.cbranch(fresh, first, old)
    builder.position_at_end(old)
    kept = [builder.load(vector_at(targets[r], v), align=size) for r, v in places]
    builder.branch(first)
    builder.position_at_end(first)
    before = joined(([zero] * len(places), begin), (kept, old))
    builder.cbranch(builder.icmp_unsigned("!=", mask, _INTEGER(0)), loop, after)

    builder.position_at_end(loop)
    rest = builder.phi(_INTEGER)
    sums = joined((before, first))
    k = builder.call(lowest_bit, [rest, _BIT(1)])
    following = builder.and_(rest, builder.sub(rest, _INTEGER(1)))
    line = builder.gep(panel, [builder.mul(k, _INTEGER(count * lanes))])
    weights = [builder.load(vector_at(line, v), align=size) for v in range(count)]
    spread = []
    for source in sources:
        value = builder.load(builder.gep(source, [k]))
        value = builder.insert_element(nothing, value, _WORD(0))
        spread.append(builder.shuffle_vector(value, nothing, first_lane))
    new = [
        builder.call(multiply_add, [spread[r], weights[v], total])
        for (r, v), total in zip(places, sums, strict=True)
    ]
    rest.add_incoming(mask, first)
    rest.add_incoming(following, loop)
    for phi, value in zip(sums, new, strict=True):
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_unsigned("!=", following, _INTEGER(0)), loop, after)

    builder.position_at_end(after)
    for (r, v), value in zip(places, joined((before, first), (new, loop)), strict=True):
        builder.store(value, vector_at(targets[r], v), align=size)


# Without the compiler the plain function above is what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _add_products(typing, a, row, start, mask, panel, vectors, out, column, fresh):
        """Type `_add_products`: arrays of one float type, integers of 64 bits, a boolean."""
        return types.void(
            a, row, start, mask, panel, vectors, out, column, fresh
        ), _emit_add_products


@kernel
def _mark(a, masks):
    """masks = for every chunk of columns and group of rows, which columns are not all 0.

    Returns the number of those columns, of all groups together.
    """
    rows, depth = a.shape
    count = 0
    for c in range(masks.shape[0]):
        start = c * DEPTH
        for g in range(masks.shape[1]):
            mask = np.uint64(0)
            for k in range(min(DEPTH, depth - start)):
                there = False
                for r in range(ROWS):
                    there |= a[min(g * ROWS + r, rows - 1), start + k] != 0
                mask |= np.uint64(there) << np.uint64(k)
                count += there
            masks[c, g] = mask
    return count


@kernel
def _pack(weights, transposed, panels):
    """panels = the columns of the weights, or of their transpose, a panel at a time."""
    count, depth, across = panels.shape
    width = weights.shape[0] if transposed else weights.shape[1]
    if transposed:
        for p in range(count):
            column = min(p * across, width - across)
            for j in range(0, across, _ABREAST):
                for k in range(depth):
                    for lane in range(_ABREAST):
                        panels[p, k, j + lane] = weights[column + j + lane, k]
    else:
        for k in range(depth):
            for p in range(count):
                column = min(p * across, width - across)
                for j in range(across):
                    panels[p, k, j] = weights[k, column + j]


@kernel
def _masked_product(a, masks, panels, vectors, out):
    """out = a @ the matrix in `panels` of so many vectors, over the columns in `masks`."""
    count, _, across = panels.shape
    for p in range(count):
        column = min(p * across, out.shape[1] - across)
        for c in range(masks.shape[0]):
            start = c * DEPTH
            panel = panels[p, start : start + DEPTH]
            for g in range(masks.shape[1]):
                _add_products(a, g * ROWS, start, masks[c, g], panel, vectors, out, column, c == 0)
