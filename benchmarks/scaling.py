"""What more threads give: a model of `adversarial_accuracy`, fitted on one and two threads.

python benchmarks/scaling.py --data DIR --weights weights

The program measures the parts of calls, fits the model on two sizes, compares it with calls of
other sizes, and says what bounds the speed-up.
"""

import argparse
import contextlib
import functools
import itertools
import os
import time
from collections import defaultdict
from dataclasses import astuple, replace
from pathlib import Path
from unittest import mock

import numpy as np
from scaling_model import Parts, fit

import fastnn
from fastnn import _checks
from fastnn._engine import packed, tiles
from fastnn._runtime.processors import available_threads
from fastnn.attacks import evaluate
from fastnn.bench.machine import machine_info
from fastnn.bench.session import make_setting

FITTED = (2500, 10_000)
CHECKED = (1000, 5000, 60_000)
THREADS = (1, 2, 4, 8, 16, 64)
EPS, UNIT = 0.1, (0.0, 1.0)


def both_clocks():
    return np.array([time.perf_counter(), time.process_time()])


@contextlib.contextmanager
def clocked(**functions):
    """Yield a dict that sums up seconds in functions, each given as its owner and its name.

    An entry is an array of two: the time that passed, and that of all processors together.
    """
    spent = defaultdict(lambda: np.zeros(2))

    def timed(label, function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            start = both_clocks()
            try:
                return function(*args, **kwargs)
            finally:
                spent[label] += both_clocks() - start

        return run

    with contextlib.ExitStack() as stack:
        for label, (owner, name) in functions.items():
            new = timed(label, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, new))
        yield spent


def parts_of_call(net, x, labels, threads):
    """Return the parts of one call, which finds no packed weights, and its counts."""
    timed = clocked(
        check=(_checks, "inputs"),
        compare=(packed, "_fingerprints"),
        fill=(packed, "fill"),
        run=(tiles, "run_tiles"),
    )
    with timed as spent, mock.patch.object(packed, "_kept", []):
        start = time.perf_counter()
        report = evaluate.adversarial_accuracy(net, x, labels, EPS, UNIT, threads=threads)
        total = time.perf_counter() - start
    check, run, pack = spent["check"], spent["run"], spent["compare"] + spent["fill"]
    parts = Parts(total, check[0], pack[0], run[1], total - (check + run + pack)[0])
    return parts, report.adversarial_correct


def measure(net, x, labels, sizes, rounds):
    """Return the least of every part by rows and threads, of calls that take turns."""
    found, counts = {}, {}
    for _ in range(rounds):
        for n, threads in itertools.product(sizes, (1, 2)):
            rows = np.arange(n) % len(x)
            parts, count = parts_of_call(net, x[rows], labels[rows], threads)
            if counts.setdefault(n, count) != count:
                raise ArithmeticError(f"{n} rows: {count} right, and {counts[n]} with others")
            before = found.get((n, threads), parts)
            found[n, threads] = Parts(*map(min, astuple(before), astuple(parts)))
    return found


