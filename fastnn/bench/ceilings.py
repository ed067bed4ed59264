"""What this machine can do at most: multiply-adds and bytes a second, measured.

Every share of the peak and every roofline refers to these numbers, taken in the same run at the
same number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from fastnn._kernels.jit import kernel

_CHAINS = 12  # independent chains: more than latency (4) x units (2), fewer than registers (16)
_CACHE_FLOATS = 1 << 15  # three arrays of 128 KiB: inside any second-level cache
_MEMORY_FLOATS = 1 << 24  # three arrays of 64 MiB for each thread: outside most last-level caches
_SGEMM_SIDES = (1024, 2048)


def _vector_bytes() -> int:
    """Return the width of the processor's widest vectors."""
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16


def _chain_intrinsic(scalar: Any, suffix: str, size: int) -> Any:
    """Return a numba intrinsic that runs `_CHAINS` chains of vector multiply-adds in registers.

    A loop over an array would have to load and store: it reaches nine tenths of this.
    """
    lanes = _vector_bytes() // size
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


@kernel
def _triad(a: Any, b: Any, scale: Any, out: Any, times: int) -> None:
    """out = a + scale * b, `times` times over."""
    for _ in range(times):
        for i in range(out.size):
            out[i] = a[i] + scale * b[i]


def measure_ceilings(threads: int, *, seconds: float = 0.25) -> dict[str, Any]:
    """Measure the limits of `threads` threads of this machine.

    Parameters
    ----------
    threads : int
        Threads that work at the same time, at least 1.
    seconds : float, optional
        About how long each of the measurements takes.

    Returns
    -------
    dict
        `threads`; in GFLOP/s, a multiply-add counting as two: `fma_float32` and `fma_float64`,
        `fma_float32_one_thread`, `sgemm` (the best square product of numpy's BLAS), and
        `peak_float32`, `peak_float64`, the largest of those; in GB/s, for ``a + s * b`` that reads
        two arrays and writes one: `triad_memory`, `triad_cache`.
    """
    fma = {bits: _fma_rate(bits, threads, seconds) for bits in (32, 64)}
    sgemm = max(_gemm_rate(side, threads, seconds / 2) for side in _SGEMM_SIDES)
    return {
        "threads": threads,
        "fma_float32": fma[32],
        "fma_float64": fma[64],
        "fma_float32_one_thread": _fma_rate(32, 1, seconds),
        "sgemm": sgemm,
        "peak_float32": max(fma[32], sgemm),
        "peak_float64": fma[64],
        "triad_memory": _triad_rate(_MEMORY_FLOATS, threads, seconds),
        "triad_cache": _triad_rate(_CACHE_FLOATS, threads, seconds),
    }


def highest(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the larger of every two limits: a busy moment makes a limit look lower than it is."""
    return {name: max(value, second[name]) for name, value in first.items()}


def peak(ceilings: dict[str, Any], dtype: DTypeLike) -> float:
    """Return the peak rate for `dtype` in GFLOP/s."""
    return float(ceilings["peak_float32" if np.dtype(dtype).itemsize == 4 else "peak_float64"])


def _fma_rate(bits: int, threads: int, seconds: float) -> float:
    """Return the GFLOP/s of multiply-adds on registers alone."""
    function, size = (_fma_32, 4) if bits == 32 else (_fma_64, 8)
    steps = 4_000_000  # milliseconds of work, against microseconds to hand it to the threads
    flops = 2.0 * steps * _CHAINS * (_vector_bytes() // size) * threads
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
    """Return the GFLOP/s of a square float32 product, BLAS using its own threads."""
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
