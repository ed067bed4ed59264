"""The command `fastnn bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastnn.cli.options import add_data_arguments, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fastnn bench` to `parser`."""
    parser.epilog = (
        "It takes less than two minutes, and says what it left out for want of time. "
        "Exit status with --compare: 0, nothing has become slower; 1, something has; 3, nothing "
        "has as far as it could tell, but for some jobs it could not tell."
    )
    parser.add_argument(
        "--plot", type=Path, metavar="DIR", help="draw the figures into this folder"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OLD", help="compare with the results of an earlier run"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.1,
        help="with --compare: the share by which a job may have become slower (default 0.1)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: all that may be used")
    parser.add_argument("--only", metavar="JOB,JOB", help="run these jobs alone")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="another network to attack")
    add_data_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the short benchmark: 0, or how a comparison ended (`Comparison.status`).

    Raises
    ------
    ValueError, TypeError, OSError
        An option is wrong or a file cannot be used.
    WrongAnswerError
        An implementation gives a wrong answer.
    """
    # Heavy modules are imported by the command that needs them.
    from fastnn._runtime.files import require_folder_place
    from fastnn._runtime.processors import available_threads
    from fastnn._runtime.threads import thread_count
    from fastnn.bench import comparison, results, session, table

    if not args.tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {args.tolerance}")
    threads = thread_count(args.threads)
    if threads > available_threads():
        raise ValueError(f"{threads} threads asked for, {available_threads()} may be used")
    only = session.check_names(args.only)
    if args.plot is not None:
        require_folder_place(args.plot)
        args.plot.mkdir(parents=True, exist_ok=True)
    old = None if args.compare is None else results.read(args.compare)
    setting = session.make_setting(args.weights, args.data, args.source)
    document = session.short_run(setting, threads, only=only)
    print(table.heading(document))
    print(table.table(document))
    write_json(args.json, results.to_json(document))
    if args.plot is not None:
        from fastnn.bench import figures

        for path in figures.draw_all(document, args.plot):
            print(f"figure: {path}", file=sys.stderr)
    if old is None:
        return 0
    found = comparison.compare(old, document, tolerance=args.tolerance)
    print(f"\nsince the older run:\n{found}")
    return found.status
