"""Minibatch descent: every step is the reference's, however the batch is cut."""

import numpy as np
import pytest

import fastnn
from fastnn import MLP, reference, train
from fastnn._engine import masked, narrow

SETTINGS = (
    {},
    {"momentum": 0.9},
    {"l2": 0.05},
    {"momentum": 0.5, "l2": 0.01},
)


@pytest.fixture
def samples(rng):
    """Return 137 samples of three classes that a network can tell apart."""
    labels = rng.integers(0, 3, 137)
    return rng.normal(size=(137, 8)) + 2 * np.eye(3, 8)[labels], labels


def parameters(net):
    return [*net.weights, *net.biases]


def steps_of_reference(net, x, labels, batch_size, epochs, rng, learning_rate, **settings):
    """Return the parameters after plain steps, one after another, and the epochs' mean losses."""
    weights, biases, velocity, losses = net.weights, net.biases, None, []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            weights, biases, velocity = reference.sgd_step(
                weights,
                biases,
                x[rows],
                labels[rows],
                net.activation,
                learning_rate=learning_rate,
                velocity=velocity,
                **settings,
            )
        pairs = zip(x, labels, strict=True)
        losses.append(np.mean([reference.loss(weights, biases, *p, net.activation) for p in pairs]))
    return [*weights, *biases], losses


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(s) or "plain")
@pytest.mark.parametrize("batch_size", [1, 32, 137, 1000])  # 137 leaves 9 of 32, all, less
def test_steps_are_the_references(make_net, samples, activation, batch_size, settings):
    net = make_net((8, 7, 5, 3), activation, np.float64)
    rate = 0.01 if activation == "tanh" else 0.05  # its steps of one sample amplify rounding
    expected, losses = steps_of_reference(
        net, *samples, batch_size, 2, np.random.default_rng(5), rate, **settings
    )
    history = train(
        net, *samples, epochs=2, batch_size=batch_size, learning_rate=rate, rng=5, **settings
    )
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(history.train_loss, losses, rtol=1e-11)


def test_batches_of_several_parts_and_tiles_are_the_references(make_net, rng):
    # Parts depend on the number of rows alone.
    net = make_net((4, 3, 2), dtype=np.float64)
    x, labels = rng.normal(size=(1300, 4)), rng.integers(0, 2, 1300)
    expected, _ = steps_of_reference(net, x, labels, 1300, 1, np.random.default_rng(0), 0.5)
    train(net, x, labels, epochs=1, batch_size=1300, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_a_last_batch_smaller_than_the_number_of_parts(make_net, rng):
    # 512 rows are two parts, and one row is left for the next step.
    net = make_net((4, 3, 2), dtype=np.float64)
    x, labels = rng.normal(size=(513, 4)), rng.integers(0, 2, 513)
    expected, _ = steps_of_reference(net, x, labels, 512, 1, np.random.default_rng(0), 0.5)
    train(net, x, labels, epochs=1, batch_size=512, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_steps_on_digits_which_are_mostly_zeros(make_net, activation):
    digits = fastnn.load_mnist(source="sample")
    x, labels = digits.x_train[:70].astype(np.float64), digits.y_train[:70]
    net = make_net((784, 96, 10), activation, np.float64)
    expected, _ = steps_of_reference(net, x, labels, 32, 1, np.random.default_rng(0), 0.1)
    train(net, x, labels, epochs=1, batch_size=32, learning_rate=0.1)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-13)


def test_a_last_batch_below_the_packing_threshold_uses_the_weights_of_its_step(
    make_net, rng, monkeypatch
):
    # The batch before it was packed, and so is the evaluation of the samples after the epoch. The
    # validation samples are again too few.
    monkeypatch.setattr(masked, "_MOST_DENSE", 1.0)
    batch, rows = 2 * masked.PACK_FROM, 2 * masked.PACK_FROM + masked.PACK_FROM // 2
    assert batch > narrow.MOST_ROWS
    net = make_net((20, 64, 3), dtype=np.float64)
    x, labels = rng.normal(size=(rows, 20)), rng.integers(0, 3, rows)
    expected, _ = steps_of_reference(net, x, labels, batch, 2, np.random.default_rng(0), 0.5)
    held_out = x[: masked.PACK_FROM - 1], labels[: masked.PACK_FROM - 1]
    history = train(
        net, x, labels, epochs=2, batch_size=batch, learning_rate=0.5, validation=held_out
    )
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    assert history.val_loss[-1] == pytest.approx(net.loss(*held_out), rel=1e-12)


@pytest.mark.filterwarnings("ignore:the training diverged")
@pytest.mark.parametrize("rows", [5, 130])  # in one part, and in two that are added
def test_parameters_longer_than_a_piece_move_as_a_whole(make_net, rng, rows):
    net = make_net((300, 300, 2), dtype=np.float64)  # 90,000 weights, pieces of 65,536
    x, labels = rng.normal(size=(rows, 300)), rng.integers(0, 2, rows)
    expected, _ = steps_of_reference(net, x, labels, rows, 1, np.random.default_rng(0), 0.5)
    start = net.astype(np.float64)
    train(net, x, labels, epochs=1, batch_size=rows, learning_rate=0.5)
    for found, wanted in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    slopes = sum(start.gradients(x, labels), ())
    for slope, before, after in zip(slopes, parameters(start), expected, strict=True):
        np.testing.assert_allclose(slope, (before - after) / 0.5, rtol=1e-6, atol=1e-10)


def test_float32_follows_float64(make_net, samples, activation):
    x, labels = samples
    wide = make_net((8, 7, 5, 3), activation, np.float64)
    net = wide.astype(np.float32)
    settings = {"epochs": 3, "batch_size": 32, "learning_rate": 0.05, "momentum": 0.5}
    exact = train(wide, x, labels, **settings)
    found = train(net, x.astype(np.float32), labels, **settings)
    assert all(p.dtype == np.float32 for p in parameters(net))
    np.testing.assert_allclose(found.train_loss, exact.train_loss, rtol=1e-4)
    for ours, theirs in zip(parameters(net), parameters(wide), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.filterwarnings("ignore:the training diverged")
def test_a_weight_that_overflows_behind_zeros_is_noticed(make_net, rng):
    """Products leave it out, so that no logit tells."""
    net = make_net((8, 300, 3))
    net.weights[0][5, 7] = 0.5e38
    before = [p.copy() for p in parameters(net)]
    x = rng.random((2 * masked.PACK_FROM, 8)).astype(np.float32)
    x[:, 5] = 0
    labels = rng.integers(0, 3, len(x))
    settings = {"batch_size": len(x), "learning_rate": 1, "l2": 4}  # a factor of -3 a step
    train(net, x, labels, epochs=1, **settings)
    assert np.isfinite(net.weights[0]).all()
    net = MLP(before[:2], before[2:])
    with pytest.raises(FloatingPointError, match=r"diverges: weights\[0\] is not finite"):
        train(net, x, labels, epochs=2, **settings)
    assert abs(net.weights[0][5, 7]) == pytest.approx(1.5e38)
