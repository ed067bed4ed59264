"""foolbox, torchattacks and the Adversarial Robustness Toolbox, each on the same PyTorch network.

They always clip, so that they have no answer where `bounds` is None.
"""

import importlib

import numpy as np
import torch

from peers.eager_torch import Torch, _right


class _Attack(Torch):
    """What the libraries share: of the passes of `Torch`, none is theirs."""

    sigmoid = relu = softmax = residual = step = None
    logits = gradients = input_gradient = train = None

    def accuracy(self, x, labels, eps, bounds):
        with torch.inference_mode():
            clean = self.net(x)
        moved = self.fgsm(x, labels, eps, bounds)
        with torch.inference_mode():
            return np.array([_right(clean, labels), _right(self.net(moved), labels)])

    def sweep(self, x, labels, eps, bounds):
        return np.array([self.accuracy(x, labels, e, bounds)[1] for e in eps])


class Foolbox(_Attack):
    name = "foolbox"

    def __init__(self, weights, biases, activation):
        super().__init__(weights, biases, activation)
        foolbox = importlib.import_module("foolbox")
        self._model = foolbox.PyTorchModel(self.net, bounds=(0, 1), device="cpu")
        self._attack_with = foolbox.attacks.LinfFastGradientAttack(random_start=False)

    def fgsm(self, x, labels, eps, bounds):
        _only_clipped(bounds)
        return self._attack_with(self._model, x, labels, epsilons=eps)[1]

    def accuracy(self, x, labels, eps, bounds):
        _only_clipped(bounds)
        with torch.inference_mode():
            clean = _right(self._model(x), labels)
        fooled = self._attack_with(self._model, x, labels, epsilons=eps)[2]
        return np.array([clean, len(x) - int(fooled.sum())])

    def sweep(self, x, labels, eps, bounds):
        _only_clipped(bounds)
        fooled = self._attack_with(self._model, x, labels, epsilons=list(eps))[2]
        return len(x) - fooled.sum(dim=1).numpy()


class Torchattacks(_Attack):
    name = "torchattacks"

    def fgsm(self, x, labels, eps, bounds):
        _only_clipped(bounds)
        return importlib.import_module("torchattacks").FGSM(self.net, eps=eps)(x, labels)


class Art(_Attack):
    name = "art"

    def __init__(self, weights, biases, activation):
        super().__init__(weights, biases, activation)
        estimators = importlib.import_module("art.estimators.classification")
        self._classifier = estimators.PyTorchClassifier(
            model=self.net,
            loss=torch.nn.CrossEntropyLoss(),
            input_shape=(784,),
            nb_classes=10,
            clip_values=(0, 1),
            device_type="cpu",
        )

    def array(self, values):
        return np.array(values, np.float32 if values.dtype.kind == "f" else np.int64)

    def fgsm(self, x, labels, eps, bounds):
        _only_clipped(bounds)
        evasion = importlib.import_module("art.attacks.evasion")
        attack = evasion.FastGradientMethod(self._classifier, eps=eps, batch_size=1000)
        return attack.generate(x, labels)

    def accuracy(self, x, labels, eps, bounds):
        clean = self._classifier.predict(x, batch_size=1000)
        moved = self._classifier.predict(self.fgsm(x, labels, eps, bounds), batch_size=1000)
        return np.array([int((p.argmax(axis=1) == labels).sum()) for p in (clean, moved)])


def _only_clipped(bounds):
    if bounds is None:
        raise NotImplementedError("it always clips")
