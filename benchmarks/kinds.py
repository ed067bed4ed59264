"""The kinds of processor that have bars of their own, and a run as another kind."""

import os
import sys

import llvmlite.binding

from fastnn._runtime.processors import vector_bytes

INTEL, AMD, AVX2 = KINDS = ("Intel with AVX-512", "AMD with AVX-512", "AVX2 only")
_MARK = "FASTNN_CLAIMS_ISA"  # set in the process that runs as another machine
# What a processor of 2013 has; numba's name for it alone would keep the features of the host.
_HASWELL = (  # noqa: SIM905 - one line for each would be thirty
    "64bit aes avx avx2 bmi bmi2 cmov crc32 cx16 cx8 f16c fma fsgsbase fxsr invpcid lzcnt mmx "
    "movbe pclmul popcnt rdrnd sahf sse sse2 sse3 sse4.1 sse4.2 ssse3 xsave xsaveopt"
).split()


def kind_of(processor, vector_bits):
    """Return which column of bars counts; machines without one have that of AVX2."""
    if vector_bits < 512:
        return AVX2
    return AMD if "AMD" in processor else INTEL


def vector_bits():
    """Return the width of vectors in this run."""
    return 256 if os.environ.get(_MARK) == "avx2" else 8 * vector_bytes()


def avx2_environment(host_features):
    """Return the settings that make every library use AVX2 on a machine that has more.

    Parameters
    ----------
    host_features : dict of str to bool
        By LLVM's names.
    """
    signs = {True: "+", False: "-"}
    features = [signs[on and name in _HASWELL] + name for name, on in sorted(host_features.items())]
    return {
        _MARK: "avx2",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(features),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }


def restart_as_avx2():
    """Replace this process by itself with the settings of an AVX2 machine; once."""
    if os.environ.get(_MARK) == "avx2":
        return
    features = llvmlite.binding.get_host_cpu_features()
    if not features.get("avx2"):
        raise SystemExit("--isa avx2 needs an x86 processor with AVX2")
    sys.stdout.flush()
    os.execve(sys.executable, sys.orig_argv, os.environ | avx2_environment(features))
