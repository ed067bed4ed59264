"""What a benchmark ran on: processor, libraries, threads. No host name and no path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from fastnn._runtime.processors import available_threads, cpu_quota

# How wide the vectors are that a set of OpenBLAS kernels computes with, and those of a processor.
_KERNEL_BITS = {
    "prescott": 128,
    "core2": 128,
    "nehalem": 128,
    "barcelona": 128,
    "sandybridge": 256,
    "bulldozer": 256,
    "piledriver": 256,
    "haswell": 256,
    "zen": 256,
    "skylakex": 512,
    "cooperlake": 512,
    "sapphirerapids": 512,
}
_FLAG_BITS = {"avx512bw": 512, "avx": 256, "sse2": 128}


def machine_info() -> dict[str, Any]:
    """Return everything about this machine and process that moves a time, ready for JSON."""
    # numba takes a third of a second to load, and only this function needs it.
    import llvmlite
    import numba

    return {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "vector_bits": vector_bits(),
        "processors": os.cpu_count(),
        "usable_processors": available_threads(),
        "cpu_quota": cpu_quota(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numba_threading_layer": getattr(numba.config, "THREADING_LAYER", None),
        "fastnn": fastnn_version(),
        "commit": commit(),
        "blas": blas_info(),
        "environment": blas_environment(),
    }


def processor_name() -> str:
    """Return the processor's model as the system names it."""
    fields = _cpuinfo()
    return fields.get("model name") or platform.processor() or platform.machine()


def vector_bits() -> int | None:
    """Return the width of the processor's vectors in bits, None where the system does not tell."""
    flags = _cpuinfo().get("flags", "").split()
    return next((bits for flag, bits in _FLAG_BITS.items() if flag in flags), None)


def kernel_bits(kernels: str) -> int | None:
    """Return the width in bits of the vectors that OpenBLAS `kernels` use, None if unknown."""
    return _KERNEL_BITS.get(kernels.lower())


def blas_info() -> dict[str, Any]:
    """Return library, version, kernels and threads of the BLAS that numpy has loaded."""
    np.dot(np.ones((2, 2)), np.ones((2, 2)))  # some builds load their BLAS with the first product
    for library in threadpool_info():
        if library["user_api"] == "blas":
            return {
                "library": library["internal_api"],
                "version": library["version"],
                "kernels": library.get("architecture"),
                "threads": library["num_threads"],
            }
    return {"library": None, "version": None, "kernels": None, "threads": None}


def blas_environment() -> dict[str, str]:
    """Return the environment's settings for BLAS and OpenMP."""
    prefixes = ("OPENBLAS_", "OMP_", "MKL_NUM", "MKL_DYNAMIC")
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(prefixes)}


def fastnn_version() -> str | None:
    """Return the installed version, None for a checkout that was never installed."""
    try:
        return importlib.metadata.version("fastnn")
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit of the checkout that runs, marked "+" if changed, None outside of one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    """Return what a git command prints about `root`."""
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says about the first processor; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def reset_peak_memory() -> None:
    """Start a new high-water mark of this process's memory, where the system has one."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the most memory in bytes that was resident since the last reset, None if untold.

    Read from VmHWM: `getrusage` would start from what the parent process had before it started us.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else None


def has_numba_cache() -> bool:
    """Tell whether numba found a folder that it may keep compiled kernels in."""
    # Loading numba is the price of asking: it decides when a kernel is declared.
    from numba.core.caching import NullCache

    from fastnn._kernels import logits

    return not isinstance(getattr(logits._argmax, "_cache", None), NullCache | None)
