"""Kernels for products with a matrix that is mostly zeros; `fastnn._sparse` says what they do."""

from __future__ import annotations

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastnn._kernels import kernel

ROWS = 5  # of a group: 5 x _VECTORS accumulators, the weights and one input fill the registers
_WIDE = "avx512f" in {
    name for name, there in llvmlite.binding.get_host_cpu_features().items() if there
}
_VECTOR_BYTES, _VECTORS = (64, 4) if _WIDE else (32, 2)
BLOCK_BYTES = _VECTOR_BYTES * _VECTORS


def _multiply_block(values, columns, start, count, weights, row, column, out):
    """Set a block of `out`, ROWS x BLOCK_BYTES, to the products over the gathered columns."""
    chosen = slice(start, start + count)
    across = slice(column, column + BLOCK_BYTES // out.itemsize)
    out[row : row + ROWS, across] = values[chosen].T @ weights[columns[chosen], across]


def _emit_multiply_block(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_multiply_block` as a loop over the columns with every result in a register."""
    arrays = {
        k: context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 1, 4, 7)
    }
    values, columns, weights, out = (arrays[k] for k in (0, 1, 4, 7))
    _, _, start, count, _, row, column, _ = args
    number = context.get_value_type(signature.args[0].dtype)
    size = context.get_abi_sizeof(number)
    integer = ir.IntType(64)
    vector = ir.VectorType(number, _VECTOR_BYTES // size)
    lanes = vector.count
    fma = builder.module.declare_intrinsic(
        f"llvm.fma.v{lanes}f{size * 8}", (), ir.FunctionType(vector, [vector] * 3)
    )
    nothing = ir.Constant(vector, ir.Undefined)
    first_lane = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    block = [(r, v) for r in range(ROWS) for v in range(_VECTORS)]

    def stride(array):
        return builder.sdiv(cgutils.unpack_tuple(builder, array.strides)[0], integer(size))

    def vector_at(array, index, v):
        pointer = builder.gep(array.data, [builder.add(index, integer(v * lanes))])
        return builder.bitcast(pointer, vector.as_pointer())

    weight_stride, out_stride = stride(weights), stride(out)
    before = builder.block
    loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed(">", count, integer(0)), loop, after)

    builder.position_at_end(loop)
    k = builder.phi(integer)
    sums = {at: builder.phi(vector) for at in block}
    place = builder.add(start, k)
    which = builder.sext(builder.load(builder.gep(columns.data, [place])), integer)
    source = builder.add(builder.mul(which, weight_stride), column)
    loaded = [builder.load(vector_at(weights, source, v), align=size) for v in range(_VECTORS)]
    new = {}
    for r in range(ROWS):
        index = builder.add(builder.mul(place, integer(ROWS)), integer(r))
        value = builder.load(builder.gep(values.data, [index]))
        spread = builder.insert_element(nothing, value, ir.IntType(32)(0))
        spread = builder.shuffle_vector(spread, nothing, first_lane)
        for v in range(_VECTORS):
            new[r, v] = builder.call(fma, [spread, loaded[v], sums[r, v]])
    following = builder.add(k, integer(1))
    k.add_incoming(integer(0), before)
    k.add_incoming(following, loop)
    zero = ir.Constant(vector, [0.0] * lanes)
    for at in block:
        sums[at].add_incoming(zero, before)
        sums[at].add_incoming(new[at], loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)

    builder.position_at_end(after)
    results = {at: builder.phi(vector) for at in block}
    for at in block:
        results[at].add_incoming(zero, before)
        results[at].add_incoming(new[at], loop)
    for r, v in block:
        target = builder.mul(builder.add(row, integer(r)), out_stride)
        builder.store(results[r, v], vector_at(out, builder.add(target, column), v), align=size)
    return context.get_dummy_value()


# Without the compiler the plain function above is what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _multiply_block(typing, values, columns, start, count, weights, row, column, out):
        """Type `_multiply_block`: arrays of one float type, int32 columns, int64 numbers."""
        return types.void(
            values, columns, start, count, weights, row, column, out
        ), _emit_multiply_block


@kernel
def _gather(a, flags, counts, columns, values):
    """Note for every group of rows the columns that are not all 0, and the rows' values there."""
    rows, depth = a.shape
    for g in range(counts.size):
        row = min(g * ROWS, rows - ROWS)  # the last group may overlap the one before
        for k in range(depth):
            flags[k] = 0
        for r in range(ROWS):
            for k in range(depth):
                flags[k] |= np.uint8(a[row + r, k] != 0)
        start = end = g * depth
        for k in range(depth):
            columns[end] = k
            end += flags[k]
        counts[g] = end - start
        for p in range(start, end):
            for r in range(ROWS):
                values[p, r] = a[row + r, columns[p]]


@kernel
def _multiply(counts, columns, values, weights, out):
    """out = a @ weights, for the rows of `a` that were gathered."""
    rows, width = out.shape
    depth = columns.size // counts.size
    across = BLOCK_BYTES // out.itemsize
    for b in range(-(-width // across)):
        column = min(b * across, width - across)  # here too the last block may overlap
        for g in range(counts.size):
            row = min(g * ROWS, rows - ROWS)
            _multiply_block(values, columns, g * depth, counts[g], weights, row, column, out)
