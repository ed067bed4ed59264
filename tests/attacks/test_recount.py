"""What an attack says does not count: arrays are checked, and go through the network once more."""

import re

import numpy as np
import pytest

from fastnn import MLP, _checks, adversarial_accuracy, attacks
from fastnn._engine.workspace import Workspace
from fastnn.attacks import FGSM, PGD, Answer, Attack, Found, InTurn
from fastnn.attacks._budget import Budget
from fastnn.attacks._goal import Goal
from fastnn.attacks._names import name_of, names_of, norms_of
from fastnn.attacks._search import Standing, Worst

EPS = (0.1, 0.3)


@pytest.fixture
def net(make_net, dtype):
    return make_net((7, 9, 5), dtype=dtype)


@pytest.fixture
def batch(rng, net):
    x = rng.random((23, 7)).astype(net.dtype)
    return x, net.predict(x)


def signs(report):
    return {found.name: found for found in report.diagnostics}


# --- a lie


class Liar(Attack):
    """Moves nothing, and says that it has fooled some of the samples."""

    def __init__(self, rows):
        self.rows = rows

    def perturb_tile(self, tile, eps):
        return tile.x

    def answers(self, tile, eps):
        for k in range(len(eps)):
            yield Found(k, tile.x, np.isin(tile.numbers, self.rows))


class LiarByLogits(Liar):
    """Says the same by logits that the network has not computed."""

    def answers(self, tile, eps):
        logits = tile.clean_logits()
        lied = np.isin(tile.numbers, self.rows)
        logits[lied] = -logits[lied]
        yield Answer(slice(0, len(logits)), np.arange(len(eps)), logits.repeat(len(eps), 0))


class Modest(Liar):
    """Says that it has fooled nobody."""

    def answers(self, tile, eps):
        for k, budget in enumerate(eps):
            moved = FGSM().perturb_tile(tile, budget)
            yield Found(k, moved, np.zeros(len(moved), bool))


@pytest.mark.parametrize("eps", [0.1, EPS])
@pytest.mark.parametrize("kind", [Liar, LiarByLogits])
def test_a_lie_is_found_and_does_not_count(net, batch, kind, eps):
    report = adversarial_accuracy(net, *batch, eps, attack=kind([3, 8]))
    assert (np.atleast_1d(report.adversarial_correct) == 23).all()
    found = signs(report)["recount differs"]
    assert found.rows.tolist() == [3, 8]
    assert found.count == 2
    assert "for 2 samples a forward pass" in str(found)
    assert not signs(adversarial_accuracy(net, *batch, eps, attack=kind([])))


def test_a_success_that_was_not_claimed_counts_and_is_named(net, batch):
    report = adversarial_accuracy(net, *batch, 0.3, attack=Modest([]))
    expected = adversarial_accuracy(net, *batch, 0.3)
    assert report.adversarial_correct == expected.adversarial_correct < 23
    rows = np.flatnonzero(expected.adversarial_prediction != batch[1])
    np.testing.assert_array_equal(signs(report)["recount differs"].rows, rows)


@pytest.mark.parametrize(
    "attack", ["fgsm", FGSM("l2"), FGSM("l1"), "pgd", PGD(5, norm="l2", restarts=2), "apgd"]
)
@pytest.mark.parametrize("targeted", [False, True])
def test_attacks_of_the_library_say_the_truth(net, batch, attack, targeted):
    targets = (batch[1] + 1) % 5 if targeted else None
    report = adversarial_accuracy(
        net, *batch, EPS, (0, 1), attack=attack, targets=targets, recount=True
    )
    assert "recount differs" not in signs(report)


def test_every_success_is_one_of_the_array(net, batch, dtype):
    """Counted once more by numpy, from the arrays of the report."""
    x, labels = batch
    attack = [FGSM(), PGD(5, restarts=2)]
    for eps in (0.1, EPS):
        report = adversarial_accuracy(net, x, labels, eps, attack=attack, keep_adversarial=True)
        assert report.adversarial.dtype == dtype
        assert report.adversarial.shape == (*np.shape(eps), *x.shape)
        for prediction, moved in zip(
            np.atleast_2d(report.adversarial_prediction),
            report.adversarial.reshape(-1, *x.shape),
            strict=True,
        ):
            np.testing.assert_array_equal(net.predict(moved), prediction)


