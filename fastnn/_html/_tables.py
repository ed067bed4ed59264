"""Tables, in notebooks and on pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._html._elements import Markup, join, tag

_LEFT, _RIGHT = "text-align:left", "text-align:right"
_SHORT = 12  # letters of a row's name that needs no more than its own width
_LONG_HEAD = 20  # letters of the name of a column


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
        Text stands on the left, numbers on the right; whole numbers get commas.
    caption : optional
    sortable : bool, optional
        For pages: their script sorts and filters it.
    choices : sequence of int, optional
        Columns for which the page's script offers a list of their values to choose from.
    """
    rows = [[_as_cell(value) for value in row] for row in body]
    sides = [_side(column) for column in zip(*rows, strict=True)] if rows else [_LEFT] * len(head)
    names = [
        tag("th", name, scope="col", style=_of_head(name, side), data_choice=i in choices)
        for i, (name, side) in enumerate(zip(head, sides, strict=True))
    ]
    kinds = ["th", *["td"] * (len(head) - 1)]
    lines = [tag("tr", *map(_cell, row, kinds, sides)) for row in rows]
    made = tag(
        "table",
        "" if caption is None else tag("caption", caption),
        tag("thead", tag("tr", *names)),
        tag("tbody", *lines),
        class_="sortable" if sortable else None,
    )
    return scrolled(made, "table") if sortable else made


def layers(
    weights: Sequence[Any], biases: Sequence[Any], activation: str, *, caption: str
) -> Markup:
    """Return the layers of a network as a table."""
    after = [activation] * (len(weights) - 1) + ["softmax"]
    body = [
        [f"layer {i}", *w.shape, w.size + b.size, name]
        for i, (w, b, name) in enumerate(zip(weights, biases, after, strict=True), 1)
    ]
    total = sum(row[3] for row in body)
    head = ["", "inputs", "outputs", "parameters", "activation"]
    return table(head, [*body, ["all", "", "", total, ""]], caption=caption)


def scrolled(content: Markup, label: str, kind: str = "scroll") -> Markup:
    """Return content that can be moved where it is wider than the screen, by the keyboard too."""
    return tag("div", content, class_=kind, tabindex=0, role="group", aria_label=label)


def folded(
    title: object, *content: object, opened: bool = False, kind: str | None = None
) -> Markup:
    """Return content that a click on the title unfolds; of the kind "long", it is not printed."""
    return tag("details", tag("summary", title), *content, open=opened, class_=kind)


def _as_cell(value: Any) -> Cell:
    """Return a value as a cell; numbers are sorted by what they are."""
    found = value if isinstance(value, Cell) else Cell(value)
    if found.key is None and isinstance(found.content, (int, float, np.number)):
        return found._replace(key=float(found.content))
    return found


def _side(column: Sequence[Cell]) -> str:
    """Return how a column is aligned: text on the left, numbers on the right."""
    return _RIGHT if any(cell.key is not None for cell in column) else _LEFT


def _of_head(name: Any, side: str) -> str:
    """Return the style of a head, which takes two lines or three where there is little room."""
    return f"{side};min-width:8rem" if len(str(name)) > _LONG_HEAD else side


def _cell(cell: Cell, kind: str, side: str) -> Markup:
    """Return a cell of a table."""
    content, style = cell.content, side
    if isinstance(content, (int, np.integer)):
        content = f"{content:,}"
    if cell.heat is not None:
        style += f";--heat:{cell.heat:.3f}"
    if kind == "th" and len(str(content)) > _SHORT:
        style += ";min-width:10rem"
    return tag(
        kind,
        join(content),
        scope="row" if kind == "th" else None,
        style=style,
        class_=None if cell.heat is None else "heat",
        data_key=None if cell.key is None else f"{cell.key:.10g}",
    )
