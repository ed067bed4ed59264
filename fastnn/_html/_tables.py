"""Tables, in notebooks and on pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._html._elements import Markup, join, tag

_LEFT, _RIGHT = "text-align:left", "text-align:right"


class Cell(NamedTuple):
    """A cell that shows something else than what its column is sorted by.

    Attributes
    ----------
    content : object
        Text, a number or `Markup`.
    key : float or None
        What the column is sorted by; None: the text.
    heat : float or None
        From 0 to 1, how strong the cell is coloured; None: not at all.
    """

    content: Any
    key: float | None = None
    heat: float | None = None


def pairs(rows: Iterable[tuple[str, Any]]) -> Markup:
    """Return labels and their values as a table of two columns."""
    lines = [
        tag("tr", tag("th", label, scope="row", style=_LEFT), tag("td", value, style=_LEFT))
        for label, value in rows
    ]
    return tag("table", *lines)


def table(
    head: Sequence[Any],
    body: Iterable[Sequence[Any]],
    *,
    caption: object = None,
    sortable: bool = False,
    choices: Sequence[int] = (),
) -> Markup:
    """Return a table; the first cell of a row names it.

    Parameters
    ----------
    head : sequence
        Names of the columns.
    body : iterable of sequences
        Numbers get commas and stand on the right, like all columns but the first.
    caption : optional
    sortable : bool, optional
        For pages: their script sorts and filters it.
    choices : sequence of int, optional
        Columns for which the page's script offers a list of their values to choose from.
    """
    names = [
        tag("th", name, scope="col", style=_RIGHT if i else _LEFT, data_choice=i in choices)
        for i, name in enumerate(head)
    ]
    lines = [
        tag("tr", _cell(first, "th", _LEFT), *(_cell(one, "td", _RIGHT) for one in rest))
        for first, *rest in body
    ]
    made = tag(
        "table",
        "" if caption is None else tag("caption", caption),
        tag("thead", tag("tr", *names)),
        tag("tbody", *lines),
        class_="sortable" if sortable else None,
    )
    return scrolled(made, "table") if sortable else made


def scrolled(content: Markup, label: str, kind: str = "scroll") -> Markup:
    """Return content that can be moved where it is wider than the screen, by the keyboard too."""
    return tag("div", content, class_=kind, tabindex=0, role="group", aria_label=label)


def folded(
    title: object, *content: object, opened: bool = False, kind: str | None = None
) -> Markup:
    """Return content that a click on the title unfolds; of the kind "long", it is not printed."""
    return tag("details", tag("summary", title), *content, open=opened, class_=kind)


def _cell(value: Any, kind: str, style: str) -> Markup:
    """Return a cell of a table."""
    content, key, heat = value if isinstance(value, Cell) else (value, None, None)
    if key is None and isinstance(content, (int, float, np.number)):
        key = float(content)
    if isinstance(content, (int, np.integer)):
        content = f"{content:,}"
    return tag(
        kind,
        join(content),
        scope="row" if kind == "th" else None,
        style=style if heat is None else f"{style};--heat:{heat:.3f}",
        class_=None if heat is None else "heat",
        data_key=None if key is None else f"{key:.10g}",
    )
