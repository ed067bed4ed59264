"""The width of the vectors, from made-up processors."""

import llvmlite.binding
import pytest

from fastnn._runtime.processors import vector_bytes
from fastnn.bench.machine import machine_info


@pytest.mark.parametrize(
    ("features", "width"),
    [
        ({"avx512f": True, "avx": True}, 64),
        ({"avx512f": False, "avx": True, "sse2": True}, 32),  # the system may forbid the wider ones
        ({"sse2": True}, 16),
        ({"neon": True}, 16),
        ({}, 16),
    ],
)
def test_the_width_follows_the_features(monkeypatch, features, width):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: features)
    assert vector_bytes() == width
    assert machine_info().vector_bits == 8 * width
