"""The Adversarial Robustness Toolbox, on the network of PyTorch."""

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier

from peers.attack_base import TorchAttack, require_bounds


class Art(TorchAttack):
    def __init__(self, weights, biases, activation):
        super().__init__(weights, biases, activation)
        self._classifier = PyTorchClassifier(
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
        require_bounds(bounds)
        attack = FastGradientMethod(self._classifier, eps=eps, batch_size=1000)
        return attack.generate(x, labels)

    def accuracy(self, x, labels, eps, bounds):
        clean = self._classifier.predict(x, batch_size=1000)
        moved = self._classifier.predict(self.fgsm(x, labels, eps, bounds), batch_size=1000)
        return np.array([int((p.argmax(axis=1) == labels).sum()) for p in (clean, moved)])
