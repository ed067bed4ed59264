"""Reports as a page of HTML in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _checks, _html
from fastnn._html import Markup, tag
from fastnn._runtime.files import atomic_write
from fastnn.reports import _overview
from fastnn.reports._counts import Counts
from fastnn.reports._falls import falls_of

if TYPE_CHECKING:
    from fastnn.networks import MLP
    from fastnn.reports._gallery import Images

_LEGEND = (
    "Each time: the image as it is, what the attack changed (orange: made larger, blue: made "
    "smaller) and the image after the attack. First are those that fall at the smallest eps, and "
    "to the first attack and step."
)


def to_html(
    reports: Counts | Mapping[str, Counts],
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
    facts = [*(about or {}).items(), *_overview.facts(first, net)]
    parts = [
        _overview.summary(named),
        _html.section("What was attacked", _html.pairs(facts), _overview.fingerprints(first)),
        _html.section("Accuracy", _overview.accuracies(named), _overview.picture(named)),
    ]
    for i, (name, report) in enumerate(named.items()):
        parts.append(_one(f"report-{i}", name, report, names, images, lead))
    text = _html.page(title, _overview.contents(named), *parts)
    if path is None:
        return text
    with atomic_write(path) as file:
        file.write(text.encode())
    return None


def _require_same(named: Mapping[str, Counts]) -> Counts:
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
            parts += [
                tag("h3", "Pictures"),
                tag("p", _LEGEND),
                _gallery.gallery(report, falls, images, names),
            ]
        every = _details.samples(report, falls, names)
        parts.append(_html.folded("Samples, one by one", every, kind="long"))
    return _html.section(name, *parts, id_=place)
