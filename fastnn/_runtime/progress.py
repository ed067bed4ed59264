"""Progress bars: tqdm's, loaded when the first one is drawn."""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from types import TracebackType
from typing import Any, Self

_LOG_SECONDS = 30.0  # between two lines where they are kept rather than drawn over


class Progress:
    """A bar for `total` steps, on standard error or in a notebook.

    Parameters
    ----------
    label : str
        Name of the work; drawn before the bar.
    total : int
        Number of steps.
    enabled : bool, optional
        If False, nothing is drawn; so callers need no branch.
    """

    def __init__(self, label: str, total: int, *, enabled: bool = True) -> None:
        self._label, self._total, self._enabled = label, total, enabled
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._enabled:
            drawn = sys.stderr.isatty() or "ipykernel" in sys.modules
            self._bar = _tqdm()(
                desc=self._label, total=self._total, mininterval=0.1 if drawn else _LOG_SECONDS
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` steps are complete, with `note` at the end of the line."""
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)


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
