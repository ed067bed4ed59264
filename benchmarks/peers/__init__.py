"""The implementations that are compared, by their labels (`fastnn.bench.protocol`)."""

IMPLEMENTATIONS = {
    "fastnn float32": "fastnn.bench.ours:Fastnn32",
    "fastnn float64": "fastnn.bench.ours:Fastnn64",
    "fastnn nn_train": "peers.baselines:Assignment",
    "fastnn all steps": "peers.baselines:AllSteps",
    "one eps a call": "peers.baselines:OneEpsACall",
    "numpy": "fastnn.bench.implementations:Numpy",
    "reference": "fastnn.bench.reference:Reference",
    "notebook": "peers.baselines:Notebook",
    "torch": "peers.eager_torch:Torch",
    "jax": "peers.jitted_jax:Jax",
    "foolbox": "peers.foolbox_attack:Foolbox",
    "torchattacks": "peers.torchattacks_attack:Torchattacks",
    "art": "peers.art_attack:Art",
    "autoattack": "peers.autoattack_attack:AutoAttack",
}
