"""DeepFool, the minimal norm and Square, against one sample at a time."""

import numpy as np
import pytest

from fastnn import reference
from fastnn.attacks import DeepFool, MinimalNorm, Square, _random


@pytest.fixture
def samples(make_net, rng):
    """Return a network, images of 5 x 5 pixels and labels, of which some are wrong already."""
    net = make_net((25, 33, 17, 10), "tanh", np.float64)
    x = rng.random((13, 25))
    labels = net.predict(x)
    labels[::6] = (labels[::6] + 1) % 10
    return net, x, labels


def compare(name, attack, samples, eps, targeted, bounds, options):
    """Compare an attack with the function `name` of the reference, sample by sample."""
    net, x, labels = samples
    targets = (labels + 3) % 10 if targeted else None
    found = attack.perturb(net, x, labels, eps, bounds, targets=targets)
    for i, row in enumerate(x):
        expected = getattr(reference, name)(
            net.weights,
            net.biases,
            row,
            labels[i],
            eps,
            target=targets[i] if targeted else None,
            bounds=bounds,
            activation=net.activation,
            **options(i),
        )
        np.testing.assert_allclose(found[i], expected, rtol=1e-6, atol=1e-7)
    assert len(np.unique(np.abs(found - x).max(axis=1).round(6))) > (name != "square")


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("bounds", [None, (0, 1)])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("eps", [0.02, 0.3])
def test_deepfool_is_the_references(samples, targeted, bounds, norm, eps):
    attack = DeepFool(8, 0.1, norm)
    options = {"steps": 8, "overshoot": 0.1, "norm": norm}
    compare("deepfool", attack, samples, eps, targeted, bounds, lambda i: options)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("bounds", [None, (0, 1)])
@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.2), ("l2", 0.6), ("l1", 1.5)])
def test_the_minimal_norm_is_the_references(samples, targeted, bounds, norm, eps):
    attack = MinimalNorm(norm, steps=5, halvings=4)
    options = {"steps": 5, "halvings": 4, "norm": norm}
    compare("minimal_norm", attack, samples, eps, targeted, bounds, lambda i: options)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("bounds", [None, (0, 1)])
@pytest.mark.parametrize("queries", [1, 30])
def test_square_is_the_references(samples, targeted, bounds, queries):
    def draws(i):
        sample = np.array([i])
        columns = _random.uniform(_random.keys(0, sample, 0, 0), 5, np.float64)[0]
        places = [
            _random.uniform(_random.keys(0, sample, 0, q), 3, np.float64)[0]
            for q in range(1, queries)
        ]
        return {"columns": columns, "places": np.array(places).reshape(-1, 3), "share": 0.5}

    attack = Square(queries, share=0.5)
    compare("square", attack, samples, 0.1, targeted, bounds, draws)
