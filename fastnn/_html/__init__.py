"""HTML: elements whose text is escaped, tables, and pages in one file.

Reports, networks and histories show themselves in notebooks with the same elements as the pages
that ``--html`` writes. Nothing here is loaded from elsewhere by the browser.
"""

from __future__ import annotations

from fastnn._html._elements import Markup, join, tag
from fastnn._html._page import figure, number_tile, page, section
from fastnn._html._tables import Cell, folded, layers, pairs, table

__all__ = [
    "Cell",
    "Markup",
    "figure",
    "folded",
    "join",
    "layers",
    "number_tile",
    "page",
    "pairs",
    "section",
    "table",
    "tag",
]
