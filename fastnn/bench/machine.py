"""The machine that a benchmark runs on: processor, libraries, threads. No host name and no path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from fastnn._runtime.processors import available_threads, cpu_quota, vector_bytes

# The width of the vectors that each set of OpenBLAS kernels computes with.
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


@dataclass(frozen=True)
class Blas:
    """The BLAS that numpy has loaded; None for what threadpoolctl does not know."""

    library: str | None
    version: str | None
    kernels: str | None
    threads: int | None


@dataclass(frozen=True)
class Machine:
    """Everything about this machine and process that changes a time.

    Attributes
    ----------
    vector_bits : int or None
        The width of the processor's vectors; None in results of earlier versions that did not
        find it.
    processors, usable_processors : int
        All, and those that this process may use.
    cpu_quota : float or None
        Processors' worth of time that the system grants, None if there is no limit.
    fastnn, commit : str or None
        The installed version, and the commit of a checkout.
    environment : dict
        The environment's settings for BLAS and OpenMP.
    """

    processor: str
    architecture: str
    vector_bits: int | None
    processors: int | None
    usable_processors: int
    cpu_quota: float | None
    system: str
    python: str
    numpy: str
    numba: str
    llvmlite: str
    numba_threading_layer: str | None
    fastnn: str | None
    commit: str | None
    blas: Blas
    environment: dict[str, str]


def machine_info() -> Machine:
    """Return the description of this machine and process."""
    # numba takes a third of a second to load, and only this function needs it.
    import llvmlite
    import numba

    return Machine(
        processor=processor_name(),
        architecture=platform.machine(),
        vector_bits=8 * vector_bytes(),
        processors=os.cpu_count(),
        usable_processors=available_threads(),
        cpu_quota=cpu_quota(),
        system=platform.system(),
        python=platform.python_version(),
        numpy=np.__version__,
        numba=numba.__version__,
        llvmlite=llvmlite.__version__,
        numba_threading_layer=getattr(numba.config, "THREADING_LAYER", None),
        fastnn=fastnn_version(),
        commit=commit(),
        blas=blas_info(),
        environment=blas_environment(),
    )


def processor_name() -> str:
    """Return the processor's model as the system names it."""
    fields = _cpuinfo()
    return fields.get("model name") or platform.processor() or platform.machine()


def kernel_bits(kernels: str) -> int | None:
    """Return the width in bits of the vectors that OpenBLAS `kernels` use, None if unknown."""
    return _KERNEL_BITS.get(kernels.lower())


def blas_info() -> Blas:
    """Return library, version, kernels and threads of the BLAS that numpy has loaded."""
    np.dot(np.ones((2, 2)), np.ones((2, 2)))  # some builds load their BLAS with the first product
    for library in threadpool_info():
        if library["user_api"] == "blas":
            return Blas(
                library=library["internal_api"],
                version=library["version"],
                kernels=library.get("architecture"),
                threads=library["num_threads"],
            )
    return Blas(None, None, None, None)


def blas_environment() -> dict[str, str]:
    """Return the environment's settings for BLAS and OpenMP."""
    prefixes = ("OPENBLAS_", "OMP_", "MKL_NUM", "MKL_DYNAMIC")
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(prefixes)}


def fastnn_version() -> str | None:
    """Return the installed version, None if fastnn is not installed."""
    try:
        return importlib.metadata.version("fastnn")
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the checkout's commit, with "+" if files were changed; None outside of a checkout."""
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
    """Return Linux's description of the first processor; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def reset_peak_memory() -> None:
    """Start a new maximum of this process's memory, where the system keeps one."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> int | None:
    """Return the most bytes that were resident since the last reset, None if not known.

    It is Linux's VmHWM: the maximum of `getrusage` includes the parent's memory at the fork.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else None


def has_numba_cache() -> bool:
    """Return whether numba found a folder that it may keep compiled kernels in."""
    # numba has to be loaded for this: it decides when a kernel is declared.
    from numba.core.caching import NullCache

    from fastnn._kernels import logits

    return not isinstance(getattr(logits._argmax, "_cache", None), NullCache | None)
