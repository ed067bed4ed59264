"""Where products that leave zeros out are used, and that they change nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn._engine import masked, narrow

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

    def noted(a, panels, masks, out):
        shapes.append((a.shape[1], out.shape[1]))
        assert multiply(a, panels, masks, out)
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

    monkeypatch.setattr(masked, "PACK_FROM", len(x) + 1)
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
    monkeypatch.setattr(masked, "PACK_FROM", 10 * len(x))
    shapes.clear()
    plain, plain_history = trained()
    assert not shapes
    for ours, theirs in zip(net.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(history.train_loss, plain_history.train_loss, rtol=1e-5)
    assert len({round(loss, 4) for loss in history.train_loss}) == 3


OTHER_VECTORS = """
import sys
import llvmlite.binding
from fastnn._kernels import elementwise  # numba learns which processor it compiles for

ours = llvmlite.binding.get_host_cpu_features
others = {**ours(), "avx512f": not ours().get("avx512f")}
llvmlite.binding.get_host_cpu_features = lambda: others
from fastnn._kernels import masked_products
llvmlite.binding.get_host_cpu_features = ours
assert masked_products.WIDE is others["avx512f"]
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


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
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout


def test_kernels_for_other_vectors_than_this_processors(tmp_path):
    run_kernels(["-c", OTHER_VECTORS], NUMBA_CACHE_DIR=str(tmp_path))


def test_kernels_without_the_compiler():
    few = "test_products_agree_with_dense_ones and float32-65-3"
    run_kernels(["-m", "pytest"], "-k", few, NUMBA_DISABLE_JIT="1")
