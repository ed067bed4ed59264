"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose the digits."""
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST or files of your own")
    parser.add_argument(
        "--source",
        choices=("auto", "mnist", "sample"),
        default="auto",
        help="MNIST where it is found, else the bundled sample (auto); or one of the two",
    )


def add_activation_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Declare the option for the activation of a network."""
    parser.add_argument("--activation", metavar="NAME", type=_activation, help=summary)


def _activation(name: str) -> str:
    """Return the name of an activation; numba is loaded only to check one that was given."""
    from fastnn._engine.activations import ACTIVATIONS

    if name not in ACTIVATIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ACTIVATIONS)}")
    return name


def add_plot_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Declare the option for a figure."""
    parser.add_argument("--plot", metavar="FILE", type=Path, help=summary)


def require_plot_place(path: Path | None) -> None:
    """Raise if a figure cannot be written to `path`."""
    if path is not None:
        from fastnn import plots
        from fastnn._runtime.files import require_file_place

        require_file_place(path)
        plots.require_format(path)


def write_json(path: Path | None, results: dict[str, Any]) -> None:
    """Write `results` to a JSON file, completely or not at all, if `path` is given."""
    from fastnn._runtime.files import atomic_write

    if path is not None:
        with atomic_write(path) as file:
            file.write(json.dumps(results, indent=2, allow_nan=False).encode() + b"\n")
