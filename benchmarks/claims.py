"""Measure what the README claims, claim by claim, with the paired harness.

``python benchmarks/claims.py [--data DIR] [-k WORD] [--json FILE]`` runs every claim whose name
contains the word. Peers that are not installed are named and left out.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from peers import IMPLEMENTATIONS
from whole_process import MEGABYTES, commands, measure_commands

from fastnn._runtime.processors import available_threads
from fastnn._runtime.progress import Progress
from fastnn.bench.ceilings import highest, measure_ceilings
from fastnn.bench.harness import Measurement, Subject
from fastnn.bench.jobs import SWEEP, make_job
from fastnn.bench.machine import machine_info
from fastnn.bench.session import make_setting
from fastnn.bench.statistics import is_resolved, paired_ratio

HERE = Path(__file__).parent
ANSWERS = ("fastnn float32", "fastnn float64", "numpy", "torch", "jax")
ANSWERS += ("foolbox", "torchattacks", "art")


@dataclass(frozen=True)
class Claim:
    """How many times as fast `ours` is to be as `peer`: at least `target`, better `aim`."""

    name: str
    text: str
    job: str
    ours: str
    peer: str
    target: float
    aim: float | None = None


FAST, PART_ONE = "fastnn float32", "fastnn nn_train"
CLAIMS = (
    Claim("torch", "clean + FGSM accuracy / torch", "accuracy", FAST, "torch", 2.2, 2.5),
    Claim("jax", "clean + FGSM accuracy / jitted JAX", "accuracy", FAST, "jax", 1.3, 1.5),
    Claim("single", "clean + FGSM accuracy / one at a time*", "accuracy", FAST, "reference", 12),
    Claim("foolbox", "16 eps, clipped / foolbox", "sweep", FAST, "foolbox", 8, 15),
    Claim(
        "calls", "16 eps, not clipped / 16 calls", "sweep-unclipped", FAST, "one eps a call", 4, 5
    ),
    Claim("torch", "sigmoid(z + b) / torch", "sigmoid", FAST, "torch", 1.0, 1.5),
    Claim("numpy", "sigmoid(z + b) / numpy", "sigmoid", FAST, "numpy", 3, 5),
    Claim("torch", "softmax, loss, residual / torch", "residual", FAST, "torch", 1.5, 3),
    Claim("torch", "part 1, 30 epochs / torch", "training", PART_ONE, "torch", 2.2, 4),
    Claim("notebook", "part 1, 30 epochs / notebook", "training", PART_ONE, "notebook", 5, 9),
)
ROWS = {"sigmoid": 1000, "training": 50_000}  # of the others 10,000
ONE_THREAD = ("sigmoid", "residual")
PEAK_SHARE = (0.8, 0.9)
# Processes, fewest and most rounds in each, and the seconds that they may take there.
EFFORT = {"sweep": (3, (2, 25), 30), "training": (3, (1, 1), 0), "sigmoid": (5, (3, 25), 10)}
EFFORT |= {"residual": EFFORT["sigmoid"]}
USUAL_EFFORT = (5, (3, 25), 30)
# One image takes as long as another, so that a thousand tell how long ten thousand take.
REFERENCE_ROWS = 1000


def name_of(claim):
    return f"{claim.job}-{claim.name}"


def question(claim, threads):
    """Return job, number of rows and threads."""
    count = 1 if claim.job in ONE_THREAD else threads
    return claim.job, ROWS.get(claim.job, 10_000), count


def subject(name, threads):
    rows = REFERENCE_ROWS if name == "reference" else None
    return Subject(name, IMPLEMENTATIONS[name], threads, rows, path=str(HERE))


def measure(claims, measurement, threads, report):
    """Run the claims that share a job together: everybody in the same rounds."""
    groups = {}
    for claim in claims:
        groups.setdefault((question(claim, threads), claim.ours), []).append(claim.peer)
    for ((job, n, count), ours), peers in groups.items():
        us = subject(ours, count)
        processes, rounds, seconds = EFFORT.get(job, USUAL_EFFORT)
        measurement.run(
            [us, us.twin(), *(subject(peer, count) for peer in peers)],
            [(job, n)],
            processes=processes,
            rounds=rounds,
            seconds=seconds,
            report=report,
        )


def rows(claims, measurement, threads):
    """Return what came out of every claim, ready for JSON."""
    for claim in claims:
        job, n, count = question(claim, threads)
        twin = subject(claim.ours, count).twin().label
        timings = [
            measurement.timings.get((job, n, label, count))
            for label in (claim.ours, claim.peer, twin)
        ]
        row = {**asdict(claim), "n": n, "threads": count}
        if timings[1] is not None:
            row["timed_peer_n"] = timings[1].n
        if None in timings:
            yield row | {"skipped": measurement.skipped.get(claim.peer, "not measured")}
        else:
            times = [n * np.asarray(timing.per_sample) for timing in timings]
            yield row | judge(claim.target, *times)


def judge(target, ours, peer, twin):
    """Return the ratio of the peer's times to ours, its control, and a verdict."""
    ratio, control = paired_ratio(ours, peer), paired_ratio(ours, twin)
    verdict = "reached" if ratio.median >= target else "MISSED"
    return {
        "ours_seconds": float(np.median(ours)),
        "peer_seconds": float(np.median(peer)),
        "ratio": asdict(ratio),
        "control": asdict(control),
        "verdict": verdict if is_resolved(ratio, control) else "not resolved",
    }


