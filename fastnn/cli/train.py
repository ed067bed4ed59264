"""``fastnn train``: train a network on digits and write its weights."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn.cli.options import (
    add_activation_argument,
    add_data_arguments,
    add_plot_argument,
    require_plot_place,
    write_json,
)

if TYPE_CHECKING:
    from fastnn._recipe import Recipe

_FIRST = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``fastnn train``; the recipe has the defaults."""
    add_data_arguments(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        default=Path("weights"),
        help="folder for fc1.weight.npy, fc1.bias.npy, ..., or an .npz file; by default weights",
    )
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="784 2048 512 512 10")
    add_activation_argument(parser, "relu")
    parser.add_argument("--epochs", type=int, help="passes over the training digits")
    parser.add_argument("--batch-size", type=int, help="digits per step")
    parser.add_argument("--learning-rate", type=float, help="step length")
    parser.add_argument("--momentum", type=float, help="share of the previous step that is added")
    parser.add_argument("--l2", type=float, help="weight decay")
    parser.add_argument("--seed", type=int, help="of the weights and of the order of the digits")
    add_plot_argument(parser, "draw the learning curves")


def run(args: argparse.Namespace) -> int:
    """Train, write the weights, and print their accuracy."""
    from fastnn import datasets
    from fastnn.io import networks

    networks.require_place(args.out)
    require_plot_place(args.plot)
    data = datasets.load_mnist(args.data, source=args.source, dtype="uint8")
    if not len(data.x_train):
        raise FileNotFoundError(f"{args.data}: no training digits")
    recipe = _recipe(args, len(data.x_train))
    net, history = recipe.train(data.x_train, data.y_train, (data.x_test, data.y_test))
    networks.save_mlp(net, args.out)
    right = net.predict(data.x_test) == data.y_test
    shares = {
        f"accuracy, first {_FIRST:,}": float(right[:_FIRST].mean()),
        f"accuracy, all {len(right):,}": float(right.mean()),
    }
    print(f"digits                 {data.source}; trained on {len(data.x_train):,}")
    print(f"network                {net!r}, written to {args.out}")
    for name, share in shares.items():
        print(f"{name:<22} {share:.2%}")
    if args.plot is not None:
        from fastnn import plots

        plots.save(plots.learning_curves(history), args.plot)
    results = {"digits": data.source, "recipe": asdict(recipe), "history": asdict(history)}
    write_json(args.json, results | shares)
    return 0


def _recipe(args: argparse.Namespace, rows: int) -> Recipe:
    """Return the recipe for `rows` digits, with the settings that were given."""
    from fastnn._recipe import recipe_for

    recipe = recipe_for(rows)
    given = {field.name: getattr(args, field.name, None) for field in fields(recipe)}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})
