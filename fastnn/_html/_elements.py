"""Elements of HTML and SVG: text is escaped unless it is `Markup`."""

from __future__ import annotations

import html
from typing import Any

_VOID = {"br", "img", "meta"}


class Markup(str):
    """Text that is HTML already, and so is not escaped again."""

    __slots__ = ()


def join(*parts: object) -> Markup:
    """Return the parts one after another; those that are not `Markup` are escaped."""
    return Markup("".join(p if isinstance(p, Markup) else html.escape(str(p)) for p in parts))


def tag(name: str, /, *children: object, **attributes: Any) -> Markup:
    """Return an element.

    An underscore at the end of an attribute's name is dropped, others become hyphens: ``class_``,
    ``data_key``. An attribute that is None or False is left out, one that is True has no value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        words.append(word if value is True else f'{word}="{html.escape(str(value))}"')
    start = f"<{' '.join(words)}>"
    return Markup(start if name in _VOID else f"{start}{join(*children)}</{name}>")
