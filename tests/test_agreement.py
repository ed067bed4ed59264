"""Every name of `fastnn.reference` has a fast partner, and the two agree."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import reference
from fastnn._engine import losses

ITERATED = fastnn.attacks.IteratedFGSM(steps=3, step_size=0.03)
TIGHT = {np.float32: 1e-5, np.float64: 1e-12}


class Case(NamedTuple):
    """A network, samples for it, and their logits; `wide` is what the reference is given."""

    net: Any
    wide: Any
    x: Any
    labels: Any
    logits: Any


@pytest.fixture(params=["relu", "sigmoid", "tanh"])
def case(request, rng, make_net, dtype):
    net = make_net((20, 33, 17, 10), request.param, dtype)
    x, labels = rng.random((37, 20)).astype(dtype), rng.integers(0, 10, 37)
    return Case(net, net.astype(np.float64), x, labels, 10 * net.logits(x))


def by_entry(name):
    """Pair a function of one row of logits with its namesake for any batch."""
    return (
        lambda c: [getattr(fastnn, name)(c.logits)],
        lambda c: [[getattr(reference, name)(z) for z in c.logits.astype(np.float64)]],
    )


def by_sample(name, *, labelled):
    """Pair a function of one sample with the method of the same name."""

    def fast(c):
        return [getattr(c.net, name)(c.x, *([c.labels] if labelled else []))]

    def slow(c):
        function, net, x = getattr(reference, name), c.wide, c.x.astype(np.float64)
        samples = zip(x, c.labels, strict=True) if labelled else zip(x, strict=True)
        return [[function(net.weights, net.biases, *s, net.activation) for s in samples]]

    return fast, slow


def kernel_residual(c):
    out = np.empty_like(c.logits)
    losses.loss_residual(c.logits, c.labels, np.empty(len(out), out.dtype), out)
    return [out]


def kernel_attack_residual(c):
    out = np.empty_like(c.logits)
    losses.attack_residual(c.logits, c.labels, out)
    return [out]


def by_label(name):
    """Return the reference's function of a row of logits and a label, over all rows."""
    return lambda c: [[getattr(reference, name)(*s) for s in zip(c.logits, c.labels, strict=True)]]


def flat(pair):
    return [*pair[0], *pair[1]]


def trained_once(c):
    net = c.net.astype(c.net.dtype)
    fastnn.train(net, c.x, c.labels, epochs=1, batch_size=37, learning_rate=0.5, l2=0.1)
    return [*net.weights, *net.biases]


def attacked(function, **more):
    return lambda c: [function(c.net, c.x, c.labels, 0.05, **more)]


def counts(c):
    report = fastnn.adversarial_accuracy(c.net, c.x, c.labels, 0.05, bounds=(0, 1))
    return [[report.clean_correct, report.adversarial_correct]]


def parts(c):
    return c.wide.weights, c.wide.biases


def rest(c):
    return {"activation": c.wide.activation}


