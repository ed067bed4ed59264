"""Products of steps, against products of the inputs themselves."""

import numpy as np
import pytest

import fastnn
from fastnn import MLP, adversarial_accuracy
from fastnn.attacks import PGD, Attack, IteratedFGSM, _steps
from fastnn.attacks._steps import Steps


class Walker(Attack):
    """Signed steps that are the same for a while; what the products are is kept."""

    def __init__(self, part=None):
        self.part, self.errors = part, []

    def perturb_tile(self, tile, eps):
        rng = np.random.default_rng(1)
        signs = rng.choice([-1, 1], tile.x.shape).astype(tile.x.dtype)
        x = np.array(tile.x)
        steps = Steps(tile, x)
        rows = np.arange(len(x))
        for step in range(30):
            if step == 10 and self.part is not None:
                tile, rows = tile.some(self.part), rows[self.part]
                steps, x = steps.some(tile, self.part), x[self.part]
            signs[rng.random(signs.shape) < 0.02] *= -1
            self._note(tile, x, steps.products(x))
            x = tile.step(x, signs[rows], eps / 10, eps, np.empty_like(x))
        return np.array(x) if len(x) == len(signs) else np.zeros_like(signs)

    def _note(self, tile, x, products):
        weights = tile.workspace.net.weights[0].astype(np.float64)
        x = x.astype(np.float64)
        scale = np.abs(x) @ np.abs(weights)
        self.errors.append(float((np.abs(products - x @ weights) / scale).max()))


@pytest.fixture
def net(make_net, dtype):
    return make_net((50, 130, 10), "relu", dtype)


@pytest.fixture
def samples(rng, dtype):
    x = rng.random((200, 50)).astype(dtype)
    x[x < 0.6] = 0
    return x, rng.integers(0, 10, 200)


@pytest.mark.parametrize("rows", [3, 200])  # products of all threads, and those of tiles
@pytest.mark.parametrize("part", [None, [2, 0]])
@pytest.mark.parametrize("scale", [1, 1000])
def test_products_of_steps_are_those_of_the_inputs(net, samples, dtype, rows, part, scale):
    walker = Walker(None if part is None else np.array(part))
    x = samples[0][:rows] * dtype(scale)
    walker.perturb(net, x, samples[1][:rows], 0.1 * scale, (0, scale))
    assert len(walker.errors) >= 30
    assert max(walker.errors) < 20 * np.finfo(dtype).eps


def test_planted_a_change_that_is_forgotten_shows(net, samples, monkeypatch):
    advance = _steps.increments._advance

    def forgetful(again, change, products, out):
        advance(again, change, products, out)
        change[:] = 0

    monkeypatch.setattr(_steps.increments, "_advance", forgetful)
    walker = Walker()
    walker.perturb(net, *samples, 0.1, (0, 1))
    assert max(walker.errors) > 1e-3


def test_few_entries_of_a_step_are_multiplied(net, samples, monkeypatch):
    entering, product = [], _steps.layer_product

    def counted(ws, a, *rest, **options):
        entering.append(np.mean(a != 0))
        product(ws, a, *rest, **options)

    monkeypatch.setattr(_steps, "layer_product", counted)
    with fastnn.threads(1):  # so that calls of two tiles do not mix
        Walker().perturb(net, *samples, 0.1, (0, 1))
    by_tile = np.reshape(entering, (-1, 31))
    assert by_tile[:, 2].min() > 0.5  # the first step, to which none is alike
    assert by_tile[:, 3:10].max() < 0.2


@pytest.mark.parametrize("attack", [PGD(20, random_start=False), IteratedFGSM(20)])
def test_an_attack_by_steps_takes_the_ways_of_one_by_whole_products(
    net, samples, attack, monkeypatch
):
    found = attack.perturb(net, *samples, 0.1, (0, 1))
    seen = []

    def whole(self, x):
        seen.append(x)
        return x @ self._tile.workspace.net.weights[0]

    monkeypatch.setattr(Steps, "products", whole)
    expected = attack.perturb(net, *samples, 0.1, (0, 1))
    assert seen
    if net.dtype == np.float64:
        np.testing.assert_allclose(found, expected, atol=1e-12)
    else:  # a derivative near 0 may turn
        assert np.isclose(found, expected, atol=1e-6).mean() > 0.99


def test_eps_in_one_call_and_alone_are_the_same(net, samples):
    x, labels = samples
    for attack in (PGD(10, random_start=False), IteratedFGSM(10)):
        both = adversarial_accuracy(net, x, labels, [0.05, 0.1], (0, 1), attack=attack)
        alone = adversarial_accuracy(net, x, labels, 0.1, (0, 1), attack=attack)
        assert both.adversarial_correct[1] == alone.adversarial_correct


def test_a_linear_network_has_one_layer_and_its_products():
    net = MLP([np.eye(3, dtype=np.float32)], [np.zeros(3, np.float32)])
    x = np.array([[0.5, 0.4, 0.3]], np.float32)
    found = fastnn.pgd(net, x, [0], 0.2, (0, 1), random_start=False)
    np.testing.assert_allclose(found, [[0.3, 0.6, 0.5]], atol=1e-6)
