"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_WIDTH = 28
_REDRAW_SECONDS = 0.1


class Progress:
    """A bar for `total` steps, redrawn on a terminal; elsewhere one line at the end.

    Parameters
    ----------
    label : str
        What is going on; printed before the bar.
    total : int
        Number of steps.
    enabled : bool, optional
        False draws nothing, so that callers need no branch of their own.
    """

    def __init__(self, label: str, total: int, *, enabled: bool = True) -> None:
        self._label = label
        self._total = max(total, 1)
        self._enabled = enabled
        self._done = 0
        self._note = ""
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._enabled:
            if sys.stderr.isatty():
                self._draw(force=True)
                sys.stderr.write("\n")
            else:
                sys.stderr.write(self._line().rstrip() + "\n")
            sys.stderr.flush()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of the steps are behind us, with a remark at the end of the line."""
        self._done = done
        self._note = note
        self._draw()

    def _draw(self, *, force: bool = False) -> None:
        """Redraw the line, at most ten times a second."""
        now = time.perf_counter()
        if not (self._enabled and sys.stderr.isatty()):
            return
        if force or now - self._drawn_at > _REDRAW_SECONDS:
            self._drawn_at = now
            sys.stderr.write("\r" + self._line() + "\x1b[K")
            sys.stderr.flush()

    def _line(self) -> str:
        """Return the bar as text."""
        filled = round(_WIDTH * min(self._done / self._total, 1.0))
        bar = "█" * filled + "░" * (_WIDTH - filled)
        seconds = time.perf_counter() - self._started
        return f"{self._label} {bar} {self._done}/{self._total} {seconds:.0f} s  {self._note}"
