"""PyTorch, eager, float32. `torch.compile` was slower or as fast in every job."""

import numpy as np
import torch
from torch.nn import functional

ACTIVATIONS = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh}


def make_net(weights, biases, activation):
    """Return a network for attacks: its parameters have no gradients."""
    layers = []
    for w, b in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data = torch.from_numpy(np.array(w.T, np.float32, order="C"))
        layer.bias.data = torch.from_numpy(np.array(b, np.float32))
        layers += [layer, ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*layers[:-1]).eval().requires_grad_(False)


def to_tensor(values):
    return torch.from_numpy(np.array(values, np.float32 if values.dtype.kind == "f" else np.int64))


def count_correct(logits, labels):
    return int((logits.argmax(dim=1) == labels).sum())


def batches(x, labels, size):
    """Return pairs of so many images and labels; None: all in one batch."""
    size = size or len(x)
    return zip(x.split(size), labels.split(size), strict=True)


class Torch:
    exact = False
    dtype = np.float32
    batch = None  # images in a batch of `accuracy` and `sweep`; None: all in one
    by_hand = False  # True: `accuracy` without autograd, the weights as (in, out)
    fused = False  # True: the optimizer's step is one kernel

    def __init__(self, weights, biases, activation):
        self._given = weights, biases, activation
        self.net = make_net(weights, biases, activation)
        self._layers = [(to_tensor(w), to_tensor(b)) for w, b in zip(weights, biases, strict=True)]
        if self.by_hand and activation != "relu":
            raise NotImplementedError("by hand only with ReLU")

    def array(self, values):
        return to_tensor(values)

    @torch.inference_mode()
    def sigmoid(self, z, bias):
        return torch.sigmoid(z + bias)

    @torch.inference_mode()
    def relu(self, z, bias):
        return torch.relu(z + bias)

    @torch.inference_mode()
    def softmax(self, logits):
        return torch.softmax(logits, dim=1)

    @torch.inference_mode()
    def step(self, x, gradient, eps, bounds):
        return self._step(x, gradient.sign(), eps, bounds)

    def residual(self, logits, labels):
        logits = logits.detach().requires_grad_()
        losses = functional.cross_entropy(logits, labels, reduction="none")
        losses.sum().backward()
        return losses.detach(), logits.grad

    @torch.inference_mode()
    def logits(self, x):
        return self.net(x)

    def gradients(self, x, labels):
        loss = functional.cross_entropy(self.net.requires_grad_()(x), labels)
        slopes = torch.autograd.grad(loss, list(self.net.parameters()))
        return *(w.T for w in slopes[::2]), *slopes[1::2]

    def input_gradient(self, x, labels):
        return self._attack(x, labels)[1]

    def _attack(self, x, labels):
        """Return the clean logits and each sample's gradient, from one forward pass."""
        x = x.detach().requires_grad_()
        logits = self.net(x)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        return logits.detach(), torch.autograd.grad(loss, x)[0]

    def fgsm(self, x, labels, eps, bounds):
        return self._step(x, self._attack(x, labels)[1].sign(), eps, bounds)

    @staticmethod
    def _step(x, signs, eps, bounds):
        moved = x + eps * signs
        return moved if bounds is None else moved.clamp_(*bounds)

    def accuracy(self, x, labels, eps, bounds):
        count = self._count_by_hand if self.by_hand else self._count
        return sum(count(*batch, eps, bounds) for batch in batches(x, labels, self.batch))

    def _count(self, x, labels, eps, bounds):
        logits, gradient = self._attack(x, labels)
        moved = self._step(x, gradient.sign(), eps, bounds)
        return np.array([count_correct(logits, labels), count_correct(self.logits(moved), labels)])

    @torch.inference_mode()
    def _count_by_hand(self, x, labels, eps, bounds):
        *hidden, logits = self._forward_by_hand(x)
        delta = torch.softmax(logits, dim=1)
        delta[torch.arange(len(labels)), labels] -= 1
        for h, (w, _) in zip(reversed(hidden), reversed(self._layers), strict=False):
            delta = (delta @ w.T).mul_(h > 0)
        moved = self._step(x, (delta @ self._layers[0][0].T).sign_(), eps, bounds)
        after = self._forward_by_hand(moved)[-1]
        return np.array([count_correct(logits, labels), count_correct(after, labels)])

    def _forward_by_hand(self, x):
        """Return the hidden layers' values, and the logits."""
        values = [x]
        for w, b in self._layers[:-1]:
            values.append(torch.addmm(b, values[-1], w).relu_())
        w, b = self._layers[-1]
        return *values[1:], torch.addmm(b, values[-1], w)

    def sweep(self, x, labels, eps, bounds):
        return sum(self._sweep(*batch, eps, bounds) for batch in batches(x, labels, self.batch))

    def _sweep(self, x, labels, eps, bounds):
        signs = self._attack(x, labels)[1].sign()
        moved = (self._step(x, signs, e, bounds) for e in eps)
        return np.array([count_correct(self.logits(m), labels) for m in moved])

    def train(self, x, labels, x_val, labels_val, epochs, batch_size, learning_rate, momentum):
        fresh = type(self)(*self._given)
        net = fresh.net.requires_grad_()
        optimizer = torch.optim.SGD(
            net.parameters(), lr=learning_rate, momentum=momentum, fused=self.fused
        )
        metrics = None
        for _ in range(epochs):
            for batch, truth in zip(x.split(batch_size), labels.split(batch_size), strict=True):
                optimizer.zero_grad()
                functional.cross_entropy(net(batch), truth).backward()
                optimizer.step()
            metrics = [*fresh._metrics(x, labels), *fresh._metrics(x_val, labels_val)]
        return np.array(metrics)

    @torch.inference_mode()
    def _metrics(self, x, labels):
        logits = self.net(x)
        return functional.cross_entropy(logits, labels).item(), count_correct(logits, labels) / len(
            x
        )
