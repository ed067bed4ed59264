"""Where products that leave zeros out are used, and that they change nothing."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn._engine import masked, narrow
from fastnn._kernels.masked_products import DEPTH
from fastnn._runtime.processors import vector_bytes

ROWS = narrow.MOST_ROWS + 1  # all threads share the products of fewer


def test_digits_are_mostly_zeros(rng):
    digits = fastnn.load_mnist(source="sample").x_test
    assert masked.is_mostly_zeros(digits)
    assert masked.is_mostly_zeros((255 * digits).astype(np.uint8))
    assert masked.is_mostly_zeros(digits[:1])
    assert not masked.is_mostly_zeros(digits[:0])
    dense = rng.random((100, 784), np.float32)
    assert not masked.is_mostly_zeros(dense)
    dense[0] = 0  # one row tells nothing about the others
    assert not masked.is_mostly_zeros(dense)


def spied(monkeypatch):
    """Return the list that the shapes of all products that leave zeros out are appended to.

    None is refused, however few zeros there are.
    """
    shapes, multiply = [], masked.masked_product

    def noted(a, panels, masks, sums, out):
        shapes.append((a.shape[1], out.shape[1]))
        assert multiply(a, panels, masks, sums, out)
        return True

    monkeypatch.setattr(masked, "masked_product", noted)
    monkeypatch.setattr(masked, "_MOST_DENSE", 1.0)
    return shapes


def test_every_wide_product_of_enough_rows_leaves_zeros_out(rng, monkeypatch):
    shapes = spied(monkeypatch)
    net = fastnn.MLP.random((784, 300, 200, 10), rng=rng)
    x, labels = rng.random((ROWS, 784), np.float32), np.arange(ROWS) % 10
    forward, back = [(784, 300), (300, 200)], [(10, 200), (200, 300), (300, 784)]
    net.logits(x)
    assert set(shapes) == set(forward)
    shapes.clear()
    net.input_gradient(x, labels)
    assert set(shapes) == {*forward, *back}
    shapes.clear()
    net.gradients(x, labels)  # nothing flows back to the input
    assert set(shapes) == {*forward, *back[:2]}
    shapes.clear()
    net.input_gradient(x[1:], labels[1:])
    assert not shapes


def test_gradients_leave_out_the_zeros_of_a_small_batch(rng, monkeypatch):
    shapes = spied(monkeypatch)
    net = fastnn.MLP.random((784, 300, 10), rng=rng)
    x, labels = rng.random((50, 784), np.float32), np.arange(50) % 10
    net.gradients(x, labels)
    assert not shapes
    x[:, 100:] = 0
    net.gradients(x, labels)
    assert shapes == [(50, 300)]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("most_dense", [-1.0, 0.3, 1.0])  # nothing, the digits alone, everything
def test_network_gives_the_same_with_and_without(rng, monkeypatch, activation, dtype, most_dense):
    data = fastnn.load_mnist(source="sample")
    x, labels = data.x_test[: ROWS + 3].astype(dtype), data.y_test[: ROWS + 3]
    net = fastnn.MLP.random((784, 160, 10), activation, rng=rng, dtype=dtype)

    def everything():
        return net.logits(x), *net.gradients(x, labels).weights, net.input_gradient(x, labels)

    monkeypatch.setattr(masked, "panels_shape", lambda *_: None)
    monkeypatch.setattr(masked, "is_mostly_zeros", lambda x: False)
    there = everything()
    monkeypatch.undo()
    monkeypatch.setattr(masked, "_MOST_DENSE", most_dense)
    for ours, dense in zip(everything(), there, strict=True):
        scale = float(abs(dense).max())
        tolerance = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(ours, dense, rtol=tolerance, atol=tolerance * scale)


def test_panels_follow_the_weights(rng, monkeypatch):
    """Training packs anew for every step and for the metrics after it: it goes the way of BLAS."""
    x = rng.random((2 * ROWS, 20), np.float32)
    labels = np.arange(len(x)) % 10

    def trained():
        net = fastnn.MLP.random((20, 300, 200, 10), rng=1)
        history = fastnn.train(
            net, x, labels, epochs=3, batch_size=ROWS, learning_rate=0.5, momentum=0.5
        )
        return net, history

    shapes = spied(monkeypatch)
    net, history = trained()
    assert {(20, 300), (300, 200)} < set(shapes)
    monkeypatch.setattr(masked, "panels_shape", lambda *_: None)
    shapes.clear()
    plain, plain_history = trained()
    assert not shapes
    for ours, theirs in zip(net.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(history.train_loss, plain_history.train_loss, rtol=1e-5)
    assert len({round(loss, 4) for loss in history.train_loss}) == 3


ANOTHER_PROCESSOR = """
import dataclasses
import sys

from fastnn._runtime import processors

changed = dataclasses.replace(processors.target(), **eval(sys.argv[1]))
processors.target = lambda: changed
from fastnn._kernels import masked_products
assert repr(masked_products.shape_for(changed)[0:3:2]) == sys.argv[2], changed
assert (masked_products.ROWS, masked_products.DEPTH) == masked_products.shape_for(changed)[0:3:2]
assert masked_products.VECTOR_BYTES == changed.vector_bytes == int(sys.argv[3])
import pytest
sys.exit(pytest.main(sys.argv[4:]))
"""
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"}
NONE = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
LARGE, SMALL = {"first_cache_bytes": 48 << 10}, {"first_cache_bytes": 32 << 10}
# What numba compiles for, what else is said of it, and the shape: rows, depth and vector bytes.
PROCESSORS = {
    "Intel": ({}, {"name": "sapphirerapids"} | LARGE, (2, 64), 64),
    "Intel, small cache": ({}, {"name": "skylake-avx512"} | SMALL, (2, 32), 64),
    "AVX2": (AVX2, LARGE, (1, 64), 32),
    "SSE2": (NONE, LARGE, (1, 64), 16),
    "NEON": (NONE, {"vector_registers": 32} | LARGE, (2, 64), 16),  # its shape, on this processor
}


def run_kernels(command, *options, **environment):
    """Run the tests of the kernels in a process of their own."""
    tests = Path(__file__).parents[1] / "kernels" / "test_masked_products.py"
    done = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider", *options, str(tests)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="for x86 alone")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_kernels_for_other_processors(tmp_path, processor):
    environment, changes, shape, width = PROCESSORS[processor]
    if width > vector_bytes():
        pytest.skip("this processor has no such vectors")
    environment = environment | {"NUMBA_CACHE_DIR": str(tmp_path)}
    arguments = repr(changes), repr(shape), str(width)
    run_kernels(["-c", ANOTHER_PROCESSOR, *arguments], **environment)


def test_kernels_without_the_compiler():
    few = f"test_products_agree_with_dense_ones and float32-{DEPTH + 1}-3"
    run_kernels(["-m", "pytest"], "-k", few, NUMBA_DISABLE_JIT="1")
