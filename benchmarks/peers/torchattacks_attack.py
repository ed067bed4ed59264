"""torchattacks, on the network of PyTorch."""

import torchattacks

from peers.attack_base import TorchAttack, require_bounds


class Torchattacks(TorchAttack):
    def fgsm(self, x, labels, eps, bounds):
        require_bounds(bounds)
        return torchattacks.FGSM(self.net, eps=eps)(x, labels)
