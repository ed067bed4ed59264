"""torchattacks, on the network of PyTorch."""

import numpy as np
import torch
import torchattacks

from peers.attack_base import TorchAttack, require_bounds
from peers.eager_torch import batches, count_correct


class Torchattacks(TorchAttack):
    batch = None  # images in a batch of `pgd`; None: all in one

    def fgsm(self, x, labels, eps, bounds):
        require_bounds(bounds)
        return torchattacks.FGSM(self.net, eps=eps)(x, labels)

    def pgd(self, x, labels, eps, bounds, steps, step_size):
        require_bounds(bounds)
        attack = torchattacks.PGD(
            self.net, eps=eps, alpha=step_size, steps=steps, random_start=False
        )
        return sum(self._count(*batch, attack) for batch in batches(x, labels, self.batch))

    def _count(self, x, labels, attack):
        moved = attack(x, labels)
        with torch.inference_mode():
            return np.array([count_correct(self.net(inputs), labels) for inputs in (x, moved)])
