"""Reports as a page of HTML in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _checks, _html
from fastnn._html import Cell, Markup, join, tag
from fastnn._runtime.files import atomic_write
from fastnn.reports._counts import Counts
from fastnn.reports._falls import falls_of

if TYPE_CHECKING:
    from fastnn.networks import MLP
    from fastnn.reports._gallery import Images
    from fastnn.reports._report import AdversarialReport


def to_html(
    reports: AdversarialReport | Mapping[str, AdversarialReport],
    path: str | os.PathLike[str] | None = None,
    *,
    x: ArrayLike | None = None,
    net: MLP | None = None,
    image_shape: tuple[int, int] | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "Adversarial accuracy",
    about: Mapping[str, str] | None = None,
) -> str | None:
    """Show reports on a page of HTML: one file, which needs nothing from elsewhere.

    It has the shares with their intervals, a figure, counts of each class, the confusion matrix,
    which attack broke what, the diagnostics, and pictures of the samples that fell first and last.
    Its tables can be sorted and filtered; it can be read on a telephone, and printed.

    Parameters
    ----------
    reports : AdversarialReport, or mapping of str to AdversarialReport
        One, or several of the same samples, by the names that the page is to give them.
    path : path-like, optional
        Where to write. An old file is replaced when the new one is complete. Default: nowhere; the
        page is returned.
    x : ndarray, shape (n, D), optional
        The inputs that were attacked, for the pictures. There are none where inputs are no images.
    net : MLP, optional
        The network that was attacked: to describe it, and to make adversarial images again that the
        reports have not kept.
    image_shape : tuple (H, W), optional
        Default: a square, where D is that of 8 x 8 or more.
    class_names : sequence of str, length C, optional
        Default: the numbers of the classes.
    title : str, optional
    about : mapping of str to str, optional
        More of what was attacked, such as ``{"data": "MNIST's test set"}``.

    Returns
    -------
    str or None
        The page, if there is no `path`.

    Raises
    ------
    TypeError, ValueError
        There are no reports; they differ in their samples; `x`, `net`, `image_shape` or
        `class_names` do not fit them; `net` does not predict `x` as the report says.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn.reports import to_html
    >>> data = fastnn.load_mnist(source="sample")
    >>> x, labels = data.x_test[:50], data.y_test[:50]
    >>> net = fastnn.MLP.random((784, 16, 10))
    >>> reports = {
    ...     name: fastnn.adversarial_accuracy(net, x, labels, [0.05, 0.1], (0, 1), attack=name)
    ...     for name in ("fgsm", "pgd")
    ... }
    >>> to_html(reports, x=x, net=net, about={"data": "50 digits"}).splitlines()[0]
    '<!DOCTYPE html>'
    """
    named = dict(reports) if isinstance(reports, Mapping) else {reports.attack or "attack": reports}
    first = _require_same(named)
    names = _class_names(first, class_names)
    images, lead = _images(first, x, net, image_shape)
    facts = [*(about or {}).items(), *_facts(first, net)]
    parts = [
        _summary(named),
        _html.section("What was attacked", _html.pairs(facts), _fingerprints(first)),
        _html.section("Accuracy", _accuracies(named), _picture(named)),
    ]
    for i, (name, report) in enumerate(named.items()):
        parts.append(_one(f"report-{i}", name, report, names, images, lead))
    text = _html.page(title, _contents(named), *parts)
    if path is None:
        return text
    with atomic_write(path) as file:
        file.write(text.encode())
    return None


def _require_same(named: Mapping[str, AdversarialReport]) -> AdversarialReport:
    """Return the first of the reports, which must be of the same samples."""
    if not named:
        raise ValueError("reports: expected at least one, got none")
    first = next(iter(named.values()))
    for name, report in named.items():
        if not np.array_equal(report._truth, first._truth) or report.classes != first.classes:
            raise ValueError(f"report {name!r} is of other samples than {next(iter(named))!r}")
    return first


def _class_names(report: Counts, given: Sequence[str] | None) -> list[str]:
    """Return a name for each class."""
    names = [str(c) for c in (range(report.classes) if given is None else given)]
    if len(names) != report.classes:
        raise ValueError(f"class_names has {len(names)}, the network {report.classes} classes")
    return names


def _images(
    report: Counts, x: ArrayLike | None, net: MLP | None, wanted: tuple[int, int] | None
) -> tuple[Images | None, Any]:
    """Return what pictures are made of, and by how much the true class leads without an attack."""
    from fastnn.reports._gallery import Images, image_shape

    if x is None:
        return None, None
    rows, lead = np.asarray(x), None
    if rows.ndim != 2 or len(rows) != report.n:
        raise ValueError(f"x must have shape ({report.n}, D), got {rows.shape}")
    if net is not None:
        rows = _checks.inputs(rows, net.sizes[0], net.dtype)
        lead = _lead(report, net.logits(rows))
    shape = image_shape(rows.shape[1], wanted)
    return (None if shape is None else Images(rows, shape, net)), lead


def _lead(report: Counts, logits: Any) -> Any:
    """Return by how much the true class is above all others, after a check of the predictions."""
    differs = np.flatnonzero(logits.argmax(axis=1) != report.clean_prediction)
    if len(differs) > report.n // 1000:  # two logits may be equal up to rounding
        row = int(differs[0])
        raise ValueError(
            f"net and x are not those of the report: row {row} is predicted as class "
            f"{logits[row].argmax()}, the report has {report.clean_prediction[row]}"
        )
    every = np.arange(report.n)
    true = logits[every, report._truth].copy()
    logits[every, report._truth] = -np.inf
    return true - logits.max(axis=1)


def _facts(report: Counts, net: MLP | None) -> list[tuple[str, str]]:
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


def _fingerprints(report: Counts) -> Markup:
    """Return the digests of network and data."""
    found = report.digests
    if found is None:
        return join()
    rows = [("network", found.network), ("inputs and labels", found.data)]
    return _html.folded("Fingerprints (SHA-256)", _html.pairs(rows))


def _summary(named: Mapping[str, AdversarialReport]) -> Markup:
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
            _html.number_tile(f"{lowest:.2%}", f"right under attack, eps {eps:g}", _between(low, high)),
            class_="numbers",
        ),
        tag(
            "p",
            f"Of {report.n:,} samples, the network classifies {report.clean_correct:,} correctly. "
            f"Under attack ({name}, eps {eps:g}), {count:,} are left. A stronger attack may leave "
            "fewer. In brackets: 95 % Wilson intervals, which say how well the samples represent "
            "their kind.",
        ),
    )


def _between(lower: float, upper: float) -> str:
    """Return an interval."""
    return f"[{lower:.2%}, {upper:.2%}]"


def _contents(named: Mapping[str, AdversarialReport]) -> Markup:
    """Return links to several reports."""
    if len(named) < 2:
        return join()
    links = [tag("li", tag("a", name, href=f"#report-{i}")) for i, name in enumerate(named)]
    return tag("nav", tag("ul", *links), aria_label="Reports")


def _accuracies(named: Mapping[str, AdversarialReport]) -> Markup:
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
                    Cell(f"{eps:g}", eps),
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


def _picture(named: Mapping[str, AdversarialReport]) -> Markup:
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
        words.append(f"{name}: " + ", ".join(f"{share:.1%} at eps {e:g}" for e, share in shares))
    label = f"Accuracy: {'; '.join(words)}"
    caption = "Accuracy with 95 % Wilson intervals."
    return _html.figure(_figure.picture(named, label), caption)


def _one(
    place: str,
    name: str,
    report: Counts,
    names: Sequence[str],
    images: Images | None,
    lead: Any,
) -> Markup:
    """Return the part of one report."""
    from fastnn.reports import _details, _gallery

    parts = [_details.settings(report), tag("h3", "Diagnostics"), _details.signs(report)]
    if report.n:
        falls = falls_of(report, lead)
        parts += [tag("h3", "Classes"), _details.classes(report, names)]
        if len(report.attacks) > 1:
            parts += [tag("h3", "Attacks"), _details.attribution(report)]
        parts += [tag("h3", "Confusion"), _details.confusion(report, names)]
        if images is not None:
            parts += [tag("h3", "Pictures"), _gallery.gallery(report, falls, images, names)]
        every = _details.samples(report, falls, names)
        parts.append(_html.folded("Samples, one by one", every, kind="long"))
    return _html.section(name, *parts, id_=place)
