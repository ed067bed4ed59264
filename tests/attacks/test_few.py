"""FGSM of a few rows is one kernel, which agrees with the reference; tiles name what is wrong."""

from functools import partial

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, reference
from fastnn._engine import narrow
from fastnn._kernels import narrow_panels, narrow_passes
from fastnn._kernels.narrow_products import MOST_ROWS as HIGHEST
from fastnn.attacks import FGSM, VerificationError, _batch, _few

ONCE, PANELS = narrow_passes.READ_ONCE_TO, narrow_panels.PANELS_FROM
ROWS = (1, 2, HIGHEST, HIGHEST + 1, PANELS, ONCE, ONCE + 1, 61, _few.MOST_ROWS)
# Too narrow for strips, one layer alone, wide enough for strips and panels, cut off, in parts.
SIZES = [(4, 8, 3), (30, 5), (20, 300, 140, 5), (70, 130, 40, 4), (600, 300, 4)]
EPS = 0.1


@pytest.fixture
def taken(monkeypatch):
    """Return what `attack_few` has said of every call."""
    said, right = [], _batch.attack_few
    monkeypatch.setattr(_batch, "attack_few", lambda *args: said.append(right(*args)) or said[-1])
    return said


def batch(rng, net, rows):
    shape = rows, net.sizes[0]
    x = (rng.random(shape) * (rng.random(shape) < 0.6)).astype(net.dtype)
    labels = net.predict(x)
    labels[::5] = 0
    return x, labels


