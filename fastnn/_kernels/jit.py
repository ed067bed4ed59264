"""The decorators that compile kernels, in one place, so that their options cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

from fastnn._kernels.cache import use_sealed_cache
from fastnn._runtime.processors import vector_bytes

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _WideLower(Lower):  # pragma: no cover - for the compiler
    """Writes a kernel in LLVM's language, and asks for the widest vectors in it.

    For Intel's servers LLVM prefers vectors of 256 bits in the loops that it vectorises, since
    programs with a few wide ones would slow down all others. Ours have nothing else.
    """

    def setup_function(self, fndesc: Any) -> None:
        super().setup_function(fndesc)
        # llvmlite knows no attributes with values, and writes this one as it is.
        set.add(self.function.attributes, f'"prefer-vector-width"="{8 * vector_bytes()}"')


@register_pass(mutates_CFG=True, analysis_only=False)
class _WideLowering(NativeLowering):
    """numba's pass that writes a function, by `_WideLower`."""

    _name = "fastnn_wide_lowering"
    lowering_class = _WideLower


class WideCompiler(CompilerBase):  # pragma: no cover - for the compiler
    """numba's compiler with another pass for writing, for our kernels alone."""

    def define_pipelines(self) -> list[PassManager]:
        """Return the passes of numba with `_WideLowering` for its own."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_WideLowering, NativeLowering)
        passes.passes = [step for step in passes.passes if step[0] is not NativeLowering]
        passes.finalize()
        return [passes]


def kernel(function: _Function) -> _Function:
    """Compile `function` lazily, without the GIL, cached on disk where a folder can be written.

    `error_model="numpy"` lets LLVM vectorise loops that divide. Of the fast-math flags only those
    that keep NaN and infinity are on: fused multiply-add and sign-free zeros.
    """
    return _compiled(function)


def part(function: _Function) -> _Function:
    """Compile `function` as a `kernel` that becomes a part of each kernel which calls it.

    numba compiles a kernel with all that it calls, and each of those by itself before. So a kernel
    whose callees call others is compiled once for every level. Parts are no level.
    """
    return _compiled(function, inline="always")


def _compiled(function: _Function, **more: Any) -> _Function:
    """Return a kernel."""
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz"},
    }
    options |= more
    try:
        dispatcher = numba.njit(cache=True, pipeline_class=WideCompiler, **options)(function)
    except RuntimeError:  # numba found no folder that it may write its cache to
        return cast(_Function, numba.njit(pipeline_class=WideCompiler, **options)(function))
    use_sealed_cache(dispatcher, options)
    return cast(_Function, dispatcher)
