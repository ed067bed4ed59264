"""What checks found, as text: ``fastnn doctor`` and ``fastnn check-adversarial``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastnn.cli._terminal import paint

_MARKS = {"ok": ("ok", "good"), "remark": ("warn", "remark"), "wrong": ("FAIL", "wrong")}
_WIDTH = 76


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    name : str
        What was checked.
    status : {"ok", "remark", "wrong"}
        Only "wrong" changes the exit status: it costs speed or correctness, and can be mended.
    text : str
        What was found and, if it is wrong, what to do.
    """

    name: str
    status: Literal["ok", "remark", "wrong"]
    text: str


def report(found: Sequence[Finding]) -> str:
    """Return the findings as text, with a summary in the last line."""
    width = max(len(finding.name) for finding in found)
    lines = []
    for finding in found:
        # Paths are not broken, so that they can be copied.
        first, *more = textwrap.wrap(
            finding.text, _WIDTH, break_on_hyphens=False, break_long_words=False
        )
        mark, style = _MARKS[finding.status]
        lines.append(f"{paint(f'{mark:<4}', style)}  {finding.name:<{width}}  {first}")
        lines += [" " * (width + 8) + line for line in more]
    wrong = sum(finding.status == "wrong" for finding in found)
    return "\n".join([*lines, "", f"{wrong} wrong" if wrong else "nothing is wrong"])
