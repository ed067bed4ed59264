"""Figures of reports: accuracy against eps, or bars for one eps, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from fastnn import _drawing
from fastnn._html import Markup
from fastnn._pictures import svg_of
from fastnn.reports._counts import Counts
from fastnn.reports._shares import MEANINGS, wilson_interval

Numbers = npt.NDArray[np.float64]


def accuracy_by_eps(report: Counts) -> tuple[Numbers, Numbers]:
    """Check a report and return its eps in order, from 0, with the accuracy at each."""
    if not report.n:
        raise ValueError("report: expected at least one sample, got 0")
    eps, accuracy = np.atleast_1d(report.eps), np.atleast_1d(report.adversarial_accuracy)
    order = np.argsort(eps, kind="stable")
    eps, accuracy = eps[order], accuracy[order]
    if eps[0] > 0:
        eps = np.concatenate([[0.0], eps])
        accuracy = np.concatenate([[report.clean_accuracy], accuracy])
    return eps, accuracy


@rc_context(_drawing.STYLE)
def curve(report: Counts, ax: Axes | None, label: str) -> Axes:
    """Draw accuracy against eps, in a band of 95 % intervals."""
    if not hasattr(report, "adversarial_accuracy"):
        raise TypeError(
            "report must be what fastnn.adversarial_accuracy returns, got "
            f"{type(report).__name__}; to compare several, draw each on the same ax"
        )
    eps, accuracy = accuracy_by_eps(report)
    ax = _drawing.new_axes(6.4, 4.0) if ax is None else ax
    color = _drawing.PALETTE[len(ax.lines) % len(_drawing.PALETTE)]
    lower, upper = wilson_interval(np.rint(accuracy * report.n), report.n)
    ax.fill_between(eps, lower, upper, color=color, alpha=0.2, linewidth=0)
    ax.plot(eps, accuracy, marker="o", color=color, label=label or "_", clip_on=False)
    ax.margins(x=0)
    meaning = MEANINGS.get(getattr(report, "norm", "linf"))
    ax.set(xlabel=f"eps, {meaning}" if meaning else "eps", ylabel="Accuracy", ylim=(0, 1))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    _drawing.light_grid(ax)
    return ax


@rc_context(_drawing.STYLE)
def bars(report: Counts, ax: Axes | None) -> Axes:
    """Draw the shares at one eps as bars, with their 95 % intervals."""
    if not report.n:
        raise ValueError("report: expected at least one sample, got 0")
    names = {"clean_accuracy": "clean", "adversarial_accuracy": f"under attack\neps {report.eps:g}"}
    intervals = report.intervals()
    if "adversarial_accuracy_among_correct" in intervals:
        names["adversarial_accuracy_among_correct"] = "under attack,\nof those right\nwhen clean"
    ax = _drawing.new_axes(5.0, 4.0) if ax is None else ax
    colors: Any = (_drawing.GREEN, _drawing.ORANGE, _drawing.BLUE)
    for place, (name, words) in enumerate(names.items()):
        share, (lower, upper) = getattr(report, name), intervals[name]
        if np.isnan(share):
            continue
        ax.bar(words, share, width=0.6, color=colors[place])
        away = [[max(share - lower, 0)], [max(upper - share, 0)]]
        ax.errorbar(words, share, yerr=away, color="#222222", capsize=4, linewidth=1.2)
        ax.annotate(f"{share:.1%}", (place, upper), (0, 4), textcoords="offset points", ha="center")
    ax.set(ylabel="Accuracy", ylim=(0, 1.1))
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    _drawing.light_grid(ax)
    ax.grid(visible=False, axis="x")
    return ax


@rc_context(_drawing.STYLE)
def overview(reports: Mapping[str, Counts]) -> Axes:
    """Draw the accuracies of several reports: curves, or for one eps a mark for each report."""
    every = list(reports.items())
    if len(every) == 1 and np.ndim(every[0][1].eps) == 0:
        return bars(every[0][1], _drawing.new_axes(4.8, 3.5))
    if all(len(np.atleast_1d(report.eps)) == 1 for report in reports.values()):
        return _marks(reports)
    ax = _drawing.new_axes(5.2, 3.6 + 0.24 * len(every))
    for name, report in every:
        curve(report, ax, name if len(every) > 1 else "")
    if len({report.norm for report in reports.values()}) > 1:
        ax.set_xlabel("eps, in the norm of each attack")
    if len(every) > 1:
        ax.legend().remove()  # outside, where it covers no curve
        ax.figure.legend(loc="outside upper left", fontsize=10)
    return ax


def _marks(reports: Mapping[str, Counts]) -> Axes:
    """Draw the accuracy of every report, which has one eps, with its 95 % interval."""
    ax = _drawing.new_axes(5.2, 1.2 + 0.42 * len(reports))
    for place, report in enumerate(reports.values()):
        share = np.atleast_1d(report.adversarial_accuracy)[0]
        lower, upper = (np.atleast_1d(end)[0] for end in report.intervals()["adversarial_accuracy"])
        ax.plot([lower, upper], [place, place], color=_drawing.BLUE)
        ax.plot(share, place, "o", color=_drawing.BLUE, markersize=7, clip_on=False)
        right = upper < 0.8
        ax.annotate(
            f"{share:.1%}",
            (upper if right else lower, place),
            (8 if right else -8, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
        )
    clean = next(iter(reports.values())).clean_accuracy
    ax.axvline(clean, color=_drawing.GREEN, linestyle="--", linewidth=1.2)
    ax.set_xlabel("Accuracy under attack; dashed: without one")
    ax.set(xlim=(0, 1), ylim=(len(reports) - 0.5, -0.5), yticks=range(len(reports)))
    ax.set_yticklabels(list(reports))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    _drawing.light_grid(ax)
    ax.grid(visible=False, axis="y")
    return ax


def picture(reports: Mapping[str, Counts], label: str) -> Markup:
    """Return `overview` as an element of HTML; `label` says what it shows."""
    return svg_of(overview(reports), label)
