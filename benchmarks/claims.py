"""Measure what the README claims, claim by claim, with the harness of `fastnn bench`.

``python benchmarks/claims.py [--data DIR] [-k WORD] [--json FILE]`` measures every claim whose name
contains the word. Peers that are not installed are named and left out.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from outcomes import REFERENCE_ROWS, Claim, Goal, Outcome, PeakShare, judge, show
from peers import IMPLEMENTATIONS
from whole_process import commands, measure_commands

from fastnn._runtime.processors import available_threads
from fastnn._runtime.progress import Progress
from fastnn.bench.ceilings import measure_ceilings
from fastnn.bench.harness import Effort, Key, Measurement
from fastnn.bench.jobs import SWEEP, make_job
from fastnn.bench.machine import machine_info
from fastnn.bench.process import Subject
from fastnn.bench.session import make_setting

HERE = Path(__file__).parent
ANSWERS = ("fastnn float32", "fastnn float64", "numpy", "torch", "jax")
ANSWERS += ("foolbox", "torchattacks", "art")
FAST, PART_ONE = "fastnn float32", "fastnn nn_train"


def claim(name, text, job, peer, target, aim=None, *, ours=FAST):
    return Claim(name=name, text=text, job=job, ours=ours, peer=peer, target=target, aim=aim)


CLAIMS = (
    claim("torch", "clean + FGSM accuracy / torch", "accuracy", "torch", 2.2, 2.5),
    claim("jax", "clean + FGSM accuracy / jitted JAX", "accuracy", "jax", 1.3, 1.5),
    claim("single", "clean + FGSM accuracy / one at a time*", "accuracy", "reference", 12),
    claim("foolbox", "16 eps, clipped / foolbox", "sweep", "foolbox", 8, 15),
    claim("calls", "16 eps, not clipped / 16 calls", "sweep-unclipped", "one eps a call", 4, 5),
    claim("torch", "sigmoid(z + b) / torch", "sigmoid", "torch", 1.0, 1.5),
    claim("numpy", "sigmoid(z + b) / numpy", "sigmoid", "numpy", 3, 5),
    claim("torch", "softmax, loss, residual / torch", "residual", "torch", 1.5, 3),
    claim("torch", "part 1, 30 epochs / torch", "training", "torch", 2.2, 4, ours=PART_ONE),
    claim("notebook", "part 1, 30 epochs / notebook", "training", "notebook", 5, 9, ours=PART_ONE),
)
PROCESS = Goal(text="fastnn attack, whole process / torch", target=2.0, aim=3.0)
ROWS = {"sigmoid": 1000, "training": 50_000}  # of all other jobs 10,000
ONE_THREAD = ("sigmoid", "residual")
SHORT_JOB = Effort(processes=5, rounds=(3, 25), seconds=10)
EFFORT = {
    "sweep": Effort(processes=3, rounds=(2, 25), seconds=30),
    "training": Effort(processes=3, rounds=(1, 1), seconds=0),
    "sigmoid": SHORT_JOB,
    "residual": SHORT_JOB,
}
USUAL_EFFORT = Effort(processes=5, rounds=(3, 25), seconds=30)


def name_of(claim):
    return f"{claim.job}-{claim.name}"


def key_of(claim, threads):
    """Return the key of the timing of our implementation."""
    count = 1 if claim.job in ONE_THREAD else threads
    return Key(claim.job, ROWS.get(claim.job, 10_000), claim.ours, count)


def subject(label, threads):
    rows = REFERENCE_ROWS if label == "reference" else None
    return Subject(label, IMPLEMENTATIONS[label], threads, rows, path=str(HERE))


def measure(claims, measurement, threads, report):
    """Measure the implementations of all claims about the same job in the same rounds."""
    peers = {}
    for claim in claims:
        peers.setdefault(key_of(claim, threads), []).append(claim.peer)
    for key, labels in peers.items():
        ours = subject(key.label, key.threads)
        measurement.run(
            [ours, ours.twin(), *(subject(label, key.threads) for label in labels)],
            [(key.job, key.asked)],
            EFFORT.get(key.job, USUAL_EFFORT),
            report=report,
        )


def outcome(claim, measurement, threads):
    """Judge the times of a claim."""
    key = key_of(claim, threads)
    labels = (claim.ours, claim.peer, subject(claim.ours, key.threads).twin().label)
    timings = [measurement.timings.get(key._replace(label=label)) for label in labels]
    facts = {"n": key.asked, "threads": key.threads}
    if timings[1] is not None:
        facts["timed_peer_n"] = timings[1].n
    if None in timings:
        reason = measurement.skipped.get(claim.peer, "not measured")
        return Outcome(goal=claim, found=reason, facts=facts)
    times = [key.asked * np.asarray(timing.per_sample) for timing in timings]
    return Outcome(goal=claim, found=judge(claim.target, *times), facts=facts)


def peak_share(measurement, threads, ceilings):
    """Return the share of the peak in clean and FGSM accuracy, None if that was not measured."""
    timing = measurement.timings.get(Key("accuracy", 10_000, FAST, threads))
    if timing is None:
        return None
    job = make_job("accuracy", measurement.setting, 10_000)
    rate = job.flops / float(np.median(timing.seconds)) / 1e9
    return PeakShare(rate, ceilings.peak_float32, rate / ceilings.peak_float32)


def answers(setting, folder, threads, report):
    """Return the counts of every implementation at eps 0.1, 0.2 and 0.3, clipped, and float64's."""
    subjects = [subject(label, threads) for label in ANSWERS]
    # No round is timed: a process computes its answer when it prepares the job.
    measurement = Measurement(setting, folder)
    measurement.run(subjects, [("sweep", 10_000)], Effort(1, (0, 0), 0), report=report)
    at = [SWEEP.index(eps) for eps in (0.1, 0.2, 0.3)]
    truth = make_job("sweep", setting, 10_000).truth(folder)[0]
    table = {"float64, residual that does not cancel": [int(truth[i]) for i in at]}
    for label in ANSWERS:
        timing = measurement.timings.get(Key("sweep", 10_000, label, threads))
        if timing is not None:
            table[label] = [int(timing.answer[i]) for i in at]
    return table


