"""Where products that leave zeros out are used, and that they change nothing."""

import numpy as np
import pytest

import fastnn
from fastnn import _passes, _sparse


def test_density_decides(rng):
    narrow, wide = 8, 300
    float32 = np.dtype(np.float32)
    digits = fastnn.load_mnist(source="sample").x_test
    assert _sparse.pays(digits, wide, float32)
    assert _sparse.pays((255 * digits).astype(np.uint8), wide, float32)
    assert not _sparse.pays(digits, narrow, float32)
    assert not _sparse.pays(digits[: _sparse.FEWEST_ROWS - 1], wide, float32)
    assert not _sparse.pays(rng.random((100, 784), np.float32), wide, float32)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_network_gives_the_same_with_and_without(rng, monkeypatch, activation):
    data = fastnn.load_mnist(source="sample")
    x, labels = data.x_test[:203], data.y_test[:203]
    net = fastnn.MLP.random((784, 96, 10), activation, rng=rng)
    pays, used = _sparse.pays, []
    monkeypatch.setattr(_passes._sparse, "pays", lambda *a: used.append(pays(*a)) or used[-1])
    here = net.logits(x), *net.gradients(x, labels).weights, net.input_gradient(x, labels)
    assert used == [True] * 3
    monkeypatch.setattr(_passes._sparse, "pays", lambda *a: False)
    there = net.logits(x), *net.gradients(x, labels).weights, net.input_gradient(x, labels)
    for ours, dense in zip(here, there, strict=True):
        scale = float(abs(dense).max())
        np.testing.assert_allclose(ours, dense, rtol=1e-5, atol=1e-5 * scale)
