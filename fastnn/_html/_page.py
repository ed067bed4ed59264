"""Whole pages: one file with its style and its script inside."""

from __future__ import annotations

import base64
import functools
import hashlib

from fastnn._html._elements import Markup, join, tag
from fastnn._html._tables import scrolled


def page(title: str, *content: object) -> str:
    """Return a page that needs nothing from elsewhere.

    Its security policy allows the one script of fastnn, by its digest, and no other.
    """
    from fastnn._version import __version__

    style, script = _text_of("page.css"), _text_of("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"fastnn {__version__}"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    main = tag("main", tag("h1", title), *content)
    footer = tag("footer", f"Made by fastnn {__version__}.")
    body = tag("body", main, footer, tag("script", Markup(script)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


@functools.cache
def _text_of(name: str) -> str:
    """Return the text of a file beside this one."""
    from importlib.resources import files

    return (files("fastnn._html") / name).read_text(encoding="utf-8")


def section(title: str, *content: object, id_: str | None = None) -> Markup:
    """Return a part of a page, with its title."""
    return tag("section", tag("h2", title), *content, id_=id_)


def figure(picture: Markup, caption: object) -> Markup:
    """Return a picture with its caption; one that is too wide for the screen can be moved."""
    return tag("figure", scrolled(picture, "figure", "wide"), tag("figcaption", caption))


def number_tile(value: str, meaning: str, more: str = "") -> Markup:
    """Return a number that is seen first."""
    return tag(
        "div",
        tag("strong", value),
        tag("span", meaning),
        tag("small", more) if more else join(),
        class_="number",
    )
