"""The one decorator that compiles kernels, so that their options cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from fastnn._kernels.cache import use_sealed_cache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile `function` lazily, without the GIL, cached on disk where a folder can be written.

    `error_model="numpy"` lets LLVM vectorise loops that divide. Of the fast-math flags only those
    that keep NaN and infinity are on: fused multiply-add and sign-free zeros.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz"},
    }
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder that it may write its cache to
        return cast(_Function, numba.njit(**options)(function))
    use_sealed_cache(dispatcher, options)
    return cast(_Function, dispatcher)
