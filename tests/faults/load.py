"""Load on one process: ``python -m tests.faults.load --seconds 60``, from the root of the checkout.

Eight Python threads call into one network, each call at random: predictions, gradients, attacks
alone and as sweeps, and trainings on copies. Every result is compared with the one of a call alone,
bit by bit. Meanwhile the processors that the process may use change. Then a thousand calls in a
row, whose memory must not grow. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import fastnn

SLACK = 8 << 20  # bytes of memory that a thousand calls may add after the first hundred


def calls() -> dict[str, Callable[[], bytes]]:
    """Return what a thread may call, by name; each returns its result as bytes."""
    net = fastnn.MLP.random((60, 150, 150, 10), rng=1)  # wide enough for panels
    x = (np.linspace(0, 7, 700 * 60, dtype=np.float32) % 1).reshape(700, 60)
    labels = net.predict(x)
    few = slice(0, 24)  # products that all threads of a call share

    def train() -> Any:
        mine = net.astype(np.float32)
        fastnn.train(mine, x, labels, epochs=1, batch_size=70, learning_rate=0.1)
        return mine.weights[0]

    def attack(some: slice, eps: Any, **options: Any) -> Any:
        found = fastnn.adversarial_accuracy(net, x[some], labels[some], eps, (0, 1), **options)
        return found.adversarial_prediction

    every: dict[str, Callable[[], Any]] = {
        "predict": lambda: net.predict(x),
        "logits of few": lambda: net.logits(x[few]),
        "gradients": lambda: net.input_gradient(x, labels),
        "FGSM": lambda: attack(slice(None), 0.05),
        "sweep": lambda: attack(slice(None), [0.01, 0.05, 0.1]),
        "sweep of few": lambda: attack(few, [0.01, 0.05], threads=2),
        "PGD of few": lambda: attack(few, 0.05, attack=fastnn.attacks.PGD(3)),
        "train": train,
    }

    def as_bytes(call: Callable[[], Any]) -> Callable[[], bytes]:
        return lambda: np.asarray(call()).tobytes()

    return {name: as_bytes(call) for name, call in every.items()}


def under_load(seconds: float, threads: int = 8, *, move: bool = True) -> tuple[int, list[str]]:
    """Call from several threads for some time; return how many calls ended and what was wrong."""
    every = calls()
    expected = {name: call() for name, call in every.items()}
    until, stop = time.monotonic() + seconds, threading.Event()

    def work(number: int) -> tuple[int, list[str]]:
        chosen, done, wrong = random.Random(number), 0, []
        while time.monotonic() < until and not wrong:
            name = chosen.choice(list(every))
            if every[name]() != expected[name]:
                wrong.append(f"{name} in thread {number}")
            done += 1
        return done, wrong

    mover = threading.Thread(target=_move, args=(stop,))
    allowed = _allowed()
    if move and len(allowed) > 1:
        mover.start()
    try:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(work, range(threads)))
    finally:
        stop.set()
        if mover.ident is not None:
            mover.join()
        _put_on(allowed)
    return sum(done for done, _ in found), [text for _, wrong in found for text in wrong]


def _allowed() -> set[int]:
    """Return the processors that this process may use, none where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _move(stop: threading.Event) -> None:
    """Let the process run on one processor, another one, and all again, by turns."""
    allowed = _allowed()
    for places in itertools.cycle([{min(allowed)}, allowed, {max(allowed)}, allowed]):
        _put_on(places)
        if stop.wait(0.05):
            return


def _put_on(places: set[int]) -> None:
    """Let every thread of the process run on these processors."""
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.is_dir() and places else ():
        try:
            os.sched_setaffinity(int(task.name), places)
        except OSError:  # the thread has ended
            continue


def growth(count: int) -> int:
    """Return by how many bytes the memory in use grows from a tenth of so many calls to the end."""
    every = list(calls().values())
    before = 0
    for k in range(count):
        every[k % len(every)]()
        if k == count // 10:
            before = _resident()
    return _resident() - before


def _resident() -> int:
    """Return the bytes of memory in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Run both, print what was held, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    args = parser.parse_args()
    done, wrong = under_load(args.seconds, args.threads)
    print(f"{args.threads} threads for {args.seconds:g} s: {done:,} calls, {len(wrong)} wrong")
    grown = growth(args.calls)
    print(f"{args.calls:,} calls in a row: {grown / 2**20:+.1f} MiB of memory")
    for text in wrong:
        print(f"BROKE  {text}")
    return 1 if wrong or grown > SLACK else 0


if __name__ == "__main__":
    sys.exit(main())
