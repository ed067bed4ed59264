"""How long kernels take to be ready: to be compiled, or loaded from their cache."""

from __future__ import annotations

import time
from typing import Self

from numba.core import event

_LOCK = "numba:compiler_lock"  # held while a kernel is compiled or loaded


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
        self._start = time.perf_counter()
        self._listener = event.TimingListener()
        event.register(_LOCK, self._listener)
        return self

    def __exit__(self, *_: object) -> None:
        event.unregister(_LOCK, self._listener)
        total = time.perf_counter() - self._start
        # Where another thread was compiling when the block began, the listener heard the end alone.
        heard = self._listener.duration if self._listener.done else 0.0
        self.compiling = min(max(heard, 0.0), total)
        self.working = total - self.compiling
