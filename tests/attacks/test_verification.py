"""A share of the samples is counted again in float64: what is wrong is found, ties are not."""

import contextlib
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, attacks
from fastnn._engine import layers, losses
from fastnn._kernels import attack_steps
from fastnn._rows import _block
from fastnn.attacks import FGSM, PGD, VerificationError, _norms, _tally
from fastnn.attacks._rounding import SURE, Rounding
from fastnn.attacks._verification import chosen_rows
from fastnn.reference import residual_cancelling
from fastnn.reference.networks import forward

EPS = (0.05, 0.2)
BOUNDS = (0, 1)
EVERY = [
    FGSM(), FGSM("l2"), FGSM("l1"), PGD(6, restarts=2), PGD(6, norm="l2"), "iterated-fgsm", "apgd",
    "deepfool", "minimal-norm", attacks.Square(40), [FGSM(), PGD(4)],
]  # fmt: skip


@pytest.fixture
def net(make_net, activation, dtype):
    return make_net((20, 33, 17, 5), activation, dtype)


@pytest.fixture
def batch(rng, net):
    x = (rng.random((70, 20)) * (rng.random((70, 20)) < 0.5)).astype(net.dtype)
    labels = net.predict(x)
    labels[::7] = 1
    return x, labels


# --- what is right is never an error


@pytest.mark.parametrize("attack", EVERY, ids=str)
def test_every_sample_of_every_attack_passes(net, batch, attack):
    for eps, bounds in ((0.1, None), (EPS, BOUNDS)):
        plain = adversarial_accuracy(net, *batch, eps, bounds, attack=attack)
        checked = adversarial_accuracy(net, *batch, eps, bounds, attack=attack, verify=1)
        np.testing.assert_array_equal(checked.adversarial_prediction, plain.adversarial_prediction)
        assert checked.adversarial is None


@pytest.mark.parametrize("options", [{"recount": True}, {"keep_adversarial": True}])
@pytest.mark.parametrize("eps", [0.1, EPS])
def test_other_ways_to_count_pass(net, batch, options, eps):
    report = adversarial_accuracy(net, *batch, eps, BOUNDS, verify=1, **options)
    assert (report.adversarial is None) == ("recount" in options)


def test_targets_lattices_and_pixels_pass(net, batch):
    x, labels = batch
    targets = (labels + 1) % 5
    for attack in ("fgsm", PGD(5)):
        for eps in (0.1, EPS):
            adversarial_accuracy(net, x, labels, eps, targets=targets, attack=attack, verify=1)
    pixels = np.round(x * 255).astype(np.uint8)
    adversarial_accuracy(net, pixels, labels, EPS, BOUNDS, verify=1)
    grid = (pixels / 255).astype(net.dtype)
    adversarial_accuracy(net, grid, labels, EPS, BOUNDS, lattice=255, verify=1)
    adversarial_accuracy(net, x[:0], labels[:0], EPS, verify=1)


def test_samples_on_the_boundary_between_two_classes_are_ties(rng):
    """Every logit is there twice, up to rounding: no prediction is more right than its twin."""
    weights = rng.standard_normal((300, 4)).astype(np.float32)
    order = rng.permutation(300)
    twins = MLP([np.concatenate([weights, weights[order]], axis=1)], [np.zeros(8, np.float32)])
    x = np.full((200, 300), 0.3, np.float32) + rng.random((200, 1)).astype(np.float32)
    exact = x.astype(np.float64) @ twins.weights[0].astype(np.float64)
    assert (twins.predict(x) != exact.argmax(axis=1)).any()  # so there are ties that differ
    adversarial_accuracy(twins, x, twins.predict(x), [0.0, 1e-6], verify=1)


def test_a_confident_network_passes():
    """Its probabilities round to 1, and its gradient is below what float32 holds."""
    rng = np.random.default_rng(3)
    weights = [30 * rng.standard_normal(shape).astype(np.float32) for shape in ((20, 30), (30, 4))]
    net = MLP(weights, [np.zeros(30, np.float32), np.zeros(4, np.float32)])
    x = rng.random((80, 20)).astype(np.float32)
    report = adversarial_accuracy(net, x, net.predict(x), EPS, verify=1)
    assert report.saturated_rows > 70


