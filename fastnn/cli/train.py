"""``fastnn train``: train a network and write its weights."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli import _data
from fastnn.cli.options import (
    Parser,
    add_activation_argument,
    add_data_arguments,
    add_plot_argument,
    add_threads_argument,
    require_new,
    require_plot,
    say_written,
    write_json,
)

if TYPE_CHECKING:
    from fastnn._recipe import Recipe
    from fastnn.datasets import Dataset

_FIRST = 1000


_EXAMPLES = """\
examples:
  fastnn train
  fastnn train --out net.npz --sizes 784 300 10 --activation sigmoid --epochs 20
  fastnn train --data pictures --out net.npz --sizes 784 100 10
  fastnn train --data flowers.csv --labels species --sizes 4 32 3 --epochs 50
  fastnn train --out weights --plot curves.png --threads 2 --force
"""
# The options for settings of the recipe: type, form of the value, what it is.
_SETTINGS: dict[str, tuple[Any, str, str]] = {
    "epochs": (int, "N", "passes over the training digits"),
    "batch_size": (int, "N", "digits in a step"),
    "learning_rate": (float, "RATE", "length of a step"),
    "momentum": (float, "SHARE", "share of the step before that is added"),
    "l2": (float, "DECAY", "weight decay"),
    "seed": (int, "SEED", "of the first weights and of the order of the digits"),
}


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn train``; the recipe has the defaults."""
    parser.epilog = _EXAMPLES
    add_data_arguments(parser)
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        default=Path("weights"),
        help="folder for fc1.weight.npy, fc1.bias.npy, ..., or a name ending in .npz for one "
        "archive (default: weights)",
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        metavar="N",
        help="widths of the layers, input first; "
        "without it, the first and the last are those of the data",
    )
    add_activation_argument(parser, "to train")
    for name, (kind, metavar, text) in _SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    add_threads_argument(parser)
    add_plot_argument(parser, "draw loss and accuracy after each epoch")
    parser.before_help = lambda: _add_defaults(parser)


def _add_defaults(parser: Parser) -> None:
    """Add the recipe's defaults to the help."""
    from fastnn._recipe import FULL, SAMPLE

    for action in parser._actions:
        if hasattr(FULL, action.dest):
            full, sample = (_text(getattr(recipe, action.dest)) for recipe in (FULL, SAMPLE))
            few = f"; {sample} for 20,000 digits or fewer" if sample != full else ""
            action.help = f"{action.help} (default: {full}{few})"


def _text(value: Any) -> str:
    """Return a setting as the command line takes it."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def run(args: argparse.Namespace) -> int:
    """Train, write the weights, and print their accuracy."""
    from fastnn._runtime.threads import thread_count, threads
    from fastnn.io import networks

    _require_places(args)
    count = thread_count(args.threads)
    data, classes = _data.load_pair(args)
    if not len(data.x_train):
        raise FileNotFoundError(f"{args.data}: no training samples")
    recipe = _recipe(args, data, classes)
    with threads(count):
        net, history = recipe.train(
            data.x_train, data.y_train, (data.x_test, data.y_test), progress=not args.quiet
        )
        right = net.predict(data.x_test) == data.y_test
    networks.save_mlp(net, args.out)
    shares = {
        f"accuracy, first {_FIRST:,}": float(right[:_FIRST].mean()),
        f"accuracy, all {len(right):,}": float(right.mean()),
    }
    print(f"data                   {data.source}; trained on {len(data.x_train):,}")
    print(f"network                {net!r}, written to {args.out}")
    for name, share in shares.items():
        print(f"{name:<22} {share:.2%}")
    if args.plot is not None:
        from fastnn import plots

        plots.save(plots.learning_curves(history), args.plot)
        say_written(args, args.plot, "loss and accuracy after each epoch")
    results = {"digits": data.source, "recipe": asdict(recipe), "history": asdict(history)}
    write_json(args, results | shares)
    return 0


def _require_places(args: argparse.Namespace) -> None:
    """Raise if the weights or the figure cannot be written, or would replace others."""
    from fastnn.io import networks

    networks.require_place(args.out)
    for path in (args.out, args.out / "fc1.weight.npy", args.out / "fc1.weight.npz"):
        require_new(path, args.force)
    require_plot(args.plot, args.force)


def _recipe(args: argparse.Namespace, data: Dataset, classes: int) -> Recipe:
    """Return the recipe for the data, with the settings that were given.

    Its first and last width are those of the data, unless they were given.
    """
    from fastnn._recipe import recipe_for

    recipe = recipe_for(len(data.x_train))
    recipe = replace(recipe, sizes=(data.x_train.shape[1], *recipe.sizes[1:-1], classes))
    given = {field.name: getattr(args, field.name, None) for field in fields(recipe)}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})