# --- the sweep of FGSM


def test_a_sweep_can_be_counted_again(make_net, rng, dtype, monkeypatch):
    net = make_net((30, 40, 10), dtype=dtype)
    x = rng.random((211, 30)).astype(dtype)
    labels = net.predict(x)
    eps = (0.2, 0, 0.05, 0.05)
    made = []
    step = FGSM.perturb_tile
    monkeypatch.setattr(FGSM, "perturb_tile", lambda *args: made.append(1) or step(*args))
    sweep = adversarial_accuracy(net, x, labels, eps, (0, 1))
    assert (made, sweep.adversarial) == ([], None)
    for option in ("recount", "keep_adversarial"):
        made.clear()
        again = adversarial_accuracy(net, x, labels, eps, (0, 1), **{option: True})
        assert len(made) == 2 * len(eps)  # two tiles
        np.testing.assert_array_equal(again.adversarial_prediction, sweep.adversarial_prediction)
    for k, one in enumerate(eps):
        expected = FGSM().perturb(net, x, labels, one, (0, 1))
        np.testing.assert_array_equal(again.adversarial[k], expected)


@pytest.mark.usefixtures("in_tiles")
def test_one_eps_of_fgsm_has_one_pass_over_the_adversarial_inputs(net, batch, monkeypatch):
    passes = []
    logits = attacks.Tile.logits
    monkeypatch.setattr(
        attacks.Tile, "logits", lambda *args, **more: passes.append(1) or logits(*args, **more)
    )
    adversarial_accuracy(net, *batch, 0.1)
    assert len(passes) == 2  # and one over the clean ones


def test_a_wrong_sweep_is_found_by_a_recount(net, batch, monkeypatch):
    """Planted: products of the first layer that belong to half of the eps."""
    x, labels = batch
    answers = FGSM.answers
    monkeypatch.setattr(FGSM, "answers", lambda self, tile, eps: answers(self, tile, eps / 8))
    wrong = adversarial_accuracy(net, x, labels, EPS)
    assert not signs(wrong)
    right = adversarial_accuracy(net, x, labels, EPS, recount=True)
    assert "recount differs" in signs(right)
    for k, eps in enumerate(EPS):
        moved = FGSM().perturb(net, x, labels, eps)
        assert right.adversarial_correct[k] == np.count_nonzero(net.predict(moved) == labels)


# --- arrays that are too far


class Far(Attack):
    """Moves one entry of one row further than the others."""

    def __init__(self, row, column, value, norm="linf"):
        self.row, self.column, self.value, self.norm = row, column, value, norm

    def perturb_tile(self, tile, eps):
        out = np.array(tile.x)
        out[tile.numbers == self.row, self.column] = self.value
        return out


@pytest.mark.parametrize("rows", [23, 400])
@pytest.mark.parametrize("several", [False, True])
def test_an_entry_that_is_too_far_is_named(net, rng, dtype, rows, several):
    x = rng.random((rows, 7)).astype(dtype)
    x[17, 4] = 0.5
    labels = np.zeros(rows, int)
    labels[17] = net.predict(x[17])
    attack = InTurn((Far(17, 4, 0.75),)) if several else Far(17, 4, 0.75)
    with pytest.raises(
        ValueError,
        match=r"^the attack returned 0\.75 at \[17, 4\], further than eps 0\.125 from 0\.5$",
    ):
        adversarial_accuracy(net, x, labels, 0.125, attack=attack)
    with pytest.raises(
        ValueError,
        match=r"^the attack returned 1\.25 at \[17, 4\], outside the bounds \(0\.0, 1\.0\)$",
    ):
        adversarial_accuracy(net, x, labels, 1, (0, 1), attack=Far(17, 4, 1.25))


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_a_row_that_is_too_far_in_another_norm_is_named(net, batch, norm, dtype):
    x, labels = batch
    x *= dtype(0.5)
    x[5] = 0.5
    adversarial_accuracy(net, x, labels, 0.25, attack=Far(5, 0, 0.75, norm))
    expected = rf"^the attack moved row 5 by 0\.25 in {norm}, further than eps 0\.2\d*$"
    with pytest.raises(ValueError, match=expected):
        adversarial_accuracy(net, x, labels, 0.2, attack=Far(5, 0, 0.75, norm))
    with pytest.raises(ValueError, match=r"^the attack returned 0\.75 at \[5, 0\], outside"):
        adversarial_accuracy(net, x, labels, 1, (0, 0.7), attack=Far(5, 0, 0.75, norm))


