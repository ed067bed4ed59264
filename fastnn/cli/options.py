"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from fastnn.cli._terminal import paint


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line.

    Attributes
    ----------
    before_help : callable or None
        Called before the help is shown. It adds what takes long to import, such as defaults.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **settings)
        self.before_help: Callable[[], None] | None = None

    def format_help(self) -> str:
        """Return the help, completed by `before_help`."""
        if self.before_help is not None:
            self.before_help()
            self.before_help = None
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, without the usage, and exit with status 2."""
        self.exit(complain(self.prog, f"{message} (see {self.prog} --help)", 2))


def complain(name: str, error: object, status: int) -> int:
    """Print one line on standard error and return the exit status."""
    text = " ".join(_words(error).split()) or type(error).__name__
    print(f"{paint(name + ':', 'wrong', sys.stderr)} {text}", file=sys.stderr)
    return status


def _words(error: object) -> str:
    """Return what an error says; of a system error the file and the reason, without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every command that has results."""
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the results to FILE, too (default: no)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files of results that exist already"
    )
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="no progress and no remarks on standard error, only warnings and errors",
    )


def add_data_arguments(parser: argparse.ArgumentParser, *, labels: bool = True) -> None:
    """Declare the options that choose the data."""
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="a file: .npy, .npz, IDX or a table of text (CSV); a folder with the files of MNIST, "
        "with images_test.npy and labels_test.npy, or with a folder of PNG pictures for each "
        "class; or mnist, fashion-mnist, kmnist or emnist-digits, once `fastnn fetch` has "
        "downloaded it (default: MNIST from $FASTNN_DATA, ./data or what `fastnn fetch` "
        "downloaded, else the bundled sample)"
        if labels
        else "folder with the files of MNIST, or the name of a data set such as fashion-mnist "
        "(default: $FASTNN_DATA, ./data or what `fastnn fetch` downloaded)",
    )
    if labels:
        parser.add_argument(
            "--labels",
            metavar="LABELS",
            help="the labels of --data: a file, a key of an .npz file, or the name or position of "
            "a column (default: a usual name such as Y.npy beside X.npy, y or label; else the "
            "last column)",
        )
    parser.add_argument(
        "--source",
        choices=("auto", "mnist", "sample"),
        default="auto",
        help="without --data: mnist; the bundled sample; or MNIST where it is found, else the "
        "sample (default: auto)",
    )


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose a network."""
    parser.add_argument(
        "--weights",
        metavar="PATH",
        help="a folder with fc1.weight.npy, fc1.bias.npy, ..., or a file: .npz, .pth of PyTorch, "
        ".safetensors, .onnx, .keras or .h5 (default: a network that is trained once for your "
        "digits and kept)",
    )
    add_activation_argument(parser, "in --weights (default: the one saved with them, else relu)")
    parser.add_argument(
        "--layout",
        choices=("in-out", "out-in"),
        help="axes of the weights in --weights: in-out as NumPy and Keras have them, out-in as "
        "PyTorch has them (default: what the kind of file has, else the one that fits)",
    )


def add_activation_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Declare the option for the activation of a network."""
    parser.add_argument(
        "--activation",
        metavar="NAME",
        type=_activation,
        help=f"relu, sigmoid or tanh: activation of the network {summary}",
    )


def _activation(name: str) -> str:
    """Return the name of an activation; numba is loaded only to check one that was given."""
    from fastnn._engine.activations import ACTIVATIONS

    if name not in ACTIVATIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ACTIVATIONS)}")
    return name


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the option for the number of threads."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=int,
        help="number of threads (default: all processors that the process may use)",
    )


def add_plot_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Declare the option for a figure."""
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help=f"{summary} (.png, .svg, .pdf; default: no)"
    )


def add_html_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    """Declare the option for a page of results."""
    parser.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help=f"write a page for a browser: {summary}, in one file (default: no)",
    )


def number(text: str) -> float:
    """Return a number given as 0.1, 1e-3 or 8/255."""
    over, slash, under = text.partition("/")
    try:
        return float(over) / float(under) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number, expected one such as 0.1 or 8/255"
        ) from None


class Eps(float):
    """A budget that is shown as it was given: 8/255."""

    def __new__(cls, text: str) -> Eps:
        """Read a budget."""
        self = super().__new__(cls, number(text))
        self.text = text if "/" in text else f"{self:g}"
        return self

    text: str


def require_file(path: Path | None, force: bool) -> None:
    """Raise if no file can be written to `path`, or if one is there and may not be replaced."""
    from fastnn._runtime.files import require_file_place

    if path is None:
        return
    require_file_place(path)
    require_new(path, force)


def require_new(path: Path, force: bool) -> None:
    """Raise if a file of results exists and may not be replaced."""
    if path.is_file() and not force:
        raise FileExistsError(f"{path} exists already, --force replaces it")


def require_plot(path: Path | None, force: bool) -> None:
    """Raise if a figure cannot be written to `path`."""
    if path is not None:
        from fastnn import plots

        require_file(path, force)
        plots.require_format(path)


def write_json(args: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write `results` to the JSON file, completely or not at all, if one was asked for."""
    if args.json is not None:
        import json

        from fastnn._runtime.files import atomic_write

        with atomic_write(args.json) as file:
            file.write(json.dumps(results, indent=2, allow_nan=False).encode() + b"\n")
        say_written(args, args.json, "the results")


def say_written(args: argparse.Namespace, path: Path, what: str) -> None:
    """Say on standard error what was written to which file, unless --quiet was given."""
    if not args.quiet:
        print(f"wrote {path}: {what}", file=sys.stderr)
