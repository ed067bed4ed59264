"""The same samples within several bounds at once: passes over clean inputs are shared."""

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, attacks
from fastnn._engine import layers
from fastnn.attacks._verification import Verification
from fastnn.attacks.evaluate import in_ways

WAYS = (None, (0, 1), (-0.5, 1.5))
ATTACKS = {
    "fgsm": "fgsm",
    "fgsm in L2": attacks.FGSM(norm="l2"),
    "pgd": attacks.PGD(steps=4, restarts=2),
    "several": [attacks.FGSM(), attacks.PGD(steps=3), attacks.Square(queries=20)],
    "deepfool": attacks.DeepFool(steps=3),
}


@pytest.fixture
def net(rng):
    return MLP.random((36, 40, 30, 4), rng=rng)


@pytest.fixture(params=[7, 400], ids=["few rows", "tiles"])
def samples(request, rng):
    return rng.random((request.param, 36), np.float32), rng.integers(0, 4, request.param)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("eps", [0.05, [0.02, 0.1]])
def test_reports_are_those_of_single_calls(net, samples, attack, eps):
    settings = {"attack": attack, "rng": 3}
    for bounds, found in zip(WAYS, in_ways(net, *samples, eps, WAYS, **settings), strict=True):
        alone = adversarial_accuracy(net, *samples, eps, bounds, **settings)
        for name in ("clean_prediction", "adversarial_prediction", "bounds", "digests"):
            np.testing.assert_equal(getattr(found, name), getattr(alone, name))
        for name in ("saturated_rows", "zero_gradient_rows", "attack", "classes"):
            assert getattr(found, name) == getattr(alone, name)
        assert list(map(str, found.diagnostics)) == list(map(str, alone.diagnostics))


@pytest.mark.parametrize("eps", [0.05, [0.02, 0.1]])
def test_the_clean_gradient_is_computed_once(net, samples, eps, monkeypatch):
    rows, real = [], layers.backward
    monkeypatch.setattr(
        layers, "backward", lambda ws, **to: rows.append(len(ws.h[0])) or real(ws, **to)
    )
    in_ways(net, *samples, eps, WAYS, attack="fgsm")
    assert sum(rows) == len(samples[0])


def test_targets_and_the_inputs_of_the_last_way(net, samples):
    x, labels = samples
    targets = (labels + 1) % 4
    reports = in_ways(net, x, labels, 0.1, WAYS, attack="fgsm", targets=targets, keep_last=True)
    assert [report.adversarial is None for report in reports] == [True, True, False]
    for bounds, report in zip(WAYS, reports, strict=True):
        alone = adversarial_accuracy(net, x, labels, 0.1, bounds, targets=targets)
        np.testing.assert_array_equal(report.adversarial_prediction, alone.adversarial_prediction)
    expected = attacks.FGSM().perturb(net, x, labels, 0.1, WAYS[-1], targets=targets)
    np.testing.assert_array_equal(reports[-1].adversarial, expected)


def test_every_way_checks_its_bounds(net, samples):
    x, labels = samples
    x[3, 5] = 1.25
    with pytest.raises(ValueError, match=r"x\[3, 5\] is 1\.25"):
        in_ways(net, x, labels, 0.1, WAYS, attack="fgsm")


def test_a_second_count_is_made_in_every_way(net, samples, monkeypatch):
    made, real = [], Verification.require

    def noted(self):
        made.append(self)
        real(self)

    monkeypatch.setattr(Verification, "require", noted)
    in_ways(net, *samples, 0.1, WAYS, attack="fgsm", verify=0.5)
    assert len(made) == len(WAYS)