def test_a_norm_that_does_not_exist_is_refused(net, batch):
    with pytest.raises(ValueError, match=r"norm must be one of .*, got 'l3'"):
        adversarial_accuracy(net, *batch, 0.2, attack=Far(5, 0, 0.75, "l3"))


def require(found, clean, eps, norms=("linf",), bounds=(-np.inf, np.inf)):
    budget = Budget(norms, _checks.Bounds(*bounds))
    budget.require(found, clean, clean.dtype.type(eps), np.arange(len(clean)))


def test_a_sum_as_the_type_rounds_it_is_within_eps(dtype, rng):
    """Many of these differ from the clean entry by a little more than eps."""
    clean, eps = rng.random((40, 50)).astype(dtype), dtype(0.1)
    moved = clean + eps
    assert np.mean(np.abs(moved - clean) > eps) > 0.02
    require(moved, clean, eps)
    require(clean - eps, clean, eps)
    with pytest.raises(ValueError, match="further than eps"):
        require(np.nextafter(np.nextafter(moved, dtype(9)), dtype(9)), clean, eps)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_roundings_of_a_row_are_forgiven_and_no_more(dtype, rng, norm):
    clean = rng.random((30, 50)).astype(dtype)
    way = rng.normal(size=clean.shape).astype(dtype)
    size = np.linalg.norm(way, axis=1, ord=1 if norm == "l1" else 2)[:, None]
    require(clean + way / size * dtype(0.7), clean, 0.7, (norm,))
    with pytest.raises(ValueError, match=r"the attack moved row 0 by 0\.7"):
        require(clean + way / size * dtype(0.7001), clean, 0.7, (norm,))


def test_a_change_within_eps_in_one_of_several_norms_is_enough(dtype):
    clean = np.zeros((1, 4), dtype)
    require(np.full((1, 4), 0.5, dtype), clean, 0.5, ("l2", "linf"))
    require(np.full((1, 4), 0.5, dtype), clean, 1, ("l1", "l2"))
    message = r"moved row 0 by 2 in l1 and 1 in l2, further than eps 0\.75$"
    with pytest.raises(ValueError, match=message):
        require(np.full((1, 4), 0.5, dtype), clean, 0.75, ("l1", "l2"))


def test_attacks_of_two_norms_can_be_made_in_turn(net, batch):
    attack = InTurn((FGSM("l1"), InTurn((PGD(3, norm="l2"), FGSM()))))
    assert norms_of(attack) == ("l1", "l2", "linf")
    report = adversarial_accuracy(net, *batch, 0.3, (0, 1), attack=attack)
    assert report.adversarial_correct <= 23


# --- answers that are none


def test_what_answers_yields_is_checked(net, batch):
    class Odd(Liar):
        def answers(self, tile, eps):
            yield tile.x

    with pytest.raises(TypeError, match=r"^answers must yield Found or Answer, got ndarray$"):
        adversarial_accuracy(net, *batch, attack=Odd([]))


