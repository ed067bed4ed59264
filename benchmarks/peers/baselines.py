"""Baselines that need no other library: the notebook, and fastnn called in other ways."""

import numpy as np

from fastnn.attacks import PGD
from fastnn.bench.jobs import PART_ONE_SEED
from fastnn.bench.ours import Fastnn32
from fastnn.comp7015 import nn_train


class OneEpsACall(Fastnn32):
    """fastnn in float32 with one call for every eps."""

    def sweep(self, x, labels, eps, bounds):
        return np.array([self.accuracy(x, labels, e, bounds)[1] for e in eps])


class AllSteps(Fastnn32):
    """fastnn in float32 that takes all steps with all samples, as other programs do."""

    def pgd(self, x, labels, eps, bounds, steps, step_size):
        attack = PGD(steps, step_size, random_start=False)
        moved = attack.perturb(self.net, x, labels, eps, bounds)
        counts = [np.count_nonzero(self.net.predict(inputs) == labels) for inputs in (x, moved)]
        return np.array(counts)


class Assignment(Fastnn32):
    """fastnn's `nn_train`, which draws the same first weights from the same seed."""

    def train(self, x, labels, x_val, labels_val, epochs, batch_size, learning_rate, momentum):
        require_no_momentum(momentum)
        _, *curves = nn_train(
            x,
            np.eye(10)[labels],
            x_val,
            np.eye(10)[labels_val],
            num_hidden=self.net.sizes[1],
            learning_rate=learning_rate,
            batch_size=batch_size,
            num_epochs=epochs,
            seed=PART_ONE_SEED,
        )
        return np.array([curve[-1] for curve in curves])


class Notebook:
    """The assignment's first part in float64, as a notebook computes it."""

    exact = False  # its loss is -log(y + 1e-16), at most 36.8
    dtype = np.float64

    def __init__(self, weights, biases, activation):
        if activation != "sigmoid" or len(weights) != 2:
            raise NotImplementedError("only the network of the assignment's first part")
        self._params = {
            "W1": np.array(weights[0], np.float64),
            "b1": np.array(biases[0], np.float64)[None],
            "W2": np.array(weights[1], np.float64),
            "b2": np.array(biases[1], np.float64)[None],
        }

    def array(self, values):
        return np.array(values, np.float64 if values.dtype.kind == "f" else None)

    def train(self, x, labels, x_val, labels_val, epochs, batch_size, learning_rate, momentum):
        require_no_momentum(momentum)
        params = {name: value.copy() for name, value in self._params.items()}
        one_hot, one_hot_val = np.eye(10)[labels], np.eye(10)[labels_val]
        metrics = []
        for _ in range(epochs):
            for start in range(0, len(x), batch_size):
                batch = slice(start, start + batch_size)
                grad = backward_prop(x[batch], one_hot[batch], params)
                for name in params:
                    params[name] -= learning_rate * grad[name]
            metrics = []
            for data, truth in ((x, one_hot), (x_val, one_hot_val)):
                _, y, cost = forward_prop(data, truth, params)
                metrics += [cost, calc_accuracy(y, truth)]
        return np.array(metrics)


def require_no_momentum(momentum):
    if momentum:
        raise NotImplementedError("the assignment has no momentum")


def sigmoid(x):
    s = np.empty_like(x)
    positive = x >= 0
    s[positive] = 1 / (1 + np.exp(-x[positive]))
    e = np.exp(x[~positive])
    s[~positive] = e / (e + 1)
    return s


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward_prop(data, labels, params):
    h = sigmoid(data.dot(params["W1"]) + params["b1"])
    y = softmax(h.dot(params["W2"]) + params["b2"])
    loss = -np.multiply(labels, np.log(y + 1e-16)).sum() / data.shape[0]
    return h, y, loss


def backward_prop(data, labels, params):
    h, y, _ = forward_prop(data, labels, params)
    delta_1 = y - labels
    delta_2 = np.multiply(np.dot(delta_1, params["W2"].T), h * (1 - h))
    n = data.shape[0]
    return {
        "W1": np.dot(data.T, delta_2) / n,
        "b1": np.sum(delta_2, axis=0, keepdims=True) / n,
        "W2": np.dot(h.T, delta_1) / n,
        "b2": np.sum(delta_1, axis=0, keepdims=True) / n,
    }


def calc_accuracy(y, labels):
    pred = np.zeros_like(y)
    pred[np.arange(y.shape[0]), np.argmax(y, axis=1)] = 1
    res = np.abs(pred - labels).sum(axis=1)
    return res[res == 0].shape[0] / res.shape[0]
