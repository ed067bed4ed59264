"""The tables of one report on a page: settings, signs, classes, confusion, attacks, samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn._html import Cell, Markup, folded, join, pairs, table, tag
from fastnn.reports._counts import Counts
from fastnn.reports._falls import Falls
from fastnn.reports._shares import MEANINGS, eps_text

_MOST_CLASSES = 40  # of a matrix; of more, the most frequent confusions are listed
_MOST_PAIRS = 100
_MOST_SAMPLES = 1000


def settings(report: Counts) -> Markup:
    """Return what was done, as labels and values."""
    seed = report.rng[0] if isinstance(report.rng, tuple) else report.rng
    eps = np.atleast_1d(report.eps)
    rows = [
        ("attack", report.attack or "not named"),
        ("eps", ", ".join(map(eps_text, eps)) + f" ({norm_words(report.norm)})"),
        ("clipped to", clipping(report)),
    ]
    if report.lattice is not None:
        used = ", ".join(f"{e:.6g}" for e in np.atleast_1d(report.eps_used))
        rows.append(("rounded to multiples of", f"1/{report.lattice}, so that eps is {used}"))
    if report.targets is not None:
        rows.append(("goal", "a target class for each sample"))
    rows.append(("seed of random numbers", f"{seed}"))
    rows.append(
        (
            "time",
            f"{report.seconds:.3f} s, {report.n / report.seconds:,.0f} samples a second"
            if report.seconds > 0
            else "not known",
        )
    )
    if report.compile_seconds:
        rows.append(("time for kernels, beside it", f"{report.compile_seconds:.3f} s"))
    return pairs(rows)


def clipping(report: Counts) -> str:
    """Return the bounds in words."""
    return f"[{report.bounds[0]:g}, {report.bounds[1]:g}]" if report.bounds else "not clipped"


def norm_words(norm: str) -> str:
    """Return what eps limits."""
    return MEANINGS.get(norm, f"norms {norm}")


def signs(report: Counts) -> Markup:
    """Return the diagnostics as sentences."""
    if not report.diagnostics:
        return tag("p", "No sign was seen that these counts say something else than they seem to.")
    lines = []
    for one in report.diagnostics:
        text = one.text[0].upper() + one.text[1:]
        lines.append(tag("li", tag("strong", f"{one.name}:"), f" {text}"))
    return tag("ul", *lines, class_="signs")


def classes(report: Counts, names: Sequence[str]) -> Markup:
    """Return the counts of each class, with the share that is right."""
    samples, clean, attacked = report.per_class()
    eps, under = np.atleast_1d(report.eps), np.atleast_2d(attacked)
    head = ["true class", "samples", "right, clean", *(f"right, eps {eps_text(e)}" for e in eps)]

    def cell(count: Any, of: Any) -> Cell:
        share = count / of if of else 0.0
        return Cell(f"{count:,} ({share:.0%})" if of else "none", share, share)

    body = [
        [name, samples[c], cell(clean[c], samples[c]), *(cell(n, samples[c]) for n in under[:, c])]
        for c, name in enumerate(names)
    ]
    return table(head, body, caption="Samples that are right, of each true class", sortable=True)


def confusion(report: Counts, names: Sequence[str]) -> Markup:
    """Return for every eps which class is predicted as which; the last eps is unfolded."""
    every = np.reshape(report.confusion(), (-1, report.classes, report.classes))
    eps = np.atleast_1d(report.eps)
    make = _matrix if report.classes <= _MOST_CLASSES else _pairs
    return join(
        *(
            folded(f"eps {eps_text(e)}", make(counts, names), opened=k == len(eps) - 1)
            for k, (e, counts) in enumerate(zip(eps, every, strict=True))
        )
    )


def _matrix(counts: Any, names: Sequence[str]) -> Markup:
    """Return the counts with true classes as rows and predictions as columns."""
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    body = [
        [name, *(Cell(n, float(n), s) for n, s in zip(counts[c], shares[c], strict=True))]
        for c, name in enumerate(names)
    ]
    caption = "Rows: true class. Columns: prediction under attack. Colour: share of the row."
    return table(["true", *names], body, caption=caption, sortable=True)


def _pairs(counts: Any, names: Sequence[str]) -> Markup:
    """Return the most frequent confusions."""
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    places = [np.unravel_index(place, wrong.shape) for place in most]
    body = [[names[i], names[j], wrong[i, j]] for i, j in places if wrong[i, j]]
    caption = f"The {len(body)} most frequent confusions"
    return table(["true class", "predicted as", "samples"], body, caption=caption, sortable=True)


def attribution(report: Counts) -> Markup:
    """Return how many samples each of several attacks broke first."""
    head = ["attack", *(f"broke first, eps {eps_text(e)}" for e in np.atleast_1d(report.eps))]
    body = [[name, *np.atleast_1d(counts)] for name, counts in report.attribution().items()]
    return table(head, body, caption="Which attack broke how many samples first", sortable=True)


def samples(report: Counts, falls: Falls, names: Sequence[str]) -> Markup:
    """Return what happened to each sample, those that fell first in front."""
    shown = falls.order[:_MOST_SAMPLES]
    said = np.atleast_2d(report.adversarial_prediction)
    origins = report.origins.reshape(len(falls.eps), report.n, 3)
    body = []
    for row in shown:
        level = falls.level[row]
        stands = level == len(falls.eps)
        k = falls.positions[min(level, len(falls.eps) - 1)]
        by, run, step = origins[k, row]
        body.append(
            [
                Cell(f"{row}", float(row)),
                names[report._truth[row]],
                names[report.clean_prediction[row]],
                Cell("stands", np.inf)
                if stands
                else Cell(eps_text(falls.eps[level]), falls.eps[level]),
                names[said[k, row]],
                report.attacks[by] if by >= 0 and not stands else "",
                Cell(f"{run}, {step}", run * 1e6 + step) if step >= 0 and not stands else "",
            ]
        )
    head = ["sample", "true class", "clean", "fell at eps", "under attack", "attack", "run, step"]
    keep = [i for i, _ in enumerate(head) if i < 5 or any(line[i] for line in body)]
    caption = f"{len(shown):,} of the {len(falls.order):,} samples that the attack could fool"
    return table(
        [head[i] for i in keep],
        [[line[i] for i in keep] for line in body],
        caption=f"{caption}, those that fell first in front",
        sortable=True,
        choices=(1, 3, 4),
    )
