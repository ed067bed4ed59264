"""What any attack gets: a tile that computes, an evaluator that counts, and clear refusals."""

import re

import numpy as np
import pytest

from fastnn import MLP, _checks, adversarial_accuracy, attacks, reference
from fastnn._engine import narrow
from fastnn._engine.workspace import Workspace
from fastnn.attacks import Attack, Tile
from fastnn.attacks._goal import Goal


@pytest.fixture
def net(make_net, activation, dtype):
    return make_net((7, 9, 8, 5), activation, dtype)


@pytest.fixture
def batch(rng, dtype):
    return rng.random((13, 7)).astype(dtype), rng.integers(0, 5, 13)


@pytest.fixture
def tile(net, batch):
    x, labels = batch
    ws = Workspace(net, 20, to=0, packed={}, direction=True)
    ws.load(x, slice(0, 13))
    return Tile(ws, ws.h[0], labels, np.arange(13), _checks.Bounds(0, 1), Goal())


def test_logits_are_the_networks_and_those_of_clean_inputs_are_kept(net, batch, tile, dtype):
    x = batch[0]
    moved = np.ascontiguousarray(x[::-1])
    tolerance = {"rtol": 0, "atol": 50 * np.finfo(dtype).eps}
    np.testing.assert_allclose(tile.logits(moved), net.logits(moved), **tolerance)
    np.testing.assert_allclose(tile.clean_logits(), net.logits(x), **tolerance)
    tile.logits(moved)
    np.testing.assert_allclose(tile.clean_logits(), net.logits(x), **tolerance)


def test_logits_from_products_of_the_first_layer(net, batch, tile, dtype):
    x = batch[0]
    found = tile.logits(tile.x, products=x @ net.weights[0])
    np.testing.assert_allclose(found, net.logits(x), rtol=0, atol=50 * np.finfo(dtype).eps)


def test_a_gradient_is_a_positive_multiple_of_the_references(net, batch, tile):
    x, labels = batch
    moved = np.ascontiguousarray(x + x.dtype.type(0.1))
    for rows, given in ((x, tile.x), (moved, moved), (x, tile.x)):
        found = tile.gradient(given).astype(np.float64)
        wide = net.astype(np.float64)
        expected = np.array(
            [
                reference.input_gradient(wide.weights, wide.biases, row, label, net.activation)
                for row, label in zip(rows.astype(np.float64), labels, strict=True)
            ]
        )
        largest = np.abs(expected).argmax(axis=1)[:, None]
        factor = np.take_along_axis(found, largest, 1) / np.take_along_axis(expected, largest, 1)
        assert (factor > 0).all()
        scale = np.abs(found).max(axis=1, keepdims=True)
        np.testing.assert_allclose(found / scale, factor * expected / scale, atol=1e-3)


class Shift(Attack):
    """Adds eps to every entry: an attack in five lines, which takes no gradient."""

    def perturb_tile(self, tile, eps):
        out = tile.buffer("shifted")
        return np.clip(tile.x + eps, tile.lower, tile.upper, out=out)


def test_an_attack_of_ones_own_is_counted(net, batch):
    x, labels = batch
    report = adversarial_accuracy(net, x, labels, eps=[0.1, 0.4], bounds=(0, 1), attack=Shift())
    for eps, prediction in zip((0.1, 0.4), report.adversarial_prediction, strict=True):
        moved = np.clip(x + x.dtype.type(eps), 0, 1)
        np.testing.assert_array_equal(prediction, net.predict(moved))
        np.testing.assert_array_equal(Shift().perturb(net, x, labels, eps, (0, 1)), moved)
    np.testing.assert_array_equal(report.clean_prediction, net.predict(x))


@pytest.mark.parametrize("rows", [13, 200])  # products of BLAS, and those that leave zeros out
@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: x.repeat(2, 1)[:, ::2]])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_an_attack_may_return_any_type_and_layout(make_net, rng, dtype, rows, layout, kind):
    net = make_net((20, 160, 10), dtype=dtype)
    x = (rng.random((rows, 20)) * rng.integers(0, 2, (rows, 20))).astype(dtype)
    labels = rng.integers(0, 10, rows)

    class Turned(Attack):
        def perturb_tile(self, tile, eps):
            moved = layout((tile.x + eps / 2).astype(kind))  # its rounding is not beyond eps
            np.testing.assert_allclose(tile.logits(moved), net.logits(tile.x + eps / 2), atol=0.05)
            return moved

    expected = (x + dtype(0.125)).astype(kind).astype(dtype)
    np.testing.assert_array_equal(Turned().perturb(net, x, labels, 0.25), expected)
    report = adversarial_accuracy(net, x, labels, eps=0.25, attack=Turned())
    np.testing.assert_array_equal(report.adversarial_prediction, net.predict(expected))


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (lambda x: x[:1].copy(), ValueError, r"keeps the shape \(13, 7\) of a tile, got \(1, 7\)"),
        (lambda x: x[:, :1].copy(), ValueError, r"of a tile, got \(13, 1\)"),
        (lambda x: x[0], ValueError, r"of a tile, got \(7,\)"),
        (lambda x: x.tolist(), TypeError, "an attack works on arrays, got list"),
        (lambda _: None, TypeError, "an attack works on arrays, got NoneType"),
    ],
)
def test_an_attack_that_returns_something_else_is_refused(net, batch, result, kind, message):
    class Odd(Attack):
        def perturb_tile(self, tile, eps):
            return result(tile.x)

    with pytest.raises(kind, match=message):
        Odd().perturb(net, *batch, 0.1)
    with pytest.raises(kind, match=message):
        adversarial_accuracy(net, *batch, attack=Odd())


