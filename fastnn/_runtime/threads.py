"""The number of threads, as the user set it."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from fastnn import _checks
from fastnn._runtime.blas import blas_limits
from fastnn._runtime.processors import available_threads
from fastnn._runtime.signals import DeferredSignals

_asked_for: ContextVar[int | None] = ContextVar("fastnn_threads", default=None)


class threads(contextlib.ContextDecorator):  # noqa: N801 - used like a function
    """Run the block on `n` threads: fastnn's own, and BLAS where numpy calls it outside fastnn.

    Parameters
    ----------
    n : int
        Number of threads, at least 1. For fastnn, the setting holds for this Python thread alone;
        in free-threaded Python, a thread that is started in the block takes it over. BLAS has one
        setting for the whole process: if several Python threads set a limit, the lowest wins.

    Raises
    ------
    TypeError, ValueError
        `n` is not an integer, or below 1.

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.MLP.random((784, 10))
    >>> data = fastnn.load_mnist(source="sample")
    >>> with fastnn.threads(2):
    ...     logits = net.logits(data.x_test)
    """

    def __init__(self, n: int) -> None:
        self._held: list[tuple[object, Token[int | None]]] = []
        self._n = _checks.positive_integer(n, "threads")

    def _recreate_cm(self) -> Self:
        """Return a new context for every call of a function that this decorates."""
        return type(self)(self._n)

    def __enter__(self) -> None:
        depth = len(self._held)
        try:
            with DeferredSignals():
                self._held.append((blas_limits.enter(self._n), _asked_for.set(self._n)))
        except BaseException:  # raised by a signal's handler as soon as it could
            if len(self._held) > depth:
                self._leave()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        """Take back what was asked for last."""
        with DeferredSignals():
            ticket, token = self._held.pop()
            blas_limits.leave(ticket)
            _asked_for.reset(token)

    def __del__(self) -> None:
        # A signal's handler that raises may run just before the first line of `__exit__`, and
        # another one here.
        try:
            while self._held:
                with contextlib.suppress(ValueError):  # the token is of another thread
                    self._leave()
        finally:
            if self._held:
                self.__del__()


def thread_count(asked: int | None = None) -> int:
    """Return `asked`, else what `threads` set, else what affinity and the CPU quota allow."""
    if asked is not None:
        return _checks.positive_integer(asked, "threads")
    return _asked_for.get() or available_threads()
