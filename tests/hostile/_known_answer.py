"""Prints answers that depend on every kind of cache.

``python -m tests.hostile._known_answer KIND``: ``kernels`` needs compiled functions alone,
``network`` the network that `fastnn attack` keeps, here a small one, trained in a moment.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def kernels() -> dict[str, Any]:
    """Return what a few kernels give for fixed numbers."""
    import fastnn

    z = np.linspace(-4, 4, 60, dtype=np.float32).reshape(12, 5)
    weights = [np.sin(np.arange(48 * 96)).reshape(48, 96), np.cos(np.arange(288)).reshape(96, 3)]
    biases = [np.zeros(96), np.zeros(3)]
    net = fastnn.MLP(
        [w.astype(np.float32) for w in weights], [b.astype(np.float32) for b in biases]
    )
    x = np.maximum(np.sin(np.arange(128 * 48) ** 1.5), 0).reshape(128, 48).astype(np.float32)
    return {
        "sigmoid": np.round(fastnn.sigmoid(z), 5).tolist(),
        "softmax": np.round(fastnn.softmax(z), 5).tolist(),
        "predict": net.predict(x).tolist(),
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
