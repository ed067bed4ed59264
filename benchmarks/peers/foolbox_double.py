"""foolbox's attacks in float64, with the signatures of `formula_torch`."""

import foolbox

from peers.formula_torch import on_tensors
from peers.watched import watching

_WIDE = (-100.0, 100.0)  # foolbox insists on bounds: nothing comes near these


@on_tensors
def fgsm(net, x, labels, eps, bounds, *, norm="linf"):
    kinds = {
        "linf": foolbox.attacks.LinfFastGradientAttack,
        "l2": foolbox.attacks.L2FastGradientAttack,
    }
    attack = kinds[norm](random_start=False)

    def run(watched):
        return attack(_foolbox_model(watched, bounds), x, labels, epsilons=eps)[1]

    return watching(net, x, labels, run, last=True)


@on_tensors
def pgd(net, x, labels, eps, bounds, *, steps, size, norm="linf", momentum=0.0, last=False):
    found = foolbox.attacks
    kinds = {
        ("linf", False): found.LinfProjectedGradientDescentAttack,
        ("l2", False): found.L2ProjectedGradientDescentAttack,
        ("linf", True): found.LinfMomentumIterativeFastGradientMethod,
    }
    options = {"momentum": momentum} if momentum else {}
    attack = kinds[norm, bool(momentum)](
        abs_stepsize=size, steps=steps, random_start=False, **options
    )

    def run(watched):
        return attack(_foolbox_model(watched, bounds), x, labels, epsilons=eps)[1]

    return watching(net, x, labels, run, last=last)


@on_tensors
def deepfool(net, x, labels, _, bounds, *, steps=50, overshoot=0.02, norm="l2"):
    kinds = {"l2": foolbox.attacks.L2DeepFoolAttack, "linf": foolbox.attacks.LinfDeepFoolAttack}
    attack = kinds[norm](steps=steps, overshoot=overshoot, candidates=None)

    def run(watched):
        return attack(_foolbox_model(watched, bounds), x, labels, epsilons=None)[0]

    return watching(net, x, labels, run, last=True)


def _foolbox_model(module, bounds):
    return foolbox.PyTorchModel(module.eval(), bounds=bounds or _WIDE, device="cpu")