def test_the_errors_that_float32_makes_are_within_what_is_allowed(net, batch):
    """And not far below it, so that what is allowed is no excuse."""
    x = batch[0]
    rounding = Rounding.of(net)
    inputs, outputs = zip(
        *(
            forward(rounding.weights, rounding.biases, row.astype(np.float64), net.activation)
            for row in x
        ),
        strict=True,
    )
    each = [np.array(layer) for layer in zip(*inputs, strict=True)]
    (*_, spread) = rounding.of_outputs(each, np.zeros(x.shape))
    exact = np.array([layer[-1] for layer in outputs])
    ratio = np.abs(net.logits(x) - exact) / spread
    assert ratio.max() < SURE / 2
    assert ratio.max() > SURE / 1000


# --- what is wrong is found, whatever makes it wrong


def expect(row, eps, words):
    return pytest.raises(VerificationError, match=rf"^row {row} at eps {eps:g}: .*{words}")


def another(report, row):
    """Return a sample whose prediction under attack is not that of a row, whatever the eps."""
    found = np.atleast_2d(report.adversarial_prediction)
    return int(np.argmax((found != found[:, row : row + 1]).all(axis=0)))


def wrong_products(monkeypatch, row):
    """Have every product of the last layer have the wrong sign in one row of a tile."""
    right = layers.layer_product

    def product(ws, a, i, out, **how):
        right(ws, a, i, out, **how)
        if i == len(ws.net.weights) - 1 and not how.get("transposed") and len(out) > row:
            out[row] *= -1

    monkeypatch.setattr(layers, "layer_product", product)


def test_a_wrong_product_is_found(net, batch, monkeypatch):
    wrong_products(monkeypatch, 11)
    with pytest.raises(VerificationError, match=r"^row 11: float\d\d predicts \d, float64 \d, who"):
        adversarial_accuracy(net, *batch, 0.1, attack=PGD(3), verify=1)
    adversarial_accuracy(net, *batch, 0.1, attack=PGD(3))  # nobody else would notice


@pytest.mark.parametrize("k", [0, 1])
def test_a_wrong_sum_in_a_sweep_is_found_at_its_eps(net, batch, monkeypatch, k):
    right, row = attack_steps._shift_by_every_eps, 5
    other = another(adversarial_accuracy(net, *batch, EPS), row)

    def wrong(*arguments):
        right(*arguments)
        sums = arguments[-1]
        sums[2 * row + k] = sums[2 * other + k]

    monkeypatch.setattr(attack_steps, "_shift_by_every_eps", wrong)
    adversarial_accuracy(net, *batch, EPS)
    with expect(row, EPS[k], "whose logit is larger by"):
        adversarial_accuracy(net, *batch, EPS, verify=1)


@pytest.mark.parametrize("eps", [0.05, EPS])
@pytest.mark.usefixtures("in_tiles")
def test_a_gradient_of_the_residual_that_cancels_is_found(monkeypatch, eps):
    """The fault of many libraries: a network that is sure of its answers looks robust."""
    rng = np.random.default_rng(3)
    weights = [3 * rng.standard_normal(shape).astype(np.float32) for shape in ((20, 30), (30, 4))]
    net = MLP(weights, [np.zeros(30, np.float32), np.zeros(4, np.float32)])
    x = rng.random((80, 20)).astype(np.float32)
    labels = net.predict(x)

    def cancelling(logits, some, out):
        for i, row in enumerate(logits.copy()):
            out[i] = residual_cancelling(row, int(some[i]))
        return np.zeros(len(out), bool)

    expected = adversarial_accuracy(net, x, labels, eps, verify=1)
    monkeypatch.setattr(losses, "attack_residual", cancelling)
    wrong = adversarial_accuracy(net, x, labels, eps)
    assert np.any(wrong.adversarial_correct > expected.adversarial_correct)
    with pytest.raises(VerificationError, match=r"at eps 0\.\d+: float32"):
        adversarial_accuracy(net, x, labels, eps, verify=1)


@pytest.mark.usefixtures("in_tiles")
def test_an_entry_that_fgsm_moves_the_wrong_way_is_found(net, batch, monkeypatch):
    right = _norms.fast_gradient

    def wrong(tile, gradient, eps, norm, out):
        moved = right(tile, gradient, eps, norm, out=out)
        moved[5, 2] = 2 * tile.x[5, 2] - moved[5, 2]
        return moved

    monkeypatch.setattr(_norms, "fast_gradient", wrong)
    with expect(5, 0.1, "moves entry 2 to"):
        adversarial_accuracy(net, *batch, 0.1, verify=1)