class Copying(Attack):
    """Takes its gradient at a copy of the clean inputs."""

    def perturb_tile(self, tile, eps):
        x = tile.x.copy()
        return tile.step(x, tile.gradient(x), eps, eps, x)


@pytest.mark.parametrize("attack", ["fgsm", "iterated-fgsm", Shift(), Copying()])
@pytest.mark.parametrize("eps", [0.1, [0.1, 0.2]])
def test_rows_are_counted_at_the_clean_inputs_whatever_the_attack(dtype, attack, eps):
    # Logits 50 and 0 where the input is 1, all 0 without a gradient where it is not above 1/2.
    weights = [np.array([[2]], dtype), np.array([[50, 0]], dtype)]
    net = MLP(weights, [np.array([-1], dtype), np.zeros(2, dtype)])
    x = np.array([[1], [0.25], [1], [0], [0.5], [1]], dtype)
    report = adversarial_accuracy(net, x, np.zeros(6, int), eps=eps, attack=attack)
    assert report.saturated_rows == 3
    assert report.zero_gradient_rows == 3


class Overwriting(Attack):
    """FGSM that writes to all that the tile returns."""

    def perturb_tile(self, tile, eps):
        tile.logits(tile.x)[:] = 7
        tile.clean_logits()[:] = 7
        out = tile.step(tile.x, tile.gradient(tile.x), eps, eps, tile.buffer("out")).copy()
        tile.gradient(tile.x)[:] = 7
        return out


def test_an_attack_may_overwrite_all_that_it_gets(net, batch):
    x, labels = batch
    expected = adversarial_accuracy(net, x, labels, eps=0.1, bounds=(0, 1))
    found = adversarial_accuracy(net, x, labels, eps=0.1, bounds=(0, 1), attack=Overwriting())
    np.testing.assert_array_equal(found.clean_prediction, expected.clean_prediction)
    np.testing.assert_array_equal(found.adversarial_prediction, expected.adversarial_prediction)
    assert found.saturated_rows == expected.saturated_rows


def test_clean_inputs_are_read_only(tile):
    with pytest.raises(ValueError, match="read-only"):
        tile.x[0] = 0
    with pytest.raises(ValueError, match="out must be a buffer of the tile"):
        tile.step(tile.x, tile.gradient(tile.x), 0.1, 0.1, tile.x)
    with pytest.raises(ValueError, match="out must be a buffer of the tile"):
        tile.step(tile.x, tile.gradient(tile.x), 0.1, 0.1, np.empty(tile.x.shape, np.float16))


def test_a_part_of_a_tile_computes_what_the_tile_does(net, batch, tile, dtype):
    x, labels = batch
    chosen = np.array([7, 2, 11])
    whole, part = tile.gradient(tile.x).copy(), tile.some(chosen)
    np.testing.assert_array_equal(part.x, x[chosen])
    np.testing.assert_array_equal(part.labels, labels[chosen])
    np.testing.assert_array_equal(part.numbers, chosen)
    found = part.gradient(part.x)
    for one, other in zip(found, whole[chosen], strict=True):
        scaled = one / np.abs(one).max(), other / np.abs(other).max()
        np.testing.assert_allclose(*scaled, atol=200 * np.finfo(dtype).eps)
    np.testing.assert_allclose(part.clean_logits(), tile.clean_logits()[chosen], rtol=1e-5)
    tile.logits(tile.x)  # a part that computes in between leaves its values in the layers
    part.logits(part.x)
    np.testing.assert_array_equal(tile.gradient(tile.x), whole)
    some = tile.some(labels == labels[0])
    assert (some.labels == labels[0]).all()
    assert some.clean_logits().shape == (np.count_nonzero(labels == labels[0]), 5)


def test_the_gradient_of_another_loss(net, batch, tile):
    """Of the first logit: its residual is a column of ones."""

    def first(logits):
        residual = np.zeros_like(logits)
        residual[:, 0] = 1
        return residual

    logits, found = tile.logits_and_gradient(tile.x, first)
    found = found.copy()
    np.testing.assert_allclose(logits, tile.clean_logits())
    tile.gradient(tile.x, np.zeros_like)
    assert tile.counts()[1] < 13  # of the cross-entropy, whatever came before
    wide, x = net.astype(np.float64), batch[0].astype(np.float64)
    step = 1e-6
    for row, i in ((0, 3), (5, 0), (12, 6)):
        up, down = x[row].copy(), x[row].copy()
        up[i] += step
        down[i] -= step
        slope = (wide.logits(up)[0] - wide.logits(down)[0]) / (2 * step)
        assert np.sign(slope) == np.sign(found[row, i]) or abs(slope) < 1e-6


