"""The authors' AutoAttack in float64, with the signatures of `formula_torch`."""

import logging

from pyautoattack import AutoAttack
from pyautoattack.autopgd_base import APGDAttack
from pyautoattack.square import SquareAttack

from peers.formula_torch import on_tensors
from peers.watched import images, require_unit, watching


@on_tensors
def standard(net, x, labels, eps, bounds):
    require_unit(bounds)

    def run(watched):
        attack = AutoAttack(watched, eps=eps, version="standard", seed=0)
        return attack.run_standard_evaluation(images(x), labels)[0]

    return watching(net, x, labels, run, last=True)


@on_tensors
def apgd(net, x, labels, eps, bounds, *, steps=100, loss="ce", starts=None):
    """APGD, from the first of the given starts."""
    require_unit(bounds)

    def run(watched):
        attack = APGDAttack(
            watched,
            n_iter=steps,
            eps=eps,
            seed=0,
            loss=loss,
            device="cpu",
            logger=logging.getLogger("agreement"),
        )
        return attack.perturb(images(x), labels, x_init=images(starts[:, 0].contiguous()))

    return watching(net, x, labels, run, last=True)


@on_tensors
def square(net, x, labels, eps, bounds, *, queries):
    require_unit(bounds)

    def run(watched):
        attack = SquareAttack(
            watched, n_queries=queries, eps=eps, seed=0, device="cpu", resc_schedule=True
        )
        return attack.perturb(images(x), labels)

    return watching(net, x, labels, run, last=True)
