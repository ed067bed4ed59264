"""How long kernels take to be ready: to be compiled, or loaded from their cache."""

from __future__ import annotations

import time
from typing import Self

from numba.core import event

# Hears when a kernel is compiled or loaded, for as long as the process lives: to register a
# listener for every call would take a twentieth of a small one.
_listener = event.TimingListener()
event.register("numba:compiler_lock", _listener)


def _heard() -> float:
    """Return the seconds that compilations and loadings have taken which are done by now."""
    return _listener.duration if _listener.done else 0.0


class Clock:
    """The seconds of a ``with`` block, those apart in which kernels were compiled or loaded.

    Attributes
    ----------
    working, compiling : float
        Both are 0 until the block ends. While one thread compiled, others may have worked.
    """

    working = 0.0
    compiling = 0.0

    def __enter__(self) -> Self:
        self._before, self._start = _heard(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        total = time.perf_counter() - self._start
        # What another thread had begun to compile before the block may be longer than the block.
        self.compiling = min(_heard() - self._before, total)
        self.working = total - self.compiling
