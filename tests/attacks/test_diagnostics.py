"""Diagnostics: for each a network or data that sets it off, and an ordinary one that does not."""

from dataclasses import dataclass

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy
from fastnn.attacks import APGD, FGSM, PGD, Attack, DeepFool, InTurn, MinimalNorm, Square, _signs

ALL = (
    "recount differs",
    "no gradient",
    "saturated",
    "FGSM is stronger",
    "accuracy rises with eps",
    "black box is stronger",
    "loss does not rise",
    "outputs are probabilities",
    "inputs look normalised",
)


def signs(*args, **options):
    found = adversarial_accuracy(*args, **options).diagnostics
    assert [one.name for one in found] == [n for n in ALL if n in {one.name for one in found}]
    for one in found:
        assert one.rows.dtype == np.int64
        assert one.count == len(one.rows) == len(np.unique(one.rows)) > 0
        assert one.text.endswith(".")
        assert "{" not in one.text
    return {one.name: one.rows.tolist() for one in found}


@pytest.fixture
def ordinary(make_net, rng, dtype):
    net = make_net((12, 30, 5), dtype=dtype)
    x = rng.random((60, 12)).astype(dtype)
    return net, x, net.predict(x)


@pytest.mark.parametrize(
    "attack",
    ["fgsm", PGD(20), PGD(10, norm="l2"), APGD(20), MinimalNorm(), [PGD(20), Square(50)], "square"],
)
@pytest.mark.parametrize("eps", [0.05, [0, 0.02, 0.05]])
def test_ordinary_networks_and_data_have_none(ordinary, attack, eps):
    assert signs(*ordinary, eps, (0, 1), attack=attack) == {}


# --- gradients


def dead(dtype):
    """Return a network with one hidden unit, active for inputs above 1/2, and logits 0 and h."""
    return MLP(
        [np.ones((1, 1), dtype), np.array([[0, 1]], dtype)],
        [np.array([-0.5], dtype), np.zeros(2, dtype)],
    )


@pytest.mark.parametrize("attack", ["fgsm", "pgd", Square(3)])
def test_samples_without_a_gradient_are_named(dtype, attack):
    x = np.array([[0.25], [0.75], [0.125], [1.0]] * 50, dtype)
    found = signs(dead(dtype), x, [0, 1, 0, 1] * 50, 0.01, attack=attack)
    assert found["no gradient"] == [i for i in range(200) if i % 4 in {0, 2}]


def test_saturated_samples_are_named(dtype):
    net = MLP([np.array([[1, 0]], dtype)], [np.zeros(2, dtype)])
    x = np.array([[10], [16], [17], [36], [37], [1000], [1000], [-1000]] * 50, dtype)
    labels = [0, 0, 0, 0, 0, 0, 1, 0] * 50
    report = adversarial_accuracy(net, x, labels, 0.1)
    (found,) = report.diagnostics
    sure = {2, 3, 4, 5} if dtype == np.float32 else {4, 5}
    assert found.name == "saturated"
    assert found.rows.tolist() == [i for i in range(400) if i % 8 in sure]
    assert found.count == report.saturated_rows


@pytest.mark.parametrize("classes", [2, 7])
def test_named_and_counted_saturated_samples_agree_at_the_edge(dtype, rng, classes):
    """Leads around the one at which the probability begins to round to 1."""
    edge = -np.log(np.finfo(dtype).eps / 2)
    lead = np.linspace(edge - 3, edge + 3, 3000).astype(dtype)
    net = MLP([np.eye(classes, dtype=dtype)], [np.zeros(classes, dtype)])
    x = (0.1 * rng.random((3000, classes))).astype(dtype)
    labels = rng.integers(0, classes, 3000)
    x[np.arange(3000), labels] += lead
    report = adversarial_accuracy(net, x, labels, 0.1)
    found = next(one for one in report.diagnostics if one.name == "saturated")
    assert found.count == report.saturated_rows
    assert 0 < found.count < 3000


def test_the_same_samples_are_named_for_several_eps(dtype):
    x = np.array([[0.25], [0.75]], dtype)
    found = signs(dead(dtype), x, [0, 1], [0.01, 0.02, 0.1])
    assert found["no gradient"] == [0]


# --- a weak attack


def test_fgsm_that_is_stronger_than_many_steps_is_named(ordinary):
    tiny = PGD(5, step_size=1e-6, random_start=False)
    found = signs(*ordinary, 0.1, attack=tiny)
    net, x, labels = ordinary
    fooled = net.predict(FGSM().perturb(net, x, labels, 0.1)) != labels
    left = net.predict(tiny.perturb(net, x, labels, 0.1)) == labels
    assert found["FGSM is stronger"] == np.flatnonzero(fooled & left).tolist()
    assert found["FGSM is stronger"]


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_fgsm_is_tried_in_the_norm_of_the_attack(ordinary, norm):
    net, x, labels = ordinary
    tiny = PGD(5, step_size=1e-6, random_start=False, norm=norm)
    found = signs(net, x, labels, [0.4, 0.1], (0, 1), attack=tiny)
    fooled = [
        net.predict(FGSM(norm).perturb(net, x, labels, eps, (0, 1))) != labels for eps in (0.4, 0.1)
    ]
    assert found["FGSM is stronger"] == np.flatnonzero(fooled[0] | fooled[1]).tolist()


