"""The ceilings of this machine, measured: multiply-adds and bytes a second.

Every share of the peak and every roofline refers to these numbers, measured in the same run with
the same number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from fastnn._kernels.jit import kernel
from fastnn._runtime.processors import vector_bytes

_CHAINS = 12  # independent chains: more than latency (4) x units (2), fewer than registers (16)
_CACHE_FLOATS = 1 << 15  # three arrays of 128 KiB: inside any second-level cache
_MEMORY_FLOATS = 1 << 24  # three arrays of 64 MiB for each thread: outside most last-level caches
_SGEMM_SIDES = (1024, 2048)


def _chain_intrinsic(scalar: Any, suffix: str, size: int) -> Any:
    """Return a numba intrinsic that runs `_CHAINS` chains of vector multiply-adds in registers.

    A loop over an array also loads and stores, and reaches nine tenths of this rate.
    """
    lanes = vector_bytes() // size
    vector = ir.VectorType(scalar, lanes)
    counter = ir.IntType(64)

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        name = f"llvm.fmuladd.v{lanes}{suffix}"
        function = ir.FunctionType(vector, [vector] * 3)
        fmuladd = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, function, name
        )
        factor = ir.Constant(vector, [0.999] * lanes)
        summand = ir.Constant(vector, [0.001] * lanes)
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        step, chains = builder.phi(counter), [builder.phi(vector) for _ in range(_CHAINS)]
        following = builder.add(step, counter(1))
        moved = [builder.call(fmuladd, [chain, factor, summand]) for chain in chains]
        step.add_incoming(counter(0), before)
        step.add_incoming(following, loop)
        for k, (chain, next_value) in enumerate(zip(chains, moved, strict=True)):
            chain.add_incoming(ir.Constant(vector, [1.0 + k] * lanes), before)
            chain.add_incoming(next_value, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[0]), loop, after)
        builder.position_at_end(after)
        total = moved[0]
        for chain in moved[1:]:
            total = builder.fadd(total, chain)
        first = builder.extract_element(total, ir.IntType(32)(0))
        return first if size == 8 else builder.fpext(first, ir.DoubleType())

    @intrinsic
    def chains(_typing: Any, _steps: Any) -> Any:
        return types.float64(types.int64), codegen

    return chains


_chains_32 = _chain_intrinsic(ir.FloatType(), "f32", 4)
_chains_64 = _chain_intrinsic(ir.DoubleType(), "f64", 8)


@kernel
def _fma_32(steps: int) -> Any:
    """Return the sum of the float32 chains after `steps` multiply-adds each."""
    return _chains_32(steps)


@kernel
def _fma_64(steps: int) -> Any:
    """Return the sum of the float64 chains after `steps` multiply-adds each."""
    return _chains_64(steps)


def multiply_adds(steps: int) -> float:
    """Run float32 multiply-adds in registers on this thread; return the number of operations."""
    _fma_32(steps)
    return 2.0 * steps * _CHAINS * (vector_bytes() // 4)


@kernel
def _triad(a: Any, b: Any, scale: Any, out: Any, times: int) -> None:
    """out = a + scale * b, `times` times over."""
    for _ in range(times):
        for i in range(out.size):
            out[i] = a[i] + scale * b[i]


@dataclass(frozen=True)
class Ceilings:
    """The highest rates of this machine.

    Attributes
    ----------
    threads : int
        Threads that worked at the same time.
    fma_float32, fma_float64, fma_float32_one_thread : float
        GFLOP/s of independent multiply-adds in registers; a multiply-add counts as two.
    sgemm : float
        GFLOP/s of the best square float32 product of numpy's BLAS.
    peak_float32, peak_float64 : float
        The largest of those for each type.
    triad_memory, triad_cache : float
        GB/s of ``a + s * b``, which reads two arrays and writes one.
    """

    threads: int
    fma_float32: float
    fma_float64: float
    fma_float32_one_thread: float
    sgemm: float
    peak_float32: float
    peak_float64: float
    triad_memory: float
    triad_cache: float

    def peak(self, dtype: DTypeLike) -> float:
        """Return the peak rate for `dtype` in GFLOP/s."""
        return self.peak_float32 if np.dtype(dtype).itemsize == 4 else self.peak_float64

    def highest(self, other: Ceilings) -> Ceilings:
        """Return the larger of every two rates: on a busy machine, a measured rate is too low."""
        others = asdict(other)
        return Ceilings(**{name: max(rate, others[name]) for name, rate in asdict(self).items()})


def measure_ceilings(threads: int, *, seconds: float = 0.25) -> Ceilings:
    """Measure the ceilings of `threads` threads of this machine.

    Parameters
    ----------
    threads : int
        Threads that work at the same time, at least 1.
    seconds : float, optional
        About how long each of the measurements takes.
    """
    fma = {bits: _fma_rate(bits, threads, seconds) for bits in (32, 64)}
    sgemm = max(_gemm_rate(side, threads, seconds / 2) for side in _SGEMM_SIDES)
    return Ceilings(
        threads=threads,
        fma_float32=fma[32],
        fma_float64=fma[64],
        fma_float32_one_thread=_fma_rate(32, 1, seconds),
        sgemm=sgemm,
        peak_float32=max(fma[32], sgemm),
        peak_float64=fma[64],
        triad_memory=_triad_rate(_MEMORY_FLOATS, threads, seconds),
        triad_cache=_triad_rate(_CACHE_FLOATS, threads, seconds),
    )


def _fma_rate(bits: int, threads: int, seconds: float) -> float:
    """Return the GFLOP/s of multiply-adds in registers."""
    function, size = (_fma_32, 4) if bits == 32 else (_fma_64, 8)
    steps = 4_000_000  # milliseconds of work; handing it to the threads takes microseconds
    flops = 2.0 * steps * _CHAINS * (vector_bytes() // size) * threads
    return flops / _best(lambda _: function(steps), threads, seconds) / 1e9


def _triad_rate(floats: int, threads: int, seconds: float) -> float:
    """Return the GB/s of the triad on arrays of `floats` float32 for each thread."""
    sets: list[tuple[NDArray[np.float32], ...]] = [
        tuple(np.full(floats, value, np.float32) for value in (1, 2, 0)) for _ in range(threads)
    ]
    times = max(1, (1 << 22) // floats)

    def once(thread: int) -> None:
        a, b, out = sets[thread]
        _triad(a, b, np.float32(0.5), out, times)

    return 12.0 * floats * times * threads / _best(once, threads, seconds) / 1e9


def _gemm_rate(side: int, threads: int, seconds: float) -> float:
    """Return the GFLOP/s of a square float32 product by a threaded BLAS."""
    a = np.random.default_rng(0).random((side, side), np.float32)
    out = np.empty_like(a)
    with threadpool_limits(threads, user_api="blas"):
        return 2.0 * side**3 / _best(lambda _: np.matmul(a, a, out=out), 1, seconds) / 1e9


def _best(once: Callable[[int], Any], threads: int, seconds: float) -> float:
    """Return the shortest time for `once` on all threads together, repeated for `seconds`."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(once, range(threads)))  # compiles, touches the memory, starts the threads
        best = float("inf")
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline or best == float("inf"):
            start = time.perf_counter()
            list(pool.map(once, range(threads)))
            best = min(best, time.perf_counter() - start)
    return best
