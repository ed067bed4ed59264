"""Reports of attacks: counts and shares, what broke which sample, files, tables and figures.

A report holds what `fastnn.adversarial_accuracy` has found. It attacks nothing itself.
"""

from __future__ import annotations

from fastnn.reports._diagnostics import Diagnostic
from fastnn.reports._page import to_html
from fastnn.reports._report import AdversarialReport
from fastnn.reports._shares import share_text as share_text
from fastnn.reports._shares import wilson_interval
from fastnn.reports._sources import Digests
from fastnn.reports._tables import ClassCounts

__all__ = [
    "AdversarialReport",
    "ClassCounts",
    "Diagnostic",
    "Digests",
    "to_html",
    "wilson_interval",
]