# The fast partner of every name, and the reference, each as a function of a `Case`.
PARTNERS = {
    "adversarial_accuracy": (
        counts,
        lambda c: [
            reference.adversarial_accuracy(
                *parts(c), c.x.astype(float), c.labels, 0.05, bounds=(0, 1), **rest(c)
            )
        ],
    ),
    "attack_residual": (kernel_attack_residual, by_label("attack_residual")),
    "cross_entropy": (
        lambda c: [fastnn.cross_entropy(c.logits, c.labels)],
        by_label("cross_entropy"),
    ),
    "fgsm": (
        attacked(fastnn.fgsm),
        lambda c: [
            [
                reference.fgsm(*parts(c), row, label, 0.05, **rest(c))
                for row, label in zip(c.x.astype(float), c.labels, strict=True)
            ]
        ],
    ),
    "gradients": (
        lambda c: flat(c.net.gradients(c.x[0], c.labels[0])),
        lambda c: flat(
            reference.gradients(*parts(c), c.x[0].astype(float), c.labels[0], **rest(c))
        ),
    ),
    "input_gradient": by_sample("input_gradient", labelled=True),
    "first_flip": (
        lambda c: [1 / (0.1 + fastnn.first_flip(c.net, c.x, c.labels, (0, 1), tolerance=0.05))],
        lambda c: [
            [  # some are infinite
                1
                / (
                    0.1
                    + reference.first_flip(
                        *parts(c), row, label, largest=1.0, tolerance=0.05, bounds=(0, 1), **rest(c)
                    )
                )
                for row, label in zip(c.x.astype(float), c.labels, strict=True)
            ]
        ],
    ),
    "iterated_fgsm": (
        attacked(ITERATED.perturb, bounds=(0, 1)),
        lambda c: [
            [
                reference.iterated_fgsm(
                    *parts(c), row, label, 0.05, steps=3, step_size=0.03, bounds=(0, 1), **rest(c)
                )
                for row, label in zip(c.x.astype(float), c.labels, strict=True)
            ]
        ],
    ),
    "log_softmax": by_entry("log_softmax"),
    "logits": by_sample("logits", labelled=False),
    "loss": (
        lambda c: [c.net.loss(row, label) for row, label in zip(c.x, c.labels, strict=True)],
        lambda c: by_sample("loss", labelled=True)[1](c)[0],
    ),
    "mean_gradients": (
        lambda c: flat(c.net.gradients(c.x, c.labels, l2=0.1)),
        lambda c: flat(
            reference.mean_gradients(*parts(c), c.x.astype(float), c.labels, l2=0.1, **rest(c))
        ),
    ),
    "one_hot": (
        lambda c: [fastnn.one_hot(c.labels)],
        lambda c: [[reference.one_hot(label, 10) for label in c.labels]],
    ),
    "predict": by_sample("predict", labelled=False),
    "predict_proba": by_sample("predict_proba", labelled=False),
    "relu": by_entry("relu"),
    "relu_grad": by_entry("relu_grad"),
    "residual": (kernel_residual, by_label("residual")),
    "sgd_step": (
        trained_once,
        lambda c: flat(
            reference.sgd_step(
                *parts(c), c.x.astype(float), c.labels, learning_rate=0.5, l2=0.1, **rest(c)
            )
        ),
    ),
    "sigmoid": by_entry("sigmoid"),
    "softmax": by_entry("softmax"),
    "tanh": by_entry("tanh"),
}
# What the library must not do, so that a test can show why; and what tests/attacks compares, which
# needs random starts, bounds for each entry, or float64 alone.
ALONE = {
    "residual_cancelling",
    "apgd",
    "deepfool",
    "fast_change",
    "margin",
    "minimal_norm",
    "pgd",
    "project",
    "square",
}


def without_partner():
    return sorted(set(reference.__all__) - set(PARTNERS) - ALONE)


def agree(found, expected, tolerance):
    """Raise unless the arrays agree, relative to the largest entry of each."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def test_every_name_has_a_partner():
    assert without_partner() == []
    assert set(PARTNERS) | ALONE == set(reference.__all__)


def test_a_missing_partner_is_found(monkeypatch):
    monkeypatch.setattr(reference, "__all__", [*reference.__all__, "planted"])
    assert without_partner() == ["planted"]


@pytest.mark.parametrize("name", [name for name in reference.__all__ if name not in ALONE])
def test_the_partners_agree(case, dtype, name):
    fast, slow = PARTNERS[name]
    agree(fast(case), slow(case), TIGHT[dtype])


def test_a_disagreement_is_found(case, dtype):
    fast, slow = PARTNERS["logits"]
    planted = [one * (1 + 3 * TIGHT[dtype]) for one in fast(case)]
    with pytest.raises(AssertionError):
        agree(planted, slow(case), TIGHT[dtype])
