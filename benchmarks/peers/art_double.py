"""The attacks of the Adversarial Robustness Toolbox in float64; signatures of `formula_torch`."""

import numpy as np
import torch
from art.attacks.evasion import (
    AutoProjectedGradientDescent,
    DeepFool,
    FastGradientMethod,
    ProjectedGradientDescentPyTorch,
)
from art.estimators.classification import PyTorchClassifier

from peers.formula_torch import on_tensors
from peers.watched import require_l2, watching


@on_tensors
def fgsm(net, x, labels, eps, bounds, *, norm="linf"):
    def run(watched):
        attack = FastGradientMethod(
            _art_classifier(watched, x, bounds), norm=_order(norm), eps=eps, batch_size=len(x)
        )
        return torch.from_numpy(attack.generate(x.numpy(), labels.numpy()))

    return watching(net, x, labels, run, last=True)


@on_tensors
def pgd(net, x, labels, eps, bounds, *, steps, size, norm="linf", momentum=0.0, last=False):
    def run(watched):
        attack = ProjectedGradientDescentPyTorch(
            _art_classifier(watched, x, bounds),
            norm=_order(norm),
            eps=eps,
            eps_step=size,
            decay=momentum or None,
            max_iter=steps,
            num_random_init=0,
            batch_size=len(x),
            verbose=False,
        )
        return torch.from_numpy(attack.generate(x.numpy(), labels.numpy()))

    return watching(net, x, labels, run, last=last)


@on_tensors
def deepfool(net, x, labels, _, bounds, *, steps=50, overshoot=0.02, norm="l2"):
    require_l2(norm)

    def run(watched):
        attack = DeepFool(
            _art_classifier(watched, x, bounds),
            max_iter=steps,
            epsilon=overshoot,
            nb_grads=10,
            batch_size=len(x),
            verbose=False,
        )
        return torch.from_numpy(attack.generate(x.numpy(), labels.numpy()))

    return watching(net, x, labels, run, last=True)


@on_tensors
def apgd(net, x, labels, eps, bounds, *, steps=100, loss="ce", starts=None):
    """APGD from a start of its own."""
    names = {"ce": "cross_entropy", "dlr": "difference_logits_ratio"}

    def run(watched):
        attack = AutoProjectedGradientDescent(
            _art_classifier(watched, x, bounds),
            eps=eps,
            eps_step=2 * eps,
            max_iter=steps,
            nb_random_init=1,
            batch_size=len(x),
            loss_type=names[loss],
            verbose=False,
        )
        np.random.seed(0)  # noqa: NPY002 - ART draws from numpy's global generator
        return torch.from_numpy(attack.generate(x.numpy(), labels.numpy()))

    return watching(net, x, labels, run, last=True)


def _art_classifier(module, x, bounds):
    return PyTorchClassifier(
        model=module,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=(x.shape[1],),
        nb_classes=module(x[:1]).shape[1],
        clip_values=bounds,
        device_type="cpu",
    )


def _order(norm):
    return {"linf": np.inf, "l2": 2}[norm]
