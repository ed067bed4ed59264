"""What the command line does on a terminal and not in a file or a pipe: colours, wrapped lines."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO

_CODES = {"bold": "1", "good": "32", "remark": "33", "wrong": "1;31"}


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return `text` in a style where `stream`, by default standard output, shows colours.

    They are shown on a terminal, unless ``$NO_COLOR`` is set and not empty (no-color.org) or
    ``$TERM`` is "dumb".
    """
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if _is_colourful(stream or sys.stdout) else text


def _is_colourful(stream: TextIO) -> bool:
    """Say whether a stream shows colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    # The old console of Windows would print the codes.
    return sys.platform != "win32" or "WT_SESSION" in os.environ


def wrapped(text: str, indent: int) -> str:
    """Return a value beside a label of `indent` columns, broken into lines on a terminal only.

    Words, such as paths, are not broken. In a file or a pipe every row of a table is one line.
    """
    if not sys.stdout.isatty():
        return text
    width = max(20, shutil.get_terminal_size().columns - indent)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)
