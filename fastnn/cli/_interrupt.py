"""Ctrl-C ends a command at once, also in the middle of a tile.

fastnn runs signal handlers between two tiles, and a tile may take a minute with a strong attack.
The system's own handler, in C, runs at once and writes a byte to a pipe. A thread reads it: if the
command has not ended by itself after a moment, the thread ends the process. No result is damaged,
as files are written whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

STATUS = 130  # 128 and the number of SIGINT, as shells have it
PATIENCE = 0.5  # seconds that a command has to end by itself


def _watch(reading: int, ended: threading.Event, line: str, patience: float) -> None:
    """End the process if SIGINT arrives and the command has not ended soon after."""
    while number := os.read(reading, 1):
        if number[0] == signal.SIGINT and not ended.wait(patience):
            bar = "\n" if os.isatty(2) else ""  # its line ends first
            os.write(2, f"{bar}{line}\n".encode())
            os._exit(STATUS)


if sys.platform == "win32":  # where no signal can write to a pipe

    @contextlib.contextmanager
    def ended_by_ctrl_c(line: str, patience: float = PATIENCE) -> Iterator[None]:
        """Let Ctrl-C raise KeyboardInterrupt between two tiles."""
        yield

else:

    @contextlib.contextmanager
    def ended_by_ctrl_c(line: str, patience: float = PATIENCE) -> Iterator[None]:
        """Let Ctrl-C end the process with `line` on standard error, if the block does not do so.

        Without effect where Ctrl-C raises no KeyboardInterrupt: in other threads than the main one,
        where SIGINT is ignored, or a program has a handler of its own.
        """
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        old = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        ended = threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(reading, ended, line, patience), name="fastnn Ctrl-C", daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            signal.set_wakeup_fd(old)
            os.close(writing)  # the watcher reads the end of the pipe
            watcher.join()
            os.close(reading)