def same(one, other):
    for name in ("clean_prediction", "adversarial_prediction", "adversarial"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("zero_gradient_rows", "saturated_rows", "clean_correct", "adversarial_correct"):
        assert getattr(one, name) == getattr(other, name)
    assert [str(d) for d in one.diagnostics] == [str(d) for d in other.diagnostics]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_it_is_the_reference(make_net, rng, dtype, sizes, rows, bounds, taken):
    net = make_net(sizes, dtype=dtype)
    x, labels = batch(rng, net, rows)
    report = adversarial_accuracy(net, x, labels, EPS, bounds, keep_adversarial=True, verify=1)
    assert taken == [True]
    parameters = net.weights, net.biases
    for i in range(0, rows, 1 + rows // 20):
        slope = reference.input_gradient(*parameters, x[i], labels[i])
        sure = np.abs(slope) > 1e-4 * np.abs(slope).max()
        moved = reference.fgsm(*parameters, x[i], labels[i], EPS)
        moved = moved if bounds is None else np.clip(moved, *bounds)
        np.testing.assert_allclose(report.adversarial[i][sure], moved[sure], rtol=1e-6, atol=1e-7)
        for found, at in (
            (report.clean_prediction[i], x[i]),
            (report.adversarial_prediction[i], report.adversarial[i]),
        ):
            logits = reference.logits(*parameters, at.astype(np.float64))
            assert logits[found] >= logits.max() - 1e-4 * (1 + np.abs(logits).max())


@pytest.mark.filterwarnings("ignore:the network is right about")
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("sizes", [(60, 700, 300, 4), (600, 700, 4)])
def test_nothing_depends_on_the_number_of_threads(make_net, rng, monkeypatch, threads, sizes):
    monkeypatch.setattr(narrow, "_WORTH_SHARING", 0)
    monkeypatch.setattr(narrow, "_WORTH_A_HELPER", 1)
    net = make_net(sizes)
    for rows in (1, 7, 90):
        x, labels = batch(rng, net, rows)
        one, many = (
            adversarial_accuracy(net, x, labels, EPS, threads=n, keep_adversarial=True)
            for n in (1, threads)
        )
        same(one, many)


def test_rows_that_are_doubled_or_turned_around_are_counted_as_before(make_net, rng):
    net = make_net((30, 90, 5))
    x, labels = batch(rng, net, 40)
    once = adversarial_accuracy(net, x, labels, EPS).adversarial_prediction
    twice = adversarial_accuracy(net, *(np.concatenate([a, a]) for a in (x, labels)), EPS)
    turned = adversarial_accuracy(net, x[::-1], labels[::-1], EPS)
    np.testing.assert_array_equal(twice.adversarial_prediction, np.tile(once, 2))
    np.testing.assert_array_equal(turned.adversarial_prediction, once[::-1])
    still = adversarial_accuracy(net, x, labels, 0.0)
    np.testing.assert_array_equal(still.adversarial_prediction, still.clean_prediction)


def test_any_array_will_do(make_net, rng, taken):
    net = make_net((30, 90, 5))
    pixels = rng.integers(0, 256, (8, 30), np.uint8)
    x = np.divide(pixels, np.float32(255), dtype=np.float32)
    labels = net.predict(x)
    expected = adversarial_accuracy(net, x, labels, EPS, keep_adversarial=True)
    frozen, read, wide = x.copy(), pixels.copy(), np.repeat(x, 2, axis=1)
    frozen.flags.writeable = read.flags.writeable = False
    for some in (
        pixels, np.asfortranarray(pixels), read,
        frozen, np.asfortranarray(x), wide[:, ::2], x.astype(np.float64),
    ):  # fmt: skip
        before = some.copy()
        same(adversarial_accuracy(net, some, labels, EPS, keep_adversarial=True), expected)
        np.testing.assert_array_equal(some, before)
    assert taken == [True] * 8


def test_other_work_goes_through_tiles(make_net, rng, taken):
    net = make_net((30, 90, 5))
    x, labels = batch(rng, net, _few.MOST_ROWS + 1)
    few = x[:9], labels[:9]
    adversarial_accuracy(net, x, labels, EPS)
    adversarial_accuracy(net, *few, [EPS, 0.2])
    adversarial_accuracy(net, *few, EPS, attack=FGSM("l2"))
    adversarial_accuracy(net, *few, EPS, attack="pgd")
    adversarial_accuracy(net, *few, EPS, targets=(few[1] + 1) % 5)
    adversarial_accuracy(net, np.round(few[0] * 255) / 255, few[1], EPS, lattice=255)
    adversarial_accuracy(make_net((30, 9, 5), "tanh"), *few, EPS)
    adversarial_accuracy(net, x[:0], labels[:0], EPS)
    assert taken == [False] * 8


class Own(FGSM):
    """An attack of the user's own, which is another one."""

    def perturb_tile(self, tile, eps):
        return tile.x


def test_an_attack_that_only_looks_like_fgsm_is_made_itself(make_net, rng, taken):
    net = make_net((30, 90, 5))
    x, labels = batch(rng, net, 9)
    report = adversarial_accuracy(net, x, labels, 1.0, attack=Own())
    np.testing.assert_array_equal(report.adversarial_prediction, report.clean_prediction)
    assert taken == [False]


@pytest.mark.parametrize("bounds", [(-1e300, 1e300), (-1e-50, 1), (0, np.inf)])
def test_bounds_beyond_the_type_are_no_bounds_and_numpy_is_silent(make_net, rng, bounds, taken):
    net = make_net((30, 90, 5))
    x, labels = batch(rng, net, 9)
    with np.errstate(all="raise"):
        report = adversarial_accuracy(net, x, labels, 1e-50, bounds, keep_adversarial=True)
    assert taken == [True]
    np.testing.assert_array_equal(report.adversarial, x)


# --- what is unusual


def test_samples_without_a_gradient_and_saturated_ones_are_named(dtype, taken):
    dead = MLP(
        [np.ones((1, 1), dtype), np.array([[0, 1]], dtype)],
        [np.array([-0.5], dtype), np.zeros(2, dtype)],
    )
    x = np.array([[0.25], [0.75], [0.125], [200.0]], dtype)
    report = adversarial_accuracy(dead, x, [0, 1, 0, 1], 0.01)
    found = {one.name: one.rows.tolist() for one in report.diagnostics}
    assert found == {"no gradient": [0, 2], "saturated": [3]}
    assert (report.zero_gradient_rows, report.saturated_rows) == (2, 1)
    assert taken == [True]


@pytest.mark.parametrize(("logits", "seen"), [((0.25, 0.75), True), ((0.25, 0.76), False)])
def test_outputs_that_are_probabilities_are_noticed(taken, logits, seen):
    net = MLP([np.zeros((3, 2))], [np.array(logits)])
    report = adversarial_accuracy(net, np.ones((4, 3)), [1] * 4, EPS)
    assert ("outputs are probabilities" in [one.name for one in report.diagnostics]) == seen
    assert taken == [True]


OVERFLOWS = [  # of clean logits, of derivatives, of the logits under attack
    ([np.full((2, 2), 1e38), np.eye(2)], [[0, 0], [9, 9], [0, 0]], "row 1: the logits"),
    ([np.full((2, 2), 1e38), [[3, -3], [3, -3]]], [[-1, -1], [0.1, 0.1], [0, 0]], "row 1"),
    ([[[-1e38, 1e38], [1e38, -1e38]]], [[0, 0], [-1.5, 1.5], [0, 0]], "row 1: the logits"),
]


@pytest.mark.parametrize(("weights", "x", "message"), OVERFLOWS)
def test_overflows_are_named_by_their_rows(weights, x, message, taken):
    weights = [np.array(w, np.float32) for w in weights]
    net = MLP(weights, [np.zeros(w.shape[1], np.float32) for w in weights])
    with pytest.raises(FloatingPointError, match=message):
        adversarial_accuracy(net, np.array(x, np.float32), [1, 1, 1], 1.0)
    assert taken == [False]


@pytest.mark.parametrize("row", [0, 4])
def test_a_wrong_answer_is_found_by_a_second_count(make_net, rng, monkeypatch, row):
    """Planted: one entry moved the wrong way; another class of one clean or adversarial input."""
    net = make_net((30, 90, 5))
    x, labels = batch(rng, net, 5)
    adversarial_accuracy(net, x, labels, EPS, verify=1)
    right = _few.attack_by_sign

    def moved(net, x, labels, settings, found, threads):
        state = right(net, x, labels, settings, found, threads)
        found.moved[row, 3] = 2 * x[row, 3] - found.moved[row, 3]
        return state

    def counted(net, x, labels, settings, found, threads, k=0):
        state = right(net, x, labels, settings, found, threads)
        found.classes[k, row] = (found.classes[k, row] + 1) % 5
        return state

    for wrong in (moved, counted, partial(counted, k=1)):
        monkeypatch.setattr(_few, "attack_by_sign", wrong)
        with pytest.raises(VerificationError, match=f"^row {row}"):
            adversarial_accuracy(net, x, labels, EPS, verify=1)