def seconds_of_lock(n=4000, many=200):
    """Return what a tile costs in Python: of a tiny network, many tiles against two."""
    net, x = fastnn.MLP.random((4, 8, 8, 8, 3)), np.full((n, 4), 0.5, np.float32)

    def best(count):
        cut = [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
        with mock.patch.object(tiles, "tiles", return_value=cut):
            return min(parts_of_call(net, x, np.zeros(n, int), 1)[0].busy for _ in range(15))

    return (best(many) - best(2)) / (many - 2)


def seconds_asleep(model, n, threads):
    """Return how long so many threads take for tiles whose work is to sleep as long as `row` says.

    It needs no processors, so it checks how tiles are dealt to more threads than there are.
    """
    net, x, found = fastnn.MLP.random((4, 3)), np.zeros((n, 4), np.float32), []

    def sleep(ws, _):
        time.sleep(model.row * len(ws.h[0]))

    with mock.patch.object(os, "cpu_count", return_value=threads):  # so many threads stay parked
        for _ in range(5):
            start = time.perf_counter()
            tiles.for_each_tile(net, x, sleep, threads=threads)
            found.append(time.perf_counter() - start)
    return min(found)


def sizes_of_pieces(net):
    """Return the number of entries of all pieces that are packed for an attack."""
    panels = packed.buffers(net, 0)
    return tuple(panels[i, turned][some].size for i, turned, some in packed.pieces(panels))


def line(n, threads, there, predicted):
    return (
        f"{n:7,} {threads:7} {1e3 * there:7.1f} ms {1e3 * predicted:7.1f} ms "
        f"{100 * (predicted / there - 1):+6.1f}%"
    )


def comparison(model, found, sizes):
    """Return lines that compare the model with the measured calls of so many rows."""
    yield f"{'rows':>7} {'threads':>7} {'measured':>10} {'model':>10} {'error':>7}"
    for (n, threads), parts in sorted(found.items()):
        if n in sizes:
            yield line(n, threads, parts.seconds, model.seconds(n, threads))


def prediction(model, n):
    """Return lines with the time of every number of threads, and the share of every term."""
    free = replace(model, shared=0.0)
    names = list(model.terms(n, 1))
    yield f"{n:,} rows, {len(tiles.tiles(n))} tiles"
    heads = " ".join(f"{name:>6}" for name in names)
    yield f"{'threads':>7} {'time':>9} {'speed-up':>8} {'(*)':>5} {heads} binds"
    for threads in THREADS:
        terms, seconds = model.terms(n, threads), model.seconds(n, threads)
        shares = " ".join(f"{100 * terms[name] / seconds:5.1f}%" for name in names)
        yield (
            f"{threads:7} {1e3 * seconds:6.1f} ms {model.seconds(n, 1) / seconds:8.1f} "
            f"{free.seconds(n, 1) / free.seconds(n, threads):5.1f} {shares} "
            f"{model.binding(n, threads) or '-'}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="another network")
    parser.add_argument("--rounds", type=int, default=7, help="the least of so many calls counts")
    args = parser.parse_args()
    if available_threads() < 2:
        raise SystemExit("the model is fitted on two processors, and there is one")
    setting = make_setting(args.weights, args.data)
    net, x, labels = fastnn.MLP(setting.weights, setting.biases), setting.x, setting.labels
    evaluate.warm_up(net, x, labels, EPS, attack="fgsm")
    found = measure(net, x, labels, (*FITTED, *CHECKED), args.rounds)
    fitted = {key: parts for key, parts in found.items() if key[0] in FITTED}
    model = fit(fitted, seconds_of_lock(), sizes_of_pieces(net))
    print(machine_info().processor, setting.source, sep="\n")
    print(
        f"\nrow {1e6 * model.row:.2f} us, shared {100 * model.shared:.1f} % a thread, "
        f"lock {1e6 * model.lock:.0f} us a tile, check {1e9 * model.check:.0f} ns a row, "
        f"pack {1e9 * model.pack:.2f} ns an entry, serial {1e9 * model.serial:.0f} ns a row, "
        f"fixed {1e6 * model.fixed:.0f} us\n"
    )
    print("fitted on", *comparison(model, found, FITTED), sep="\n")
    print("\nchecked on", *comparison(model, found, CHECKED), sep="\n")
    print("\nchecked on tiles that sleep, 10,000 rows: how tiles are dealt to threads")
    dealing = replace(model, shared=0.0)
    for threads in THREADS[1:]:
        terms, there = dealing.terms(10_000, threads), seconds_asleep(model, 10_000, threads)
        print(line(10_000, threads, there, terms["tiles"] + terms["rounds"]))
    for n in (1000, 10_000, 60_000):
        print("", *prediction(model, n), sep="\n")
    print("\n(*) speed-up if bandwidth grows with the processors, so that nothing is shared")


if __name__ == "__main__":
    main()
