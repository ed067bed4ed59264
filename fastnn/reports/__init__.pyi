from ._diagnostics import Diagnostic
from ._page import to_html
from ._report import AdversarialReport
from ._shares import wilson_interval
from ._sources import Digests
from ._tables import ClassCounts

__all__ = [
    "AdversarialReport",
    "ClassCounts",
    "Diagnostic",
    "Digests",
    "to_html",
    "wilson_interval",
]
