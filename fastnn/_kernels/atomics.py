"""Numbers and arrays that two threads share while neither holds the GIL, and how one wakes another.

Numbers are entries of an array of int64. All operations are sequentially consistent. Without the
compiler the plain functions run, one at a time.

A thread sleeps until a lock is released. The locks are Python's own, which need no GIL: they are
the same on all systems (`PyThread_acquire_lock` in CPython's `pythread.h`).
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

_INTEGER = ir.IntType(64)
_lock = threading.RLock()
# The library of `ctypes.pythonapi`, whose functions keep the GIL: a thread would sleep with it.
_python = ctypes.CDLL("python", handle=ctypes.pythonapi._handle)
_WAIT = 1  # of `PyThread_acquire_lock`


def _free_lock_in_child() -> None:  # pragma: no cover - lines of a child are not counted
    """Make a new lock in a forked child: a thread of the parent may have held the one before."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_free_lock_in_child)


def add(numbers, i, amount):
    """Add to entry `i` and return what it was before."""
    with _lock:
        before = int(numbers[i])
        numbers[i] += amount
        return before


def claim(numbers, i, owner):
    """Set entry `i` to its owner if it is 0; return whether it was."""
    with _lock:
        free = numbers[i] == 0
        if free:
            numbers[i] = owner
        return bool(free)


def load(numbers, i):
    """Return entry `i`."""
    with _lock:
        return int(numbers[i])


def store(numbers, i, value):
    """Set entry `i`."""
    with _lock:
        numbers[i] = value


def array_at(address, rows, columns, like):
    """Return the C-contiguous (rows, columns) array at an address, of the type of `like`."""
    number = np.ctypeslib.as_ctypes_type(like.dtype)
    flat = (number * int(rows * columns)).from_address(int(address))
    return np.ctypeslib.as_array(flat).reshape(rows, columns)


def rest():
    """Let other threads have the processor, if some are waiting for it."""
    time.sleep(0)


def acquire(address):
    """Sleep until the lock at an address is released; it is held again then."""
    _python.PyThread_acquire_lock(ctypes.c_void_p(int(address)), _WAIT)


def release(address):
    """Wake the thread that sleeps at a lock, or that will."""
    _python.PyThread_release_lock(ctypes.c_void_p(int(address)))


def _place(context, builder, kind, array, i):  # pragma: no cover - for LLVM
    """Return the pointer to an entry of an array of int64."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [i])


# Without the compiler the plain functions above are what runs.
if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # pragma: no cover

    @intrinsic
    def add(typing, numbers, i, amount):
        """Type `add`: an array of int64 and two integers."""

        def generate(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], args[0], args[1])
            return builder.atomic_rmw("add", place, args[2], "seq_cst")

        return types.int64(numbers, types.int64, types.int64), generate

    @intrinsic
    def claim(typing, numbers, i, owner):
        """Type `claim`: an array of int64 and two integers."""

        def generate(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], args[0], args[1])
            done = builder.cmpxchg(place, _INTEGER(0), args[2], "seq_cst", "seq_cst")
            return context.cast(
                builder, builder.extract_value(done, 1), types.boolean, types.boolean
            )

        return types.boolean(numbers, types.int64, types.int64), generate

    @intrinsic
    def load(typing, numbers, i):
        """Type `load`: an array of int64 and an integer."""

        def generate(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], args[0], args[1])
            return builder.load_atomic(place, "seq_cst", 8)

        return types.int64(numbers, types.int64), generate

    @intrinsic
    def store(typing, numbers, i, value):
        """Type `store`: an array of int64 and two integers."""

        def generate(context, builder, signature, args):
            place = _place(context, builder, signature.args[0], args[0], args[1])
            builder.store_atomic(args[2], place, "seq_cst", 8)
            return context.get_dummy_value()

        return types.void(numbers, types.int64, types.int64), generate

    @intrinsic
    def array_at(typing, address, rows, columns, like):
        """Type `array_at`: three integers and an array."""
        result = types.Array(like.dtype, 2, "C")

        def generate(context, builder, signature, args):
            size = context.get_abi_sizeof(context.get_value_type(like.dtype))
            array = context.make_array(result)(context, builder)
            bytes_of_row = builder.mul(args[2], _INTEGER(size))
            context.populate_array(
                array,
                data=builder.inttoptr(args[0], array.data.type),
                shape=cgutils.pack_array(builder, [args[1], args[2]]),
                strides=cgutils.pack_array(builder, [bytes_of_row, _INTEGER(size)]),
                itemsize=_INTEGER(size),
                meminfo=None,
                parent=None,
            )
            return array._getvalue()

        return result(types.int64, types.int64, types.int64, like), generate

    _give_way = types.ExternalFunction(
        "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
    )

    @register_jitable
    def rest():
        """Call the system's function for that."""
        _give_way()

    _acquire = types.ExternalFunction("PyThread_acquire_lock", types.int32(types.intp, types.int32))
    _release = types.ExternalFunction("PyThread_release_lock", types.void(types.intp))

    @register_jitable
    def acquire(address):
        """Call Python's function for that."""
        _acquire(address, _WAIT)

    @register_jitable
    def release(address):
        """Call Python's function for that."""
        _release(address)
