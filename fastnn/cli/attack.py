"""``fastnn attack``: clean and adversarial accuracy of a test set, as a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.cli import _attacks, _results, _runs, _table
from fastnn.cli._job import Job, load_job
from fastnn.cli._targets import add_targets_argument
from fastnn.cli.options import (
    Eps,
    Parser,
    add_data_arguments,
    add_html_argument,
    add_network_arguments,
    add_plot_argument,
    add_threads_argument,
    number,
    require_file,
    require_plot,
    say_written,
    write_json,
)

if TYPE_CHECKING:
    from fastnn.attacks import Attack
    from fastnn.reports import AdversarialReport

_EXAMPLES = """\
examples:
  fastnn attack
  fastnn attack weights --eps 4/255 8/255 16/255 --plot fallen.png
  fastnn attack net.npz --data pictures
  fastnn attack net.npz --data X.npy --labels Y.npy --bounds 0 16 --eps 1
  fastnn attack --attack pgd --steps 40 --restarts 3 --norm l2 --eps 2
  fastnn attack --attack fgsm --attack 'pgd(steps=100)' --json report.json
  fastnn attack --attack standard --eps 0.3 --quiet > table.txt
  fastnn attack --attack pgd --targets next
  fastnn attack --eps 0.05 0.1 0.2 --html report.html
  fastnn attack --attack pgd --verify 0.01
  fastnn attack --attack pgd --eps 0.3 --save-adversarial adversarial.npz
  fastnn attack net.npz --data X.npy --checkpoint run.part
  fastnn attack net.npz --data X.npy --dask tcp://10.0.0.1:8786

"""


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn attack``."""
    parser.epilog = _EXAMPLES
    parser.before_help = lambda: setattr(parser, "epilog", _EXAMPLES + _attacks.defaults())
    parser.add_argument(
        "network", metavar="NETWORK", nargs="?", help="the network to attack, as --weights"
    )
    add_data_arguments(parser)
    add_network_arguments(parser)
    parser.add_argument(
        "--eps",
        metavar="EPS",
        type=Eps,
        nargs="+",
        default=[Eps("0.1")],
        help="largest change, in units where a pixel is 0 to 1, and else in those of the data: of "
        "a pixel, or in the attack's norm; one or several, also as 8/255 (default: 0.1)",
    )
    parser.add_argument(
        "--bounds",
        metavar=("LOWER", "UPPER"),
        type=number,
        nargs=2,
        help="clip to this range alone (default: once without clipping, and once clipped to "
        "[0, 1], if the data is within it)",
    )
    _attacks.add_attack_arguments(parser)
    add_targets_argument(parser)
    parser.add_argument(
        "--rng", metavar="SEED", type=int, default=0, help="seed of random numbers (default: 0)"
    )
    _add_verify_argument(parser)
    add_threads_argument(parser)
    _runs.add_arguments(parser)
    add_plot_argument(
        parser,
        "draw an image of each class that fell, clipped, at every eps, with a key to the colours",
    )
    add_html_argument(parser, "tables, figures and pictures of what fell")
    parser.add_argument(
        "--save-adversarial",
        metavar="FILE",
        type=Path,
        help="write the images of one attack and one eps, clipped, to an .npz file that "
        "`fastnn check-adversarial` reads (default: no)",
    )


