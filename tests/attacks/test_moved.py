"""What FGSM without bounds makes of many samples is counted by products of the moved inputs."""

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, attacks
from fastnn.attacks import _clean
from fastnn.attacks._tally import Tally
from fastnn.attacks.evaluate import in_ways

SIZES = 70, 300, 40, 5
ROWS, TILES, EPS = 401, 2, 0.1


@pytest.fixture
def taken(monkeypatch):
    """Return what `moved_product` has said of every tile."""
    said, right = [], _clean.moved_product
    monkeypatch.setattr(
        _clean, "moved_product", lambda *args: said.append(right(*args)) or said[-1]
    )
    return said


@pytest.fixture
def logits(monkeypatch):
    """Return the logits of adversarial inputs as they were counted, with numbers of the rows."""
    found, right = [], Tally._count

    def count(self, tile, number, answer):
        found.append((tile.numbers, tile.logits(answer.x).copy()))
        right(self, tile, number, answer)

    monkeypatch.setattr(Tally, "_count", count)
    return found


def batch(rng, net):
    x = (rng.random((ROWS, net.sizes[0])) * (rng.random((ROWS, 1)) < 0.9)).astype(net.dtype)
    labels = net.predict(x)
    labels[::5] = 0
    return x, labels


def wide(net):
    """Return the network in float64."""
    parameters = ([array.astype(float) for array in each] for each in (net.weights, net.biases))
    return MLP(*parameters, net.activation)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_logits_are_those_of_the_adversarial_inputs(
    make_net, rng, dtype, activation, taken, logits
):
    net = make_net(SIZES, activation, dtype)
    x, labels = batch(rng, net)
    report = adversarial_accuracy(net, x, labels, EPS, keep_adversarial=True, verify=1)
    assert taken == [True] * 2 * TILES  # by the fixture `logits`, and by the count
    exact = wide(net).logits(report.adversarial.astype(float))
    allowed = 300 * np.finfo(dtype).eps * abs(exact).max()
    for numbers, found in logits:
        np.testing.assert_allclose(found, exact[numbers], rtol=0, atol=allowed)


@pytest.mark.parametrize(
    ("attack", "eps", "bounds"),
    [
        ("fgsm", EPS, (0, 1)),
        ("fgsm", EPS, (-np.inf, 2)),
        ("fgsm", [EPS, 0.2], None),  # counted again from the arrays
        (attacks.FGSM(norm="l2"), EPS, None),
        (attacks.PGD(steps=2), EPS, None),
        ([attacks.FGSM(), attacks.PGD(steps=2)], EPS, None),
    ],
    ids=str,
)
def test_other_attacks_keep_no_products(make_net, rng, attack, eps, bounds, taken):
    net = make_net(SIZES)
    several = np.ndim(eps) > 0
    adversarial_accuracy(net, *batch(rng, net), eps, bounds, attack=attack, recount=several)
    assert not taken


@pytest.mark.parametrize(("width", "rows"), [(5, ROWS), (300, 100)])
def test_weights_that_are_not_packed_have_the_usual_product(make_net, rng, width, rows, taken):
    """A first layer that is too narrow for panels, and rows that all threads share."""
    net = make_net((70, width, 40, 5), "tanh")
    x, labels = batch(rng, net)
    adversarial_accuracy(net, x[:rows], labels[:rows], EPS, verify=1)
    assert not taken


def test_an_entry_without_a_gradient_leads_back_to_the_usual_product(make_net, rng, taken):
    net = make_net(SIZES)
    net.weights[0][3] = 0
    x, labels = batch(rng, net)
    report = adversarial_accuracy(net, x, labels, EPS, keep_adversarial=True, verify=1)
    assert taken == [False] * TILES
    np.testing.assert_array_equal(report.adversarial[:, 3], x[:, 3])


def test_clipped_inputs_beside_those_that_are_not(make_net, rng, taken):
    """The way with bounds asks, too, and is refused."""
    net = make_net(SIZES)
    x, labels = batch(rng, net)
    ways = ((0, 1), None)
    for bounds, report in zip(ways, in_ways(net, x, labels, EPS, ways, attack="fgsm"), strict=True):
        alone = adversarial_accuracy(net, x, labels, EPS, bounds)
        np.testing.assert_array_equal(report.adversarial_prediction, alone.adversarial_prediction)
    assert sorted(taken) == [False] * TILES + [True] * 2 * TILES


def test_doubled_and_turned_rows_are_counted_as_before(make_net, rng, taken):
    net = make_net(SIZES)
    x, labels = batch(rng, net)
    once = adversarial_accuracy(net, x, labels, EPS)
    for rows in (np.arange(ROWS)[::-1], np.repeat(np.arange(ROWS), 2)):
        again = adversarial_accuracy(net, x[rows], labels[rows], EPS)
        found, wanted = again.adversarial_prediction, once.adversarial_prediction[rows]
        assert np.count_nonzero(found != wanted) <= 1  # nearly equal logits may round otherwise
    assert taken == [True] * (TILES + TILES + 4)


@pytest.mark.parametrize("threads", [2, 5])
def test_nothing_depends_on_the_number_of_threads(make_net, rng, threads, taken):
    net, (rows, tiles) = make_net(SIZES), (1301, 8)
    x, labels = rng.random((rows, SIZES[0]), np.float32), rng.integers(0, 5, rows)
    one = adversarial_accuracy(net, x, labels, EPS, threads=1)
    many = adversarial_accuracy(net, x, labels, EPS, threads=threads)
    np.testing.assert_array_equal(one.adversarial_prediction, many.adversarial_prediction)
    assert taken == [True] * 2 * tiles


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("eps", [0, 0.01])
def test_weights_as_large_as_their_type_allows(rng, activation, eps, taken):
    """The sums of the signs alone would be infinite: tanh would make 1 of them, and no error."""
    columns = 2e36 * abs(rng.standard_normal((784, 256))) * rng.choice([-1, 1], 256)
    weights = [w.astype(np.float32) for w in (columns, rng.standard_normal((256, 5)))]
    biases = [np.zeros(w.shape[1], np.float32) for w in weights]
    x, labels = rng.random((300, 784), np.float32) / 50, rng.integers(0, 5, 300)
    net = MLP(weights, biases, activation)
    report = adversarial_accuracy(net, x, labels, eps, keep_adversarial=True)
    assert taken == [True] * TILES
    moved = report.adversarial.astype(float)
    sure = abs(moved @ columns).min(axis=1) > 1e32  # others may round to the other sign
    assert np.count_nonzero(sure) > 200
    found = report.adversarial_prediction
    np.testing.assert_array_equal(found[sure], wide(net).predict(moved)[sure])
