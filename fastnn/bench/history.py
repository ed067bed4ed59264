"""What earlier runs measured, beside the results of this one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastnn import _html
from fastnn._html import Cell, Markup, join, tag
from fastnn.bench import comparison
from fastnn.bench.figures._style import OURS, main_cases
from fastnn.bench.results import Case, Document, Speedup

_MOST_RUNS = 12
_WIDTH, _HEIGHT, _EDGE = 120, 30, 5  # of the course of one job


def table(document: Document, earlier: Sequence[tuple[str, Document]]) -> Markup:
    """Return how many times as fast as numpy each job was in every run."""
    if not earlier:
        command = tag("code", "fastnn bench --json FILE")
        option = tag("code", "--history")
        return tag(
            "p", "No earlier results were given. Keep them with ", command, " and name them with ",
            option, ".",
        )  # fmt: skip
    runs = [*earlier, ("this run", document)][-_MOST_RUNS:]
    speedups = [_speedups(run) for _, run in runs]
    body = []
    for key, case in speedups[-1].items():
        course = [of_run.get(key) for of_run in speedups]
        cells = [_cell(one) for one in course]
        body.append(
            [case.title, _course([None if one is None else one.speedup for one in course]), *cells]
        )
    heads = [join(name, *([tag("br"), run.date] if run.date else [])) for name, run in runs]
    caption = "Times as fast as numpy, fastnn in float32; the line shows the course, with intervals"
    made = _html.table(["job", "course", *heads], body, caption=caption, sortable=True)
    return join(made, _since(runs))


def _speedups(document: Document) -> dict[tuple[str, int], Case]:
    """Return the cases of fastnn that have a ratio."""
    cases = [c for c in main_cases(document) if c.implementation == OURS and c.speedup]
    return {(case.job, case.threads): case for case in cases}


def _cell(case: Case | None) -> Cell:
    """Return a ratio with its interval."""
    if case is None or case.speedup is None:
        return Cell("", None)
    return Cell(str(case.speedup), case.speedup.median)


def _since(runs: Sequence[tuple[str, Document]]) -> Markup:
    """Say what has changed since the run before the last."""
    (name, before), (_, now) = runs[-2:]
    found = comparison.compare(before, now)
    lines = [*found.differences, str(found).splitlines()[-1]]
    return join(
        tag("p", f"Since {name}:"), tag("ul", *(tag("li", line) for line in lines), class_="signs")
    )


def _course(ratios: Sequence[Speedup | None]) -> Markup:
    """Draw the ratios of the runs as a line, each with its interval."""
    known = [(i, one) for i, one in enumerate(ratios) if one is not None]
    low = math.log(min(one.low for _, one in known))
    high = math.log(max(one.high for _, one in known))
    step = (_WIDTH - 2 * _EDGE) / max(len(ratios) - 1, 1)

    def x(i: int) -> str:
        return f"{_EDGE + i * step:.1f}"

    def y(ratio: float) -> str:
        share = (math.log(ratio) - low) / (high - low) if high > low else 0.5
        return f"{_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE):.1f}"

    points = " ".join(f"{x(i)},{y(one.median)}" for i, one in known)
    parts = [tag("polyline", points=points, fill="none", stroke="currentColor")]
    for i, one in known:
        ends = {"x1": x(i), "x2": x(i), "y1": y(one.low), "y2": y(one.high)}
        parts.append(tag("line", stroke="currentColor", stroke_opacity="0.5", **ends))
        parts.append(tag("circle", cx=x(i), cy=y(one.median), r=2.5, fill="currentColor"))
    label = f"course: {', '.join(f'{one.median:.2f}' for _, one in known)}"
    size = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "width": _WIDTH, "height": _HEIGHT}
    return tag("svg", *parts, role="img", aria_label=label, **size)