def test_fgsm_is_tried_for_targets(ordinary):
    net, x, labels = ordinary
    targets = (labels + 1) % 5
    tiny = PGD(5, step_size=1e-6, random_start=False)
    found = signs(net, x, labels, 2, attack=tiny, targets=targets)
    report = adversarial_accuracy(net, x, labels, 2, targets=targets)
    assert found["FGSM is stronger"] == np.flatnonzero(report.fooled).tolist()


@dataclass(frozen=True)
class Idle(Attack):
    """Many steps that lead nowhere."""

    steps: int = 5
    norm: str = "linf"

    def perturb_tile(self, tile, eps):
        return tile.x


@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        (PGD(), "linf"),
        (PGD(norm="l1"), "l1"),
        (PGD(1), None),
        (FGSM(), None),
        (Square(), None),
        (DeepFool(), None),
        (Idle(), "linf"),
        (InTurn((PGD(), Square())), "linf"),
        (InTurn((FGSM(), PGD())), None),
        (InTurn((PGD(), PGD(norm="l2"))), None),
        (MinimalNorm("l2"), "l2"),
    ],
)
def test_when_fgsm_is_tried(attack, norm):
    assert _signs.probe_norm(attack) == norm


def test_an_accuracy_that_rises_with_eps_is_named(dtype):
    """A step of 0.5 from 0.25 leaves the region of class 1 again, which ends at 0.5."""
    net = MLP(
        [np.array([[1, 1]], dtype), np.array([[0, 1], [0, -2]], dtype)],
        [np.array([0, -0.375], dtype), np.array([0.3125, 0], dtype)],
    )
    # z_1 - z_0 is x - 0.3125 up to 0.375, and falls from there: 0 again at 0.4375.
    x = np.array([[0.25], [0.25], [0.05]], dtype)
    labels = [0, 0, 0]
    assert net.predict(x + dtype(0.125)).tolist() == [1, 1, 0]
    for eps in ([0.5, 0.125], [0, 0.125, 0.125, 0.5]):
        found = signs(net, x, labels, eps)
        assert found == {"accuracy rises with eps": [0, 1]}
    assert signs(net, x, labels, [0.125, 0]) == {}
    # As many fall as stand again: the accuracy does not rise.
    assert signs(net, x[1:], labels[1:], [0.125, 0.3125]) == {}


def masked(net):
    """Return a network whose gradients are nearly nowhere: behind steep sigmoids."""
    wide = net.astype(np.float64)
    return MLP(
        [1e4 * wide.weights[0], *wide.weights[1:]],
        [1e4 * wide.biases[0], *wide.biases[1:]],
        "sigmoid",
    )


def test_a_black_box_that_is_stronger_is_named(make_net, rng):
    net = masked(make_net((16, 33, 10), "sigmoid"))
    x = rng.random((50, 16))
    labels = net.predict(x)
    report = adversarial_accuracy(net, x, labels, 0.2, attack=[FGSM(), Square(100), PGD(3)])
    names = {one.name: one.rows.tolist() for one in report.diagnostics}
    assert names["black box is stronger"] == np.flatnonzero(report.origins[:, 0] == 1).tolist()
    assert "black box is stronger" not in signs(net, x, labels, 0.2, attack=[Square(100), FGSM()])
    assert "black box is stronger" not in signs(net, x, labels, 0.2, attack=Square(100))


@pytest.mark.parametrize("attack", [PGD(4, random_start=False), APGD(4), MinimalNorm(steps=4)])
def test_samples_whose_loss_does_not_rise_are_named(dtype, attack):
    """Where the unit is inactive, no step changes the logits."""
    x = np.array([[0.25], [0.75], [0.125], [1.0]], dtype)
    found = signs(dead(dtype), x, [0, 1, 0, 1], [0.01, 0.02], attack=attack)
    assert found["loss does not rise"] == [0, 2]


def test_steps_away_from_the_boundary_are_found(ordinary):
    class Backwards(PGD):
        """Planted: goes down the gradient."""

        def _sizes(self, tile, eps):
            return -super()._sizes(tile, eps)

    net, x, labels = ordinary
    found = signs(net, x, labels, 0.05, attack=Backwards(5, random_start=False))
    assert len(found["loss does not rise"]) > 50