def test_margins_and_who_is_fooled(net, batch, tile):
    _, labels = batch
    logits = tile.clean_logits()
    expected = [
        reference.margin(z.astype(float), label) for z, label in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(tile.margins(logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(tile.fooled(logits), logits.argmax(axis=1) != labels)
    targets = (labels + 1) % 5
    aimed = Tile(
        tile.workspace,
        tile.workspace.h[0],
        labels,
        np.arange(13),
        _checks.Bounds(0, 1),
        Goal(targets),
    )
    expected = [
        reference.margin(z.astype(float), label, target)
        for z, label, target in zip(logits, labels, targets, strict=True)
    ]
    np.testing.assert_allclose(aimed.margins(logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(aimed.fooled(logits), logits.argmax(axis=1) == targets)
    tied = np.zeros_like(logits)  # the first of equals is predicted
    np.testing.assert_array_equal(tile.fooled(tied), labels != 0)


def test_more_eps_than_the_workspace_has_rows(net, batch):
    x, labels = batch
    ws = Workspace(net, 2, to=0, packed={}, direction=True)
    ws.load(x, slice(0, 2))
    tile = Tile(ws, ws.h[0], labels[:2], np.arange(2), _checks.Bounds(0, 1), Goal())
    eps = np.linspace(0, 1, 5, dtype=net.dtype)
    found = np.empty((5, 2), int)
    for rows, positions, logits in attacks.FGSM().answers(tile, eps):
        count = rows.stop - rows.start
        found[positions[:, None], np.arange(2)[rows]] = logits.argmax(1).reshape(count, -1).T
    expected = adversarial_accuracy(net, x[:2], labels[:2], eps=eps, bounds=(0, 1))
    np.testing.assert_array_equal(found, expected.adversarial_prediction)


@pytest.mark.parametrize("many", [False, True])
def test_numbers_are_positions_in_the_batch(net, batch, many):
    seen = []

    class Noting(Attack):
        def perturb_tile(self, tile, eps):
            seen.append((tile.numbers.copy(), tile.x.copy(), tile.labels.copy()))
            return tile.x

    x, labels = batch
    if many:
        times = -(-(narrow.MOST_ROWS + 1) // len(x))
        x, labels = np.tile(x, (times, 1)), np.tile(labels, times)
    adversarial_accuracy(net, x, labels, attack=Noting())
    numbers, rows, truth = (np.concatenate(arrays) for arrays in zip(*seen, strict=True))
    assert sorted(numbers) == list(range(len(x)))
    np.testing.assert_array_equal(rows, x[numbers])
    np.testing.assert_array_equal(truth, labels[numbers])
    # Samples of a class have zeros in the same places, which makes products of tiles faster.
    assert all((np.diff(of_tile) >= 0).all() for _, _, of_tile in seen) is many


class Broken(Attack):
    """Returns a NaN in one row."""

    def perturb_tile(self, tile, eps):
        out = tile.buffer("broken")
        out[:] = tile.x
        out[tile.labels == 3] = np.nan
        return out


def test_an_attack_that_returns_a_nan_is_an_error_that_names_the_row(net, batch):
    x, labels = batch
    labels[:] = 0
    labels[6] = 3
    with pytest.raises(FloatingPointError, match="row 6: the steps are not finite"):
        Broken().perturb(net, x, labels, 0.1)
    with pytest.raises(FloatingPointError, match="row 6: the logits are not finite"):
        adversarial_accuracy(net, x, labels, attack=Broken())


@pytest.mark.parametrize(
    ("attack", "kind", "message"),
    [
        (
            "pgdd",
            ValueError,
            re.escape(f"attack must be one of {tuple(attacks.ATTACKS)}, got 'pgdd'"),
        ),
        (3, TypeError, "attack must be a name, an Attack or a function, got 3"),
        (attacks.FGSM, TypeError, "attack must be a name, an Attack or a function, got <class"),
    ],
)
def test_what_is_no_attack_is_refused(net, batch, attack, kind, message):
    with pytest.raises(kind, match=message):
        adversarial_accuracy(net, *batch, attack=attack)


def test_every_attack_has_a_name_and_defaults(net, batch):
    for name, kind in attacks.ATTACKS.items():
        report = adversarial_accuracy(net, *batch, attack=name)
        same = adversarial_accuracy(net, *batch, attack=kind())
        np.testing.assert_array_equal(report.adversarial_prediction, same.adversarial_prediction)


def test_an_attack_without_its_one_method_cannot_be_made():
    class Idle(Attack):
        """Does nothing."""

    with pytest.raises(TypeError, match="perturb_tile"):
        Idle()
