"""The first flip of every sample: the reference's, and what must not change it."""

import re

import numpy as np
import pytest

import fastnn
from fastnn import MLP, adversarial_accuracy, first_flip, reference


@pytest.fixture
def samples(make_net, rng):
    """Return a network, inputs and labels, of which a part is wrong."""
    net = make_net((20, 33, 17, 10), "tanh", np.float64)
    x = rng.random((200, 20))
    labels = net.predict(x)
    labels[::9] = (labels[::9] + 1) % 10
    return net, x, labels


@pytest.mark.parametrize(("bounds", "largest"), [(None, 0.3), ((0, 1), None), ((0, 1), 0.07)])
@pytest.mark.parametrize("tolerance", [0.01, 0.09])
def test_it_is_the_references(samples, bounds, largest, tolerance):
    net, x, labels = samples
    found = first_flip(net, x, labels, bounds, largest=largest, tolerance=tolerance)
    expected = [
        reference.first_flip(
            net.weights,
            net.biases,
            row,
            label,
            largest=largest or 1.0,
            tolerance=tolerance,
            bounds=bounds,
            activation="tanh",
        )
        for row, label in zip(x, labels, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found[::9] == 0).all()
    assert len(set(expected)) > 2


def test_in_float32_it_is_that_of_float64_but_for_ties(samples):
    net, x, labels = samples
    x = x.astype(np.float32)
    found = first_flip(net.astype(np.float32), x, labels, (0, 1), tolerance=0.003)
    expected = first_flip(net, x.astype(float), labels, (0, 1), tolerance=0.003)
    assert (found != expected).mean() < 0.02
    np.testing.assert_allclose(found, expected, atol=0.0031)


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_a_linear_network_flips_at_its_margin(rng, bounds):
    weights = rng.normal(size=(30, 2))
    net = MLP([weights], [rng.normal(size=2)])
    x = 0.5 + 0.05 * (rng.random((300, 30)) - 0.5)
    labels = net.predict(x)
    z = net.logits(x)
    exact = np.abs(z[:, 0] - z[:, 1]) / np.abs(weights[:, 0] - weights[:, 1]).sum()
    near = exact < 0.4  # no bound is in the way
    assert near.sum() > 100
    found = first_flip(net, x, labels, bounds, largest=0.4, tolerance=0.001)
    assert (found[near] >= exact[near]).all()
    assert (found[near] <= exact[near] + 0.001 + 1e-9).all()
    assert np.isinf(found[exact > 0.401]).all()
    for eps in (0.05, 0.2):
        report = adversarial_accuracy(net, x, labels, eps, bounds)
        assert report.adversarial_accuracy == (found > eps + 1e-9).mean()


def test_a_prediction_that_becomes_right_again_has_flipped():
    """The margin is 0.1, -0.1 and 0.1 again at eps 0, 0.2 and 0.4."""
    net = MLP(
        [np.array([[-1.0, -1.0]]), np.array([[0.0, 1.0], [0.0, -2.0]])],
        [np.array([0.5, 0.3]), np.array([0.1 + 0.5 - 0.5, 0.0])],
    )
    # z = (0.1, relu(0.5 - x) - 2 relu(0.3 - x)): at x = 0.5, 0.3, 0.1.
    np.testing.assert_allclose(net.logits([[0.5], [0.3], [0.1]])[:, 1], [0, 0.2, 0], atol=1e-12)
    x = np.array([[0.45]])
    assert fastnn.fgsm(net, x, [0], 0.1) < x
    assert first_flip(net, x, [0], largest=0.5, tolerance=0.01) == pytest.approx(0.06)
    # At 0.05 the logits are equal up to rounding; multiples of 0.4 jump over the wrong part.
    assert np.isinf(first_flip(net, x, [0], largest=0.4, tolerance=0.4))
    assert adversarial_accuracy(net, x, [0], 0.4).adversarial_correct == 1


def test_it_does_not_depend_on_rows_order_or_threads(samples, rng):
    net, x, labels = samples
    found = first_flip(net, x, labels, (0, 1), tolerance=0.02)
    for threads in (1, 3):
        again = first_flip(net, x, labels, (0, 1), tolerance=0.02, threads=threads)
        np.testing.assert_array_equal(again, found)
    order = rng.permutation(len(x))
    turned = first_flip(net, x[order], labels[order], (0, 1), tolerance=0.02)
    np.testing.assert_array_equal(turned, found[order])
    many = first_flip(net, np.tile(x, (4, 1)), np.tile(labels, 4), (0, 1), tolerance=0.02)
    np.testing.assert_array_equal(many, np.tile(found, 4))
    one = first_flip(net, x[5], labels[5], (0, 1), tolerance=0.02)
    assert one.shape == ()
    assert one == found[5]
    assert first_flip(net, x[:0], labels[:0], (0, 1)).shape == (0,)


def test_a_finer_tolerance_never_finds_a_later_flip(samples):
    coarse, fine = (first_flip(*samples, (0, 1), tolerance=t) for t in (0.04, 0.01))
    assert (fine <= coarse + 1e-12).all()


def test_it_takes_pixels(samples):
    net, x, labels = samples
    pixels = np.round(255 * x).astype(np.uint8)
    found = first_flip(net, pixels, labels, (0, 1), tolerance=0.02)
    np.testing.assert_array_equal(
        found, first_flip(net, pixels / 255, labels, (0, 1), tolerance=0.02)
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "first_flip needs bounds, or the largest eps to try"),
        ({"largest": 0}, ValueError, "largest must be finite in float32 and > 0, got 0.0"),
        ({"bounds": (0, 1), "tolerance": 0}, ValueError, "tolerance must be finite in float32"),
        ({"bounds": (0, 1), "tolerance": "x"}, TypeError, "tolerance must be a number, got 'x'"),
        (
            {"largest": 2, "tolerance": 1e-6},
            ValueError,
            "largest 2 is 2,000,000 times the tolerance 1e-06",
        ),
        ({"largest": 1e-60, "tolerance": 1e-60}, ValueError, "tolerance 1e-60 is 0 in float32"),
        ({"bounds": (0, 0.5)}, ValueError, r"x\[\d+, \d+\] is .*outside"),
    ],
)
def test_wrong_settings_are_refused(samples, options, error, message):
    net, x, labels = samples
    with pytest.raises(error, match=message if "\\d" in message else re.escape(message)):
        first_flip(net.astype(np.float32), x.astype(np.float32), labels, **options)
