"""The input of all implementations: one network and one set of digits, in files of a folder.

Worker processes map the files into memory, so that all of them use the same arrays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from fastnn.bench.protocol import Array


@dataclass(frozen=True)
class Setting:
    """A trained network and digits: to attack, and to train on.

    Attributes
    ----------
    source : str
        Which digits, in the words of `fastnn.load_mnist`, and where the network is from.
    weights, biases : tuple of ndarray, float32
        The 784-2048-512-512-10 ReLU network.
    x, x_train : ndarray, shape (N, 784), float32 in [0, 1]
    labels, labels_train : ndarray of int64, shape (N,)
    """

    source: str
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    x: Array
    labels: Array
    x_train: Array
    labels_train: Array

    def save(self, folder: Path) -> None:
        """Write everything into `folder`, one file for each array."""
        for name in ("x", "labels", "x_train", "labels_train"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            np.save(folder / f"w{i}.npy", w)
            np.save(folder / f"b{i}.npy", b)
        about = {"source": self.source, "layers": len(self.weights)}
        (folder / "setting.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files that `save` wrote into memory."""
        about = json.loads((folder / "setting.json").read_text())

        def read(name: str) -> Array:
            return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))

        return cls(
            about["source"],
            tuple(read(f"w{i}") for i in range(about["layers"])),
            tuple(read(f"b{i}") for i in range(about["layers"])),
            *(read(name) for name in ("x", "labels", "x_train", "labels_train")),
        )
