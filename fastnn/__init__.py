"""Small dense networks on the CPU: batched passes, training, adversarial accuracy.

The public names below are imported when they are first used, so that ``import fastnn`` loads
neither numba nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn._runtime.threads import threads
    from fastnn.attacks import fgsm
    from fastnn.attacks.evaluate import adversarial_accuracy
    from fastnn.datasets import Dataset, load_mnist
    from fastnn.functional import (
        cross_entropy,
        log_softmax,
        one_hot,
        relu,
        relu_grad,
        sigmoid,
        softmax,
        tanh,
    )
    from fastnn.io import load_mlp, save_mlp
    from fastnn.networks import MLP, Gradients
    from fastnn.reports import AdversarialReport
    from fastnn.training import History, train

# Where each public name lives. A test holds this to the imports above.
_HOME = {
    "AdversarialReport": "reports",
    "Dataset": "datasets",
    "Gradients": "networks",
    "History": "training",
    "MLP": "networks",
    "adversarial_accuracy": "attacks.evaluate",
    "cross_entropy": "functional",
    "fgsm": "attacks",
    "load_mlp": "io",
    "load_mnist": "datasets",
    "log_softmax": "functional",
    "one_hot": "functional",
    "relu": "functional",
    "relu_grad": "functional",
    "save_mlp": "io",
    "sigmoid": "functional",
    "softmax": "functional",
    "tanh": "functional",
    "threads": "_runtime.threads",
    "train": "training",
}

_MODULES = (
    "attacks",
    "bench",
    "comp7015",
    "datasets",
    "fetch",
    "formats",
    "functional",
    "io",
    "networks",
    "plots",
    "reference",
    "reports",
    "robustness",
    "training",
)

__all__ = [
    "MLP",
    "AdversarialReport",
    "Dataset",
    "Gradients",
    "History",
    "adversarial_accuracy",
    "cross_entropy",
    "fgsm",
    "load_mlp",
    "load_mnist",
    "log_softmax",
    "one_hot",
    "relu",
    "relu_grad",
    "save_mlp",
    "sigmoid",
    "softmax",
    "tanh",
    "threads",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name, a public module or the version when it is first asked for."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"fastnn.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"fastnn.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fastnn")
    else:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names beside what is loaded already."""
    return sorted({*globals(), *_HOME, *_MODULES, "__version__"})