def peak_share(measurement, threads, ceilings):
    """Return the operations of dense products a second as a share of the peak, None if not run.

    Products that leave zeros out need fewer, so that the share may exceed 1.
    """
    timing = measurement.timings.get(("accuracy", 10_000, FAST, threads))
    if timing is None:
        return None
    job = make_job("accuracy", measurement.setting, 10_000)
    rate = job.flops / float(np.median(timing.seconds)) / 1e9
    return {
        "gflops": rate,
        "peak": ceilings["peak_float32"],
        "share": rate / ceilings["peak_float32"],
    }


def answers(setting, folder, threads, report):
    """Return everybody's counts at eps 0.1, 0.2 and 0.3, clipped, beside float64's."""
    who = [subject(name, threads) for name in ANSWERS]
    # Nothing is timed: a process gives its answer when it prepares for the job.
    measurement = Measurement(setting, folder)
    measurement.run(who, [("sweep", 10_000)], processes=1, rounds=(0, 0), report=report)
    at = [SWEEP.index(eps) for eps in (0.1, 0.2, 0.3)]
    truth = make_job("sweep", setting, 10_000).truth(folder)[0]
    table = {"float64, residual that does not cancel": [int(truth[i]) for i in at]}
    for s in who:
        timing = measurement.timings.get(("sweep", 10_000, s.label, threads))
        if timing is not None:
            table[s.label] = [int(timing.answer[i]) for i in at]
    return table


def show(document):
    """Print the document as a table."""
    print(f"{'':<44}{'target':>7}{'aim':>6}   measured, with 95 % interval; A against A")
    for row in document["claims"]:
        head = f"{row['text']:<44}{row['target']:>7g}{row['aim'] or '':>6}   "
        if "skipped" in row:
            print(f"{head}left out: {row['skipped']}")
            continue
        ratio, control = row["ratio"], row["control"]
        print(
            f"{head}{ratio['median']:6.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]  "
            f"[{control['low']:.3f}, {control['high']:.3f}]  {row['verdict']}  "
            f"({row['ours_seconds'] * 1e3:,.3f} ms, {row['peer_seconds'] * 1e3:,.3f} ms)"
        )
        if "megabytes" in row:
            text = "peak memory of that process, MB"
            target, aim = MEGABYTES
            ours, torch = row["megabytes"]["ours"], row["megabytes"]["torch"]
            reached = "reached" if ours <= target else "MISSED"
            print(f"{text:<44}{target:>7}{aim:>6}   {ours:6.0f}  {reached}  (torch {torch:.0f})")
    if document["peak_share"]:
        share = document["peak_share"]
        target, aim = PEAK_SHARE
        reached = "reached" if share["share"] >= target else "MISSED"
        text = "clean + FGSM accuracy, dense work / peak"
        print(
            f"{text:<44}{target:>7.0%}{aim:>6.0%}   {share['share']:6.0%}  {reached}  "
            f"({share['gflops']:.0f} of {share['peak']:.0f} GFLOP/s)"
        )
    if any(row.get("peer") == "reference" for row in document["claims"]):
        print(f"* timed on {REFERENCE_ROWS:,} images")
    if "answers" in document:
        print("\nright of 10,000 at eps 0.1, 0.2, 0.3, clipped")
        for name, counts in document["answers"].items():
            print(f"  {name:<40}" + "".join(f"{count:>7,}" for count in counts))


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", metavar="WORD", help="only claims with it in their name")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="another network")
    parser.add_argument("--threads", type=int, default=available_threads())
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    wanted = [claim for claim in CLAIMS if args.k in name_of(claim)]
    setting = make_setting(args.weights, args.data)
    document = {"machine": machine_info(), "source": setting.source}
    with tempfile.TemporaryDirectory() as folder, Progress("claims", 1) as bar:

        def report(what):
            bar.update(0, what)

        measurement = Measurement(setting, Path(folder))
        before = measure_ceilings(args.threads)
        measure(wanted, measurement, args.threads, report)
        ceilings = highest(before, measure_ceilings(args.threads))
        document |= {
            "ceilings": ceilings,
            "claims": list(rows(wanted, measurement, args.threads)),
            "peak_share": peak_share(measurement, args.threads, ceilings),
        }
        if args.k in "answers":
            document["answers"] = answers(setting, Path(folder), args.threads, report)
        if args.k in "process":
            document["claims"].append(process(setting, args.data, Path(folder)))
        bar.update(1)
    show(document)
    if args.json:
        args.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(any(row.get("verdict") == "MISSED" for row in document["claims"]))


def process(setting, data, folder):
    """Return what came out for the whole process."""
    row = {"text": "fastnn attack, whole process / torch", "target": 2.0, "aim": 3.0}
    try:
        times, megabytes = measure_commands(commands(setting, data, folder))
    except (OSError, ChildProcessError) as error:
        return row | {"skipped": str(error)}
    return row | judge(2.0, times["ours"], times["torch"], times["twin"]) | {"megabytes": megabytes}


if __name__ == "__main__":
    sys.exit(main())
