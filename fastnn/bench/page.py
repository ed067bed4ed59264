"""The results of a run as a page of HTML, with the history of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import _html
from fastnn._html import Cell, Markup, join, tag
from fastnn._pictures import svg_of
from fastnn.bench import history
from fastnn.bench.figures import roofline, speedups, throughput
from fastnn.bench.figures._roofline import job_numbers, rate_text
from fastnn.bench.figures._style import OURS, main_cases
from fastnn.bench.results import BASE, Case, Document


def page(document: Document, earlier: Sequence[tuple[str, Document]] = ()) -> str:
    """Return a page: one file, which needs nothing from elsewhere.

    Parameters
    ----------
    document : Document
    earlier : sequence of tuple (str, Document)
        Results of earlier runs, with their names, for the history.
    """
    parts = [
        _numbers(document),
        _html.section("What was measured", _machine(document)),
        _html.section(f"Times as fast as {BASE}", _speedups(document)),
        _html.section("Roofline", _roofline(document)),
    ]
    figure = throughput(document)
    if figure is not None:
        what = "Images a second by batch and by threads"
        parts.append(_html.section("Throughput", _picture(figure, what, f"{what}.")))
    parts.append(_html.section("History", history.table(document, earlier)))
    return _html.page("fastnn on this machine", *parts)


def _picture(figure: Any, label: str, caption: str) -> Markup:
    """Return a figure with its caption."""
    return _html.figure(svg_of(figure, label), caption)


def _numbers(document: Document) -> Markup:
    """Return the numbers that are seen first."""
    found = {c.job: c for c in main_cases(document) if c.implementation == OURS and c.speedup}
    tiles = []
    for job in ("accuracy", "sweep", "epoch"):
        case = found.pop(job, None)
        if case is not None and case.speedup is not None:
            interval = f"[{case.speedup.low:.2f}, {case.speedup.high:.2f}]"
            meaning = f"times as fast as {BASE}: {case.title}"
            tiles.append(_html.number_tile(f"{case.speedup.median:.2f}", meaning, interval))
    note = "In brackets: 95 % intervals."
    return join(tag("div", *tiles, class_="numbers"), tag("p", note)) if tiles else join()


def _machine(document: Document) -> Markup:
    """Return the machine, its ceilings and what was left out."""
    machine, ceilings, blas = document.machine, document.ceilings, document.machine.blas
    libraries = (
        f"Python {machine.python}, numpy {machine.numpy}, numba {machine.numba}, "
        f"{blas.library} {blas.version} ({blas.kernels} kernels)"
    )
    peaks = (
        f"{rate_text(ceilings.fma_float32)} in float32, {rate_text(ceilings.fma_float64)} in "
        f"float64, {rate_text(ceilings.sgemm)} by numpy's best product"
    )
    memory = f"{ceilings.triad_memory:,.0f} GB/s, from the cache {ceilings.triad_cache:,.0f} GB/s"
    rows = [
        ("digits and network", document.source),
        ("processor", machine.processor),
        ("threads", f"{ceilings.threads} of {machine.processors} processors"),
        ("libraries", libraries),
        ("fastnn", f"{machine.fastnn or 'not installed'} {machine.commit or ''}".strip()),
        ("date", document.date or "not known"),
        ("multiply-adds", peaks),
        ("memory", memory),
    ]
    left_out = [tag("li", f"{label}: {why}") for label, why in document.skipped.items()]
    missing = [tag("h3", "Left out"), tag("ul", *left_out)] if left_out else []
    return join(_html.pairs(rows), *missing)


def _speedups(document: Document) -> Markup:
    """Return all cases as a table, and the ratios as a figure."""
    head = ["job", "program", "threads", "times as fast", "95 % interval", "resolved", "ms"]
    head += ["samples a second", "GFLOP/s", "of peak"]
    table = _html.table(
        head,
        [_row(case) for case in document.cases],
        sortable=True,
        choices=(0, 1, 2),
    )
    note = tag(
        "p",
        "Medians. Not resolved: two runs of the same program can differ as much. Operations are "
        "counted in the plain formulas: skipping zeros can exceed 100 % of the peak.",
    )
    table = join(note, table)
    figure = speedups(document)
    if figure is None:
        return table
    shown = [(c, c.speedup) for c in main_cases(document) if c.speedup is not None]
    words = "; ".join(f"{c.title}, {c.implementation}: {s}" for c, s in shown)
    caption = f"Times as fast as {BASE}, with 95 % intervals."
    return join(_picture(figure, f"Times as fast as {BASE}: {words}", caption), table)


def _row(case: Case) -> list[object]:
    """Return the cells of a case."""
    speedup = case.speedup
    ratio: list[object] = [Cell("", None), Cell("", None), ""]
    if speedup is not None:
        resolved = {True: "yes", False: "no", None: "not known"}[speedup.resolved]
        interval = f"[{speedup.low:.2f}, {speedup.high:.2f}]"
        ratio = [
            Cell(f"{speedup.median:.2f}", speedup.median),
            Cell(interval, speedup.low),
            resolved,
        ]
    return [
        case.title,
        case.implementation,
        case.threads,
        *ratio,
        Cell(f"{case.seconds * 1e3:,.3f}", case.seconds),
        Cell(f"{case.samples_per_second:,.0f}", case.samples_per_second),
        Cell(f"{case.gflops:,.1f}", case.gflops),
        Cell(f"{case.share_of_peak:.0%}", case.share_of_peak),
    ]


def _digits(value: float) -> str:
    """Return a number with two digits or more."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _roofline(document: Document) -> Markup:
    """Return the roofline, and which number in it is which job."""
    figure = roofline(document, listed=False)
    if figure is None:
        return tag("p", f"There are no jobs of {OURS}.")
    numbers = job_numbers(document)
    words = "; ".join(f"{n} {case.title}: {rate_text(case.gflops)}" for n, case in numbers.items())
    body = [
        [
            number,
            case.title,
            Cell(rate_text(case.gflops), case.gflops),
            Cell(f"{case.share_of_peak:.0%}", case.share_of_peak),
            Cell(_digits(case.flops / case.bytes), case.flops / case.bytes),
        ]
        for number, case in numbers.items()
    ]
    head = ["number", "job", "rate", "of peak", "operations per byte"]
    return join(
        _picture(
            figure,
            f"Rates below the ceilings of the machine: {words}",
            "Rates against operations per byte that must move, below what the machine can do.",
        ),
        _html.table(head, body, sortable=True),
    )
