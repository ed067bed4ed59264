"""A report in words: the rows of its table, its lines of text, and HTML for a notebook."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._html import Markup, folded, join, pairs, table, tag
from fastnn.reports._counts import Counts
from fastnn.reports._shares import share_text


def rows(report: Counts) -> list[tuple[str, str]]:
    """Return a report as pairs of a label and a value."""
    clipped = f"[{report.bounds[0]:g}, {report.bounds[1]:g}]" if report.bounds else "not at all"
    speed = f"{report.n / report.seconds:,.0f} images a second" if report.seconds > 0 else ""
    found = [("samples", f"{report.n:,}")]
    if report.attack:
        found.append(("attack", report.attack))
    found.append(("clipped to", clipped))
    if report.lattice is not None:
        found.append(("rounded to multiples of", f"1/{report.lattice}"))
    found += _shares(report)
    found += [
        ("rows with an all-zero gradient", f"{report.zero_gradient_rows:,}"),
        ("rows where p rounds to 1", f"{report.saturated_rows:,}"),
        ("time", f"{report.seconds:.3f} s, {speed}"),
    ]
    if report.compile_seconds:
        found.append(("time for kernels, beside it", f"{report.compile_seconds:.3f} s"))
    return found


def _shares(report: Counts) -> list[tuple[str, str]]:
    """Return the rows of the shares, with their intervals where they are known."""
    intervals = report.intervals() if report.labels is not None and report.n else {}

    def row(label: str, name: str, count: Any, n: int, k: int) -> tuple[str, str]:
        text = share_text(count, n)
        if name in intervals and n:
            lower, upper = (np.atleast_1d(end)[k] for end in intervals[name])
            text += f"  [{lower:.2%}, {upper:.2%}]"
        return label, text

    found = [row("clean accuracy", "clean_accuracy", report.clean_correct, report.n, 0)]
    parts: list[tuple[str, str, Any, int]] = [
        ("adversarial accuracy", "adversarial_accuracy", report.adversarial_correct, report.n)
    ]
    if intervals:
        parts += [
            ("of those right when clean", "adversarial_accuracy_among_correct", *report._kept()),
            ("success rate of the attack", "success_rate", *report._successes()),
        ]
    for k, eps in enumerate(np.atleast_1d(report.eps)):
        for label, name, counts, n in parts:
            found.append(row(f"{label}, eps {eps:g}", name, np.atleast_1d(counts)[k], n, k))
    if intervals:
        found.append(("in brackets", "95 % Wilson intervals"))
    return found


def text(report: Counts) -> str:
    """Return a report as aligned lines, and its diagnostics as sentences."""
    table = rows(report)
    width = max(len(label) for label, _ in table)
    lines = [f"{label:<{width}}  {value}" for label, value in table]
    return "\n".join([*lines, *(f"Note: {found}" for found in report.diagnostics)])


def as_html(report: Counts) -> str:
    """Return the tables of a report and its diagnostics for a notebook."""
    notes = [tag("li", found) for found in report.diagnostics]
    parts = [pairs(rows(report)), tag("ul", *notes) if notes else ""]
    if report.labels is not None and report.n:
        parts += [_classes(report), _attribution(report), _confusion(report)]
    return join(*parts)


def _classes(report: Counts) -> Markup:
    """Return the counts of each class as a table."""
    samples, clean, attacked = report.per_class()
    eps, under = np.atleast_1d(report.eps), np.atleast_2d(attacked)
    head = ["class", "samples", "right when clean", *(f"right, eps {e:g}" for e in eps)]
    body = [[c, samples[c], clean[c], *under[:, c]] for c in range(report.classes)]
    return folded("Classes", table(head, body))


def _attribution(report: Counts) -> Markup:
    """Return as a table how many samples each of several attacks broke."""
    if len(report.attacks) < 2:
        return join()
    head = ["attack", *(f"broke first, eps {e:g}" for e in np.atleast_1d(report.eps))]
    body = [[name, *np.atleast_1d(counts)] for name, counts in report.attribution().items()]
    return folded("Attacks", table(head, body))


def _confusion(report: Counts) -> Markup:
    """Return as tables which class the attack sends which to."""
    classes = range(report.classes)
    many = np.reshape(report.confusion(), (-1, report.classes, report.classes))
    return join(
        *(
            folded(
                f"True class (rows) and prediction under attack, eps {eps:g}",
                table(["", *classes], [[c, *counts[c]] for c in classes]),
            )
            for eps, counts in zip(np.atleast_1d(report.eps), many, strict=True)
        )
    )
