"""A few rows: all threads share the products, and nothing of the result depends on that."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import MLP, reference
from fastnn._engine import fused, narrow
from fastnn._engine.crews import crews
from fastnn._engine.fused import FusedSteps
from fastnn._runtime.team import Team

SIZES = (20, 300, 140, 5)


@pytest.fixture(autouse=True)
def _share_everything(monkeypatch):
    monkeypatch.setattr(narrow, "_WORTH_SHARING", 0)
    monkeypatch.setattr(narrow, "_WORTH_A_HELPER", 1)
    monkeypatch.setattr(fused, "_WORTH_SHARING", 0)


@pytest.fixture
def shared_products(monkeypatch):
    """Return the list of all products that are shared."""
    made = []
    for name in ("multiply", "multiply_back", "multiply_back_and_step"):
        real = getattr(narrow.SharedProducts, name)

        def noted(self, a, which, *more, name=name, real=real, **options):
            weights = self._net.weights[which] if isinstance(which, int) else which
            made.append((name, len(a), weights.shape))
            return real(self, a, which, *more, **options)

        monkeypatch.setattr(narrow.SharedProducts, name, noted)
    return made


@pytest.mark.parametrize("rows", [1, 2, 9, narrow.PANELS_FROM, narrow.MOST_ROWS])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_passes_are_the_references(make_net, rng, activation, rows, threads):
    net = make_net(SIZES, activation, np.float64)
    x, labels = rng.normal(size=(rows, 20)), rng.integers(0, 5, rows)
    parameters = net.weights, net.biases
    with fastnn.threads(threads):
        logits, gradient = net.logits(x), net.input_gradient(x, labels)
        slopes = net.gradients(x, labels)
    every = [reference.gradients(*parameters, *p, activation) for p in zip(x, labels, strict=True)]
    for i in range(3):
        mean = np.mean([weights[i] for weights, _ in every], axis=0)
        np.testing.assert_allclose(slopes.weights[i], mean, rtol=1e-10, atol=1e-12)
    for i in range(0, rows, 7):
        z = reference.logits(*parameters, x[i], activation)
        np.testing.assert_allclose(logits[i], z, rtol=1e-11, atol=1e-12)
        g = reference.input_gradient(*parameters, x[i], labels[i], activation)
        np.testing.assert_allclose(gradient[i], g, rtol=1e-10, atol=1e-12)


def test_only_a_few_rows_share(rng, shared_products):
    net = MLP.random(SIZES, rng=rng)
    x = rng.random((narrow.MOST_ROWS + 1, 20), np.float32)
    net.logits(x)
    assert shared_products == []
    net.logits(x[1:])
    # The last layer is narrower than a vector.
    expected = [("multiply", len(x) - 1, shape) for shape in ((20, 300), (300, 140))]
    assert shared_products == expected


def test_results_do_not_depend_on_the_number_of_threads(rng, activation):
    net = MLP.random(SIZES, activation, rng=rng)
    x, labels = rng.random((50, 20), np.float32), rng.integers(0, 5, 50)

    def everything():
        trained = net.astype(np.float32)
        settings = {"batch_size": 16, "learning_rate": 0.1, "momentum": 0.9}
        fastnn.train(trained, x, labels, epochs=2, **settings)
        report = fastnn.adversarial_accuracy(net, x, labels, [0.1, 0.2], bounds=(0, 1))
        return (
            *trained.weights,
            *trained.biases,
            net.logits(x),
            net.input_gradient(x, labels),
            fastnn.fgsm(net, x, labels, 0.1),
            report.adversarial_prediction,
        )

    with fastnn.threads(1):
        alone = everything()
    for threads in (2, 5):
        with fastnn.threads(threads):
            for found, expected in zip(everything(), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_small_batches_take_fused_steps(rng, shared_products):
    net = MLP.random(SIZES, rng=rng)
    x, labels = rng.random((32, 20), np.float32), rng.integers(0, 5, 32)
    fastnn.train(net, x, labels, epochs=1, batch_size=16, learning_rate=0.1)
    steps = [shape for name, _, shape in shared_products if name == "multiply_back_and_step"]
    assert steps == 2 * [(300, 140), (20, 300)]


@pytest.mark.parametrize("threads", [1, 3])
def test_weights_of_many_products_are_packed_once(rng, threads):
    """From then on the weights themselves are not read any more."""
    rows, sizes = narrow.PANELS_FROM + 1, (150, 300, 140, 5)  # no product is too narrow for panels
    net = MLP.random(sizes, rng=rng, dtype=np.float64)
    shared = narrow.SharedProducts(net, rows)
    kept = [weights.copy() for weights in net.weights]
    with Team(threads), shared.on(threads):
        for use in range(narrow.KEEP_FROM + 2):
            for i, weights in enumerate(kept[:2]):
                if use == narrow.KEEP_FROM:
                    net.weights[i].flags.writeable = True
                    net.weights[i][:] = np.nan
                a, g = rng.normal(size=(rows, len(weights))), rng.normal(size=(rows, sizes[i + 1]))
                out, back = np.empty_like(g), np.empty_like(a)
                shared.multiply(a, i, out)
                shared.multiply_back(g, i, back, None)
                np.testing.assert_allclose(out, a @ weights, rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(back, g @ weights.T, rtol=1e-9, atol=1e-9)


def test_weights_that_move_or_have_few_rows_are_read_as_they_are(rng):
    net = MLP.random(SIZES, rng=rng)
    for rows, steps in ((narrow.PANELS_FROM, True), (narrow.PANELS_FROM - 1, False)):
        shared = narrow.SharedProducts(net, rows, steps=steps)
        a, out = np.ones((rows, 20), np.float32), np.empty((rows, 300), np.float32)
        with shared.on(1):
            assert shared.fit(rows, 300)
            for _ in range(2 * narrow.KEEP_FROM):
                shared.multiply(a, 0, out)
        assert not shared._panels


def test_without_momentum_no_velocity_is_kept(rng):
    net = MLP.random(SIZES, rng=rng)
    for momentum, rows in ((0.0, [0, 0, 0]), (0.5, [20, 300, 140])):
        steps = FusedSteps(net, 4, learning_rate=0.1, momentum=momentum, l2=0.0)
        assert [len(v) for v in steps._velocities] == rows


def test_an_error_in_the_block_lets_the_helpers_go(rng):
    net = MLP.random(SIZES, rng=rng)
    shared = narrow.SharedProducts(net, 4)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), Team(3), shared.on(3):
            1 / 0  # noqa: B018
    assert crews.at_work == 0
    x = rng.random((4, 20), np.float32)
    out = np.empty((4, 300), np.float32)
    with Team(2), shared.on(2):
        assert crews.at_work
        shared.multiply(x, 0, out)
    np.testing.assert_allclose(out, x @ net.weights[0], rtol=1e-5, atol=1e-6)


def test_a_network_that_is_small_has_no_helpers(monkeypatch, rng):
    monkeypatch.undo()
    small, large = MLP.random((4, 8, 3), rng=rng), MLP.random((784, 2048, 512, 10), rng=rng)
    assert narrow.worth_threads(small, narrow.MOST_ROWS, 8) == 1
    assert narrow.worth_threads(large, 10, 8) == 8
    assert narrow.worth_threads(large, 1, 8) == 3
    assert narrow.worth_threads(large, 1, 2) == 2
    for net, helped in ((small, False), (large, True)):
        steps = FusedSteps(net, 10, learning_rate=0.1, momentum=0.0, l2=0.0)
        with Team(2) as team, steps.on(team):
            assert bool(crews.at_work) is helped


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_does_not_wait_for_a_thread_that_was_inside_when_it_was_forked():
    script = """
import os, signal
import numpy as np
from fastnn import MLP
from fastnn._engine import narrow
from fastnn._kernels import narrow_jobs
from fastnn._runtime.team import Team

net = MLP.random((20, 300))
a, out = np.ones((2, 20), np.float32), np.zeros((2, 300), np.float32)
shared = narrow.SharedProducts(net, 2)
assert shared.fit(2, 300)
with Team(2), shared.on(2):
    shared.multiply(a, 0, out)
    shared._board[narrow_jobs._INSIDE] = 1  # a thread that is late
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        shared.multiply(a, 0, out)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    shared._board[narrow_jobs._INSIDE] = 0
print(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout == "0\n"
