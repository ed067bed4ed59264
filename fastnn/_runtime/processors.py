"""The processors: how many this process may use, and what kernels are compiled for.

How many follows from affinity and CPU quota.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

_SUM = """
define <16 x float> @sum(<16 x float> %a, <16 x float> %b) {
  %c = fadd <16 x float> %a, %b
  ret <16 x float> %c
}
"""


def available_threads() -> int:
    """Return how many threads are of use: the cores of this process, cut to its CPU quota.

    Two processors that share a core share its multiply-add units and its first-level cache, which
    one thread of a product keeps busy and full.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(cores(frozenset(os.sched_getaffinity(0))))
    else:  # not on Linux
        allowed = os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


@functools.lru_cache(16)
def cores(allowed: frozenset[int], root: Path = Path("/")) -> tuple[frozenset[int], ...]:
    """Return the processors in `allowed`, those of one core together, by their lowest number."""
    found: dict[frozenset[int], None] = {}  # in order
    for processor in sorted(allowed):
        folder = root / f"sys/devices/system/cpu/cpu{processor}/topology"
        found[_siblings(folder) & allowed or frozenset({processor})] = None
    return tuple(found)


def _siblings(folder: Path) -> frozenset[int]:
    """Return the processors that share a core with one, none where the system does not say."""
    for name in ("core_cpus_list", "thread_siblings_list"):  # the second before Linux 5.3
        with contextlib.suppress(OSError, ValueError):
            ranges = [
                [int(end) for end in part.split("-")]
                for part in (folder / name).read_text().strip().split(",")
            ]
            return frozenset(k for ends in ranges for k in range(ends[0], ends[-1] + 1))
    return frozenset()


def current_processor() -> int | None:
    """Return the processor that runs the calling thread, None where the system does not say."""
    ask = _sched_getcpu()
    return ask() if ask is not None else None


@functools.cache
def _sched_getcpu() -> Callable[[], int] | None:
    """Return the C library's function, which os lacks."""
    try:
        return cast(Callable[[], int], ctypes.PyDLL(None).sched_getcpu)
    except (AttributeError, OSError, TypeError):  # not on Linux
        return None


@functools.cache
def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the processors that the control groups of this process grant it, None where unlimited.

    A quota anywhere above the process binds it, so every level up to the mount is read: `cpu.max`
    in version 2, `cpu.cfs_quota_us` over `cpu.cfs_period_us` in version 1. It is read once, as
    every call of the library asks for it.
    """
    groups = root / "proc/self/cgroup"
    mount = root / "sys/fs/cgroup"
    if not groups.is_file():
        return None
    quotas = []
    for line in groups.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        top = mount if not controllers else mount / "cpu"
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = top / name.lstrip("/")
        for level in (folder, *folder.parents):
            quotas.append(_quota_of(level))
            if level == top:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the quota that one control group sets, in processors."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


@dataclass(frozen=True)
class Target:
    """The processor that kernels are compiled for.

    Attributes
    ----------
    name : str
        LLVM's name of the processor, as "znver5".
    vector_bytes : int
        The widest vectors.
    vector_registers : int
        How many of them the registers hold.
    first_cache_bytes : int
        Size of a core's first-level cache for data.
    """

    name: str
    vector_bytes: int
    vector_registers: int
    first_cache_bytes: int


@functools.cache
def target() -> Target:
    """Return what numba compiles for: the processor of this machine, or one that the user names.

    `NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES` and `NUMBA_ENABLE_AVX` choose it. What a name stands for
    only LLVM knows, so it compiles a sum of long vectors, and the registers are read from that.
    """
    import llvmlite.binding
    from numba.core.registry import cpu_target

    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    chosen = llvmlite.binding.Target.from_triple(triple)
    machine = chosen.create_target_machine(cpu=name, features=features)
    code = machine.emit_assembly(llvmlite.binding.parse_assembly(_SUM))
    return Target(name, *_registers_of(triple, code), _first_cache_bytes())


def _registers_of(triple: str, code: str) -> tuple[int, int]:
    """Return the bytes of the vectors in compiled code, and how many registers there are."""
    if "zmm" in code:
        return 64, 32
    if "ymm" in code:
        return 32, 16
    return 16, 32 if triple.startswith(("aarch64", "arm64")) else 16


def vector_bytes() -> int:
    """Return the bytes of the widest vectors that kernels are compiled for."""
    return target().vector_bytes


def _first_cache_bytes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Return the size of the first-level cache for data, 32 KiB where the system does not say."""
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
            if (level, kind) == ("1", "Data") and size.endswith("K"):
                return int(size[:-1]) << 10
        except (OSError, ValueError):
            continue
    return 32 << 10
