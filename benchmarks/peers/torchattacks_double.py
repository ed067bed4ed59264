"""torchattacks' attacks in float64, with the signatures of `formula_torch`."""

import torchattacks

from peers.formula_torch import on_tensors
from peers.watched import images, require_unit, watching

_SHRINK = 0.01  # of inputs without bounds, so that clipping to [0, 1] changes nothing


@on_tensors
def fgsm(net, x, labels, eps, bounds):
    require_unit(bounds)
    return watching(
        net,
        x,
        labels,
        lambda watched: torchattacks.FGSM(watched, eps=eps)(images(x), labels),
        last=True,
    )


@on_tensors
def pgd(net, x, labels, eps, bounds, *, steps, size, norm="linf", momentum=0.0, last=False):
    def run(watched):
        options = {"eps": eps, "alpha": size, "steps": steps}
        if bounds is None:  # far within [0, 1], where its clipping changes nothing
            options |= {"eps": eps * _SHRINK, "alpha": size * _SHRINK}
        else:
            require_unit(bounds)
        if momentum:
            attack = torchattacks.MIFGSM(watched, decay=momentum, **options)
        else:
            kind = torchattacks.PGD if norm == "linf" else torchattacks.PGDL2
            attack = kind(watched, random_start=False, **options)
        if bounds is None:
            attack.set_normalization_used(mean=[0.5], std=[_SHRINK])
        return attack(images(x), labels)

    return watching(net, x, labels, run, last=last)


@on_tensors
def square(net, x, labels, eps, bounds, *, queries):
    require_unit(bounds)

    def run(watched):
        attack = torchattacks.Square(watched, eps=eps, n_queries=queries, seed=0)
        return attack(images(x), labels)

    return watching(net, x, labels, run, last=True)


@on_tensors
def autoattack(net, x, labels, eps, bounds):
    require_unit(bounds)

    def run(watched):
        attack = torchattacks.AutoAttack(
            watched, eps=eps, n_classes=net.logits(x[:1]).shape[1], seed=0
        )
        return attack(images(x), labels)

    return watching(net, x, labels, run, last=True)
