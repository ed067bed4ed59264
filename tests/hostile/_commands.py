"""Commands that write files, small enough to be killed often.

``python -m tests.hostile._commands NAME`` runs one in the folder that it writes to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

TRAIN = [
    *("train", "--sizes", "784", "16", "10", "--epochs", "1", "--source", "sample", "--force"),
    "--seed",
]
SMALL = (784, 16, 10)
FETCHED = {f"part-{k}.gz": bytes([k]) * 200_000 + b"end" for k in range(3)}


def network(seed: int) -> Any:
    """Return one of the networks that take turns: the odd ones are deeper, and sigmoid."""
    import fastnn

    if seed % 2:
        return fastnn.MLP.random((40, 30, 20, 5), "sigmoid", rng=seed)
    return fastnn.MLP.random((40, 30, 5), rng=seed)


def save(place: str, times: str) -> int:
    """Save the two networks over each other, the first one last."""
    import fastnn

    both = [network(0), network(1)]
    for k in range(int(times), 0, -1):
        fastnn.save_mlp(both[1 - k % 2], Path(place))
        print(k, flush=True)
    return 0


def attack() -> int:
    """Run `fastnn attack` with a network that is trained in a moment and kept."""
    from fastnn import _recipe
    from fastnn.cli import main

    _recipe.SAMPLE = _recipe.Recipe(sizes=SMALL, epochs=1)
    return main(["attack", "--source", "sample", "--json", "attack.json", "--force"])


def fetch(address: str) -> int:
    """Run `fastnn fetch` for small files from a server of our own."""
    from fastnn.datasets import DATA_SETS, fetch_mnist

    known = {
        name: (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}")
        for name, content in FETCHED.items()
    }
    DATA_SETS["mnist"] = dataclasses.replace(DATA_SETS["mnist"], files=known)
    fetch_mnist("mnist", mirrors=[address])
    return 0


if __name__ == "__main__":
    commands = {"save": save, "attack": attack, "fetch": fetch}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
