"""Prints answers that depend on every kind of cache.

``python -m tests.hostile._known_answer KIND``: ``kernels`` needs every compiled function, and
``network`` the network that `fastnn attack` keeps, here a small one, trained in a moment.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def kernels() -> dict[str, Any]:
    """Return what all kernels that calls in float32 use give for fixed numbers."""
    import fastnn

    rows, labels = 300, np.arange(300) % 3
    # Most inputs are 0 and the first layer is wide, so that products leave zeros out.
    x = np.maximum(np.sin(np.arange(rows * 48) ** 1.5) - 0.8, 0).reshape(rows, 48)
    names = ("relu", "relu_grad", "sigmoid", "softmax", "log_softmax")
    found: dict[str, Any] = {
        f"function {name}": np.round(getattr(fastnn, name)(x[:9] - 0.1), 5).tolist()
        for name in names
    }
    for activation in ("relu", "sigmoid"):
        net = fastnn.MLP.random((48, 128, 40, 3), activation, rng=0)
        found[activation] = answers(net, x.astype(np.float32), labels)
    return found


def answers(net: Any, x: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what passes, gradients, attacks and a training give."""
    import fastnn

    pixels = np.round(255 * x).astype(np.uint8)
    moved = fastnn.fgsm(net, x, labels, 0.1, (0, 1))
    gradients = net.gradients(pixels, labels)
    reports = [fastnn.adversarial_accuracy(net, x, labels, eps, (0, 1)) for eps in (0.1, [0.1, 9])]
    fastnn.train(net, x, labels, epochs=1, batch_size=150, learning_rate=0.1, momentum=0.5, l2=0.1)
    floats = {
        "probabilities": net.predict_proba(x[:9]),
        "gradient": gradients.weights[0].sum(axis=0),
        "input gradient": net.input_gradient(x[:2], labels[:2]),
        "fgsm": moved[:2],
        "trained": net.weights[-1],
    }
    return {name: np.round(array, 5).tolist() for name, array in floats.items()} | {
        "counts": [np.atleast_1d(report.adversarial_correct).tolist() for report in reports],
        "loss": round(net.loss(x, labels), 5),
    }


def network() -> dict[str, Any]:
    """Return what the kept network predicts."""
    from fastnn import _recipe, datasets

    _recipe.SAMPLE = _recipe.Recipe(sizes=(784, 16, 10), epochs=1)
    net, _ = _recipe.cached_network(None, "sample")
    x, labels, _ = datasets.load_split("test", source="sample")
    return {"predict": net.predict(x).tolist(), "accuracy": net.accuracy(x, labels)}


if __name__ == "__main__":
    print(json.dumps({"kernels": kernels, "network": network}[sys.argv[1]]()))
