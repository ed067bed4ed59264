"""How long kernels take to be ready: to be compiled, or loaded from their cache."""

from __future__ import annotations

import time
from typing import Any, Self

from numba.core import event

_LOCK = "numba:compiler_lock"  # held while a kernel is compiled or loaded


class _Heard(event.Listener):
    """Adds up the seconds in which the lock is held, from now to the end of the process.

    The thread that holds it may take it again.
    """

    _seconds, _start, _depth = 0.0, 0.0, 0

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._start = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._seconds += time.perf_counter() - self._start

    def so_far(self) -> float:
        """Return the sum, with what passed since the lock was taken if it is held now."""
        return self._seconds + (time.perf_counter() - self._start if self._depth else 0.0)


_heard = _Heard()
event.register(_LOCK, _heard)


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
        self._start, self._before = time.perf_counter(), _heard.so_far()
        return self

    def __exit__(self, *_: object) -> None:
        total = time.perf_counter() - self._start
        # Another thread may have taken or released the lock between two lines of `so_far`.
        self.compiling = min(max(_heard.so_far() - self._before, 0.0), total)
        self.working = total - self.compiling
