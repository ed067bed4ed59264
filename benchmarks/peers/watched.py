"""What the attack libraries need to run in float64 and to be compared with each other.

A library's PGD returns the input of its last step. `Watched` stands in place of the network and
keeps the worst of all inputs that the library passes to it, so that results can be compared with an
attack that keeps each sample's worst.
"""

import contextlib
import math
import sys

import numpy as np
import torch

from peers.formula_torch import Worst, margins


@contextlib.contextmanager
def in_float64():
    """Let libraries compute in float64 where they would choose float32 by themselves.

    New tensors are float64, ``tensor.float()`` (which AutoAttack calls on its inputs) leaves them
    so, and so does ART's own setting, of which every module has a copy.
    """
    single, kind = torch.Tensor.float, torch.get_default_dtype()
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    modules = [m for name, m in sys.modules.items() if name == "art" or name.startswith("art.")]
    changed = [m for m in modules if getattr(m, "ART_NUMPY_DTYPE", None) is np.float32]
    for module in changed:
        module.ART_NUMPY_DTYPE = np.float64
    try:
        yield
    finally:
        torch.Tensor.float = single
        torch.set_default_dtype(kind)
        for module in changed:
            module.ART_NUMPY_DTYPE = np.float32


class Watched(torch.nn.Module):
    """A network for some images that keeps each image's worst input of all that it gets."""

    def __init__(self, net, x, labels):
        super().__init__()
        self.module, self.labels, self.worst = net.module, labels, Worst(x)

    def forward(self, x):
        flat = x.reshape(len(x), -1).to(torch.float64)  # ART tries it with ones of float32
        logits = self.module(flat)
        if len(x) == len(self.labels):
            self.worst.see(flat.detach(), margins(logits.detach(), self.labels))
        return logits


def watching(net, x, labels, attack, *, last):
    """Return the last input of an attack on a network, or the worst that it has looked at."""
    watched = Watched(net, x, labels)
    with in_float64():
        found = attack(watched).detach().reshape(x.shape)
    if last:
        return found
    watched(found)
    return watched.worst.x


def images(x):
    """Return rows as images of one channel: square ones where the width is a square number."""
    side = math.isqrt(x.shape[1])
    return x.reshape(len(x), 1, side, side) if side * side == x.shape[1] else x[:, None, None, :]


def require_unit(bounds):
    if bounds != (0, 1):
        raise NotImplementedError("it clips to [0, 1]")


def require_l2(norm):
    if norm != "l2":
        raise NotImplementedError(f"it has no norm {norm!r}")
