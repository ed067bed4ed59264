"""What all tests share."""

import signal
import sys
from itertools import pairwise

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that starts from the same seed in every test."""
    return np.random.default_rng(20150)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=["relu", "sigmoid", "tanh"])
def activation(request):
    return request.param


@pytest.fixture
def make_net(rng):
    """Return a function that makes networks with random weights and biases."""

    def make(sizes, activation="relu", dtype=np.float32):
        from fastnn import MLP

        # Sigmoids of small numbers are all alike.
        spread = {"relu": 1, "sigmoid": 4, "tanh": 2}[activation]
        weights = [rng.normal(0, spread * a**-0.5, (a, b)) for a, b in pairwise(sizes)]
        biases = [rng.normal(0, 0.3, b).astype(dtype) for b in sizes[1:]]
        return MLP([w.astype(dtype) for w in weights], biases, activation)

    return make


@pytest.fixture
def in_tiles(monkeypatch):
    """Attack a few rows in tiles, too, as all other attacks do, and not in one kernel."""
    from fastnn.attacks import _batch

    monkeypatch.setattr(_batch, "attack_few", lambda *_: False)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_interrupts():
    """Have SIGINT raise KeyboardInterrupt: a shell's background job starts with it ignored."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.fixture(autouse=True)
def _no_figure_left_open():
    """Close what a test drew through pyplot, which keeps figures for good."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
