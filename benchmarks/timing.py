"""Functions for several benchmarks."""

import time

import pytest
from peers import IMPLEMENTATIONS

from fastnn.bench.protocol import load_implementation

LONG = 1.0  # seconds after which one round is enough


def implementation_or_skip(name):
    """Return the class of that name, or skip with the reason why it cannot be imported."""
    try:
        return load_implementation(IMPLEMENTATIONS[name])
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")


def run_for(benchmark, function, *, seconds=1.0, once=False):
    """Time a compiled function: rounds of at least 5 ms for about so many seconds, or one call."""
    calls = rounds = 1
    if not once:
        start = time.perf_counter()
        function()
        taken = time.perf_counter() - start
        calls = max(1, round(0.005 / taken))
        rounds = 1 if taken > LONG else min(50, max(3, int(seconds / (calls * taken))))
    benchmark.pedantic(function, rounds=rounds, iterations=calls)
