"""DeepFool, the minimal-norm search, Square, and several attacks in turn."""

import re

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy
from fastnn.attacks import (
    APGD,
    ATTACKS,
    FGSM,
    PGD,
    DeepFool,
    InTurn,
    MinimalNorm,
    Square,
    Standard,
)

# Quick forms of all attacks that take part in what any attack must keep.
QUICK = {
    "fgsm": FGSM(),
    "pgd": PGD(5),
    "pgd l2": PGD(5, norm="l2"),
    "apgd": APGD(8),
    "apgd dlr": APGD(8, "dlr-targeted"),
    "deepfool": DeepFool(5, norm="linf"),
    "minimal norm": MinimalNorm(steps=4, halvings=4),
    "square": Square(30),
    "in turn": InTurn((FGSM(), PGD(3), Square(10))),
}


@pytest.fixture
def net(make_net):
    return make_net((16, 33, 17, 10), "tanh", np.float64)


@pytest.fixture
def samples(rng, net):
    x = rng.random((50, 16))
    labels = net.predict(x)
    labels[::7] = rng.integers(0, 10, len(labels[::7]))
    return x, labels


@pytest.fixture
def linear(rng):
    """Return a network of two classes without hidden layers, and samples of their own classes."""
    net = MLP([rng.normal(size=(12, 2))], [rng.normal(size=2)])
    x = rng.normal(size=(50, 12))
    return net, x, net.predict(x)


# --- what every attack keeps


@pytest.mark.parametrize("attack", QUICK.values(), ids=QUICK)
def test_results_are_within_eps_and_bounds_and_a_copy_without_a_budget(net, samples, attack):
    x, labels = samples
    found = attack.perturb(net, x, labels, 0.125, (0, 1))
    change = np.abs(found - x)
    sizes = (
        change.max(axis=1)
        if getattr(attack, "norm", "") != "l2"
        else np.linalg.norm(change, axis=1)
    )
    assert sizes.max() <= 0.125 * (1 + 1e-15)
    assert found.min() >= 0
    assert found.max() <= 1
    alone = attack.perturb(net, x, labels, 0, (0, 1))
    np.testing.assert_array_equal(alone, x)
    assert not np.shares_memory(alone, x)


