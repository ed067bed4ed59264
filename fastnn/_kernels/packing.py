"""Copies of matrices in panels: all rows of so many columns that a block of sums has registers.

A panel is packed chunk by chunk, a chunk row by row, or in square blocks that are turned.
"""

from __future__ import annotations

import itertools

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnn._kernels.jit import kernel
from fastnn._kernels.masked_products import DEPTH, VECTORS
from fastnn._kernels.vectors import INTEGER, VECTOR_BYTES, Emitter


def _copy_row(b, row, column, vectors, chunk, k):
    """chunk[k] = so many vectors of a row of `b`, from `column`."""
    width = vectors * VECTOR_BYTES // b.itemsize
    chunk[k, :width] = b[row, column : column + width]


def _turn_block(b, row, column, chunk, k, j):
    """Copy a square block of `b`, as wide as a vector, and turn it: chunk[k:, j:] = b.T."""
    lanes = VECTOR_BYTES // b.itemsize
    chunk[k : k + lanes, j : j + lanes] = b[row : row + lanes, column : column + lanes].T


def _emit_copy_row(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_copy_row`, for every number of vectors that there is."""
    emit = Emitter(context, builder, signature.args[0].dtype)
    b, chunk = (emit.array(signature.args[i], args[i]) for i in (0, 4))
    _, row, column, vectors, _, k = args
    source, target = emit.place(b, row, column), emit.place(chunk, k, INTEGER(0))

    def case(count):
        def body():
            offsets = [INTEGER(v * emit.lanes) for v in range(count)]
            values = [emit.load(source, offset) for offset in offsets]
            for value, offset in zip(values, offsets, strict=True):
                emit.store(value, target, offset)

        return body

    emit.choose(vectors, {count: case(count) for count in VECTORS})
    return context.get_dummy_value()


def _emit_turn_block(context, builder, signature, args):  # pragma: no cover - for LLVM
    """Emit `_turn_block`: to merge the two halves of the rows turns them, done often enough.

    The vectors i and i + n / 2 become 2 i and 2 i + 1, with their numbers by turns.
    """
    emit = Emitter(context, builder, signature.args[0].dtype)
    b, chunk = (emit.array(signature.args[i], args[i]) for i in (0, 3))
    _, row, column, _, k, j = args
    lanes = emit.lanes
    rows = [
        emit.load(emit.place(b, builder.add(row, INTEGER(i)), column), INTEGER(0))
        for i in range(lanes)
    ]
    by_turns = [number for i in range(lanes) for number in (i, lanes + i)]
    masks = [
        ir.Constant(ir.VectorType(ir.IntType(32), lanes), half)
        for half in (by_turns[:lanes], by_turns[lanes:])
    ]
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(rows[: lanes // 2], rows[lanes // 2 :], strict=True)
        rows = [builder.shuffle_vector(*pair, m) for pair, m in itertools.product(pairs, masks)]
    for i, value in enumerate(rows):
        emit.store(value, emit.place(chunk, builder.add(k, INTEGER(i)), j), INTEGER(0))
    return context.get_dummy_value()


# Without the compiler the plain functions above are what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def _copy_row(typing, b, row, column, vectors, chunk, k):
        """Type `_copy_row`: arrays of one float type, integers of 64 bits."""
        i = types.int64
        return types.void(b, i, i, i, chunk, i), _emit_copy_row

    @intrinsic
    def _turn_block(typing, b, row, column, chunk, k, j):
        """Type `_turn_block`: as `_copy_row`."""
        i = types.int64
        return types.void(b, i, i, chunk, i, i), _emit_turn_block


@kernel
def _panel_width(width, itemsize):
    """Return the columns of a panel of a matrix that is so wide; 0 if it is too narrow for panels.

    Of the possible ones, the one that takes the least time: a panel's sums cost about as much as
    one vector more.
    """
    lanes = VECTOR_BYTES // itemsize
    found, least = 0, 0
    for count in VECTORS:
        across = count * lanes
        cost = -(-width // across) * (across + lanes)
        if across <= width and (found == 0 or cost < least):
            found, least = across, cost
    return found


@kernel
def _pack_chunk(b, start, column, chunk):
    """chunk = as many rows and columns of `b`, from row `start` and `column`.

    Columns beyond the end of `b` are 0.
    """
    width = min(chunk.shape[1], b.shape[1] - column)
    vectors = chunk.shape[1] * chunk.itemsize // VECTOR_BYTES
    for k in range(min(chunk.shape[0], b.shape[0] - start)):
        if width == chunk.shape[1]:
            _copy_row(b, start + k, column, vectors, chunk, k)
            continue
        for j in range(width):
            chunk[k, j] = b[start + k, column + j]
        chunk[k, width:] = 0


@kernel
def _pack_chunk_transposed(b, start, column, chunk):
    """Do what `_pack_chunk` does, of the transpose of `b`."""
    width = min(chunk.shape[1], b.shape[0] - column)
    depth = min(chunk.shape[0], b.shape[1] - start)
    lanes = VECTOR_BYTES // b.itemsize
    wide, deep = width - width % lanes, depth - depth % lanes
    for j in range(0, wide, lanes):
        for k in range(0, deep, lanes):
            _turn_block(b, column + j, start + k, chunk, k, j)
    for k in range(depth):
        for j in range(wide if k < deep else 0, width):
            chunk[k, j] = b[column + j, start + k]
        chunk[k, width:] = 0


@kernel
def _pack_panels(matrix, transposed, first, panels):
    """panels = the columns of a matrix or of its transpose, from panel number `first` on.

    A panel that would be cut off overlaps the one before.
    """
    count, depth, across = panels.shape
    width = matrix.shape[0] if transposed else matrix.shape[1]
    for p in range(count):
        column = min((first + p) * across, width - across)
        for start in range(0, depth, DEPTH):
            chunk = panels[p, start : start + DEPTH]
            if transposed:
                _pack_chunk_transposed(matrix, start, column, chunk)
            else:
                _pack_chunk(matrix, start, column, chunk)
