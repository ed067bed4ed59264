"""``fastnn train``: train a network and write its weights."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli import _attacks, _data, _table
from fastnn.cli.options import (
    Eps,
    Parser,
    add_activation_argument,
    add_data_arguments,
    add_plot_argument,
    add_threads_argument,
    number,
    require_new,
    require_plot,
    say_written,
    write_json,
)

if TYPE_CHECKING:
    from fastnn._recipe import Recipe
    from fastnn.attacks import Attack
    from fastnn.datasets import Dataset

_FIRST = 1000


_EXAMPLES = """\
examples:
  fastnn train
  fastnn train --out net.npz --sizes 784 300 10 --activation sigmoid --epochs 20
  fastnn train --data pictures --out net.npz --sizes 784 100 10
  fastnn train --data flowers.csv --labels species --sizes 4 32 3 --epochs 50
  fastnn train --out weights --plot curves.png --threads 2 --force
  fastnn train --out robust.npz --attack 'pgd(steps=5)' --eps 0.1

"""
# The options for settings of the recipe: type, form of the value, what it is.
_SETTINGS: dict[str, tuple[Any, str, str]] = {
    "epochs": (int, "N", "passes over the training samples"),
    "batch_size": (int, "N", "samples in a step"),
    "learning_rate": (float, "RATE", "length of a step"),
    "momentum": (float, "SHARE", "share of the step before that is added"),
    "l2": (float, "DECAY", "weight decay"),
    "seed": (int, "SEED", "of the first weights, the order of the samples and random starts"),
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
    _add_adversary_arguments(parser)
    add_threads_argument(parser)
    add_plot_argument(parser, "draw loss and accuracy after each epoch")
    parser.before_help = lambda: _add_defaults(parser)


def _add_adversary_arguments(parser: Parser) -> None:
    """Declare the options of adversarial training, which mean what they do in `fastnn attack`."""
    group = parser.add_argument_group(
        "adversarial training",
        "Each batch is attacked, on the network as it is then, and the adversarial\n"
        "inputs take its place.",
    )
    group.add_argument(
        "--attack",
        metavar="NAME",
        type=_attacks.form,
        action="append",
        help="name of an attack, or with its settings: 'pgd(steps=5)' (default: none)",
    )
    group.add_argument(
        "--eps",
        metavar="EPS",
        type=Eps,
        help="largest change, in units where a pixel is 0 to 1, and else in those of the data, "
        "also as 8/255 (default: 0.1)",
    )
    group.add_argument(
        "--bounds",
        metavar=("LOWER", "UPPER"),
        type=number,
        nargs=2,
        help="clip to this range (default: 0 1 if the data is within it, else no clipping)",
    )


def _add_defaults(parser: Parser) -> None:
    """Add the recipe's defaults to the help, and the attacks."""
    from fastnn._recipe import FULL, SAMPLE

    parser.epilog = _EXAMPLES + _attacks.defaults()
    for action in parser._actions:
        if hasattr(FULL, action.dest) and "(default: " not in (action.help or ""):
            full, sample = (_text(getattr(recipe, action.dest)) for recipe in (FULL, SAMPLE))
            few = f"; {sample} for 20,000 samples or fewer" if sample != full else ""
            action.help = f"{action.help} (default: {full}{few})"


def _text(value: Any) -> str:
    """Return a setting as the command line takes it."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def run(args: argparse.Namespace) -> int:
    """Train, write the weights, and print their accuracy."""
    from fastnn._runtime.threads import thread_count, threads
    from fastnn.io import networks

    _require_places(args)
    attack = _attack(args)
    count = thread_count(args.threads)
    data, classes = _data.load_pair(args)
    if not len(data.x_train):
        raise FileNotFoundError(f"{args.data}: no training samples")
    recipe = _recipe(args, data, classes, attack)
    with threads(count):
        net, history = recipe.train(
            data.x_train, data.y_train, (data.x_test, data.y_test), progress=not args.quiet
        )
        right = net.predict(data.x_test) == data.y_test
    networks.save_mlp(net, args.out)
    shares = {
        f"accuracy, {which} {len(some):,}": float(some.mean())
        for which, some in (("first", right[:_FIRST]), ("all", right))
        if which == "all" or len(right) > _FIRST
    }
    print(f"data                   {data.source}; trained on {len(data.x_train):,}")
    if attack is not None:
        word = _attacks.label(*attack)
        print(f"trained against        {word}, eps {_eps(args).text}, {_table.way(recipe.bounds)}")
    print(f"network                {net!r}, written to {args.out}")
    for name, share in shares.items():
        print(f"{name:<22} {share:.2%}")
    if args.plot is not None:
        from fastnn import plots

        plots.save(plots.learning_curves(history), args.plot)
        say_written(args, args.plot, "loss and accuracy after each epoch")
    settings = asdict(recipe) | {"attack": None if attack is None else _attacks.label(*attack)}
    results = {"digits": data.source, "recipe": settings, "history": asdict(history)}
    write_json(args, results | shares)
    return 0


def _require_places(args: argparse.Namespace) -> None:
    """Raise if the weights or the figure cannot be written, or would replace others."""
    from fastnn.io import networks

    networks.require_place(args.out)
    for path in (args.out, args.out / "fc1.weight.npy", args.out / "fc1.weight.npz"):
        require_new(path, args.force)
    require_plot(args.plot, args.force)


def _attack(args: argparse.Namespace) -> tuple[str, Attack] | None:
    """Return the name of the attack that batches are moved by, and the attack, if there is one."""
    for option in ("eps", "bounds"):
        if getattr(args, option) is not None and args.attack is None:
            raise ValueError(f"--{option} needs --attack")
    if args.attack is None:
        return None
    if len(args.attack) > 1:
        raise ValueError(f"--attack: a training takes one attack, got {len(args.attack)}")
    ((name, settings),) = args.attack
    return name, _attacks.made(name, settings)


def _recipe(
    args: argparse.Namespace, data: Dataset, classes: int, attack: tuple[str, Attack] | None
) -> Recipe:
    """Return the recipe for the data, with the settings that were given.

    Its first and last width are those of the data, unless they were given.
    """
    from fastnn._recipe import recipe_for

    recipe = recipe_for(len(data.x_train))
    recipe = replace(recipe, sizes=(data.x_train.shape[1], *recipe.sizes[1:-1], classes))
    names = ("sizes", "activation", *_SETTINGS)
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    recipe = replace(recipe, **given)
    if attack is None:
        return recipe
    if args.bounds is None:
        _data.require_units(data.x_train, data.source)
    _, bounds = _table.ways_of(data.x_train, args.bounds)[-1]
    return replace(recipe, attack=attack[1], eps=float(_eps(args)), bounds=bounds)


def _eps(args: argparse.Namespace) -> Eps:
    """Return the budget of an attack."""
    return Eps("0.1") if args.eps is None else args.eps
