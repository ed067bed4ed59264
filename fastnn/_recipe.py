"""The assignment's 784-2048-512-512-10 network: trained once, then kept in the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnn import datasets
from fastnn._runtime.files import user_cache_dir
from fastnn.io import load_mlp, save_mlp
from fastnn.networks import MLP
from fastnn.training import History, train


@dataclass(frozen=True)
class Recipe:
    """The layers of a network and the settings of `fastnn.train` for it."""

    sizes: tuple[int, ...] = (784, 2048, 512, 512, 10)
    activation: str = "relu"
    epochs: int = 6
    batch_size: int = 200
    learning_rate: float = 0.1
    momentum: float = 0.8
    l2: float = 0.0
    seed: int = 0

    def train(
        self,
        x: NDArray[np.uint8],
        labels: NDArray[np.int64],
        validation: tuple[NDArray[np.uint8], NDArray[np.int64]] | None = None,
        *,
        progress: bool = True,
    ) -> tuple[MLP, History]:
        """Return a new network trained on `x`, and its history; `progress` draws a bar."""
        net = MLP.random(self.sizes, self.activation, rng=self.seed)
        history = train(
            net,
            x,
            labels,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            l2=self.l2,
            validation=validation,
            rng=self.seed,
            progress=progress,
        )
        return net, history


# The sample has a fifteenth of MNIST's digits: it needs more epochs, with smaller steps.
FULL = Recipe()
SAMPLE = Recipe(epochs=15, batch_size=50, learning_rate=0.05)


def recipe_for(rows: int) -> Recipe:
    """Return the recipe for a training set of `rows` digits."""
    return FULL if rows > 20_000 else SAMPLE


def cached_network(
    path: str | os.PathLike[str] | None, source: str, *, progress: bool = True
) -> tuple[MLP, str]:
    """Return the network for the digits that `datasets.load_mnist` finds, and where it is from.

    It is trained once for the same digits and recipe, and kept in the user's cache. If the cache
    cannot be read or written, the network is trained again and a line on standard error says so.
    """
    where = datasets.identity(path, source=source)
    recipes = json.dumps([dataclasses.asdict(recipe) for recipe in (FULL, SAMPLE)])
    key = hashlib.sha256(f"{where}\n{recipes}".encode()).hexdigest()[:16]
    file = user_cache_dir() / "networks" / f"{key}.npz"
    try:
        if file.is_file():
            return load_mlp(file), "kept from an earlier run"
    except (OSError, ValueError) as error:
        print(f"fastnn: training again: {error}", file=sys.stderr)
    x, labels, _ = datasets.load_split("train", path, source=source)
    if not len(x):
        raise FileNotFoundError("there are no training digits: give --weights")
    net, _ = recipe_for(len(x)).train(x, labels, progress=progress)
    return net, _keep(net, file)


def _keep(net: MLP, file: Path) -> str:
    """Write the network to the cache and say where it is from."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_mlp(net, file)
    except OSError as error:
        print(f"fastnn: the network could not be kept: {error}", file=sys.stderr)
        return "trained now"
    return "trained now, kept for the next run"
