"""Delay signal handlers while fastnn changes state that the whole process shares.

Python runs a signal's handler between any two operations of the main thread. A handler that raises
there, such as that of Ctrl-C or of a test's time limit, would stop fastnn in the middle of a change
and leave a limit of BLAS set or a lock held. A handler that calls fastnn would wait for a lock that
its own thread holds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

import numpy as np

try:  # the functions of signal take ten times as long, and every call uses them several times
    from _signal import getsignal  # type: ignore[import-not-found]
    from _signal import signal as set_handler
except ImportError:
    from signal import getsignal
    from signal import signal as set_handler

# The signals that programs handle: keys, time limits, requests to end or to report.
_NAMES = ("INT", "BREAK", "TERM", "HUP", "ALRM", "VTALRM", "PROF", "USR1", "USR2")
_HANDLED = tuple(getattr(signal, f"SIG{n}") for n in _NAMES if hasattr(signal, f"SIG{n}"))


class DeferredSignals:
    """A context that delays Python's signal handlers until `deliver` is called or it ends.

    Only the main thread runs handlers, so elsewhere this does nothing. Contexts may be nested: the
    outer one then receives the signals that arrived in the inner one.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._arrived: deque[tuple[int, FrameType | None]] = deque()
        self._owner: int | None = None
        self._ended = False

    def __enter__(self) -> Self:
        if threading.get_ident() != threading.main_thread().ident:
            return self
        self._owner, self._ended = threading.get_ident(), False
        try:
            _active.append(self)
            for number in _HANDLED:
                handler = getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    set_handler(number, self._note)
        except ValueError:  # the main thread of a subinterpreter, which runs no handlers
            self._handlers.clear()
        except BaseException:  # from a handler that was not replaced yet
            self._put_back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._put_back()
        finally:
            self._send_again()

    def deliver(self) -> None:
        """Run the handlers of the signals that have arrived; their exceptions go to the caller."""
        while self._arrived:
            number, frame = self._arrived.popleft()
            self._handlers[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Keep a signal for later; if this context has ended, run its handler at once."""
        if self._ended:
            self._handlers[number](number, frame)
        else:
            self._arrived.append((number, frame))

    def _put_back(self) -> None:
        """Restore every signal's handler, unless the program has set another one since."""
        self._ended = True
        try:
            self._put_back_once()
        finally:  # a handler that was restored first may have raised in between
            self._put_back_once()

    def _put_back_once(self) -> None:
        for number, handler in self._handlers.items():
            if getsignal(number) == self._note:
                set_handler(number, handler)
        if self in _active:
            _active.remove(self)

    def _send_again(self) -> None:
        """Raise the signals that were not handled yet, in the order of their arrival."""
        if self._arrived:
            number, _ = self._arrived.pop()
            try:
                self._send_again()  # those that arrived earlier
            finally:
                signal.raise_signal(number)

    def after_fork_in_child(self) -> None:
        """Restore the handlers in a forked child that lacks the thread of this context."""
        if self._owner != threading.get_ident():
            self._put_back()


_active: list[DeferredSignals] = []


def _after_fork_in_child() -> None:
    """End the contexts of threads that the child lacks, the innermost first."""
    for context in reversed(_active.copy()):
        context.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@contextlib.contextmanager
def numpy_errors(**how: Any) -> Iterator[None]:
    """Use `numpy.errstate` for the block; a handler that raises cannot leave numpy in that state.

    By default numpy neither warns nor raises, whatever the caller has set.
    """
    with DeferredSignals(), np.errstate(**(how or {"all": "ignore"})):
        yield
