"""Reports of attacks: counts and shares, who broke what, files, tables and figures.

A report holds what `fastnn.adversarial_accuracy` has found. It attacks nothing itself.
"""

from __future__ import annotations

from fastnn.reports._diagnostics import Diagnostic
from fastnn.reports._page import to_html
from fastnn.reports._report import AdversarialReport
from fastnn.reports._shares import share_text, wilson_interval
from fastnn.reports._sources import Digests, Sources
from fastnn.reports._tables import ClassCounts

__all__ = [
    "AdversarialReport",
    "ClassCounts",
    "Diagnostic",
    "Digests",
    "Sources",
    "share_text",
    "to_html",
    "wilson_interval",
]
