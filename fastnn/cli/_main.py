"""The command line: ``fastnn attack | train | fetch | bench | doctor``.

Results go to standard output, progress and warnings to standard error. Exit status: 0 (success),
1 (failure), 2 (wrong arguments or input) or 3 (``bench --compare`` could not tell).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# Each command is a module with `add_arguments(parser)` and `run(args) -> int`. It is imported when
# its command is chosen, and imports libraries when it runs, so that every command starts fast.
COMMANDS = {
    "attack": ("fastnn.cli.attack", "adversarial accuracy of a whole test set"),
    "train": ("fastnn.cli.train", "train a network and write its weights"),
    "fetch": ("fastnn.cli.fetch", "download MNIST"),
    "bench": ("fastnn.cli.bench", "measure fastnn on this machine"),
    "doctor": ("fastnn.cli.doctor", "find what makes fastnn slow or wrong on this machine"),
}

_WRONG_INPUT = (
    ValueError,
    TypeError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, without the usage, and exit with status 2."""
        self.exit(_complain(self.prog, f"{message} (see {self.prog} --help)", 2))


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the options of the `chosen` one."""
    parser = _Parser(
        prog="fastnn", description="Small dense networks on the CPU: training and attacks."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary + ".")
        if name == chosen:
            loaded = importlib.import_module(module)
            loaded.add_arguments(command)
            command.add_argument(
                "--json", metavar="FILE", type=Path, help="write results to FILE, too"
            )
            command.set_defaults(run=loaded.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``fastnn``; those of the process by default.
    """
    warnings.showwarning = _show_warning
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser(next((word for word in words if word in COMMANDS), None))
    args = parser.parse_args(words)
    if args.version:
        from fastnn._version import __version__

        print(f"fastnn {__version__}")
        return 0
    if args.command is None:
        parser.error("a command is missing")
    name = f"fastnn {args.command}"
    try:
        if args.json is not None:
            from fastnn._runtime.files import require_file_place

            require_file_place(args.json)
        return int(args.run(args))
    except _WRONG_INPUT as error:
        return _complain(name, error, 2)
    except (OSError, ArithmeticError, MemoryError, RuntimeError) as error:
        return _complain(name, error, 1)
    except KeyboardInterrupt:
        return _complain(name, "interrupted", 1)


def _complain(name: str, error: object, status: int) -> int:
    """Print one line on standard error and return the exit status."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"{name}: {text}", file=sys.stderr)
    return status


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one line, without the source line that raised it."""
    print(f"fastnn: {message}", file=sys.stderr)
