"""Progress: tqdm's bar on a terminal or in a notebook, elsewhere a line now and then.

Nothing is shown of work that takes less than a second.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
import warnings
from types import TracebackType
from typing import Any, Self

_SHOWN_AFTER = 1.0  # seconds
_LOG_SECONDS = 30.0  # between two lines where they are kept rather than drawn over


class Progress:
    """A bar for `total` steps, on standard error or in a notebook.

    Parameters
    ----------
    label : str
        Name of the work; drawn before the bar.
    total : int or None
        Number of steps; None where it is not known.
    enabled : bool, optional
        If False, nothing is drawn; so callers need no branch.
    """

    def __init__(self, label: str, total: int | None, *, enabled: bool = True) -> None:
        self._label, self._total, self._enabled = label, total, enabled
        self._shown: _Bar | _Lines | None = None

    def __enter__(self) -> Self:
        if self._enabled:
            drawn = sys.stderr.isatty() or "ipykernel" in sys.modules
            self._shown = (_Bar if drawn else _Lines)(self._label, self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.close()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` steps are complete, with `note` at the end of the line."""
        if self._shown is not None:
            self._shown.update(done, note)


class _Bar:
    """A bar that is drawn over, with the time that is left.

    On a terminal it is drawn every second, also where no step is complete for long, as in a first
    call that compiles kernels.
    """

    def __init__(self, label: str, total: int | None) -> None:
        self._bar = _tqdm()(desc=label, total=total, delay=_SHOWN_AFTER)
        self._closed = threading.Event()
        self._ticking = threading.Thread(target=self._tick, name="fastnn progress", daemon=True)
        if "ipykernel" not in sys.modules:
            self._ticking.start()

    def update(self, done: int, note: str) -> None:
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._closed.set()
        if self._ticking.is_alive():
            self._ticking.join()
        self._bar.close()

    def _tick(self) -> None:
        """Draw until the bar is closed."""
        while not self._closed.wait(max(_SHOWN_AFTER, 0.1)):
            self._bar.delay = 0  # it is shown, so that its line is to be ended
            self._bar.refresh()


class _Lines:
    """A line every half minute, and one at the end of work that took longer than a second."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total = label, total
        self._done, self._note = 0, ""
        self._start = self._last = time.monotonic()

    def update(self, done: int, note: str) -> None:
        self._done, self._note = done, note
        if time.monotonic() - self._last >= _LOG_SECONDS and done != self._total:
            self._last = time.monotonic()
            self._print()

    def close(self) -> None:
        if time.monotonic() - self._start >= _SHOWN_AFTER:
            self._print()

    def _print(self) -> None:
        """Print how far the work is, for how long it has been going on, and what is left."""
        passed = time.monotonic() - self._start
        times = f"{_clock(passed)} passed"
        if self._total and 0 < self._done < self._total:
            times += f", {_clock(passed / self._done * (self._total - self._done))} left"
        note = f", {self._note}" if self._note else ""
        counts = f"{self._done}"
        if self._total is not None:
            share = self._done / self._total if self._total else 1
            counts = f"{share:4.0%} {self._done}/{self._total}"
        print(f"{self._label}: {counts} [{times}{note}]", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


@functools.cache
def _tqdm() -> Any:
    """Return tqdm's class for where we are, without its thread and its lock between processes."""
    if "ipykernel" not in sys.modules:  # as `tqdm.auto` decides, but without loading asyncio
        from tqdm.std import tqdm
    else:
        from tqdm.std import TqdmWarning

        with warnings.catch_warnings():  # a notebook without ipywidgets gets a terminal's bar
            warnings.simplefilter("ignore", TqdmWarning)
            from tqdm.auto import tqdm
    bar: Any = type("Bar", (tqdm,), {"monitor_interval": 0})
    bar.set_lock(threading.RLock())
    return bar
