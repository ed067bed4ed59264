"""What the generators of machine code have in common: vectors, loops and places in arrays.

LLVM's own vectoriser keeps no block of sums in registers, so the products are written with its
builder. A generator emits code once for each type; how many vectors it may hold is known then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastnn._runtime.processors import target

TARGET = target()
VECTOR_BYTES = TARGET.vector_bytes
INTEGER = ir.IntType(64)
LINE_BYTES = 64
_BIT, _WORD = ir.IntType(1), ir.IntType(32)
_BYTES = ir.IntType(8).as_pointer()

Values = list[Any]


class Emitter:  # pragma: no cover - for LLVM
    """Emits operations on vectors of one floating type.

    Parameters
    ----------
    context, builder
        As numba passes them to the generator of an intrinsic.
    number : numba type
        float32 or float64.
    """

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self._context, self.builder = context, builder
        self.number = context.get_value_type(number)
        self.size = context.get_abi_sizeof(self.number)
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self._nothing = ir.Constant(self.vector, ir.Undefined)
        self._first_lane = ir.Constant(ir.VectorType(_WORD, self.lanes), [0] * self.lanes)
        suffix = f"v{self.lanes}f{8 * self.size}"
        self._fused = self._intrinsic(f"llvm.fmuladd.{suffix}", self.vector, [self.vector] * 3)
        self._sum = self._intrinsic(
            f"llvm.vector.reduce.fadd.{suffix}", self.number, [self.number, self.vector]
        )
        self._fetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [_BYTES], ir.FunctionType(ir.VoidType(), [_BYTES, *[_WORD] * 3])
        )

    def _intrinsic(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.FunctionType(result, list(arguments))
        return self.builder.module.declare_intrinsic(name, (), kind)

    def array(self, kind: Any, value: Any) -> Any:
        """Return the structure of an array argument."""
        return self._context.make_array(kind)(self._context, self.builder, value)

    def place(self, array: Any, row: Any, column: Any) -> Any:
        """Return the pointer to an entry of a two-dimensional array of any layout."""
        strides = cgutils.unpack_tuple(self.builder, array.strides)
        b = self.builder
        offset = b.add(b.mul(row, strides[0]), b.mul(column, strides[1]))
        start = b.ptrtoint(array.data, INTEGER)
        return b.inttoptr(b.add(start, offset), array.data.type)

    def in_register(self, pointer: Any) -> Any:
        """Return a pointer that is computed once, and not again as a part of every address.

        On Intel processors a multiply-add whose address is a sum takes two places instead of one.
        LLVM cannot recompute the result of inline assembly, and so keeps it.
        """
        kind = ir.FunctionType(INTEGER, [INTEGER])
        number = self.builder.ptrtoint(pointer, INTEGER)
        kept = self.builder.asm(kind, "", "=r,0", [number], side_effect=False)
        return self.builder.inttoptr(kept, pointer.type)

    def load(self, pointer: Any, offset: Any) -> Any:
        """Load the vector that begins so many entries behind `pointer`."""
        return self.builder.load(self._vector_at(pointer, offset), align=self.size)

    def store(self, value: Any, pointer: Any, offset: Any) -> None:
        """Store a vector so many entries behind `pointer`."""
        self.builder.store(value, self._vector_at(pointer, offset), align=self.size)

    def _vector_at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), self.vector.as_pointer())

    def splat(self, value: Any) -> Any:
        """Return a vector with the number in every lane."""
        one = self.builder.insert_element(self._nothing, value, _WORD(0))
        return self.builder.shuffle_vector(one, self._nothing, self._first_lane)

    def fused(self, x: Any, y: Any, total: Any) -> Any:
        """Return x * y + total of three vectors."""
        return self.builder.call(self._fused, [x, y, total])

    def sum(self, value: Any) -> Any:
        """Return the sum of a vector's lanes, added in pairs."""
        return self.builder.call(
            self._sum, [ir.Constant(self.number, 0.0), value], fastmath=("reassoc",)
        )

    def mask(self, comparison: str, line: Any, other: Any, columns: int) -> Any:
        """Return an integer with a bit for each number from `line` on that compares so.

        It is compared with that in its place from `other` on, or with 0 if that is None. A NaN has
        a 1 in any comparison.
        """
        b, mask = self.builder, INTEGER(0)
        for k in range(0, columns, self.lanes):
            right = self.zero if other is None else self.load(other, INTEGER(k))
            compared = b.fcmp_unordered(comparison, self.load(line, INTEGER(k)), right)
            bits = b.zext(b.bitcast(compared, ir.IntType(self.lanes)), INTEGER)
            mask = b.or_(mask, b.shl(bits, INTEGER(k)))
        return mask

    def prefetch(self, pointer: Any, size: int) -> None:
        """Fetch so many bytes into the first-level cache."""
        start = self.builder.bitcast(pointer, _BYTES)
        for offset in range(0, size, LINE_BYTES):
            line = self.builder.gep(start, [INTEGER(offset)])
            self.builder.call(self._fetch, [line, _WORD(0), _WORD(3), _WORD(1)])  # to read, to keep

    def prefetch_lines(self, pointer: Any, first: Any, count: Any) -> None:
        """Fetch so many cache lines from line number `first` behind `pointer`."""

        def body(i: Any, _: Values) -> Values:
            offset = self.builder.mul(self.builder.add(first, i), INTEGER(LINE_BYTES))
            start = self.builder.bitcast(pointer, _BYTES)
            self.prefetch(self.builder.gep(start, [offset]), LINE_BYTES)
            return []

        self.loop(count, [], body)

    def loop(self, count: Any, before: Values, body: Callable[[Any, Values], Values]) -> Values:
        """Emit ``values = body(i, values)`` for i = 0, ..., count - 1, and return the values."""
        b = self.builder
        begin = b.block
        head, inside, end = map(b.append_basic_block, ("head", "inside", "end"))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(INTEGER)
        values = [b.phi(value.type) for value in before]
        b.cbranch(b.icmp_signed("<", i, count), inside, end)
        b.position_at_end(inside)
        after = body(i, values)
        following = b.add(i, INTEGER(1))
        for phi, first, later in zip(
            [i, *values], [INTEGER(0), *before], [following, *after], strict=True
        ):
            phi.add_incoming(first, begin)
            phi.add_incoming(later, b.block)
        b.branch(head)
        b.position_at_end(end)
        return values

    def choose(self, value: Any, cases: dict[int, Callable[[], None]]) -> None:
        """Emit code for each case, of which the one for `value` runs; nothing for any other."""
        b = self.builder
        end = b.append_basic_block("chosen")
        choice = b.switch(value, end)
        for number, emit in cases.items():
            case = b.append_basic_block("case")
            choice.add_case(INTEGER(number), case)
            b.position_at_end(case)
            emit()
            b.branch(end)
        b.position_at_end(end)
