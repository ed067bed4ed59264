"""Memory against rows: `adversarial_accuracy` of a memory map of pixels, and of an array.

python benchmarks/memory.py --weights weights --figure benchmarks/figures/memory.png

Each size is measured in a process of its own, which reports the largest memory that it ever had.
The rows are the bundled digits, again and again, each time moved by a few pixels.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn.bench.machine import machine_info

ROWS = (1000, 10_000, 100_000, 1_000_000)
MOST_IN_MEMORY = 100_000
EPS, UNIT = 0.1, (0.0, 1.0)
PROMISED = 400e6  # bytes, for a million rows


def write_rows(folder, rows):
    """Write so many rows of pixels and their labels as .npy files."""
    digits = fastnn.load_mnist(source="sample", dtype="uint8")
    x, labels = digits.x_test, digits.y_test
    shape = {"descr": "|u1", "fortran_order": False, "shape": (rows, x.shape[1])}
    with (folder / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, shape)
        for k, start in enumerate(range(0, rows, len(x))):
            moved = np.roll(x.reshape(-1, 28, 28), (k % 3 - 1, k // 3 % 3 - 1), axis=(1, 2))
            file.write(np.ascontiguousarray(moved[: rows - start]).data)
    np.save(folder / "y.npy", np.resize(labels, rows))


def attack(weights, folder, *, mapped):
    """Attack the rows in a folder, and print counts, seconds and the peak of memory."""
    net = fastnn.load_mlp(weights)
    x = np.load(folder / "x.npy", mmap_mode="r" if mapped else None)
    labels = np.load(folder / "y.npy")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    report = fastnn.adversarial_accuracy(net, x, labels, EPS, UNIT)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    counts = [report.clean_correct, report.adversarial_correct]
    print(json.dumps({"counts": counts, "seconds": seconds, "before": before, "peak": peak}))


def measured(weights, folder, rows, *, mapped):
    """Return what `attack` prints, in a new process."""
    command = [sys.executable, __file__, "--weights", weights, "--attack", folder]
    command += ["--mapped"] if mapped else []
    found = json.loads(subprocess.check_output([str(word) for word in command], text=True))
    kind = "memmap" if mapped else "array"
    print(
        f"{rows:>9,} rows, {kind:<6} {found['peak'] / 1e6:6.0f} MB "
        f"({found['before'] / 1e6:.0f} MB before), {found['seconds']:6.1f} s, {found['counts']}",
        flush=True,
    )
    return found


def draw(path, found):
    """Draw the peaks of memory against rows."""
    from matplotlib.figure import Figure

    from fastnn._drawing import PALETTE
    from fastnn.bench.figures._style import frame

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax = figure.subplots()
    for color, (kind, points) in zip(PALETTE, found.items(), strict=False):
        rows, peaks = zip(*points, strict=True)
        ax.plot(rows, [peak / 1e6 for peak in peaks], "o-", color=color, label=kind)
    ax.axhline(PROMISED / 1e6, color="#8A8A8A", linestyle=":")
    ax.annotate("400 MB", (ROWS[0], PROMISED / 1e6), va="bottom", color="#555555")
    ax.set(xscale="log", xlabel="rows of 784 pixels", ylabel="largest memory of the process, MB")
    ax.set_ylim(0)
    ax.legend(frameon=False)
    frame(ax, "y")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--attack", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mapped", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.attack is not None:
        attack(args.weights, args.attack, mapped=args.mapped)
        return
    machine = machine_info()
    print(f"{machine.processor}, fastnn {machine.commit}")
    found = {"np.memmap": [], "array in memory": []}
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as name:
            write_rows(Path(name), rows)
            one = measured(args.weights, name, rows, mapped=True)
            found["np.memmap"].append((rows, one["peak"]))
            if rows > MOST_IN_MEMORY:
                continue
            other = measured(args.weights, name, rows, mapped=False)
            found["array in memory"].append((rows, other["peak"]))
            if other["counts"] != one["counts"]:
                raise ArithmeticError(f"{rows} rows: {one['counts']} and {other['counts']}")
    if args.figure is not None:
        draw(args.figure, found)


if __name__ == "__main__":
    main()
