"""How many threads BLAS has, while fastnn has threads of its own."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class BlasLimits:
    """How many threads BLAS is to have, as asked for by anyone in the process.

    What a Python thread asked for last counts for it, and the lowest of those is in force. Requests
    come and go in any order: whoever leaves last puts back what BLAS had before the first came.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[object, tuple[int, int]] = {}  # by ticket: the thread and its number
        self._before: list[int] = []

    def enter(self, n: int) -> object:
        """Ask for `n` threads; return the ticket that takes the request back."""
        ticket = object()
        with self._lock:
            libraries = _blas_libraries()
            if not self._asked:
                self._before = [library.get_num_threads() for library in libraries]
            self._asked[ticket] = threading.get_ident(), n
            self._apply(libraries)
        return ticket

    def leave(self, ticket: object) -> None:
        """Take a request back, from whatever thread; a forked child may have dropped it."""
        with self._lock:
            self._asked.pop(ticket, None)
            self._apply(_blas_libraries())

    def _apply(self, libraries: list[Any]) -> None:
        for library, before in zip(libraries, self._before, strict=True):
            wanted = min(dict(self._asked.values()).values(), default=before)
            if library.get_num_threads() != wanted:
                # threadpoolctl 3.8 obeys the first Python thread that asks and ignores all others,
                # unless that one is dismissed; here the lowest of all limits is what counts.
                if hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread(force=True)
                library.set_num_threads(wanted)

    def before_fork(self) -> None:
        """Wait until no thread is changing a limit, so that the child starts from a whole one."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Go on in the parent."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Drop what other threads asked for: they are not in the child."""
        if self._asked:
            mine = threading.get_ident()
            self._asked = {t: asked for t, asked in self._asked.items() if asked[0] == mine}
            self._apply(_blas_libraries())
        self._lock.release()


@functools.cache
def _blas_libraries() -> list[Any]:
    """Return threadpoolctl's handles of the BLAS libraries; finding them takes milliseconds."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


blas_limits = BlasLimits()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=blas_limits.before_fork,
        after_in_parent=blas_limits.after_fork,
        after_in_child=blas_limits.after_fork_in_child,
    )
