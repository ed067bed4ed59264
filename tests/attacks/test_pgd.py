"""Projected gradient descent: the reference's results, the limits, and what must not change."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import fastnn
from fastnn import MLP, adversarial_accuracy, fgsm, pgd, reference
from fastnn.attacks import FGSM, PGD, IteratedFGSM
from fastnn.attacks._search import Standing, Worst

NORMS = ("linf", "l2", "l1")
EPS = {"linf": 0.1, "l2": 0.4, "l1": 0.8}


@pytest.fixture
def net(make_net, activation, dtype):
    return make_net((20, 33, 17, 10), activation, dtype)


@pytest.fixture
def samples(rng, dtype):
    return rng.random((61, 20)).astype(dtype), rng.integers(0, 10, 61)


def length(change, norm):
    change = np.abs(change.astype(np.float64))
    if norm == "linf":
        return change.max(axis=1)
    return change.sum(axis=1) if norm == "l1" else np.sqrt((change**2).sum(axis=1))


# --- against the formula


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bounds", [None, (0, 1)])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"step_size": 0.07}, {"loss": "dlr"}])
@pytest.mark.parametrize("targeted", [False, True])
def test_the_result_is_the_references(make_net, rng, norm, bounds, settings, targeted):
    net = make_net((20, 33, 17, 10), "tanh", np.float64)
    x, labels = rng.random((9, 20)), rng.integers(0, 10, 9)
    targets = (labels + 1 + rng.integers(0, 9, 9)) % 10 if targeted else None
    attack = PGD(steps=6, norm=norm, random_start=False, **settings)
    found = attack.perturb(net, x, labels, EPS[norm], bounds, targets=targets)
    for i, row in enumerate(x):
        expected = reference.pgd(
            net.weights,
            net.biases,
            row,
            labels[i],
            EPS[norm],
            steps=6,
            norm=norm,
            target=None if targets is None else targets[i],
            bounds=bounds,
            activation="tanh",
            **settings,
        )
        np.testing.assert_allclose(found[i], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("norm", NORMS)
def test_one_step_from_the_input_is_the_fast_gradient(net, samples, norm):
    x, labels = samples
    step = FGSM(norm).perturb(net, x, labels, EPS[norm])
    found = PGD(1, EPS[norm], norm, random_start=False).perturb(net, x, labels, EPS[norm])
    # The better of the step and of the input.
    same = np.isclose(found, step, atol=1e-6).all(axis=1) | (found == x).all(axis=1)
    assert same.all()
    assert (found != x).any()


def test_in_l_infinity_it_passes_the_iterates_of_iterated_fgsm(net, samples):
    x, labels = samples
    last = IteratedFGSM(5, 0.03).perturb(net, x, labels, 0.1)
    worst = PGD(5, 0.03, random_start=False).perturb(net, x, labels, 0.1)

    def margins(inputs):
        z = net.logits(inputs)
        own = z[np.arange(len(z)), labels]
        z[np.arange(len(z)), labels] = -np.inf
        return own - z.max(axis=1)

    assert (margins(worst) <= margins(last) + 1e-5).all()


# --- limits


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_every_result_is_within_eps_and_bounds(net, samples, norm, bounds, dtype):
    x, labels = samples
    eps = EPS[norm]
    found = PGD(5, norm=norm, restarts=2).perturb(net, x, labels, eps, bounds)
    limit = float(dtype(eps))
    change = (
        np.abs(found - x).max(axis=1) if norm == "linf" else length(found.astype(float) - x, norm)
    )
    # The order of a sum is the test's own.
    assert (change <= limit * (1 if norm == "linf" else 1 + 1e-15)).all()
    if bounds:
        assert found.min() >= 0
        assert found.max() <= 1


@pytest.mark.parametrize("eps", [1 / 255, 0.01, 0.03, 8 / 255, 0.1, 0.2, 0.3, 1 / 3, 0.7])
def test_no_pixel_moves_further_than_eps_in_its_own_type(dtype, eps):
    """`x + eps` is rounded: in float32 nearly half of all pixels would move by more than 0.1."""
    x = np.concatenate([np.arange(256) / 255, np.linspace(0, 1, 1000)]).astype(dtype)[None]
    up = MLP(
        [np.stack([-np.ones(x.size), np.ones(x.size)], axis=1).astype(dtype)], [np.zeros(2, dtype)]
    )
    limit = dtype(eps)
    for labels in ([0], [1]):
        for attack in (FGSM(), PGD(3, random_start=False), PGD(3), IteratedFGSM(3)):
            for bounds in (None, (0, 1)):
                change = np.abs(attack.perturb(up, x, labels, eps, bounds) - x)
                assert change.max() <= limit
                if bounds is None and not getattr(attack, "random_start", False):
                    assert change.min() >= limit - np.finfo(dtype).eps
    plain = np.abs((x + limit) - x) > limit
    assert dtype == np.float64 or plain.any()


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_budget_the_result_is_a_copy(net, samples, norm):
    x, labels = samples
    found = PGD(3, norm=norm).perturb(net, x, labels, 0)
    np.testing.assert_array_equal(found, x)
    assert found is not x
    assert not np.shares_memory(found, x)


# --- what must not change


@pytest.mark.parametrize("norm", NORMS)
def test_row_i_of_a_batch_is_row_i_alone(make_net, rng, norm):
    net = make_net((20, 33, 17, 10), "tanh", np.float64)
    x, labels = rng.random((400, 20)), rng.integers(0, 10, 400)
    attack = PGD(4, norm=norm, restarts=2)
    with fastnn.threads(3):
        found = attack.perturb(net, x, labels, EPS[norm], rng=5)
    for i in (0, 17, 399):
        alone = attack.perturb(net, x[i], labels[i], EPS[norm], rng=(5, i))
        np.testing.assert_allclose(alone, found[i], rtol=1e-6, atol=1e-9)
    order = rng.permutation(400)
    turned = attack.perturb(net, x[order], labels[order], EPS[norm], rng=(5, order))
    np.testing.assert_allclose(turned, found[order], rtol=1e-6, atol=1e-9)


def test_another_seed_starts_elsewhere(net, samples):
    attack = PGD(1, 1e-6)
    first, again, other = (attack.perturb(net, *samples, 0.1, rng=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


@pytest.mark.parametrize("norm", NORMS)
def test_an_eps_for_each_row_is_that_of_the_row(net, samples, rng, norm):
    x, labels = samples
    eps = rng.choice([0, 0.05, 0.3], len(x))
    attack = PGD(3, norm=norm)
    found = attack.perturb(net, x, labels, eps)
    for one in (0, 0.05, 0.3):
        rows = np.flatnonzero(eps == one)
        expected = attack.perturb(net, x[rows], labels[rows], one, rng=(0, rows))
        np.testing.assert_allclose(found[rows], expected, rtol=1e-4, atol=1e-5)


# --- counts


@pytest.mark.parametrize("norm", NORMS)
def test_counts_are_those_of_the_inputs(net, samples, norm):
    x, labels = samples
    for attack in (PGD(5, norm=norm), FGSM(norm)):
        report = adversarial_accuracy(net, x, labels, [EPS[norm], 0], attack=attack)
        moved = attack.perturb(net, x, labels, EPS[norm])
        assert report.adversarial_correct[0] == np.count_nonzero(net.predict(moved) == labels)
        assert report.adversarial_correct[1] == report.clean_correct


def test_more_steps_or_restarts_never_raise_a_count(net, samples):
    counts = [
        adversarial_accuracy(net, *samples, 0.05, attack=attack).adversarial_correct
        for attack in (PGD(1, 0.02), PGD(4, 0.02), PGD(4, 0.02, restarts=4))
    ]
    clean = adversarial_accuracy(net, *samples, 0.05).clean_correct
    assert clean >= counts[0] >= counts[1] >= counts[2]


def test_of_equal_margins_the_input_that_fools_is_kept():
    tile = SimpleNamespace(
        margins=lambda logits: logits[:, 1] - np.delete(logits, 1, axis=1).max(axis=1),
        fooled=lambda logits: logits.argmax(axis=1) != 1,
    )
    worst = Worst.at(np.zeros((1, 1)))
    standing = Standing(tile, np.arange(1), np.ones((1, 1)), worst)
    assert not standing.see(np.array([[0.25]]), np.array([[0.0, 1.0, 1.0]])).any()
    assert standing.see(np.array([[0.5]]), np.array([[1.0, 1.0, 0.0]])).all()
    assert not standing.see(np.array([[0.75]]), np.array([[0.0, 1.0, 1.0]])).any()
    assert (worst.x, worst.fooled, worst.margins) == (0.5, True, 0)
    other = Standing(tile, np.arange(1), np.ones((1, 1)), Worst.at(np.zeros((1, 1))))
    other.see(np.array([[0.25]]), np.array([[0.0, 1.0, 1.0]]))
    other.take(worst)
    assert (other.worst.x, other.worst.fooled) == (0.5, True)


@pytest.mark.parametrize("targeted", [False, True])
def test_the_ratio_needs_enough_classes(targeted):
    net = MLP.random((4, 3 if targeted else 2))
    targets = [1] if targeted else None
    with pytest.raises(ValueError, match=r"loss 'dlr' needs [34] classes or more, got [23]"):
        PGD(loss="dlr").perturb(net, np.ones((1, 4), np.float32), [0], 0.1, targets=targets)


def test_targets_are_reached(make_net, rng):
    net = make_net((20, 33, 10), "relu", np.float32)
    x = rng.random((60, 20)).astype(np.float32)
    labels = net.predict(x)
    targets = (labels + 1) % 10
    found = pgd(net, x, labels, 2.0, targets=targets)
    assert (net.predict(found) == targets).mean() > 0.9
    report = adversarial_accuracy(net, x, labels, 2.0, attack="pgd", targets=targets)
    np.testing.assert_array_equal(
        report.adversarial_prediction == targets, net.predict(found) == targets
    )


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_network_flips_at_its_margin_over_the_dual_norm(rng, norm):
    net = MLP([rng.normal(size=(12, 2))], [rng.normal(size=2)])
    x = rng.normal(size=(50, 12))
    labels = net.predict(x)
    z, way = net.logits(x), net.weights[0][:, 1] - net.weights[0][:, 0]
    dual = {"linf": np.abs(way).sum(), "l2": np.linalg.norm(way), "l1": np.abs(way).max()}[norm]
    flips = np.abs(z[:, 1] - z[:, 0]) / dual
    for attack in (FGSM(norm), PGD(10, norm=norm, random_start=False)):
        for factor, right in ((0.999, True), (1.001, False)):
            moved = attack.perturb(net, x, labels, flips * factor)
            assert ((net.predict(moved) == labels) == right).all()


# --- gradients that do not cancel


@pytest.mark.parametrize("targeted", [False, True])
def test_a_sure_network_is_still_attacked_in_the_right_direction(targeted):
    net = MLP([np.array([[1000, 0, -500], [0, 0, 500]], np.float32)], [np.zeros(3, np.float32)])
    x = np.array([[1, 0]], np.float32)
    targets = [2] if targeted else None
    found = PGD(1, 0.25, random_start=False).perturb(net, x, [0], 0.25, targets=targets)
    expected = [[0.75, 0.25]] if targeted else [[0.75, 0]]
    np.testing.assert_array_equal(found[:, 0], [0.75])
    assert targeted is False or found.tolist() == expected


# --- errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"norm": "l0"}, "norm must be one of ('linf', 'l2', 'l1'), got 'l0'"),
        ({"step_size": 0}, "step_size must be finite in float32 and > 0, got 0.0"),
        ({"loss": "mse"}, "loss must be one of ('ce', 'dlr'), got 'mse'"),
        ({"momentum": -1}, "momentum must be finite in float32 and >= 0, got -1.0"),
        (
            {"restarts": 2, "random_start": False},
            "restarts without a random start would all be the same",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        PGD(**settings)


def test_wrong_goals_are_refused(make_net, rng):
    net, x = make_net((4, 3)), rng.random((3, 4)).astype(np.float32)
    for options, error, message in (
        ({"targets": [0, 1, 1]}, ValueError, r"targets\[0\] is 0, which is the true class"),
        ({"targets": [1, 2]}, ValueError, "targets must have one entry a row: 3 rows, 2 labels"),
        ({"targets": [1, 2, 3]}, ValueError, r"targets\[2\] is 3, outside \[0, 3\)"),
        ({"rng": 0.5}, TypeError, "rng must be an integer, or an integer and sample numbers"),
        ({"rng": (0, [1, 2])}, ValueError, r"rng\[1\] must be one integer for each of 3 rows"),
    ):
        with pytest.raises(error, match=message):
            pgd(net, x, [0, 0, 0], 0.1, **options)
        with pytest.raises(error, match=message):
            adversarial_accuracy(net, x, [0, 0, 0], 0.1, attack="pgd", **options)
    with pytest.raises(ValueError, match="eps must be one number or one for each row: 3 rows, 2"):
        pgd(net, x, [0, 0, 0], [0.1, 0.2])
    assert fgsm(net, x, [0, 0, 0], 0.1).shape == x.shape


# --- functions of the user's


def test_a_function_is_an_attack(net, samples, dtype):
    x, labels = samples
    calls = []

    def lighter(net, x, labels, eps, bounds):
        calls.append((len(x), eps, bounds))
        return np.minimum(x + x.dtype.type(eps) / 2, 1)

    report = adversarial_accuracy(net, x, labels, [0.1, 0.2], (0, 1), attack=lighter)
    assert calls == [(61, 0.1, (0, 1)), (61, 0.2, (0, 1))]
    for k, eps in enumerate((0.1, 0.2)):
        found = net.predict(np.minimum(x + dtype(eps) / 2, 1))
        assert report.adversarial_correct[k] == np.count_nonzero(found == labels)
    pixels = np.arange(5 * 20, dtype=np.uint8).reshape(5, 20)
    seen = []
    adversarial_accuracy(
        net, pixels, labels[:5], 0.1, attack=lambda net, x, *_: seen.append(x) or x
    )
    np.testing.assert_array_equal(seen[0], (pixels / dtype(255)).astype(dtype))


def test_a_function_may_be_one_of_several(net, samples):
    x, labels = samples

    def signed(net, x, labels, eps, bounds):
        return fgsm(net, x, labels, eps, bounds)

    eps = [0.02, 0.1]
    report = adversarial_accuracy(net, x, labels, eps, (0, 1), attack=[signed, PGD(3)])
    expected = adversarial_accuracy(net, x, labels, eps, (0, 1), attack=["fgsm", PGD(3)])
    np.testing.assert_array_equal(report.adversarial_correct, expected.adversarial_correct)
    np.testing.assert_array_equal(report.traces[..., 0], expected.traces[..., 0])
    assert report.attacks == ("signed", "PGD(steps=3)")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: x + x.dtype.type(0.2), ValueError, r"\[0, 0\], further than eps 0.1 from"),
        (
            lambda x: np.where(x == x[3, 2], -1e-3, x).astype(x.dtype),
            ValueError,
            r"\[3, 2\], outside the bounds",
        ),
        (
            lambda x: np.where(x == x[3, 2], np.nan, x).astype(x.dtype),
            ValueError,
            r"returned nan at \[3, 2\]",
        ),
        (lambda x: x[:5], ValueError, r"returned float(32|64) of shape \(5, 20\) for"),
        (lambda x: x.tolist(), TypeError, "returned no array, but list"),
    ],
)
def test_what_a_function_returns_is_checked(net, rng, dtype, wrong, error, message):
    x = (0.05 * rng.random((6, 20))).astype(dtype)
    with pytest.raises(error, match=message):
        adversarial_accuracy(
            net, x, np.zeros(6, int), 0.1, (0, 1), attack=lambda net, x, *_: wrong(x)
        )
