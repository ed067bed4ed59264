"""The command `fastnn bench`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `fastnn bench` to `parser`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw the figures into a folder")
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
    parser.add_argument("--only", metavar="JOB,JOB", help="leave it at these jobs")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="network to attack")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the MNIST files are")


def run(args: argparse.Namespace) -> int:
    """Run the short benchmark: 0, or 1 where a slow-down against an older run is resolved.

    Raises
    ------
    ValueError, TypeError, OSError
        An option is wrong or a file cannot be used.
    WrongAnswerError
        An implementation gives a wrong answer.
    """
    # Everything heavy waits for the command that needs it.
    from fastnn._parallel import available_threads, thread_count  # noqa: PLC0415
    from fastnn.bench import comparison, results, session, table  # noqa: PLC0415

    if not args.tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {args.tolerance}")
    threads = thread_count(args.threads)
    if threads > available_threads():
        raise ValueError(f"{threads} threads asked for, {available_threads()} may be used")
    only = session.check_names(args.only)
    old = None if args.compare is None else results.read(args.compare)
    document = session.short_run(session.make_setting(args.weights, args.data), threads, only=only)
    print(table.heading(document))
    print(table.table(document))
    if args.json is not None:
        results.write(args.json, document)
    if args.plot is not None:
        from fastnn.bench import figures  # noqa: PLC0415

        for path in figures.draw_all(document, args.plot):
            print(f"figure: {path}", file=sys.stderr)
    if old is None:
        return 0
    lines, slower = comparison.compare(old, document, tolerance=args.tolerance)
    print("\n".join(["\nsince the older run:", *lines]))
    return 1 if slower else 0
