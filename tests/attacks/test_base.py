"""What any attack gets: a tile that computes, an evaluator that counts, and clear refusals."""

import numpy as np
import pytest

from fastnn import _checks, adversarial_accuracy, attacks, reference
from fastnn._engine.workspace import Workspace
from fastnn.attacks import Attack, Tile


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
    return Tile(ws, labels, slice(0, 13), _checks.Bounds(0, 1))


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
    assert (report.saturated_rows, report.zero_gradient_rows) == (0, 0)


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
        ("pgdd", ValueError, r"attack must be one of \('fgsm', 'iterated-fgsm'\), got 'pgdd'"),
        (3, TypeError, "attack must be a name or an Attack, got 3"),
        (attacks.FGSM, TypeError, "attack must be a name or an Attack, got <class"),
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