def test_no_steps_are_no_loss_that_does_not_rise(dtype):
    x = np.array([[0.25], [0.75]], dtype)
    for attack in (FGSM(), [FGSM(), FGSM("l2")]):
        found = signs(dead(dtype), x, [0, 1], 0.01, attack=attack)
        assert "loss does not rise" not in found


def test_one_run_of_several_that_makes_progress_is_enough(dtype):
    """The second attack starts at random, where the unit is active for some."""
    x = np.full((64, 1), 0.4375, dtype)
    labels = np.ones(64, int)
    net = dead(dtype)
    net.biases[1][:] = [0, 0.001]
    stuck = signs(net, x, labels, 0.25, attack=PGD(3, random_start=False))
    assert len(stuck["loss does not rise"]) == 64
    more = signs(net, x, labels, 0.25, attack=[PGD(3, random_start=False), PGD(3)])
    assert 0 < len(more.get("loss does not rise", [])) < 64


def test_a_sample_that_a_later_start_breaks_is_not_named(dtype):
    """A start where the unit is active is another class at once."""
    x = np.full((64, 1), 0.4375, dtype)
    attack = [PGD(3, random_start=False), PGD(3)]
    report = adversarial_accuracy(dead(dtype), x, np.zeros(64, int), 0.25, attack=attack)
    stuck = next(one for one in report.diagnostics if one.name == "loss does not rise")
    assert report.origins[report.fooled].tolist() == [[1, 0, 0]] * report.fooled.sum()
    np.testing.assert_array_equal(stuck.rows, np.flatnonzero(~report.fooled))
    assert 0 < stuck.count < 64


# --- networks and data


def test_outputs_that_are_probabilities_are_named(rng, dtype):
    """The logits are x and 1 - x."""
    net = MLP([np.array([[1, -1]], dtype)], [np.array([0, 1], dtype)])
    x = rng.random((300, 1)).astype(dtype)
    labels = net.predict(x)
    assert signs(net, x, labels, 0.1)["outputs are probabilities"] == list(range(300))
    for planted in (1.5, -0.25):  # one of all rows is enough
        x[211] = planted
        assert "outputs are probabilities" not in signs(net, x, labels, 0.1)
    net.biases[0][:] = [0.25, 0.75]
    x[:] = 0.25 * rng.random((300, 1))
    assert "outputs are probabilities" in signs(net, x, labels, 0.01)
    net.biases[0][0] = 0.3
    assert "outputs are probabilities" not in signs(net, x, labels, 0.01)


def test_inputs_that_look_normalised_are_named(ordinary, rng):
    net, x, labels = ordinary
    normal = ((x - x.mean()) / x.std()).astype(x.dtype)
    assert signs(net, normal, labels, 0.01)["inputs look normalised"] == list(range(60))
    for other in (x, x - x.dtype.type(0.5), 5 * normal, normal + 2, x[:3]):
        assert "inputs look normalised" not in signs(net, other, labels[: len(other)], 0.01)
    assert "inputs look normalised" not in signs(net, normal[:3], labels[:3], 0.01)
    pixels = rng.integers(0, 256, x.shape).astype(np.uint8)
    assert "inputs look normalised" not in signs(net, pixels, labels, 0.01)


def test_no_samples_have_no_diagnostics(ordinary):
    net, x, labels = ordinary
    assert signs(net, x[:0], labels[:0], [0.1, 0.2], attack="pgd") == {}


# --- in words


def test_diagnostics_are_sentences_in_every_form(dtype):
    x = np.array([[0.25], [0.75]], dtype)
    report = adversarial_accuracy(dead(dtype), x, [0, 1], 0.01)
    (found,) = report.diagnostics
    assert str(found) == f"no gradient: {found.text}"
    assert found.text.startswith("for 1 sample the gradient at the clean input is all zero")
    assert repr(found) == "Diagnostic('no gradient', count=1)"
    assert f"Note: {found}" in str(report).splitlines()
    assert f"<li>{found}</li>" in report._repr_html_()
    assert report.to_dict()["diagnostics"] == {"no gradient": 1}


def test_threads_and_tiles_change_no_diagnostic(rng, dtype):
    net = dead(dtype)
    x = rng.random((700, 1)).astype(dtype)
    labels = rng.integers(0, 2, 700)
    attack = [PGD(3, step_size=1e-6), Square(5)]
    found = [
        signs(net, x, labels, [0.1, 0.02], attack=attack, threads=threads) for threads in (1, 2, 3)
    ]
    assert found[0] == found[1] == found[2] != {}
    order = rng.permutation(700)
    turned = signs(net, x[order], labels[order], 0.02, attack=PGD(3, random_start=False))
    plain = signs(net, x, labels, 0.02, attack=PGD(3, random_start=False))
    assert plain.keys() == turned.keys()
    for name, rows in plain.items():
        assert sorted(order[turned[name]]) == rows
