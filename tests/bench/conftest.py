"""A small setting, and implementations with planted faults."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fastnn.bench.setting import Setting
from fastnn.networks import MLP

IMPOSTORS = """
import threading
import time
from fastnn.bench.implementations import Numpy


class Wrong(Numpy):
    def logits(self, x):
        return super().logits(x) + 1


class Stuck(Numpy):
    def logits(self, x):
        time.sleep(600)


class Slow(Numpy):
    def logits(self, x):
        time.sleep(0.1)
        return super().logits(x)


def spin(end):
    while time.perf_counter() < end:
        pass


class Spins(Numpy):
    def logits(self, x):
        threading.Thread(target=spin, args=(time.perf_counter() + 1,)).start()
        return super().logits(x)


class Dies(Numpy):
    def logits(self, x):
        raise RuntimeError("out of order")


class Swapped(Numpy):
    def accuracy(self, labels, x, eps, bounds):
        return super().accuracy(x, labels, eps, bounds)
"""


@pytest.fixture
def setting(rng):
    net = MLP.random((784, 16, 10), rng=1)
    x = rng.random((50, 784)).astype(np.float32)
    labels = rng.integers(0, 10, 50)
    return Setting("noise", net.weights, net.biases, x, labels, x, labels)


@pytest.fixture
def impostors(tmp_path):
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "impostors.py").write_text(IMPOSTORS)
    (folder / "absentee.py").write_text("import no_such_library\n")
    return str(folder)


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def importable_benchmarks(monkeypatch):
    """Let a test import the programs in `benchmarks/`, and forget them afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
