"""Pictures of the samples that fell first and last, where inputs are images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _drawing
from fastnn._html import Markup, join, tag
from fastnn._pictures import image_of
from fastnn.reports._counts import Counts
from fastnn.reports._falls import Falls
from fastnn.reports._shares import eps_text

if TYPE_CHECKING:
    from fastnn.networks import MLP

Array = NDArray[Any]
Whole = NDArray[np.int64]

_MOST = 12  # pictures of each kind
_LEAST_SIDE = 8  # a smaller square may be features of something else than an image


@dataclass(frozen=True)
class Images:
    """What is needed to show samples: their pixels, and the network that was attacked.

    Attributes
    ----------
    x : ndarray, shape (n, D)
    shape : tuple (H, W)
    net : MLP or None
        None: adversarial images can be shown only where the report has them.
    """

    x: NDArray[Any]
    shape: tuple[int, int]
    net: MLP | None


def image_shape(width: int, wanted: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the shape of the images that inputs are, or None where they are none.

    Raises
    ------
    ValueError
        The shape that is `wanted` has another number of pixels.
    """
    if wanted is not None:
        height, across = wanted
        if height * across != width:
            raise ValueError(f"image_shape {wanted} has {height * across} pixels, x has {width}")
        return height, across
    side = math.isqrt(width)
    return (side, side) if side * side == width and side >= _LEAST_SIDE else None


def gallery(report: Counts, falls: Falls, images: Images, names: Sequence[str]) -> Markup:
    """Return the samples that fell first, those that fell last, and some that stand."""
    fallen, standing = falls.fallen, falls.standing
    groups = {
        "Fell first": fallen[:_MOST],
        "Fell last": fallen[_MOST:][-_MOST:][::-1],
        "Still right": standing[:_MOST],
    }
    rows = np.concatenate(list(groups.values()))
    at = falls.positions[np.minimum(falls.level[rows], len(falls.eps) - 1)]
    shown = zip(rows, at, _floats(images.x[rows]), _attacked(report, images, rows, at), strict=True)
    made = [_Shown(int(row), int(k), clean, attacked) for row, k, clean, attacked in shown]
    ends = np.cumsum([len(some) for some in groups.values()])
    return join(
        *(
            join(tag("h4", title), _row(report, falls, images, made[end - len(some) : end], names))
            for (title, some), end in zip(groups.items(), ends, strict=True)
            if len(some)
        )
    )


class _Shown(NamedTuple):
    """A sample to show, at the eps in position `k`; `attacked` may be unknown."""

    row: int
    k: int
    clean: Array
    attacked: Array | None


def _row(
    report: Counts, falls: Falls, images: Images, some: Sequence[_Shown], names: Sequence[str]
) -> Markup:
    """Return pictures of some samples, on common scales of greys and of colours."""
    pairs = [(one.clean, one.attacked) for one in some if one.attacked is not None]
    drawn = [*(one.clean for one in some), *(attacked for _, attacked in pairs)]
    greys = "gray_r", min(0.0, *(a.min() for a in drawn)), max(1.0, *(a.max() for a in drawn))
    limit = max([0.0, *(float(abs(attacked - clean).max()) for clean, attacked in pairs)]) or 1.0

    def picture(pixels: Array, what: str, scale: tuple[Any, float, float]) -> Markup:
        return image_of(pixels.reshape(images.shape), what, *scale)

    made = []
    for one in some:
        label = names[report._truth[one.row]]
        pictures = [picture(one.clean, f"sample {one.row}, true {label}", greys)]
        if one.attacked is not None:
            change = one.attacked - one.clean
            pictures += [
                picture(change, "what the attack changed", (_drawing.CHANGE, -limit, limit)),
                picture(one.attacked, "after the attack", greys),
            ]
        words = _caption(report, falls, one.row, one.k, names)
        shown = tag("div", *pictures, class_="pictures")
        made.append(tag("figure", shown, tag("figcaption", words), data_value=label))
    return tag("div", *made, class_="gallery", data_choice="true class")


def _caption(report: Counts, falls: Falls, row: int, k: int, names: Sequence[str]) -> Markup:
    """Return what happened to a sample, at the eps in position `k`."""
    eps = np.atleast_1d(report.eps)[k]
    now = int(np.atleast_2d(report.adversarial_prediction)[k, row])
    label = report._truth[row]
    if falls.level[row] == len(falls.eps):
        fate = (
            f"right up to eps {eps_text(eps)}"
            if now == label
            else f"{names[now]} at eps {eps_text(eps)}"
        )
    else:
        fate = f"at eps {eps_text(eps)} predicted as {names[now]}"
    by, run, step = (int(n) for n in report.origins.reshape(-1, report.n, 3)[k, row])
    words = [f"Sample {row:,}, true {names[label]}: {fate}"]
    if by >= 0 and len(report.attacks) > 1:
        words.append(f"by {report.attacks[by]}")
    if step >= 0:
        words.append(f"run {run}, step {step}")
    return join(", ".join(words), ".")


def _attacked(report: Counts, images: Images, rows: Whole, at: Whole) -> list[Array | None]:
    """Return adversarial inputs of samples, each at the eps in its position `at`.

    Those that the report has not kept are made again. One that the network predicts as another
    class than the report says is left out.
    """
    if report.adversarial is not None:
        kept = report.adversarial.reshape(-1, report.n, images.x.shape[1])
        return list(kept[at, rows])
    found: list[Array | None] = [None] * len(rows)
    if images.net is None or report.attacker is None or report.lattice is not None:
        return found
    seed, *numbers = report.rng if isinstance(report.rng, tuple) else (report.rng,)
    samples = numbers[0] if numbers else np.arange(report.n)
    for k in np.unique(at):
        places = np.flatnonzero(at == k)
        some = rows[places]
        made = report.attacker.perturb(
            images.net,
            images.x[some],
            report._truth[some],
            float(np.atleast_1d(report.eps)[k]),
            report.bounds,
            targets=None if report.targets is None else report.targets[some],
            rng=(seed, samples[some]),
        )
        said = images.net.predict(made)
        for place, x, one in zip(places, made, said, strict=True):
            if one == np.atleast_2d(report.adversarial_prediction)[k, rows[place]]:
                found[place] = x
    return found


def _floats(x: Array) -> Array:
    """Return inputs as floats; those of pixels are in [0, 1]."""
    return x / np.float32(255) if x.dtype == np.uint8 else x
