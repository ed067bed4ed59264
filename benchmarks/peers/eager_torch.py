"""PyTorch, eager, float32."""

import numpy as np
import torch
from torch.nn import functional

ACTIVATIONS = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh}


def make_net(weights, biases, activation):
    layers = []
    for w, b in zip(weights, biases, strict=True):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data = torch.from_numpy(np.array(w.T, np.float32, order="C"))
        layer.bias.data = torch.from_numpy(np.array(b, np.float32))
        layers += [layer, ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def to_tensor(values):
    return torch.from_numpy(np.array(values, np.float32 if values.dtype.kind == "f" else np.int64))


def count_correct(logits, labels):
    return int((logits.argmax(dim=1) == labels).sum())


class Torch:
    exact = False
    dtype = np.float32

    def __init__(self, weights, biases, activation):
        self._given = weights, biases, activation
        self.net = make_net(weights, biases, activation)

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
        loss = functional.cross_entropy(self.net(x), labels)
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
        logits, gradient = self._attack(x, labels)
        moved = self._step(x, gradient.sign(), eps, bounds)
        return np.array([count_correct(logits, labels), count_correct(self.logits(moved), labels)])

    def sweep(self, x, labels, eps, bounds):
        signs = self._attack(x, labels)[1].sign()
        moved = (self._step(x, signs, e, bounds) for e in eps)
        return np.array([count_correct(self.logits(m), labels) for m in moved])

    def train(self, x, labels, x_val, labels_val, epochs, batch_size, learning_rate):
        fresh = type(self)(*self._given)
        net = fresh.net
        optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
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