def test_an_input_that_is_another_than_was_counted_is_found(net, batch, monkeypatch):
    right, row, attack = _tally.Tally._count, 8, PGD(2)
    other = another(adversarial_accuracy(net, *batch, 0.1, attack=attack), row)

    def count(self, tile, number, found):
        right(self, tile, number, found)
        self.inputs[found.position, np.array([row])] = found.x[other : other + 1]

    monkeypatch.setattr(_tally.Tally, "_count", count)
    adversarial_accuracy(net, *batch, 0.1, attack=attack, keep_adversarial=True)
    with expect(row, 0.1, "whose logit is larger by"):
        adversarial_accuracy(net, *batch, 0.1, attack=attack, verify=1)


# --- the samples that are chosen


def test_the_samples_follow_from_the_seed():
    some = chosen_rows(np.arange(10_000), 0.01, 0)
    assert 60 < len(some) < 140
    assert (np.diff(some) > 0).all()
    np.testing.assert_array_equal(some, chosen_rows(np.arange(10_000), 0.01, 0))
    np.testing.assert_array_equal(some[some < 5000], chosen_rows(np.arange(5000), 0.01, 0))
    assert not np.array_equal(some, chosen_rows(np.arange(10_000), 0.01, 1))
    assert len(chosen_rows(np.arange(10_000), 0, 0)) == len(chosen_rows(np.arange(0), 1, 0)) == 0
    assert len(chosen_rows(np.arange(5), 1e-9, 0)) == 1
    assert chosen_rows(np.arange(7), 1, -3).tolist() == list(range(7))


@pytest.mark.usefixtures("in_tiles")
def test_only_the_chosen_are_looked_at(make_net, rng, monkeypatch):
    net = make_net((20, 33, 5))
    x = rng.random((70, 20)).astype(np.float32)
    labels = net.predict(x)
    chosen = chosen_rows(np.arange(70), 0.2, 9)
    left_out = np.setdiff1d(np.arange(70), chosen)
    for row, found in ((left_out[3], False), (chosen[3], True)):
        with monkeypatch.context() as patched:
            wrong_products(patched, row)
            if not found:
                adversarial_accuracy(net, x, labels, 0.1, rng=9, verify=0.2)
                continue
            with pytest.raises(VerificationError, match=f"^row {row}"):
                adversarial_accuracy(net, x, labels, 0.1, rng=9, verify=0.2)


@pytest.mark.parametrize(
    ("share", "error"),
    [
        (-0.1, "ValueError: verify must be finite in float32 and >= 0, got -0.1"),
        (1.5, "ValueError: verify must be a share from 0 to 1, got 1.5"),
        ("all", "TypeError: verify must be a number, got 'all'"),
        (True, "TypeError: verify must be a number, got True"),
        (np.nan, "ValueError: verify must be finite in float32 and >= 0, got nan"),
    ],
)
def test_what_is_no_share_is_refused(make_net, share, error):
    kind, text = error.split(": ")
    with pytest.raises(eval(kind), match=f"^{re.escape(text)}$"):
        adversarial_accuracy(make_net((4, 3)), np.zeros((1, 4)), [0], verify=share)


@pytest.mark.usefixtures("in_tiles")
@pytest.mark.parametrize("pool", [None, ThreadPoolExecutor])
def test_the_row_is_that_of_the_whole_where_blocks_are_read(make_net, rng, monkeypatch, pool):
    monkeypatch.setattr(_block, "_MOST_ROWS", 40)
    net = make_net((20, 33, 5))
    x = rng.random((100, 20)).astype(np.float32)
    labels, right = net.predict(x), layers.layer_product

    def product(ws, a, i, out, **how):
        right(ws, a, i, out, **how)
        if i == len(ws.net.weights) - 1 and not how.get("transposed"):
            out[(ws.h[0] == x[50]).all(axis=1)] *= -1

    monkeypatch.setattr(layers, "layer_product", product)
    pairs = iter([(x[:60], labels[:60]), (x[60:], labels[60:])])
    with contextlib.ExitStack() as stack:
        executor = None if pool is None else stack.enter_context(pool(1))
        with pytest.raises(VerificationError, match=r"^row 50: ") as caught:
            adversarial_accuracy(net, pairs, eps=0.1, verify=1, executor=executor)
    assert caught.value.row == 50
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.row, again.eps) == (str(caught.value), 50, None)
