"""``fastnn fetch``: download MNIST."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastnn.cli.options import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``fastnn fetch``."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for the files; by default the user's cache"
    )


def run(args: argparse.Namespace) -> int:
    """Download MNIST and print the folder."""
    from fastnn._runtime.files import require_folder_place
    from fastnn.datasets import fetch_mnist

    if args.out is not None:
        require_folder_place(args.out)
    folder = fetch_mnist(args.out, progress=True)
    print(f"MNIST is in {folder}")
    write_json(args.json, {"folder": str(folder)})
    return 0
