"""``fastnn fetch``: download MNIST or another data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnn.cli.options import Parser, write_json


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn fetch``."""
    parser.epilog = (
        "examples:\n  fastnn fetch\n  fastnn fetch fashion-mnist\n  fastnn fetch --out mnist"
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        default="mnist",
        help="mnist (11.6 MB), fashion-mnist (30.9 MB), kmnist (21.2 MB) or emnist-digits (562 MB, "
        "of which 220 MB are kept) (default: mnist)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder for the files (default: one in your cache, where all commands look)",
    )


def run(args: argparse.Namespace) -> int:
    """Download a data set and print its folder."""
    from fastnn._runtime.files import require_folder_place
    from fastnn.datasets import DATA_SETS, fetch

    if args.out is not None:
        require_folder_place(args.out)
    folder = fetch(args.name, args.out, progress=not args.quiet)
    found = DATA_SETS[args.name]
    print(f"{found.title} is in {folder}; licence: {found.licence}")
    write_json(args, {"folder": str(folder), "licence": found.licence})
    return 0