@pytest.mark.parametrize("attack", QUICK.values(), ids=QUICK)
def test_rows_depend_on_themselves_alone(net, samples, attack):
    x, labels = samples
    found = attack.perturb(net, x, labels, 0.1, rng=4)
    order = np.arange(len(x))[::-1].copy()
    turned = attack.perturb(net, x[order], labels[order], 0.1, rng=(4, order))
    np.testing.assert_allclose(turned, found[order], rtol=1e-6, atol=1e-9)
    alone = attack.perturb(net, x[11], labels[11], 0.1, rng=(4, 11))
    np.testing.assert_allclose(alone, found[11], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("attack", QUICK.values(), ids=QUICK)
def test_counts_are_those_of_the_inputs_and_never_above_clean(net, samples, attack):
    x, labels = samples
    report = adversarial_accuracy(net, x, labels, [0.02, 0.1, 0], (0, 1), attack=attack)
    for eps, correct in zip((0.02, 0.1), report.adversarial_correct, strict=False):
        found = net.predict(attack.perturb(net, x, labels, eps, (0, 1)))
        assert correct == np.count_nonzero(found == labels)
    assert report.adversarial_correct[2] == report.clean_correct
    if attack != QUICK["fgsm"]:
        assert report.adversarial_correct.max() <= report.clean_correct


@pytest.mark.parametrize("attack", QUICK.values(), ids=QUICK)
def test_targets(net, samples, attack):
    x, labels = samples
    targets = (labels + 3) % 10
    report = adversarial_accuracy(net, x, labels, 0.4, attack=attack, targets=targets)
    found = net.predict(attack.perturb(net, x, labels, 0.4, targets=targets))
    np.testing.assert_array_equal(report.adversarial_prediction == targets, found == targets)


def test_every_name_on_the_list_makes_an_attack(net, samples):
    x, labels = samples
    for name in set(ATTACKS) - {"standard", "square", "apgd"}:
        report = adversarial_accuracy(net, x, labels, 0.05, attack=name)
        assert report.adversarial_correct <= report.clean_correct


# --- DeepFool


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_deepfool_goes_to_the_boundary_of_a_linear_network(linear, norm):
    net, x, labels = linear
    z, way = net.logits(x), net.weights[0][:, 1] - net.weights[0][:, 0]
    dual = np.linalg.norm(way) if norm == "l2" else np.abs(way).sum()
    distance = np.abs(z[:, 1] - z[:, 0]) / dual
    found = DeepFool(1, overshoot=0.02, norm=norm).perturb(net, x, labels, 100)
    assert (net.predict(found) != labels).all()
    order = 2 if norm == "l2" else np.inf
    np.testing.assert_allclose(np.linalg.norm(found - x, axis=1, ord=order), 1.02 * distance)


def test_deepfool_takes_the_nearest_of_many_classes(rng):
    net = MLP([rng.normal(size=(12, 6))], [rng.normal(size=6)])
    x = rng.normal(size=(40, 12))
    labels = net.predict(x)
    z, w = net.logits(x), net.weights[0]
    distances = np.array(
        [
            [
                np.inf
                if k == label
                else (row[label] - row[k]) / np.linalg.norm(w[:, k] - w[:, label])
                for k in range(6)
            ]
            for row, label in zip(z, labels, strict=True)
        ]
    )
    found = DeepFool(1, overshoot=1e-6).perturb(net, x, labels, 100)
    np.testing.assert_allclose(np.linalg.norm(found - x, axis=1), distances.min(axis=1), rtol=1e-5)


def test_deepfool_crosses_a_boundary_at_which_bounds_stop_it():
    """Of two inputs, the steeper one is at its bound: half of every step is cut."""
    net = MLP([np.array([[2.0, -2.0], [1.0, -1.0]])], [np.array([-0.5, 0.5])])
    x = np.array([[0.0, 0.9]])
    found = DeepFool(60).perturb(net, x, [0], 1, (0, 1))
    assert net.predict(found) != 0
    assert found[0, 0] == 0
    assert found[0, 1] == pytest.approx(0.5, abs=1e-3)


def test_deepfool_leaves_what_is_wrong_already(net, samples):
    x, labels = samples
    wrong = net.predict(x) != labels
    assert wrong.any()
    np.testing.assert_array_equal(DeepFool().perturb(net, x, labels, 1)[wrong], x[wrong])


# --- minimal norm


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_minimal_norm_of_a_linear_network_is_margin_over_dual_norm(linear, norm):
    net, x, labels = linear
    z, way = net.logits(x), net.weights[0][:, 1] - net.weights[0][:, 0]
    dual = {"linf": np.abs(way).sum(), "l2": np.linalg.norm(way), "l1": np.abs(way).max()}[norm]
    distance = np.abs(z[:, 1] - z[:, 0]) / dual
    found = MinimalNorm(norm, steps=10, halvings=14).perturb(net, x, labels, 10)
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    sizes = np.linalg.norm(found - x, axis=1, ord=order)
    assert (net.predict(found) != labels).all()
    assert (sizes >= distance * (1 - 1e-9)).all()
    assert (sizes <= distance * 1.02 + 1e-3).all()


def test_no_smaller_change_is_kept_that_does_not_fool(net, samples):
    x, labels = samples
    attack = MinimalNorm(steps=6, halvings=6)
    found = attack.perturb(net, x, labels, 0.2)
    strong = PGD(6, random_start=False).perturb(net, x, labels, 0.2)
    fooled = net.predict(found) != labels
    np.testing.assert_array_equal(fooled, net.predict(strong) != labels)
    assert (np.abs(found - x).max(axis=1) <= np.abs(strong - x).max(axis=1) + 1e-12)[fooled].all()
    assert (np.abs(found - x).max(axis=1) < 0.15)[fooled].any()


# --- Square


def test_square_changes_squares_by_eps(rng):
    net = MLP.random((36, 20, 4), rng=3, dtype=np.float64)
    x = np.full((20, 36), 0.5)
    found = Square(40).perturb(net, x, net.predict(x), 0.1)
    np.testing.assert_allclose(np.abs(found - x), 0.1)


def test_more_queries_do_not_harm_and_it_needs_no_gradient(net, samples):
    """Behind a step function that is nearly flat, gradients are nearly zero, and say nothing."""
    x, labels = samples
    counts = [
        adversarial_accuracy(net, x, labels, 0.15, attack=Square(n)).adversarial_correct
        for n in (1, 200)
    ]
    assert counts[1] < counts[0]
    flat = MLP(
        [1e4 * net.weights[0], *net.weights[1:]], [1e4 * net.biases[0], *net.biases[1:]], "sigmoid"
    )
    labels = flat.predict(x)
    white, black = (
        adversarial_accuracy(flat, x, labels, 0.2, attack=attack).adversarial_correct
        for attack in (FGSM(), Square(200))
    )
    assert black < white


def test_inputs_of_any_width_can_be_searched(rng):
    for width in (1, 7, 16):
        net = MLP.random((width, 9, 3), rng=1)
        x = rng.random((5, width)).astype(np.float32)
        found = Square(10).perturb(net, x, net.predict(x), 0.1, (0, 1))
        assert np.abs(found - x).max() <= np.float32(0.1)


# --- in turn


def test_what_is_fooled_is_left_in_peace_and_the_first_is_named(net, samples):
    x, labels = samples
    seen = []

    class Noting(PGD):
        def _run(self, standing, number, *, all_steps):
            seen.append(standing.tile.numbers.tolist())
            super()._run(standing, number, all_steps=all_steps)

    attacks = (FGSM(), Noting(5), Noting(5, random_start=False))
    report = adversarial_accuracy(net, x, labels, 0.05, attack=list(attacks))
    after = net.predict(FGSM().perturb(net, x, labels, 0.05)) == labels
    assert sorted(seen[0]) == np.flatnonzero(after).tolist()
    assert set(seen[1]) <= set(seen[0])
    origins, fooled = report.traces, report.adversarial_prediction != labels
    np.testing.assert_array_equal(origins[:, 0] == 0, ~after)
    assert ((origins == -1).all(axis=1) == ~fooled).all()
    assert set(origins[:, 0]) <= {-1, 0, 1, 2}
    # In a batch, the attacks in turn are those of each tile.
    moved = InTurn(attacks).perturb(net, x, labels, 0.05)
    np.testing.assert_array_equal(net.predict(moved) != labels, fooled)


def test_what_stands_is_cut_into_new_tiles(make_net, rng):
    """Of several tiles, what is left goes to the next attack as one."""
    net = make_net((20, 33, 10), "relu", np.float32)
    x = rng.random((900, 20)).astype(np.float32)
    labels = net.predict(x)
    heights = []

    class Noting(PGD):
        def _run(self, standing, number, *, all_steps):
            heights.append(len(standing.rows))
            super()._run(standing, number, all_steps=all_steps)

    eps = [0.01, 0.06]
    reports = [
        adversarial_accuracy(
            net, x, labels, eps, attack=["fgsm", Noting(3)], threads=n, keep_adversarial=True
        )
        for n in (1, 2)
    ]
    left = adversarial_accuracy(net, x, labels, eps).adversarial_correct
    assert len(heights) < 2 * 2 * 7  # 900 rows are seven tiles, twice two eps
    assert sum(heights) == 2 * left.sum()
    assert reports[0].adversarial_correct.tolist() == reports[1].adversarial_correct.tolist()
    np.testing.assert_array_equal(reports[0].adversarial, reports[1].adversarial)
    for k in range(2):
        found = net.predict(reports[0].adversarial[k])
        assert reports[0].adversarial_correct[k] == np.count_nonzero(found == labels)


def test_the_worst_of_all_is_at_least_as_bad_as_each(net, samples):
    x, labels = samples
    attacks = [FGSM(), PGD(5), APGD(8)]
    counts = [
        adversarial_accuracy(net, x, labels, 0.04, attack=a).adversarial_correct for a in attacks
    ]
    together = adversarial_accuracy(net, x, labels, 0.04, attack=attacks)
    assert together.adversarial_correct <= min(counts)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_standard_attacks_take_any_number_of_classes(rng, classes):
    net = MLP.random((9, 12, classes), rng=1, dtype=np.float64)
    x = rng.random((6, 9))
    labels = net.predict(x)
    attack = Standard()
    object.__setattr__(
        attack, "attacks", (APGD(5), APGD(5, "dlr-targeted"), MinimalNorm(), Square(20))
    )
    for targets in (None, (labels + 1) % classes):
        report = adversarial_accuracy(net, x, labels, 0.05, attack=attack, targets=targets)
        assert report.adversarial_correct <= report.clean_correct
    assert len(Standard().attacks) == 4
    assert [type(one) for one in Standard("l2").attacks] == [APGD, APGD, MinimalNorm]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeepFool(norm="l1"), "norm must be one of ('l2', 'linf'), got 'l1'"),
        (lambda: DeepFool(overshoot=-1), "overshoot must be finite in float32 and >= 0, got -1.0"),
        (lambda: MinimalNorm("l0"), "norm must be one of ('linf', 'l2', 'l1'), got 'l0'"),
        (lambda: MinimalNorm(halvings=0), "halvings must be at least 1, got 0"),
        (lambda: Square(0), "queries must be at least 1, got 0"),
        (lambda: Square(share=1.5), "share must be at most 1, got 1.5"),
        (lambda: InTurn(()), "attacks in turn need at least one attack"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        make()
