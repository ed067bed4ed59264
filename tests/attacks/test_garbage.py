"""What a call leaves to the garbage collector: nothing, as buffers would wait there for long."""

import gc
import sys

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, attacks, first_flip
from fastnn.attacks.evaluate import in_ways

pytestmark = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="objects of other threads wait there even without a cycle",
)

EVERY = {
    "fgsm": "fgsm",
    "fgsm in L1": attacks.FGSM(norm="l1"),
    "iterated": attacks.IteratedFGSM(steps=3),
    "pgd": attacks.PGD(steps=3, restarts=2),
    "pgd in L2": attacks.PGD(steps=3, norm="l2", momentum=0.5),
    "apgd": attacks.APGD(steps=5),
    "targeted apgd": attacks.APGD(steps=5, loss="dlr-targeted"),
    "square": attacks.Square(queries=9),
    "deepfool": attacks.DeepFool(steps=3),
    "minimal norm": attacks.MinimalNorm(halvings=3),
    "standard": attacks.Standard(),
}


@pytest.fixture
def case(rng):
    return MLP.random((25, 20, 12, 5), rng=rng), rng.random((30, 25), np.float32)


def left_by(call):
    """Return the types of the objects that only the garbage collector can free after a call."""
    call()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        return [type(one).__name__ for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("attack", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("rows", [9, 30])
def test_an_evaluation_leaves_nothing(case, attack, rows, monkeypatch):
    net, x = case
    monkeypatch.setattr("fastnn._engine.tiles.MOST_SHARED", 16)  # so that 30 rows are tiles
    labels = net.predict(x[:rows])
    for eps in (0.1, [0.05, 0.1]):
        assert (
            left_by(lambda e=eps: adversarial_accuracy(net, x[:rows], labels, e, attack=attack))
            == []
        )
    assert left_by(lambda: in_ways(net, x[:rows], labels, 0.1, [None, (0, 1)], attack=attack)) == []


def test_other_calls_leave_nothing(case):
    net, x = case
    labels = net.predict(x)
    assert left_by(lambda: first_flip(net, x, labels, bounds=(0, 1))) == []
    assert left_by(lambda: net.input_gradient(x, labels)) == []
    assert left_by(lambda: attacks.PGD(steps=3).perturb(net, x, labels, 0.1)) == []


class Keeps(attacks.Attack):
    """Keeps its tile in the workspace of the tile: a cycle."""

    def perturb_tile(self, tile, eps):
        tile.workspace.kept = tile
        return tile.x


def test_a_cycle_is_found(case):
    net, x = case
    labels = net.predict(x)
    found = left_by(lambda: adversarial_accuracy(net, x, labels, 0.1, attack=Keeps()))
    assert {"Tile", "Workspace"} <= set(found)
