"""``fastnn check-adversarial``: check a file of adversarial images and count those still right."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli._findings import Finding, report
from fastnn.cli.options import (
    Eps,
    Parser,
    add_data_arguments,
    add_network_arguments,
    number,
    write_json,
)

if TYPE_CHECKING:
    from fastnn._checks import Bounds
    from fastnn.cli._adversarial import Adversarial
    from fastnn.networks import MLP

_NORMS = ("linf", "l2", "l1")
_EPILOG = """\
examples:
  fastnn attack --attack pgd --eps 0.3 --save-adversarial adversarial.npz
  fastnn check-adversarial adversarial.npz
  fastnn check-adversarial attack.npy --eps 0.3 --weights weights --data mnist

Exit status: 0, the images are valid; 1, they are not; 2, they cannot be read.
"""


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn check-adversarial``."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="what `fastnn attack --save-adversarial` wrote; or an .npy file of adversarial images "
        "(N x 784 or N x 28 x 28, floats in [0, 1] or uint8) in the order of the test set",
    )
    parser.add_argument(
        "--eps",
        metavar="EPS",
        type=Eps,
        help="largest change that is allowed, such as 0.3 or 8/255 (default: what the file says; "
        "where it says nothing, the change is measured and not checked)",
    )
    parser.add_argument(
        "--norm", choices=_NORMS, help="norm of the change (default: what the file says, else linf)"
    )
    parser.add_argument(
        "--bounds",
        metavar=("LOWER", "UPPER"),
        type=number,
        nargs=2,
        help="range of a pixel (default: what the file says, else 0 1)",
    )
    parser.add_argument(
        "--tolerance",
        metavar="T",
        type=number,
        default=1e-6,
        help="how far rounding may bring a change beyond eps or a pixel beyond its bounds "
        "(default: 1e-6)",
    )
    add_network_arguments(parser)
    add_data_arguments(parser)


@dataclass(frozen=True)
class Case:
    """A file, the clean images in its type, their labels, and the network that is asked again."""

    found: Adversarial
    net: MLP
    x: Any
    x_adv: Any
    labels: Any
    eps: float | None
    norm: str
    bounds: Bounds
    tolerance: float

    @property
    def finite(self) -> Any:
        """The adversarial images, with the clean pixel for one that is NaN or infinite."""
        import numpy as np

        return np.where(np.isfinite(self.x_adv), self.x_adv, self.x)


def run(args: argparse.Namespace) -> int:
    """Print the findings and the accuracies; return 0, or 1 if something is wrong."""
    import numpy as np

    from fastnn.cli import _adversarial
    from fastnn.reports._shares import share_text

    if not 0 <= args.tolerance < np.inf:
        raise ValueError(f"--tolerance must be 0 or more, got {args.tolerance}")
    found = _adversarial.read(args.file)
    case, digits, origin = _case(args, found)
    findings = [finding for check in _CHECKS for finding in check(case)]
    n, finite = len(case.labels), np.isfinite(case.x_adv).all(axis=1)
    clean = int((case.net.predict(_typed(case.x, case.net)) == case.labels).sum())
    # An image that is no image fools nobody.
    right = ~finite
    right[finite] = case.net.predict(_typed(case.x_adv[finite], case.net)) == case.labels[finite]
    sizes = "-".join(map(str, case.net.sizes))
    shares = [
        ("file", f"{args.file}, {n:,} images, {found.x_adv.dtype}{_made_by(found)}"),
        ("data", digits),
        ("network", f"{sizes}, {case.net.activation}, {case.net.dtype} ({origin})"),
        ("clean accuracy", share_text(clean, n).strip()),
        ("adversarial accuracy", share_text(right.sum(), n).strip()),
    ]
    print("\n".join(f"{name:<20}  {text}" for name, text in shares) + "\n")
    print(report(findings))
    counts = {"n": n, "clean_correct": clean, "adversarial_correct": int(right.sum())}
    write_json(args, counts | {"findings": [asdict(finding) for finding in findings]})
    return 1 if any(finding.status == "wrong" for finding in findings) else 0


def _case(args: argparse.Namespace, found: Adversarial) -> tuple[Case, str, str]:
    """Load the digits and the network; return them with what they are.

    Raises
    ------
    ValueError
        The digits or the network are of another number or width than the adversarial images.
    """
    import numpy as np

    from fastnn import _checks
    from fastnn.cli import _adversarial, _data

    x_adv = found.x_adv
    if x_adv.dtype == np.uint8:
        x_adv = _adversarial.floats(x_adv, np.float32)
    data = _data.load(args)
    x, labels, digits = data.x, data.labels, data.source
    x = _adversarial.floats(x, x_adv.dtype) if x.dtype == np.uint8 else x.astype(x_adv.dtype)
    if found.samples is not None:
        if not len(x) > found.samples.max() >= found.samples.min() >= 0:
            raise ValueError(f"{args.file} is not of these {len(x):,} images: {digits}")
        x, labels = x[found.samples], labels[found.samples]
    if x.shape != x_adv.shape:
        raise ValueError(f"{args.file} has images of shape {x_adv.shape}, {digits}: {x.shape}")
    net, origin = _data.network_of(args, args.weights, x.shape[1])
    _data.in_type_of(net, origin, data)
    bounds = tuple(args.bounds) if args.bounds else found.bounds or (0.0, 1.0)
    limits = _checks.bounds(bounds)
    eps = found.eps if args.eps is None else float(args.eps)
    if eps is not None:
        _checks.eps(eps)
    norm = args.norm or found.norm or "linf"
    if norm not in _NORMS:
        raise ValueError(f"{args.file}: norm {norm:.40} is none of {', '.join(_NORMS)}")
    return (
        Case(found, net, x, x_adv, labels, eps, norm, limits, args.tolerance),
        digits,
        origin,
    )


def _typed(x: Any, net: MLP) -> Any:
    """Return images in the type of the network."""
    return x.astype(net.dtype, copy=False)


def _made_by(found: Adversarial) -> str:
    """Say what made the images, where the file does."""
    return "" if found.attack is None else f", {found.attack[:200]}, {found.norm} eps {found.eps:g}"


def _finite(case: Case) -> Iterator[Finding]:
    """Look for NaN and infinity."""
    import numpy as np

    wrong = ~np.isfinite(case.x_adv)
    if not wrong.any():
        yield Finding("numbers", "ok", "all are finite")
        return
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    rows = int(wrong.any(axis=1).sum())
    text = f"{wrong.sum():,} are NaN or infinite, in {rows:,} images, which count as right; "
    text += f"the first is {case.x_adv[row, column]} at [{row}, {column}]"
    yield Finding("numbers", "wrong", text)


def _within_bounds(case: Case) -> Iterator[Finding]:
    """Compare every pixel with the bounds."""
    import numpy as np

    from fastnn import _units

    lower, upper = case.bounds
    x_adv = case.finite
    least, most = float(x_adv.min()), float(x_adv.max())
    text = f"pixels are {least:.9g} to {most:.9g}, the bounds [{lower:g}, {upper:g}]"
    kind = x_adv.dtype.type
    beyond = np.maximum(kind(lower) - x_adv, x_adv - kind(upper))
    yield _beyond("bounds", text, beyond, case.tolerance, _units.hint(least, most))


def _within_eps(case: Case) -> Iterator[Finding]:
    """Compare every change with eps."""
    import numpy as np

    change = case.finite - case.x
    if case.norm == "linf":  # in the type of the images, where fastnn keeps eps exactly
        size, eps = np.abs(change), None if case.eps is None else change.dtype.type(case.eps)
    else:
        order = {"l2": 2, "l1": 1}[case.norm]
        size = np.linalg.norm(change.astype(np.float64), order, axis=1)[:, None]
        eps = None if case.eps is None else np.float64(case.eps)
    text = f"the largest change ({case.norm}) is {size.max():.9g}"
    if eps is None or case.eps is None:
        yield Finding("eps", "remark", f"{text}; not checked, as the file has no eps: give --eps")
        return
    yield _beyond("eps", f"{text}, eps {case.eps:.9g}", size - eps, case.tolerance, "")


def _beyond(name: str, text: str, beyond: Any, tolerance: float, hint: str) -> Finding:
    """Judge by how much entries are beyond a limit."""
    import numpy as np

    wrong = beyond > tolerance
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        rows = int(wrong.any(axis=1).sum())
        where = f"[{row}, {column}]" if beyond.shape[1] > 1 else f"image {row}"
        text += f": {rows:,} images are beyond, the first at {where} by {beyond[row, column]:.3g}"
        return Finding(name, "wrong", text + hint)
    if (beyond > 0).any():
        count = int((beyond > 0).sum())
        text += (
            f"; rounding brings {count:,} beyond by at most {beyond.max():.2g}, which is allowed"
        )
    return Finding(name, "ok", text)


def _as_recorded(case: Case) -> Iterator[Finding]:
    """Compare labels, clean images and predictions with those in the file."""
    from fastnn.cli import _adversarial

    found = case.found
    if found.labels is None or found.predictions is None:
        return
    if found.clean == _adversarial.fingerprint(case.x):
        yield Finding("clean images", "ok", "those that the file was made from")
    else:
        text = "not those that the file was made from; choose them with --data and --source"
        yield Finding("clean images", "wrong", text)
    yield _same("labels", found.labels, case.labels, "those of the data")
    import numpy as np

    finite = np.isfinite(case.x_adv).all(axis=1)
    now = found.predictions.copy()
    now[finite] = case.net.predict(_typed(case.x_adv[finite], case.net))
    yield _same("predictions", found.predictions, now, "those of the network")


def _same(name: str, recorded: Any, now: Any, what: str) -> Finding:
    """Compare what the file has recorded with what is there now."""
    import numpy as np

    other = np.flatnonzero(recorded != now)
    if not len(other):
        return Finding(name, "ok", f"in the file, the same as {what}")
    row = int(other[0])
    text = f"in the file, {len(other):,} differ from {what}; the first at {row}: "
    return Finding(name, "wrong", f"{text}{recorded[row]}, now {now[row]}")


_CHECKS = (_finite, _within_bounds, _within_eps, _as_recorded)
