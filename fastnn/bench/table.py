"""The results of a run as text."""

from __future__ import annotations

from fastnn.bench.results import BASE, Case, Document


def heading(document: Document) -> str:
    """Return what was measured, on which machine, and its ceilings."""
    machine, ceilings = document.machine, document.ceilings
    blas = machine.blas
    lines = [
        f"{document.source}",
        f"{machine.processor}, {ceilings.threads} of {machine.processors} processors; "
        f"Python {machine.python}, numpy {machine.numpy}, numba {machine.numba}, "
        f"{blas.library} {blas.version} with its {blas.kernels} kernels; "
        f"fastnn {machine.fastnn or 'not installed'}"
        + (f", commit {machine.commit}" if machine.commit else ""),
        (
            f"at most {ceilings.fma_float32:,.0f} GFLOP/s in float32 and "
            f"{ceilings.fma_float64:,.0f} in float64 by multiply-adds, "
            f"{ceilings.sgemm:,.0f} by numpy's best product; "
            f"{ceilings.triad_memory:,.0f} GB/s from memory, "
            f"{ceilings.triad_cache:,.0f} from the cache"
        ),
        "operations are counted in the plain formulas: skipping zeros can exceed 100% of the peak",
    ]
    lines += [f"left out: {label}, {why}" for label, why in document.skipped.items()]
    return "\n".join(lines)


def table(document: Document) -> str:
    """Return the cases as text, one job after another."""
    heading = ("", "ms", "samples/s", "GFLOP/s", "of peak", f"times as fast as {BASE}")
    rows: list[tuple[str, ...]] = []
    title = None
    for case in sorted(document.cases, key=lambda c: -c.threads):
        named = f"{_plain_title(case)}, {case.threads} thread{'s' * (case.threads > 1)}"
        if named != title:
            title = named
            rows.append((named,))
        rows.append(_row(case))
    widths = [max(len(r[i]) for r in [heading, *rows] if len(r) > 1) for i in range(len(heading))]
    lines = []
    for row in [heading, *rows]:
        if len(row) == 1:
            lines.append(f"\n{row[0]}")
            continue
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _plain_title(case: Case) -> str:
    """Return the title with the number of samples of the job."""
    return case.title.replace(f"{case.n:,}", f"{case.asked:,}", 1)


def _row(case: Case) -> tuple[str, ...]:
    """Return the cells of one case."""
    name = f"  {case.implementation}"
    if case.n != case.asked:
        name += f" (on {case.n:,})"
    speedup = case.speedup
    text = "" if speedup is None else str(speedup)
    if speedup is not None and speedup.resolved is False:
        text += "  not resolved"
    return (
        name,
        f"{case.seconds * 1e3:,.3f}",
        f"{case.samples_per_second:,.0f}",
        f"{case.gflops:,.1f}",
        f"{case.share_of_peak:.0%}",
        text,
    )
