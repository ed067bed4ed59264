"""The command line: `COMMANDS` lists the commands.

Results go to standard output, progress and warnings to standard error. Exit status: 0 (success),
1 (failure), 2 (wrong arguments or input), 3 (``bench --compare`` could not tell) or 130 (Ctrl-C).
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from fastnn.cli._interrupt import PATIENCE, STATUS, ended_by_ctrl_c
from fastnn.cli._terminal import paint
from fastnn.cli.options import Parser, add_output_arguments, complain, require_file

# Each command is a module with `add_arguments(parser)` and `run(args) -> int`. It is imported when
# its command is chosen, and imports libraries when it runs, so that every command starts fast.
COMMANDS = {
    "attack": ("fastnn.cli.attack", "adversarial accuracy of a whole test set"),
    "check-adversarial": (
        "fastnn.cli.check_adversarial",
        "check a file of adversarial images, and count those that are still right",
    ),
    "train": ("fastnn.cli.train", "train a network and write its weights"),
    "fetch": ("fastnn.cli.fetch", "download MNIST or another data set"),
    "bench": ("fastnn.cli.bench", "measure fastnn on this machine"),
    "doctor": ("fastnn.cli.doctor", "find what makes fastnn slow or wrong on this machine"),
    "completion": ("fastnn.cli.completion", "print a script that completes commands in your shell"),
}

_EXAMPLES = """\
examples:
  fastnn attack                          attack the bundled digits or MNIST with FGSM
  fastnn attack --attack pgd --eps 8/255
  fastnn train --out weights
  fastnn COMMAND --help                  options, defaults and examples of a command
"""

_WRONG_INPUT = (
    ValueError,
    TypeError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def build_parser(chosen: str | None) -> Parser:
    """Return the parser of all commands, with the options of the `chosen` one."""
    parser = Parser(
        prog="fastnn",
        description="Small dense networks on the CPU: training and attacks.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=description)
        if name == chosen:
            loaded = importlib.import_module(module)
            loaded.add_arguments(command)
            if name != "completion":
                add_output_arguments(command)
            command.set_defaults(run=loaded.run, patience=getattr(loaded, "PATIENCE", PATIENCE))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``fastnn``; those of the process by default.
    """
    warnings.showwarning = _Shown().show
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = " ".join(["fastnn", *(word for word in words[:1] if word in COMMANDS)])
    try:
        try:
            return _run(words, name)
        finally:
            sys.stdout.flush()  # here, so that a reader that has gone is noticed
    except _WRONG_INPUT as error:
        return complain(name, error, 2)
    except BrokenPipeError:
        return _without_a_reader()
    except (OSError, ArithmeticError, ImportError, MemoryError, RuntimeError) as error:
        return complain(name, error, 1)
    except KeyboardInterrupt:
        return complain(name, "interrupted", STATUS)


def _run(words: list[str], name: str) -> int:
    """Run the command, after a check of the place for its JSON file."""
    parser = build_parser(next((word for word in words if word in COMMANDS), None))
    args = parser.parse_args(words)
    if args.version:
        from fastnn._version import __version__

        print(f"fastnn {__version__}")
        return 0
    if args.command is None:
        parser.error("a command is missing")
    require_file(getattr(args, "json", None), getattr(args, "force", False))
    line = f"{paint(f'{name}:', 'wrong', sys.stderr)} interrupted"
    with ended_by_ctrl_c(line, args.patience):
        return int(args.run(args))


def _without_a_reader() -> int:
    """Return 1 where what reads standard output has ended, such as ``head``, and stay silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


class _Shown:
    """The warnings that a command has printed."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def show(self, message: Warning | str, *_: object, **__: object) -> None:
        """Print a warning as one line, once, without the source line that raised it."""
        if str(message) not in self._texts:
            self._texts.add(str(message))
            print(f"{paint('fastnn:', 'remark', sys.stderr)} {message}", file=sys.stderr)
