"""What a page says of all its reports: the main numbers, the table and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _html
from fastnn._html import Cell, Markup, join, tag
from fastnn.reports._counts import Counts
from fastnn.reports._shares import eps_text

if TYPE_CHECKING:
    from fastnn.networks import MLP


def facts(report: Counts, net: MLP | None) -> list[tuple[str, str]]:
    """Return what is the same for all reports."""
    found = []
    if net is not None:
        count = sum(a.size for a in (*net.weights, *net.biases))
        sizes = "-".join(map(str, net.sizes))
        found.append(("network", f"{sizes}, {net.activation}, {net.dtype}, {count:,} parameters"))
    return [
        *found,
        ("samples", f"{report.n:,}, of {report.classes} classes"),
        ("samples with an all-zero gradient", f"{report.zero_gradient_rows:,}"),
        (
            "samples where p rounds to 1",
            f"{report.saturated_rows:,} (p is the probability of the true class)",
        ),
    ]


def fingerprints(report: Counts) -> Markup:
    """Return the digests of network and data."""
    found = report.digests
    if found is None:
        return join()
    rows = [("network", found.network), ("inputs and labels", found.data)]
    return _html.folded("Fingerprints (SHA-256)", _html.pairs(rows))


def summary(named: Mapping[str, Counts]) -> Markup:
    """Return the numbers that are seen first, with a sentence."""
    first = next(iter(named.values()))
    if not first.n:
        return tag("p", "There are no samples.")
    lowest, name, k = min(
        (float(accuracy), name, k)
        for name, report in named.items()
        for k, accuracy in enumerate(np.atleast_1d(report.adversarial_accuracy))
    )
    report = named[name]
    eps = np.atleast_1d(report.eps)[k]
    clean, under = (report.intervals()[f"{kind}_accuracy"] for kind in ("clean", "adversarial"))
    low, high = (np.atleast_1d(end)[k] for end in under)
    count = np.atleast_1d(report.adversarial_correct)[k]
    return join(
        tag(
            "div",
            _html.number_tile(
                f"{report.clean_accuracy:.2%}", "right without an attack", _between(*clean)
            ),
            _html.number_tile(
                f"{lowest:.2%}", f"right under attack, eps {eps_text(eps)}", _between(low, high)
            ),
            class_="numbers",
        ),
        tag(
            "p",
            f"Of {report.n:,} samples, the network classifies {report.clean_correct:,} correctly. "
            f"Under attack ({name}, eps {eps_text(eps)}), {count:,} are left. A stronger attack "
            "may leave fewer. In brackets: 95 % Wilson intervals, which say how well the samples "
            "represent their kind.",
        ),
    )


def _between(lower: float, upper: float) -> str:
    """Return an interval."""
    return f"[{lower:.2%}, {upper:.2%}]"


def contents(named: Mapping[str, Counts]) -> Markup:
    """Return links to several reports."""
    if len(named) < 2:
        return join()
    links = [tag("li", tag("a", name, href=f"#report-{i}")) for i, name in enumerate(named)]
    return tag("nav", tag("ul", *links), aria_label="Reports")


def accuracies(named: Mapping[str, Counts]) -> Markup:
    """Return the shares of all reports at every eps."""
    head = ["attack", "eps", "right", "accuracy", "95 % interval", "of those right when clean"]
    body = []
    for name, report in named.items():
        if not report.n:
            continue
        lower, upper = map(np.atleast_1d, report.intervals()["adversarial_accuracy"])
        kept = np.atleast_1d(report.adversarial_accuracy_among_correct)
        success = np.atleast_1d(report.success_rate)
        for k, eps in enumerate(np.atleast_1d(report.eps)):
            share = float(np.atleast_1d(report.adversarial_accuracy)[k])
            body.append(
                [
                    name,
                    Cell(eps_text(eps), eps),
                    np.atleast_1d(report.adversarial_correct)[k],
                    Cell(f"{share:.2%}", share, share),
                    Cell(_between(lower[k], upper[k]), lower[k]),
                    _percent(kept[k]),
                    _percent(success[k]),
                ]
            )
    return _html.table([*head, "success rate"], body, sortable=True, choices=(1,))


def _percent(share: float) -> Cell:
    """Return a share for a cell; NaN where there are no samples."""
    return Cell("none", None) if np.isnan(share) else Cell(f"{share:.2%}", float(share))


def picture(named: Mapping[str, Counts]) -> Markup:
    """Return the figure of all reports."""
    from fastnn.reports import _figure

    first = next(iter(named.values()))
    if not first.n:
        return join()
    words = [f"without an attack {first.clean_accuracy:.1%}"]
    for name, report in named.items():
        shares = zip(
            np.atleast_1d(report.eps), np.atleast_1d(report.adversarial_accuracy), strict=True
        )
        words.append(
            f"{name}: " + ", ".join(f"{share:.1%} at eps {eps_text(e)}" for e, share in shares)
        )
    label = f"Accuracy: {'; '.join(words)}"
    caption = "Accuracy with 95 % Wilson intervals."
    return _html.figure(_figure.picture(named, label), caption)
