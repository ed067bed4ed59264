"""The peers, as implementations: `fastnn.bench.implementations` says what the methods mean."""

import importlib

IMPLEMENTATIONS = {
    "fastnn float32": "fastnn.bench.ours:Fastnn32",
    "fastnn float64": "fastnn.bench.ours:Fastnn64",
    "fastnn nn_train": "peers.baselines:Assignment",
    "one eps a call": "peers.baselines:OneEpsACall",
    "numpy": "fastnn.bench.implementations:Numpy",
    "reference": "fastnn.bench.implementations:Reference",
    "notebook": "peers.baselines:Notebook",
    "torch": "peers.eager_torch:Torch",
    "jax": "peers.jitted_jax:Jax",
    "foolbox": "peers.attack_libraries:Foolbox",
    "torchattacks": "peers.attack_libraries:Torchattacks",
    "art": "peers.attack_libraries:Art",
}


def load(name):
    """Return the class of that name; ImportError where its library is not installed."""
    module, _, attribute = IMPLEMENTATIONS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
