"""The command `fastnn bench`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn.cli import _data
from fastnn.cli.options import (
    Parser,
    add_data_arguments,
    add_html_argument,
    add_threads_argument,
    require_file,
    require_new,
    say_written,
    write_json,
)

if TYPE_CHECKING:
    from fastnn.bench.results import Document


PATIENCE = 10.0  # seconds after Ctrl-C: processes that measure have to end, too

_EPILOG = """\
examples:
  fastnn bench
  fastnn bench --json new.json --plot figures
  fastnn bench --json runs/new.json --html bench.html --history runs
  fastnn bench --compare old.json --only fgsm,accuracy

It takes less than two minutes, and says what it left out for want of time.
Exit status with --compare: 0, nothing has become slower; 1, something has;
3, nothing has as far as it could tell, but for some jobs it could not tell.
"""


def add_arguments(parser: Parser) -> None:
    """Add the options of `fastnn bench` to `parser`."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="DIR",
        help="draw speedups.png, roofline.png and throughput.png into this folder (default: no)",
    )
    add_html_argument(parser, "ratios with their intervals, roofline, throughput and history")
    parser.add_argument(
        "--history",
        type=Path,
        metavar="PATH",
        nargs="+",
        default=[],
        help="with --html: results of earlier runs, files that --json wrote or folders with such "
        "files (default: none)",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="OLD",
        help="compare with OLD, which an earlier run wrote with --json (default: no)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        default=0.1,
        help="with --compare: the share by which a job may have become slower (default: 0.1)",
    )
    add_threads_argument(parser)
    only = parser.add_argument("--only", metavar="JOB,JOB", help="run these jobs (default: all)")
    parser.before_help = lambda: setattr(only, "help", f"{only.help}; jobs: {_jobs()}")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="PATH",
        help="network to attack (default: that of `fastnn attack`)",
    )
    add_data_arguments(parser, labels=False)


def _jobs() -> str:
    """Return the names of all jobs."""
    from fastnn.bench import session

    return ", ".join(session.job_names())


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
        _require_plot(args.plot, args.force)
    require_file(args.html, args.force)
    if args.history and args.html is None:
        raise ValueError("--history needs --html")
    earlier = results.read_runs(args.history)
    old = None if args.compare is None else results.read(args.compare)
    setting = session.make_setting(
        args.weights, _data.folder(args), args.source, progress=not args.quiet
    )
    document = session.short_run(setting, threads, only=only, progress=not args.quiet)
    print(table.heading(document))
    print(table.table(document))
    write_json(args, results.to_json(document))
    if args.plot is not None:
        _draw(args, document)
    if args.html is not None:
        _write_page(args, document, earlier)
    if old is None:
        return 0
    found = comparison.compare(old, document, tolerance=args.tolerance)
    print(f"\nsince the older run:\n{found}")
    return found.status


def _require_plot(folder: Path, force: bool) -> None:
    """Raise if the figures cannot be written; the folder is made when they are drawn."""
    from fastnn._runtime.files import require_folder_place
    from fastnn.bench import figures

    require_folder_place(folder)
    for name in figures.NAMES:
        require_new(folder / name, force)


def _draw(args: argparse.Namespace, document: Document) -> None:
    """Draw the figures."""
    from fastnn.bench import figures

    args.plot.mkdir(parents=True, exist_ok=True)
    for path in figures.draw_all(document, args.plot):
        say_written(args, path, "a figure")


def _write_page(
    args: argparse.Namespace, document: Document, earlier: list[tuple[str, Document]]
) -> None:
    """Write the page of the results."""
    from fastnn._runtime.files import atomic_write
    from fastnn.bench.page import page

    with atomic_write(args.html) as file:
        file.write(page(document, earlier).encode())
    say_written(args, args.html, "a page with the results")
