"""AutoAttack in float32, by its authors' code, on the network of PyTorch."""

import numpy as np
import pyautoattack
import torch

from peers.attack_base import require_bounds
from peers.eager_torch import count_correct, make_net, to_tensor
from peers.watched import images


class AutoAttack:
    exact = False
    dtype = np.float32
    batch = 250  # images in a batch; None: all in one. Its own default is 250.

    def __init__(self, weights, biases, activation):
        net = make_net(weights, biases, activation)
        self._net = torch.nn.Sequential(torch.nn.Flatten(), net).eval()

    def array(self, values):
        return to_tensor(values)

    def standard(self, x, labels, eps, bounds):
        require_bounds(bounds)
        attack = pyautoattack.AutoAttack(self._net, eps=eps, version="standard", seed=0)
        moved, _ = attack.run_standard_evaluation(
            images(x), labels, batch_size=self.batch or len(x)
        )
        with torch.inference_mode():
            return np.array([count_correct(self._net(inputs), labels) for inputs in (x, moved)])
