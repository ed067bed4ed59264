"""foolbox, on the network of PyTorch."""

import foolbox
import numpy as np
import torch

from peers.attack_base import TorchAttack, require_bounds
from peers.eager_torch import batches, count_correct


class Foolbox(TorchAttack):
    batch = None  # images in a batch of `accuracy`, `sweep` and `pgd`; None: all in one

    def __init__(self, weights, biases, activation):
        super().__init__(weights, biases, activation)
        self._model = foolbox.PyTorchModel(self.net, bounds=(0, 1), device="cpu")
        self._attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)

    def fgsm(self, x, labels, eps, bounds):
        require_bounds(bounds)
        return self._attack(self._model, x, labels, epsilons=eps)[1]

    def accuracy(self, x, labels, eps, bounds):
        require_bounds(bounds)
        return sum(
            self._count(*batch, eps, self._attack) for batch in batches(x, labels, self.batch)
        )

    def _count(self, x, labels, eps, attack):
        with torch.inference_mode():
            clean = count_correct(self._model(x), labels)
        fooled = attack(self._model, x, labels, epsilons=eps)[2]
        return np.array([clean, len(x) - int(fooled.sum())])

    def sweep(self, x, labels, eps, bounds):
        require_bounds(bounds)
        return sum(self._sweep(*batch, eps) for batch in batches(x, labels, self.batch))

    def _sweep(self, x, labels, eps):
        fooled = self._attack(self._model, x, labels, epsilons=list(eps))[2]
        return len(x) - fooled.sum(dim=1).numpy()

    def pgd(self, x, labels, eps, bounds, steps, step_size):
        require_bounds(bounds)
        attack = foolbox.attacks.LinfProjectedGradientDescentAttack(
            abs_stepsize=step_size, steps=steps, random_start=False
        )
        return sum(self._count(*batch, eps, attack) for batch in batches(x, labels, self.batch))
