"""Attack the library: ``python -m tests.hostile --minutes 30``, from the root of the checkout.

Every case has a number, its seed. What breaks is printed with the words that repeat the case alone;
where moments matter, for interrupts and kills, they repeat the call and the delay, and it may take
a few runs. At the end a table; exit status 0 when all held, 1 when something broke.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import secrets
import sys
import time

from tests.hostile._frame import NAMES, Tally, attack, attacker


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="ATTACKER")
    parser.add_argument("--seed", type=int, help="number of the first case; by default a new one")
    parser.add_argument("--minutes", type=float, help="time for all attackers, shared equally")
    parser.add_argument("--count", type=int, help="cases of each attacker")
    parser.add_argument(
        "--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="processes at a time"
    )
    for name in NAMES:
        parser.add_argument(f"--{name}", type=int, metavar="COUNT", help=f"cases of {name}")
    return parser.parse_args(words)


def count_of(args: argparse.Namespace, name: str) -> int | None:
    """Return how many cases an attacker runs, None for as many as the time allows."""
    for asked in (getattr(args, name), args.count):
        if asked is not None:
            return int(asked)
    return None if args.minutes else int(attacker(name).WIDE)


def run(args: argparse.Namespace, tallies: list[Tally]) -> None:
    """Run the attackers that were asked for, one after the other, each with a new tally."""
    seed = secrets.randbelow(10**9) if args.seed is None else args.seed
    print(f"cases from number {seed}", flush=True)
    for name in args.only:
        seeds = iter(itertools.islice(itertools.count(seed), count_of(args, name)))
        share = 60 * args.minutes / len(args.only) if args.minutes else math.inf
        tallies.append(Tally(name))
        attack(tallies[-1], seeds, time.monotonic() + share, args.jobs)


def table(tallies: list[Tally]) -> str:
    """Return how many cases were tried, held and broke."""
    lines = [f"{'attacker':<12}{'tried':>8}{'held':>8}{'broke':>8}{'seconds':>10}"]
    lines += [
        f"{t.name:<12}{t.tried:>8,}{t.tried - t.broke:>8,}{t.broke:>8,}{t.seconds:>10.0f}"
        for t in tallies
    ]
    return "\n".join(lines)


def main() -> int:
    """Attack, print the table, and return the exit status."""
    tallies: list[Tally] = []
    try:
        run(parse(), tallies)
    except KeyboardInterrupt:
        print("interrupted; until then:")
    print(table(tallies))
    return 1 if any(tally.broke for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
