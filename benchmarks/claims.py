"""Measure what the README claims, claim by claim, with the harness of `fastnn bench`.

Every peer is compared in its best form (`forms.py`). A line is printed as soon as its claim is
measured. Peers that are not installed are named and left out. Exit status 1: a claim is missed.
"""

import argparse
import json
import sys
import tempfile
import textwrap
import time
from dataclasses import asdict
from pathlib import Path

import contests
import kinds
import numpy as np
from forms import Form
from goals import CLAIMS, FAST, PEAK, PEAK_MEMORY, PROCESS, PRODUCT
from outcomes import FOOTNOTE, HEADING, Outcome, answers_table, judge, judge_level
from products import measure_shares
from whole_process import commands, compare

from fastnn._runtime.files import require_file_place
from fastnn._runtime.processors import available_threads
from fastnn.bench.ceilings import measure_ceilings
from fastnn.bench.harness import Effort, Key, Measurement
from fastnn.bench.jobs import SWEEP, make_job
from fastnn.bench.machine import machine_info
from fastnn.bench.session import make_setting

ANSWERS = (FAST, "fastnn float64", "numpy", "torch", "jax", "foolbox", "torchattacks", "art")
QUICK_SECONDS = 280  # from the start of the process; then what is left is left out


class Session:
    """One run: its options, what is left of its time, and its results so far."""

    def __init__(self, args, folder, started):
        self.args, self.folder, self._started = args, folder, started
        self.machine = machine_info()
        self.kind = kinds.kind_of(self.machine.processor, kinds.vector_bits())
        self.outcomes, self.counts, self.ceilings = [], None, None
        self.source, self.measurement = "", None

    def left(self):
        """Return the seconds that are left."""
        if not self.args.quick:
            return float("inf")
        return self._started + QUICK_SECONDS - time.monotonic()

    def first_lines(self):
        """Return what is measured where, and which bars count."""
        machine, blas = self.machine, self.machine.blas
        line = f"{machine.processor}; bars of {self.kind}"
        line += f"; {blas.library} {blas.version} with its {blas.kernels} kernels"
        line += f"; {self.args.threads} threads; commit {machine.commit or 'unknown'}"
        lines = [line]
        if self.args.quick:
            lines.append(
                "quick: one process for each, few rounds, fewer images and claims; for figures to "
                "publish, run without --quick"
            )
        return lines

    def report(self, text):
        """Show what is being done, where standard error is a terminal."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def say(self, text):
        """Print a line of the results at once."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        print(text, flush=True)

    def add(self, outcome):
        """Keep, print and write a result."""
        self.outcomes.append(outcome)
        self.say(outcome.line())
        self.write()

    def write(self):
        """Write everything so far, so that a run that is stopped leaves its results."""
        if self.args.json is None:
            return
        document = {
            "machine": asdict(self.machine),
            "kind": self.kind,
            "quick": self.args.quick,
            "source": self.source,
            "threads": self.args.threads,
            "ceilings": None if self.ceilings is None else asdict(self.ceilings),
            "claims": [outcome.to_json() for outcome in self.outcomes],
            "answers": self.counts,
            "restless": sorted(self.measurement.restless),
        }
        self.args.json.write_text(json.dumps(document, indent=1) + "\n")


def run_contests(session, chosen):
    """Measure all claims about jobs of the harness."""
    for contest in contests.contests(chosen, quick=session.args.quick):
        found = contests.run(
            contest,
            session.measurement,
            session.args.threads,
            session.kind,
            within=session.left,
            report=session.report,
        )
        for outcome in found:
            session.add(outcome)


def product(session):
    """Measure the masked product against multiply-adds in registers; one thread."""
    session.report("masked product")
    shares, rates = measure_shares(20 if session.args.quick else 100)
    apart, _ = measure_shares(10, alike=1)
    found = judge_level(PRODUCT, session.kind, shares, f"{np.median(rates):.0f} GF/s")
    facts = {"shares": shares.tolist(), "shares_of_independent_rows": apart.tolist()}
    outcome = Outcome(goal=PRODUCT, text=PRODUCT.text, kind=session.kind, found=found, facts=facts)
    session.add(outcome)
    session.say(f"  the same with other zeros in every row: {np.median(apart):.2f}")


