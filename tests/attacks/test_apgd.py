"""Auto-PGD: the losses, the checkpoints, the reference's results, and what must not change."""

import re

import numpy as np
import pytest

import fastnn
from fastnn import MLP, adversarial_accuracy, reference
from fastnn.attacks import APGD, PGD, _apgd, _objectives


@pytest.fixture
def samples(rng):
    return rng.random((40, 20)), rng.integers(0, 10, 40)


@pytest.fixture
def net(make_net):
    return make_net((20, 33, 17, 10), "tanh", np.float64)


# --- losses and their gradients by the logits


def slope(value, z, i, j, step=1e-6):
    up, down = z.copy(), z.copy()
    up[i, j] += step
    down[i, j] -= step
    return (value(up)[i] - value(down)[i]) / (2 * step)


@pytest.mark.parametrize("targeted", [False, True])
def test_ratios_and_their_residuals_are_the_formulas(rng, targeted):
    z, labels = rng.normal(0, 3, (30, 7)), rng.integers(0, 7, 30)
    targets = (labels + 1 + rng.integers(0, 6, 30)) % 7

    def both(z):
        if targeted:
            return _objectives.targeted_dlr(z, labels, targets)
        return _objectives.dlr(z, labels)

    values, residual = both(z)
    for i in range(30):
        ordered = np.sort(z[i])[::-1]
        if targeted:
            below, spread = z[i, targets[i]], ordered[0] - (ordered[2] + ordered[3]) / 2
        else:
            below, spread = np.delete(z[i], labels[i]).max(), ordered[0] - ordered[2]
        assert values[i] == pytest.approx(-(z[i, labels[i]] - below) / spread)
        found = [slope(lambda z: both(z)[0], z, i, j) for j in range(7)]
        np.testing.assert_allclose(residual[i] / spread, found, atol=1e-5)
    scaled = both(3 * z + 5)[0]
    np.testing.assert_allclose(scaled, values)


def test_equal_logits_have_a_ratio_of_zero():
    assert _objectives.dlr(np.ones((2, 5)), np.array([0, 3]))[0].tolist() == [0, 0]


def test_the_value_of_the_cross_entropy_rises_with_it_and_does_not_underflow(rng):
    z, labels = rng.normal(0, 3, (50, 6)), rng.integers(0, 6, 50)
    values = _objectives.cross_entropy(z, labels)
    exact = [reference.cross_entropy(row, label) for row, label in zip(z, labels, strict=True)]
    np.testing.assert_allclose(np.log1p(np.exp(values)), exact)
    sure = np.array([[1000.0, 0, 1], [1000.0, 0, 2]])
    first, second = _objectives.cross_entropy(sure, np.zeros(2, int))
    assert first < second < -900


# --- the schedule


def test_checkpoints_are_those_of_the_paper():
    # p: 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99
    assert _apgd._checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert _apgd._checkpoints(1) == ()
    assert all(0 < c < 10 for c in _apgd._checkpoints(10))


# --- against the formula


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr-targeted"])
@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_the_result_is_the_references(net, samples, monkeypatch, norm, loss, bounds):
    x, labels = samples
    eps = {"linf": 0.05, "l2": 0.2}[norm]
    starts = []
    start = _apgd.norms.start

    def noted(tile, *args):
        found = start(tile, *args)
        starts.append(found.copy())
        return found

    monkeypatch.setattr(_apgd.norms, "start", noted)
    found = APGD(12, loss, norm=norm).perturb(net, x, labels, eps, bounds)
    for i in range(0, 40, 5):
        expected = reference.apgd(
            net.weights,
            net.biases,
            x[i],
            labels[i],
            eps,
            steps=12,
            loss=loss,
            norm=norm,
            starts=[every[i] for every in starts],
            bounds=bounds,
            activation="tanh",
        )
        np.testing.assert_allclose(found[i], expected, rtol=1e-6, atol=1e-7)


# --- what must not change, and what it is for


@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr-targeted"])
def test_row_i_of_a_batch_is_row_i_alone(net, samples, loss):
    x, labels = samples
    attack = APGD(8, loss, restarts=2)
    with fastnn.threads(2):
        found = attack.perturb(net, x, labels, 0.1, rng=3)
    alone = attack.perturb(net, x[7], labels[7], 0.1, rng=(3, 7))
    np.testing.assert_allclose(alone, found[7], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_at_least_as_strong_as_fgsm_and_weak_where_there_is_nothing(net, samples, norm):
    eps = {"linf": 0.05, "l2": 0.2}[norm]
    for loss in ("ce", "dlr", "dlr-targeted"):
        attack = APGD(30, loss, norm=norm)
        report = adversarial_accuracy(net, *samples, [eps, 0], attack=attack)
        plain = adversarial_accuracy(net, *samples, eps, attack=fastnn.attacks.FGSM(norm))
        assert report.adversarial_correct[0] <= plain.adversarial_correct
        assert report.adversarial_correct[1] == report.clean_correct


def test_counts_are_those_of_the_inputs(net, samples):
    x, labels = samples
    attack = APGD(10)
    report = adversarial_accuracy(net, x, labels, 0.03, attack=attack)
    found = net.predict(attack.perturb(net, x, labels, 0.03))
    assert report.adversarial_correct == np.count_nonzero(found == labels)


def test_targets_are_aimed_at_by_every_loss(rng):
    net = MLP.random((20, 40, 6), rng=2, dtype=np.float64)
    x = rng.random((30, 20))
    labels = net.predict(x)
    targets = (labels + 2) % 6
    for loss in ("ce", "dlr", "dlr-targeted"):
        found = APGD(40, loss).perturb(net, x, labels, 1.5, targets=targets)
        assert (net.predict(found) == targets).mean() > 0.9


def test_the_scale_of_the_logits_does_not_stop_it(net, samples):
    """A softmax of 1,000 times the logits is 0 or 1, and a gradient `p - one_hot` would be 0."""
    x, labels = samples
    sure = MLP(
        [*net.weights[:-1], 1000 * net.weights[-1]],
        [*net.biases[:-1], 1000 * net.biases[-1]],
        "tanh",
    )
    for attack in (APGD(10), APGD(10, "dlr"), PGD(10)):
        counts = [
            adversarial_accuracy(one, x, labels, 0.05, attack=attack).adversarial_correct
            for one in (net, sure.astype(np.float32), sure)
            if one.dtype == x.dtype
        ]
        assert max(counts) - min(counts) <= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"norm": "l1"}, "norm must be one of ('linf', 'l2'), got 'l1'"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        APGD(**settings)


@pytest.mark.parametrize(("loss", "classes"), [("dlr", 2), ("dlr-targeted", 3)])
def test_too_few_classes_are_refused(loss, classes):
    net = MLP.random((4, classes))
    with pytest.raises(ValueError, match=f"loss '{loss}' needs {classes + 1} classes or more, got"):
        APGD(loss=loss).perturb(net, np.zeros((1, 4), np.float32), [0], 0.1)
