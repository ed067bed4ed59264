"""What the figures have in common: which cases, in which order, in which colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastnn._drawing import PALETTE
from fastnn.bench.results import BASE, Case, Document

FAINT = "#8A8A8A"
REMARK: Any = {"fontsize": 9, "color": "#555555"}
OURS = "fastnn float32"
KINDS = (OURS, "fastnn float64", BASE, "reference")


def main_cases(document: Document) -> list[Case]:
    """Return the cases with all the run's threads, of each job those with the most samples."""
    cases = [c for c in document.cases if c.threads == document.ceilings.threads]
    most: dict[str, int] = {}
    for case in cases:
        most[case.job] = max(case.asked, most.get(case.job, 0))
    return [case for case in cases if case.asked == most[case.job]]


def in_order(names: Iterable[str]) -> list[str]:
    """Return the different names: first those in `KINDS`, in that order, then all others."""
    found = list(dict.fromkeys(names))
    return [n for n in KINDS if n in found] + [n for n in found if n not in KINDS]


def color_of(name: str) -> str:
    """Return the colour of an implementation, the same in every figure."""
    known = dict(zip(KINDS, (PALETTE[0], PALETTE[5], PALETTE[1], PALETTE[3]), strict=True))
    return known.get(name, PALETTE[4])


def frame(ax: Axes, grid: str) -> None:
    """Draw two sides of the frame and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="#E4E4E4", linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def sign(figure: Figure, document: Document) -> None:
    """Write the machine and the versions below a figure."""
    machine, threads = document.machine, document.ceilings.threads
    facts = [
        f"{machine.processor}, {threads} thread{'s' * (threads > 1)}",
        f"numpy {machine.numpy} ({machine.blas.kernels} kernels)",
        f"numba {machine.numba}",
        f"fastnn {machine.fastnn or ''} {machine.commit or ''}".strip(),
    ]
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    figure.supxlabel(" · ".join(facts), fontsize=8, color="#777777", x=0.99, ha="right")