def process(session, setting):
    """Measure the whole process of `fastnn attack`, and that of a PyTorch script."""
    about = {"goal": PROCESS, "text": PROCESS.text, "kind": session.kind}
    if session.left() < 60:
        return session.add(Outcome(**about, found="no time was left"))
    rounds = 2 if session.args.quick else 9
    try:
        ours, scripts = commands(setting, session.args.data, session.folder)
        if session.args.quick:
            scripts = {name: scripts[name] for name in scripts if "1,000" in name}
        times, megabytes, trial = compare(ours, scripts, rounds, session.report)
    except (OSError, ChildProcessError) as error:
        return session.add(Outcome(**about, found=str(error)))
    best = min((name for name in times if name in scripts), key=lambda name: np.median(times[name]))
    found = judge(PROCESS, session.kind, times["ours"], times[best], times["twin"], best)
    facts = {"times": times, "trial": trial, "megabytes": megabytes}
    session.add(Outcome(**about, found=found, facts=facts))
    memory = np.array([[megabytes["ours"]]])
    found = judge_level(PEAK_MEMORY, session.kind, memory, "", at_most=True)
    session.add(Outcome(goal=PEAK_MEMORY, text=PEAK_MEMORY.text, kind=session.kind, found=found))
    return session.say(f"  peak memory of the script: {megabytes[best]:.0f} MB")


def peak_share(session):
    """Compare the dense work of clean and FGSM accuracy with the peak, if it was measured."""
    key = Key("accuracy", 10_000, str(Form(FAST, session.args.threads)), session.args.threads)
    timing = session.measurement.timings.get(key)
    if timing is None:
        return
    job = make_job("accuracy", session.measurement.setting, 10_000)
    shares = job.flops / 1e9 / np.asarray(timing.seconds) / session.ceilings.peak_float32
    found = judge_level(PEAK, session.kind, shares, "")
    session.add(Outcome(goal=PEAK, text=PEAK.text, kind=session.kind, found=found))


def answers(session):
    """Count correct images at eps 0.1, 0.2 and 0.3, clipped, with every implementation."""
    forms = [Form(label, session.args.threads) for label in ANSWERS]
    # No round is timed: a process computes its answer when it prepares the job.
    measurement, at = session.measurement.again(), [SWEEP.index(eps) for eps in (0.1, 0.2, 0.3)]
    measurement.run(
        [form.subject() for form in forms],
        [("sweep", 10_000)],
        Effort(1, (0, 0), 0),
        report=session.report,
    )
    truth = make_job("sweep", measurement.setting, 10_000).truth(session.folder)[0]
    session.counts = {"float64, residual that does not cancel": [int(truth[i]) for i in at]}
    for form in forms:
        timing = measurement.timings.get(Key("sweep", 10_000, str(form), form.threads))
        if timing is not None:
            session.counts[form.peer] = [int(timing.answer[i]) for i in at]
    session.say(answers_table(session.counts))


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", default="", metavar="WORD", help="only claims with it in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times, too")
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="another network")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--quick", action="store_true", help="a sample, in under five minutes")
    parser.add_argument(
        "--isa", choices=("native", "avx2"), default="native", help="avx2: as an AVX2 machine"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the claims")
    return parser.parse_args(arguments)


def main(arguments=None):
    started = time.monotonic()
    args = parse(arguments)
    if args.list:
        print("\n".join(goal.name for goal in (*CLAIMS, PRODUCT, PROCESS)), "answers", sep="\n")
        return 0
    if args.isa == "avx2":
        kinds.restart_as_avx2()
    if args.json is not None:
        require_file_place(args.json)
    chosen = [claim for claim in CLAIMS if args.k in claim.name]
    with tempfile.TemporaryDirectory() as name:
        session = Session(args, Path(name), started)
        session.say("\n".join(session.first_lines()))
        setting = make_setting(args.weights, args.data)
        session.source, session.measurement = setting.source, Measurement(setting, session.folder)
        session.say(f"{setting.source}\n\n{HEADING}")
        session.report("ceilings")
        before = measure_ceilings(args.threads)
        if args.k in PRODUCT.name:
            product(session)
        run_contests(session, chosen)
        if args.k in PROCESS.name:
            process(session, setting)
        session.ceilings = before.highest(measure_ceilings(args.threads))
        peak_share(session)
        if args.k in "answers" and not args.quick:
            answers(session)
        session.write()
    last_lines(session, chosen)
    return int(any(outcome.missed for outcome in session.outcomes))


def last_lines(session, chosen):
    """Print the footnotes, and what was left out."""
    lines = [outcome.line() for outcome in session.outcomes]
    notes = [FOOTNOTE] if any("? " in line for line in lines) else []
    if any("one at a time*" in line for line in lines):
        notes.append("* timed on 1,000 images")
    restless = session.measurement.restless
    if restless:
        notes.append(f"still busy when others had their turn: {', '.join(sorted(restless))}")
    left = [claim.name for claim in chosen if claim.quick is None]
    left += ["answers"] if session.args.k in "answers" else []
    if session.args.quick and left:
        text = f"--quick left out {len(left)} of the claims: {', '.join(left)}"
        notes += textwrap.wrap(text, 120, subsequent_indent="  ", break_on_hyphens=False)
    print("\n".join(["", *notes]))


if __name__ == "__main__":
    sys.exit(main())