def process(setting, data, folder):
    """Measure the whole process of `fastnn attack`, and that of a PyTorch script."""
    try:
        times, megabytes = measure_commands(commands(setting, data, folder))
    except (OSError, ChildProcessError) as error:
        return Outcome(goal=PROCESS, found=str(error), facts={})
    found = judge(PROCESS.target, times["ours"], times["torch"], times["twin"])
    return Outcome(goal=PROCESS, found=found, facts={}, megabytes=megabytes)


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
    chosen = [claim for claim in CLAIMS if args.k in name_of(claim)]
    setting = make_setting(args.weights, args.data)
    counts = None
    with tempfile.TemporaryDirectory() as folder, Progress("claims", 1) as bar:

        def report(text):
            bar.update(0, text)

        measurement = Measurement(setting, Path(folder))
        before = measure_ceilings(args.threads)
        measure(chosen, measurement, args.threads, report)
        ceilings = before.highest(measure_ceilings(args.threads))
        outcomes = [outcome(claim, measurement, args.threads) for claim in chosen]
        share = peak_share(measurement, args.threads, ceilings)
        if args.k in "answers":
            counts = answers(setting, Path(folder), args.threads, report)
        if args.k in "process":
            outcomes.append(process(setting, args.data, Path(folder)))
        bar.update(1)
    show(outcomes, share, counts)
    if args.json:
        document = {
            "machine": asdict(machine_info()),
            "source": setting.source,
            "ceilings": asdict(ceilings),
            "claims": [outcome.to_json() for outcome in outcomes],
            "peak_share": None if share is None else asdict(share),
        }
        document |= {} if counts is None else {"answers": counts}
        args.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(any(outcome.missed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
