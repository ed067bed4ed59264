"""How long calls take beside another program on the same processors.

python benchmarks/contention.py --data DIR --weights weights

Each program makes the same call again and again: clean and FGSM accuracy. The table has, for two
that run together, the time of a call of each over its time alone. Two programs that share the
processors fairly take twice as long.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from peers import IMPLEMENTATIONS

from fastnn.bench.jobs import make_job
from fastnn.bench.machine import machine_info
from fastnn.bench.protocol import load_implementation
from fastnn.bench.session import make_setting

PROGRAMS = {"fastnn": "fastnn float32", "torch": "torch", "jax": "jax"}
MOST = 2.2  # times as long as alone
START = 120  # seconds in which a program must be ready
SPARE = 60  # seconds in which it must end, beyond those of the measurement


class Program:
    """A process that waits, makes calls for some seconds, and returns their times."""

    def __init__(self, name, args):
        self.name = name
        place = [] if args.data is None else ["--data", args.data]
        place += [] if args.weights is None else ["--weights", str(args.weights)]
        command = [sys.executable, __file__, "--loop", name, "--rows", str(args.rows), *place]
        self._process = subprocess.Popen(
            [*command, "--seconds", str(args.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self):
        """Wait until it is ready."""
        if self._process.stdout.readline().strip() != "ready":
            raise ChildProcessError(f"{self.name} ended before its first call")

    def go(self):
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def times(self, seconds):
        """Return the seconds of its calls."""
        out, _ = self._process.communicate(timeout=seconds + SPARE)
        return np.array(json.loads(out))

    def kill(self):
        self._process.kill()
        self._process.wait()


def loop(name, setting, rows, seconds):
    """Make calls for some seconds after a line arrives; print the time of each."""
    implementation = load_implementation(IMPLEMENTATIONS[PROGRAMS[name]])
    call = make_job("accuracy", setting, rows).solve(implementation)
    for _ in range(3):
        call()
    print("ready", flush=True)
    sys.stdin.readline()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    print(json.dumps(times))


def together(names, args):
    """Return the median time of a call of each program, all at the same time."""
    programs = [Program(name, args) for name in names]
    try:
        for program in programs:
            program.wait()
        for program in programs:
            program.go()
        return [float(np.median(program.times(args.seconds))) for program in programs]
    finally:
        for program in programs:
            program.kill()


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="another network")
    parser.add_argument("--rows", type=int, default=10_000, help="images of a call")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=PROGRAMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = parse()
    if args.loop:
        loop(args.loop, make_setting(args.weights, args.data), args.rows, args.seconds)
        return 0
    print(f"{machine_info().processor}; {args.rows:,} images a call")
    pairs = [("fastnn", other) for other in PROGRAMS]
    found = {pair: [] for pair in pairs}
    for _ in range(args.rounds):
        alone = {name: together([name], args)[0] for name in PROGRAMS}
        for pair in pairs:
            times = together(pair, args)
            found[pair].append([t / alone[name] for t, name in zip(times, pair, strict=True)])
            print(f"  {' beside '.join(pair)}: {found[pair][-1]}", flush=True)
    worst = 0.0
    for pair, ratios in found.items():
        both = np.median(ratios, axis=0)
        worst = max(worst, *both)
        words = (f"{name} {ratio:.2f}" for name, ratio in zip(pair, both, strict=True))
        print(f"{' beside '.join(pair):20}  times as long as alone: {', '.join(words)}")
    print(f"at most {worst:.2f}; the bar is {MOST}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
