"""The width of the processor's vectors."""

from __future__ import annotations


def vector_bytes() -> int:
    """Return the bytes of the widest vectors that the processor and the system offer.

    LLVM names the features, since it is LLVM that compiles for them.
    """
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx") else 16