def test_a_sample_without_an_answer_is_an_error(net, batch):
    class Lazy(Liar):
        def answers(self, tile, eps):
            yield Found(0, tile.x)

    with pytest.raises(ValueError, match=r"^the attack gave no answer for row 0 at eps 0\.3"):
        adversarial_accuracy(net, *batch, EPS, attack=Lazy([]))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: Found(1, x), "position must be one of 1 eps, got 1"),
        (lambda x: Found(-1, x), "position must be one of 1 eps, got -1"),
        (lambda x: Found(0, x, np.ones(3, bool)), r"fooled must have shape (23,), got (3,)"),
        (
            lambda x: Found(0, x, None, np.ones(23, int)),
            r"origins must have shape (23, 3), got (23,)",
        ),
        (lambda x: Found(0, x, stuck=True), r"stuck must have shape (23,), got ()"),
    ],
)
def test_what_was_found_has_to_fit_the_tile(net, batch, made, message):
    class Odd(Liar):
        def answers(self, tile, eps):
            yield made(tile.x)

    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        adversarial_accuracy(net, *batch, 0.1, attack=Odd([]))


def test_of_equal_margins_the_input_that_fools_is_kept(dtype):
    """Class 1 ties with class 2, where it is predicted, then with class 0, where it is not."""
    net = MLP([np.zeros((2, 3), dtype)], [np.zeros(3, dtype)])
    ws = Workspace(net, 1, to=0, packed={}, direction=True)
    x = np.zeros((2, 1, 2), dtype)
    x[1] = 1
    ws.load(x[0], slice(0, 1))
    bounds = _checks.Bounds(0, 1)
    tile = attacks.Tile(ws, ws.h[0], np.array([1]), np.arange(1), bounds, Goal())
    logits = np.array([[[0, 1, 1]], [[1, 1, 0]]], dtype)
    worst, again = Worst.at(x[0]), Worst.at(x[0])
    standing = Standing(tile, np.arange(1), np.ones((1, 1)), worst)
    assert [standing.see(*pair).tolist() for pair in zip(x, logits, strict=True)] == [
        [False],
        [True],
    ]
    assert worst.x.tolist() == [[1, 1]]
    assert worst.origins.tolist() == [[0, 0, 1]]
    other = Standing(tile, np.arange(1), np.ones((1, 1)), again, attack=4)
    other.see(x[0], logits[0])
    other.take(worst)
    assert again.x.tolist() == [[1, 1]]
    assert again.origins.tolist() == [[4, 0, 1]]


# --- names


@pytest.mark.parametrize(
    ("attack", "name"),
    [
        (FGSM(), "FGSM"),
        (FGSM("l2"), "FGSM(norm='l2')"),
        (PGD(steps=20), "PGD(steps=20)"),
        (PGD(20, random_start=False), "PGD(steps=20, random_start=False)"),
        (attacks.APGD(loss="dlr"), "APGD(loss='dlr')"),
        (attacks.Standard(), "Standard"),
        (attacks.Standard("l2"), "Standard(norm='l2')"),
        (InTurn((FGSM(), PGD(3))), "FGSM, then PGD(steps=3)"),
        (Liar([]), "Liar"),
    ],
)
def test_an_attack_is_called_by_its_class_and_settings(attack, name):
    assert name_of(attack) == name


def test_attacks_in_turn_have_different_names():
    assert names_of(attacks.Standard()) == (
        "APGD",
        "APGD(loss='dlr-targeted')",
        "MinimalNorm",
        "Square",
    )
    same = InTurn((FGSM(), PGD(3), FGSM(), FGSM()))
    assert names_of(same) == ("FGSM", "PGD(steps=3)", "FGSM no. 2", "FGSM no. 3")
    assert names_of(FGSM()) == ("FGSM",)


def test_a_function_has_its_own_name(make_net, rng):
    def nothing(net, x, *_):
        return x

    net, x = make_net((4, 3)), rng.random((3, 4)).astype(np.float32)
    report = adversarial_accuracy(net, x, [0, 1, 2], attack=nothing)
    assert (report.attack, report.attacks) == ("nothing", ("nothing",))
    assert MLP.random((4, 3)).sizes == (4, 3)