def _add_verify_argument(parser: Parser) -> None:
    """Declare the option for a second count."""
    parser.add_argument(
        "--verify",
        metavar="SHARE",
        type=number,
        default=0.0,
        help="count this share of the images again, one at a time in float64, and fail if one "
        "differs beyond ties: 0.01 is one of a hundred (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the attacks, print the table, and write the files that were asked for."""
    import numpy as np

    from fastnn import _checks
    from fastnn._runtime.threads import thread_count
    from fastnn.attacks._verification import chosen_rows, share_of

    _checks.eps(args.eps)
    share_of(args.verify)
    attacks = _attacks.attacks_of(args)
    threads = thread_count(args.threads)
    _require_places(args, attacks)
    job = load_job(args)
    with _runs.cluster(args.dask) as client:
        runs = _runs.Runs(threads if client is None else args.threads, args.checkpoint, client)
        runs = runs._replace(several=len(attacks) * len(job.ways) > 1)
        found = {
            word: _attacked(job, word, attack, runs, args, first=len(job.ways) * k)
            for k, (word, attack) in enumerate(attacks.items())
        }
    norms = {_attacks.norm_of(attack) for attack in attacks.values()}
    if len(attacks) > 1 and len(norms) == 1 and job.targets is None:
        every = range(len(job.ways))
        counts = [
            _results.standing(job, [reports[way] for reports in found.values()]) for way in every
        ]
        block = _table.worst(job.ways, norms.pop(), args.eps, len(job.labels), counts, len(attacks))
        print(f"\n{block}")
    if args.verify:
        rows = len(chosen_rows(np.arange(len(job.labels)), args.verify, job.seed))
        print(f"\ncounted again in float64, the same but for ties: {rows:,} images at every eps")
    for remark in _table.remarks(job.ways, found):
        print(f"\n{remark}")
    if args.plot is not None:
        say_written(args, args.plot, _draw(args, job, attacks, found))
    if args.html is not None:
        _write_page(args, job, found)
    if args.save_adversarial is not None:
        _save(args, job, *found.items())
    write_json(args, _results.results(job, args.targets, found))
    return 0


def _require_places(args: argparse.Namespace, attacks: dict[str, Attack]) -> None:
    """Raise if a file cannot be written."""
    require_plot(args.plot, args.force)
    require_file(args.html, args.force)
    require_file(args.save_adversarial, args.force)
    if args.save_adversarial is None:
        return
    if args.save_adversarial.suffix != ".npz":
        raise ValueError(f"{args.save_adversarial}: expected a name that ends in .npz")
    if len(attacks) > 1 or len(args.eps) > 1:
        raise ValueError(
            "--save-adversarial takes the images of one attack and one eps, "
            f"got {len(attacks)} and {len(args.eps)}"
        )


def _attacked(
    job: Job, word: str, attack: Attack, runs: _runs.Runs, args: argparse.Namespace, *, first: int
) -> list[AdversarialReport]:
    """Run one attack in all ways, print its part of the table and return the reports."""
    from fastnn.attacks.evaluate import adversarial_accuracy, in_ways, warm_up

    eps = args.eps[0] if len(args.eps) == 1 else args.eps
    every = [bounds for _, bounds in job.ways]
    if runs.client is None:
        warm_up(job.net, job.x, job.labels, eps, every[-1], attack=_attacks.brief(attack))
    kept = args.save_adversarial is not None
    settings: dict[str, Any] = {
        "attack": attack,
        "targets": job.targets,
        "rng": job.seed,
        "threads": runs.threads,
        "progress": not args.quiet,
        "verify": args.verify,
    }
    together = runs.together(job.x) and len(every) > 1
    if together:
        reports = in_ways(job.net, job.x, job.labels, eps, every, keep_last=kept, **settings)
    else:
        reports = [
            adversarial_accuracy(
                job.net,
                job.x,
                job.labels,
                eps,
                bounds,
                keep_adversarial=kept and k == len(every) - 1,
                checkpoint=runs.place(first + k),
                executor=runs.client,
                **settings,
            )
            for k, bounds in enumerate(every)
        ]
    if not first:
        print(_table.heading(job.digits, job.net, job.origin, args.targets, reports[0]))
    reached = None if job.targets is None else [_results.reached(job, report) for report in reports]
    norm = _attacks.norm_of(attack)
    block = _table.block(job.ways, word, norm, args.eps, reports, reached, together=together)
    print(f"\n{block}", flush=True)
    return reports


def _draw(
    args: argparse.Namespace,
    job: Job,
    attacks: dict[str, Attack],
    found: dict[str, list[AdversarialReport]],
) -> str:
    """Draw digits that fell, and say what the figure shows."""
    import numpy as np

    from fastnn.cli._digits import Fall, draw

    falls = [
        Fall(f"{word}, eps {eps.text}", attacks[word], float(eps), prediction)
        for word, reports in found.items()
        for eps, prediction in zip(
            args.eps, np.atleast_2d(reports[-1].adversarial_prediction), strict=True
        )
    ]
    clean = next(iter(found.values()))[-1].clean_prediction
    goal, bounds = (job.targets, job.seed), job.ways[-1]
    return draw(args.plot, job.net, job.x, job.labels, clean, falls, goal, bounds)


def _write_page(
    args: argparse.Namespace, job: Job, found: dict[str, list[AdversarialReport]]
) -> None:
    """Write the page of all reports."""
    from fastnn.reports import to_html

    reports = {
        f"{word}, {way}": report
        for word, some in found.items()
        for (way, _), report in zip(job.ways, some, strict=True)
    }
    about = {"data": job.digits, "origin of the network": job.origin}
    to_html(reports, args.html, x=job.x, net=job.net, about=about)
    say_written(args, args.html, "a page with the results")


def _save(args: argparse.Namespace, job: Job, item: tuple[str, list[AdversarialReport]]) -> None:
    """Write the adversarial images of the only attack at the only eps."""
    import numpy as np

    from fastnn.cli import _adversarial

    word, (*_, report) = item
    assert report.adversarial is not None  # it was to be kept
    (attack,) = _attacks.attacks_of(args).values()
    clean = job.x if job.x.dtype == job.net.dtype else _adversarial.floats(job.x, job.net.dtype)
    saved = _adversarial.Adversarial(
        x_adv=report.adversarial,
        labels=job.labels,
        predictions=report.adversarial_prediction,
        samples=np.arange(len(job.labels)) if isinstance(job.rows, slice) else job.rows,
        clean=_adversarial.fingerprint(clean),
        eps=float(args.eps[0]),
        bounds=report.bounds,
        norm=_attacks.norm_of(attack),
        attack=word,
    )
    _adversarial.save(args.save_adversarial, saved)
    what = f"{report.n:,} adversarial images, {word}, eps {args.eps[0].text}, {job.ways[-1][0]}"
    say_written(args, args.save_adversarial, what)
