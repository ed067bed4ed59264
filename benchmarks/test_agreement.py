"""fastnn's attacks against the other programs, with a small network and few images."""

import agreement
import methods
import numpy as np
import pytest

from fastnn.networks import MLP
from fastnn.training import train

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def subject():
    """Return clusters of 8 x 8 pixels, and a network that classifies most of them."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 10, 400)
    centres = rng.random((10, 64))
    x = np.clip(centres[labels] + rng.normal(0, 0.25, (400, 64)), 0, 1).astype(np.float32)
    net = MLP.random((64, 32, 10), rng=1)
    train(net, x, labels, epochs=20, batch_size=20, learning_rate=0.05, momentum=0.8)
    return agreement.Subject(net, x[:24], labels[:24])


SLOW = ("standard", "square")
PAIRS = [
    pytest.param(method, program, id=f"{method.name}-{program.label}")
    for method in methods.METHODS
    if method.name not in SLOW
    for program in method.programs
]


@pytest.mark.parametrize(("method", "program"), PAIRS)
def test_what_is_the_same_agrees_up_to_ties(subject, method, program):
    for eps in method.eps:
        (line,) = agreement.lines(subject, method, eps, program.label)
        if isinstance(line, str):
            pytest.skip(line)
        assert not line.beyond_ties, line.text()
        if program.judged_by == "same":
            assert line.inputs == 0, line.text()


@pytest.mark.parametrize("method", [m for m in methods.METHODS if m.single], ids=lambda m: m.name)
def test_float32_agrees_up_to_ties(subject, method):
    for eps in method.eps:
        for line in agreement.lines(subject, method, eps, "fastnn float32"):
            assert not line.beyond_ties, line.text()


def test_a_cancelling_gradient_is_told_from_a_difference(subject):
    """With logits fifty times as large, the libraries' gradients cancel; the formula's does not."""
    sure = MLP(
        (*subject.net.weights[:-1], 50 * subject.net.weights[-1]),
        (*subject.net.biases[:-1], 50 * subject.net.biases[-1]),
    )
    scaled = agreement.Subject(sure, subject.x, subject.labels)
    assert (scaled.leads > 36).sum() > 8
    method = next(m for m in methods.METHODS if m.name == "fgsm-linf")
    (own,) = agreement.lines(scaled, method, 0.2, methods.FORMULA)
    assert own.verdict == "same"
    (line,) = agreement.lines(scaled, method, 0.2, "torchattacks")
    assert "where theirs cancels" in line.verdict
    assert line.theirs > line.ours
    assert not line.beyond_ties
