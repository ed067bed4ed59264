"""``fastnn fetch``: download MNIST."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnn.cli.options import Parser, write_json


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn fetch``."""
    parser.epilog = "examples:\n  fastnn fetch\n  fastnn fetch --out mnist"
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder for the four files, 11.6 MB (default: your cache, where all commands look)",
    )


def run(args: argparse.Namespace) -> int:
    """Download MNIST and print the folder."""
    from fastnn._runtime.files import require_folder_place
    from fastnn.datasets import fetch_mnist

    if args.out is not None:
        require_folder_place(args.out)
    folder = fetch_mnist(args.out, progress=not args.quiet)
    print(f"MNIST is in {folder}")
    write_json(args, {"folder": str(folder)})
    return 0
