"""The table of ``fastnn attack``: what was attacked, then a block of rows for each attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn.cli._terminal import paint, wrapped

if TYPE_CHECKING:
    from fastnn.cli.options import Eps
    from fastnn.networks import MLP
    from fastnn.reports import AdversarialReport

# In which ways attacks are run: what each is called, and its bounds.
Ways = tuple[tuple[str, tuple[float, float] | None], ...]

# Diagnostics of a report that are rows of the heading.
SIGNS = ("saturated", "no gradient")

# 80 columns, where there are no more than 10,000 images.
_LABEL, _COLUMN = 27, 28
_SURE = (
    "{count} (p, the probability of the true class, is 1 after rounding; fastnn attacks these "
    "rows all the same)"
)


def heading(
    digits: str, net: MLP, origin: str, targets: str | None, report: AdversarialReport
) -> str:
    """Return the rows that are the same for all attacks."""
    from fastnn.reports._shares import share_text

    sizes, sure = "-".join(map(str, net.sizes)), report.saturated_rows
    rows = [
        ("data", digits),
        ("network", f"{sizes}, {net.activation}, {net.dtype} ({origin})"),
        ("clean accuracy", share_text(report.clean_correct, report.n).strip()),
        ("rows without a gradient", f"{report.zero_gradient_rows:,}"),
        ("rows where p rounds to 1", _SURE.format(count=f"{sure:,}") if sure else "0"),
    ]
    if targets is not None:
        rows.append(("class to reach", targets))
    return "\n".join(f"{name:<{_LABEL}}{wrapped(value, _LABEL)}" for name, value in rows)


def ways_of(x: Any, bounds: Sequence[float] | None) -> Ways:
    """Return the ways for these inputs.

    Without `bounds`, one way has no clipping; another clips to [0, 1] if all inputs are within it.
    """
    every: list[tuple[float, float] | None] = [None]
    if bounds is not None:
        lower, upper = bounds
        every = [(lower, upper)]
    elif x.dtype == "uint8" or (x.min() >= 0 and x.max() <= 1):
        every.append((0.0, 1.0))
    return tuple((way(limits), limits) for limits in every)


def way(bounds: tuple[float, float] | None) -> str:
    """Return what running an attack within bounds is called."""
    return "not clipped" if bounds is None else f"clipped to [{bounds[0]:g}, {bounds[1]:g}]"


def block(
    ways: Ways,
    label: str,
    norm: str,
    eps: Sequence[Eps],
    reports: Sequence[AdversarialReport],
    reached: Sequence[Any] | None,
    *,
    together: bool,
) -> str:
    """Return the rows of one attack: accuracy at every eps, time and speed.

    `reached` says for each report how many samples got to the class that they were to reach, at
    each eps. The time may be that of all ways `together`.
    """
    n = reports[0].n
    rows = accuracy_rows(norm, eps, n, [report.adversarial_correct for report in reports])
    if reached is not None:
        rows += accuracy_rows(norm, eps, n, reached, what="reached")
    seconds = [f"{report.seconds:.3f}" for report in reports]
    speeds = [f"{n / report.seconds:,.0f}" for report in reports]
    if together:
        seconds = [f"{seconds[0]}, all columns together"]
        speeds = [f"{speeds[0]}, each in all columns"]
    rows += [("  seconds", *seconds), ("  images a second", *speeds)]
    return title(ways, label) + "\n" + "\n".join(map(_line, rows))


def worst(
    ways: Ways, norm: str, eps: Sequence[Eps], n: int, standing: Sequence[Any], attacks: int
) -> str:
    """Return the rows for samples that no attack has fooled."""
    rows = accuracy_rows(norm, eps, n, standing)
    return title(ways, f"all {attacks} attacks") + "\n" + "\n".join(map(_line, rows))


def accuracy_rows(
    norm: str, eps: Sequence[Eps], n: int, counts: Sequence[Any], what: str = "accuracy"
) -> list[tuple[str, ...]]:
    """Return a row for every eps, with a cell for each way."""
    import numpy as np

    from fastnn.reports._shares import share_text

    unit = "" if norm == "linf" else f" ({norm})"
    return [
        (
            f"  {what} at eps {one.text}{unit}",
            *(share_text(np.atleast_1d(count)[k], n).strip() for count in counts),
        )
        for k, one in enumerate(eps)
    ]


def title(ways: Ways, label: str) -> str:
    """Return the first row of a block: the attack and the names of the columns."""
    names = _line(("", *(way for way, _ in ways)))
    if len(label) < _LABEL - 1:
        return paint(f"{label:<{_LABEL}}", "bold") + names[_LABEL:]
    return paint(label, "bold") + "\n" + names


def _line(cells: tuple[str, ...]) -> str:
    """Return the cells of a row, aligned; a label that is too long pushes the others on."""
    first, *others = cells
    return (f"{first:<{_LABEL - 1}} " + "".join(f"{cell:<{_COLUMN}}" for cell in others)).rstrip()


def remarks(ways: Ways, found: dict[str, list[AdversarialReport]]) -> list[str]:
    """Return signs that a count may not say what it seems to, with where they were seen.

    Two signs are rows of the table.
    """
    seen: dict[str, list[str]] = {}
    for word, reports in found.items():
        for (way, _), report in zip(ways, reports, strict=True):
            for sign in report.diagnostics:
                if sign.name not in SIGNS:
                    seen.setdefault(str(sign), []).append(f"{word} {way}")
    return [wrapped(f"{text} (Seen with: {'; '.join(where)}.)", 0) for text, where in seen.items()]
