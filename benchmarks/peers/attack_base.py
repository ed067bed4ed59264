"""What the attack libraries have in common: the network of PyTorch, and counts after an attack.

They always clip, so that they have no answer if `bounds` is None.
"""

import numpy as np
import torch

from peers.eager_torch import count_correct, make_net, to_tensor


class TorchAttack:
    """Accuracy and sweep from the `fgsm` of a subclass, one call for each eps."""

    exact = False
    dtype = np.float32

    def __init__(self, weights, biases, activation):
        self.net = make_net(weights, biases, activation)

    def array(self, values):
        return to_tensor(values)

    def accuracy(self, x, labels, eps, bounds):
        with torch.inference_mode():
            clean = self.net(x)
        moved = self.fgsm(x, labels, eps, bounds)
        with torch.inference_mode():
            return np.array([count_correct(clean, labels), count_correct(self.net(moved), labels)])

    def sweep(self, x, labels, eps, bounds):
        return np.array([self.accuracy(x, labels, e, bounds)[1] for e in eps])


def require_bounds(bounds):
    if bounds is None:
        raise NotImplementedError("it always clips")
