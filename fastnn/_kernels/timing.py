"""How long kernels take to be ready: to be compiled, or loaded from their cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core import event

_LOCK = "numba:compiler_lock"  # held while a kernel is compiled or loaded


class Clock:
    """The seconds of a block, those apart in which kernels were compiled or loaded.

    Attributes
    ----------
    working, compiling : float
        Both are 0 until the block ends. While one thread compiled, others may have worked.
    """

    def __init__(self) -> None:
        self.working = 0.0
        self.compiling = 0.0


@contextmanager
def clock() -> Iterator[Clock]:
    """Measure the time of a block."""
    found = Clock()
    start = time.perf_counter()
    with event.install_listener(_LOCK, event.TimingListener()) as listener:
        yield found
    total = time.perf_counter() - start
    # Where another thread was compiling when the block began, the listener heard the end alone.
    heard = listener.duration if listener.done else 0.0
    found.compiling = min(max(heard, 0.0), total)
    found.working = total - found.compiling
