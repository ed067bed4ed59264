"""``fastnn attack``: clean and adversarial accuracy of a test set, as a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli.options import (
    add_activation_argument,
    add_data_arguments,
    add_plot_argument,
    require_plot_place,
    write_json,
)

if TYPE_CHECKING:
    from fastnn.networks import MLP
    from fastnn.reports import AdversarialReport

_SHOWN = 8
_WAYS = (("x + eps * sign(gradient)", None), ("clipped to [0, 1]", (0.0, 1.0)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``fastnn attack``."""
    add_data_arguments(parser)
    parser.add_argument(
        "--weights",
        metavar="PATH",
        help="folder with fc1.weight.npy, fc1.bias.npy, ..., or an .npz file; "
        "by default a network that is trained once and kept",
    )
    add_activation_argument(parser, "of the network in --weights, where it was not saved with it")
    parser.add_argument(
        "--attack", metavar="NAME", type=_attack, default="fgsm", help="by default fgsm"
    )
    parser.add_argument(
        "--eps", type=float, nargs="+", default=[0.1], help="attack budgets, by default 0.1"
    )
    parser.add_argument("--threads", type=int, help="by default all that this process may use")
    add_plot_argument(parser, "draw adversarial digits")


def _attack(name: str) -> str:
    """Return the name of an attack; numba is loaded only to check one that was given."""
    from fastnn.attacks import ATTACKS

    if name not in ATTACKS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ATTACKS)}")
    return name


def run(args: argparse.Namespace) -> int:
    """Run the attack, print the table, and write the figure and the JSON file."""
    from fastnn import _checks
    from fastnn._runtime.threads import thread_count
    from fastnn.attacks.evaluate import adversarial_accuracy, warm_up

    eps = _checks.eps(args.eps[0] if len(args.eps) == 1 else args.eps)
    threads = thread_count(args.threads)
    require_plot_place(args.plot)
    net, origin, x, labels, digits = _load(args)
    warm_up(net, x, labels, eps, attack=args.attack)
    reports = [
        adversarial_accuracy(
            net, x, labels, eps, bounds, threads, progress=True, attack=args.attack
        )
        for _, bounds in _WAYS
    ]
    print(_table(digits, net, origin, reports))
    if args.plot is not None:
        _draw(args.plot, net, x, labels, reports[-1])
    write_json(
        args.json,
        {
            "digits": digits,
            "network": {
                "sizes": list(net.sizes),
                "activation": net.activation,
                "dtype": str(net.dtype),
                "origin": origin,
            },
            "reports": [report.to_dict() for report in reports],
        },
    )
    return 0


def _load(args: argparse.Namespace) -> tuple[MLP, str, Any, Any, str]:
    """Return the network and its origin, then the digits, their labels and their source."""
    from fastnn import datasets, io
    from fastnn._recipe import cached_network

    if args.activation and not args.weights:
        raise ValueError("--activation needs --weights")
    x, labels, digits = datasets.load_split("test", args.data, source=args.source)
    if args.weights:
        net, origin = io.load_mlp(args.weights, activation=args.activation), args.weights
    else:
        net, origin = cached_network(args.data, args.source)
    if x.dtype not in ("uint8", net.dtype):  # a file of floats is loaded in the type of the network
        x, _, _ = datasets.load_split("test", args.data, source=args.source, dtype=net.dtype)
    return net, origin, x, labels, digits


def _table(digits: str, net: MLP, origin: str, reports: list[AdversarialReport]) -> str:
    """Return the results as aligned text."""
    import numpy as np

    from fastnn.reports import share_text

    first = reports[0]
    n = first.n
    sizes = "-".join(map(str, net.sizes))
    rows: list[tuple[str, ...]] = [
        ("digits", digits),
        ("network", f"{sizes}, {net.activation}, {net.dtype} ({origin})"),
        ("clean accuracy", share_text(first.clean_correct, n).strip()),
        ("", *(way for way, _ in _WAYS)),
    ]
    for k, eps in enumerate(np.atleast_1d(first.eps)):
        counts = [int(np.atleast_1d(report.adversarial_correct)[k]) for report in reports]
        shares = (share_text(count, n).strip() for count in counts)
        rows.append((f"adversarial accuracy, eps {eps:g}", *shares))
    rows += [
        ("rows with an all-zero gradient", *(f"{r.zero_gradient_rows:,}" for r in reports)),
        ("rows where p rounds to 1", *(f"{r.saturated_rows:,}" for r in reports)),
        ("seconds", *(f"{r.seconds:.3f}" for r in reports)),
        ("images a second", *(f"{n / r.seconds:,.0f}" for r in reports)),
    ]
    first_width = max(len(row[0]) for row in rows)
    width = max(len(row[1]) for row in rows if len(row) > 2)
    return "\n".join(
        f"{row[0]:<{first_width}}   {row[1]:<{width}}   {''.join(row[2:])}".rstrip() for row in rows
    )


def _draw(path: Path, net: MLP, x: Any, labels: Any, report: AdversarialReport) -> None:
    """Draw the first digits of different classes that the attack changes."""
    import numpy as np

    from fastnn import attacks, plots

    eps = float(np.atleast_1d(report.eps)[0])
    prediction = np.atleast_2d(report.adversarial_prediction)[0]
    fooled = (report.clean_prediction == labels) & (prediction != labels)
    of_class = [np.flatnonzero(fooled & (labels == c))[:1] for c in range(net.sizes[-1])]
    shown = np.concatenate(of_class)[:_SHOWN]
    if not len(shown):
        shown = np.arange(min(_SHOWN, len(x)))
    adversarial = attacks.fgsm(net, x[shown], labels[shown], eps, bounds=report.bounds)
    axes = plots.adversarial_grid(
        x[shown], adversarial, labels[shown], report.clean_prediction[shown], prediction[shown]
    )
    plots.save(axes, path)
