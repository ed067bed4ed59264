"""Iterated FGSM: the reference's results, the limits of every step, and what must not change."""

import numpy as np
import pytest

from fastnn import adversarial_accuracy, fgsm, reference
from fastnn.attacks import IteratedFGSM


@pytest.fixture
def net(make_net, activation, dtype):
    return make_net((20, 33, 17, 10), activation, dtype)


@pytest.fixture
def samples(rng, dtype):
    return rng.random((61, 20)).astype(dtype), rng.integers(0, 10, 61)


def wide(net, x):
    net = net.astype(np.float64)
    return net.weights, net.biases, x.astype(np.float64)


@pytest.mark.parametrize("bounds", [None, (0, 1)])
@pytest.mark.parametrize("settings", [{}, {"steps": 1}, {"steps": 7, "step_size": 0.04}])
def test_the_result_is_the_references(net, samples, bounds, settings):
    x, labels = samples
    found = IteratedFGSM(**settings).perturb(net, x, labels, 0.1, bounds)
    *parameters, rows = wide(net, x)
    expected = [
        reference.iterated_fgsm(
            *parameters, row, label, 0.1, bounds=bounds, activation=net.activation, **settings
        )
        for row, label in zip(rows, labels, strict=True)
    ]
    # A gradient near 0 may have another sign in float32, in few entries.
    assert np.isclose(found, expected, atol=1e-5).mean() > 0.995


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_one_step_of_eps_is_fgsm(net, samples, bounds):
    attack = IteratedFGSM(steps=1, step_size=0.1)
    found, expected = attack.perturb(net, *samples, 0.1, bounds), fgsm(net, *samples, 0.1, bounds)
    np.testing.assert_array_equal(found, expected)


def test_every_result_is_within_eps_and_bounds(net, samples):
    x, labels = samples
    found = IteratedFGSM(steps=20, step_size=0.3).perturb(net, x, labels, 0.25, (0, 1))
    assert np.abs(found - x).max() <= 0.25 + np.finfo(x.dtype).eps
    assert found.min() == 0
    assert found.max() == 1


def test_it_fools_the_network_more_often_than_one_step(net, samples):
    once, often = (
        adversarial_accuracy(net, *samples, eps=0.1, attack=name)
        for name in ("fgsm", "iterated-fgsm")
    )
    assert often.clean_correct == once.clean_correct
    assert often.adversarial_correct <= once.adversarial_correct


def test_the_counts_are_those_of_the_adversarial_inputs(net, samples):
    x, labels = samples
    attack = IteratedFGSM(steps=5)
    report = adversarial_accuracy(net, x, labels, eps=[0.3, 0, 0.1], bounds=(0, 1), attack=attack)
    for eps, prediction in zip(report.eps, report.adversarial_prediction, strict=True):
        moved = attack.perturb(net, x, labels, eps, (0, 1))
        np.testing.assert_array_equal(prediction, net.predict(moved))


def test_order_and_number_of_rows_and_eps_change_nothing_else(net, samples, rng):
    x, labels = samples
    order = rng.permutation(len(x))
    one = adversarial_accuracy(net, x, labels, eps=0.1, attack="iterated-fgsm")
    turned = adversarial_accuracy(
        net, x[order], labels[order], eps=[0.1, 0.2], attack="iterated-fgsm"
    )
    np.testing.assert_array_equal(
        turned.adversarial_prediction[0], one.adversarial_prediction[order]
    )
    doubled = adversarial_accuracy(
        net, np.repeat(x, 2, 0), np.repeat(labels, 2), eps=0.1, attack="iterated-fgsm"
    )
    np.testing.assert_array_equal(
        doubled.adversarial_prediction, np.repeat(one.adversarial_prediction, 2)
    )


def test_eps_0_returns_the_inputs(net, samples):
    np.testing.assert_array_equal(IteratedFGSM().perturb(net, *samples, 0), samples[0])


def test_the_inputs_are_left_alone(net, samples):
    before = samples[0].copy()
    IteratedFGSM().perturb(net, *samples, 0.1)
    np.testing.assert_array_equal(samples[0], before)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "steps must be an integer, got 1.5"),
        ({"step_size": 0}, ValueError, "step_size must be finite in float32 and > 0, got 0.0"),
        ({"step_size": "a"}, TypeError, "step_size must be a number, got 'a'"),
    ],
)
def test_settings_are_checked(settings, kind, message):
    with pytest.raises(kind, match=message):
        IteratedFGSM(**settings)


def test_settings_cannot_be_changed_past_their_checks():
    attack = IteratedFGSM(steps=3)
    with pytest.raises(AttributeError, match="cannot assign"):
        attack.steps = 0


def test_a_step_that_is_0_in_the_networks_type_is_refused(make_net, rng):
    net, x = make_net((5, 4, 3)), rng.random((2, 5), np.float32)
    attack = IteratedFGSM(step_size=1e-60)
    with pytest.raises(ValueError, match="step_size 1e-60 is 0 in float32"):
        attack.perturb(net, x, [0, 1], 0.1)
    attack.perturb(net.astype(np.float64), x.astype(np.float64), [0, 1], 0.1)
