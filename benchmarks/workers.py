"""What more workers give, and what they send: `adversarial_accuracy` by pools of processes.

python benchmarks/workers.py --weights weights

Pools of one and of two processes, with one thread each, attack the same memory map in turns. The
program prints the seconds per million images (median, and the range of all rounds), the efficiency,
how fast blocks are read, and how many bytes a block sends and returns.
"""

import argparse
import os
import pickle
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from memory import EPS, UNIT, write_rows

import fastnn
from fastnn import _rows
from fastnn.attacks._batch import Batch, Run
from fastnn.attacks._piece import attack_piece, pieces_of
from fastnn.attacks._plan import plan_of
from fastnn.attacks._remote import Task
from fastnn.attacks._store import _packed
from fastnn.bench.machine import machine_info

MANY = (1, 2)


def seconds(call):
    start = time.perf_counter()
    report = call()
    return time.perf_counter() - start, [report.clean_correct, report.adversarial_correct]


def sizes(net, x, labels):
    """Print how many bytes go to a worker and come back for a block."""
    plan = plan_of("fgsm", EPS, UNIT, recount=False, keep=False, lattice=None)
    piece = next(pieces_of(Batch(_rows.samples_of(x, labels), None)))
    outcome = attack_piece(net, plan, piece.read(), Run(1))
    rows = piece.block.rows
    place = Task(
        "0" * 64,
        plan,
        piece._replace(block=piece.block.read()._replace(x=piece.block.x)),
        1,
        1,
        False,
    )
    for what, value in (
        ("a task, with the place of its rows", place),
        ("its rows, where they are sent", piece.read().block.x),
        ("what comes back", outcome),
    ):
        size = len(pickle.dumps(value))
        print(f"{what}: {size:,} bytes, {size / rows:.1f} for an image")
    size = len(_packed(outcome, "0" * 64))
    print(f"a record of a checkpoint: {size:,} bytes, {size / rows:.1f} for an image")
    print(f"the network, once for each worker: {len(pickle.dumps(net)):,} bytes")


def reading(x, labels):
    """Print how fast blocks are read from a file that is in the system's cache."""
    blocks = list(_rows.samples_of(x, labels).blocks())
    start = time.perf_counter()
    size = sum(block.read().x.nbytes for block in blocks)
    rate = size / (time.perf_counter() - start)
    print(f"reading blocks, from the system's cache: {rate / 1e9:.2f} GB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=51_200)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    net = fastnn.load_mlp(args.weights)
    machine = machine_info()
    print(f"{machine.processor}, fastnn {machine.commit}, load {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory() as name:
        write_rows(Path(name), args.rows)
        x, labels = np.load(Path(name, "x.npy"), mmap_mode="r"), np.load(Path(name, "y.npy"))
        sizes(net, x, labels)
        reading(x, labels)
        pools = {many: ProcessPoolExecutor(many) for many in MANY}
        ways = {"this process, 2 threads": {"threads": 2}, "this process, 1 thread": {"threads": 1}}
        ways |= {f"{n} worker(s)": {"threads": 1, "executor": pools[n]} for n in MANY}
        found, counts = {way: [] for way in ways}, set()
        for k in range(args.rounds + 1):
            for way, how in ways.items():
                spent, said = seconds(
                    lambda h=how: fastnn.adversarial_accuracy(net, x, labels, EPS, UNIT, **h)
                )
                counts.add(str(said))
                if k:  # the first one compiles
                    found[way].append(spent / args.rows * 1e6)
        for pool in pools.values():
            pool.shutdown()
    for way, every in found.items():
        print(
            f"{way}: {statistics.median(every):.1f} s for a million images "
            f"[{min(every):.1f}, {max(every):.1f}]"
        )
    if len(counts) != 1:
        raise ArithmeticError(f"the counts differ: {counts}")
    one, two = (statistics.median(found[f"{n} worker(s)"]) for n in MANY)
    print(f"efficiency of two workers: {one / (2 * two):.0%}")
    print(f"load at the end {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
