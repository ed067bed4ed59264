"""Jobs on a whole network: passes, attacks, training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastnn.bench.jobs.inputs import EPS, UNIT, part_one, part_two, rows, smallest
from fastnn.bench.jobs.job import Job
from fastnn.bench.jobs.judges import Judge, same_counts, same_training
from fastnn.bench.protocol import Method, Network
from fastnn.bench.setting import Setting


@dataclass(frozen=True)
class PassJob:
    """Makes a job on the images of the test set and the network of the assignment's second part.

    Attributes
    ----------
    method : str
    title : str
        Without the number of images.
    passes : float
        The matrix products, in units of those of one forward pass.
    result : str
        What is written: its bytes count.
    judge : Judge
    more : tuple
        Arguments of the method after images and labels.
    to_input : bool
        False if there is no gradient by the input: one product of the first layer fewer.
    """

    method: Method
    title: str
    passes: float
    result: Literal["logits", "inputs", "parameters", "counts"]
    judge: Judge
    more: tuple[Any, ...] = ()
    to_input: bool = True

    def __call__(self, name: str, setting: Setting, n: int) -> Job:
        """Return the job for `n` images."""
        network = part_two(setting)
        products = _products(network)
        written = {"logits": 10 * n, "inputs": 784 * n, "parameters": products, "counts": 0}
        saved = 0 if self.to_input else network.weights[0].size
        labels = () if self.method == "logits" else (rows(setting.labels, n),)
        return Job(
            name=name,
            title=f"{self.title}, {n:,} images",
            method=self.method,
            network=network,
            arguments=(rows(setting.x, n), *labels, *self.more),
            n=n,
            flops=2.0 * (self.passes * products - saved) * n,
            bytes=4.0 * (784 * n + products + written[self.result]),
            judge=self.judge,
        )


@dataclass(frozen=True)
class TrainingJob:
    """Makes a job of training, with loss and accuracy after every epoch.

    Attributes
    ----------
    part : {1, 2}
        Which of the assignment's networks is trained.
    epochs : int
    batch_size : int
    learning_rate : float
    momentum : float
    validation : int
        Samples of the test set, at most, for the second pair of metrics.
    """

    part: Literal[1, 2]
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    validation: int = 10_000

    def __call__(self, name: str, setting: Setting, n: int) -> Job:
        """Return the job for `n` images of the training set."""
        network = part_one() if self.part == 1 else part_two(setting)
        first, products = network.weights[0].size, _products(network)
        validation = min(len(setting.x), self.validation)
        per_epoch = 2.0 * n * (3 * products - first) + 2.0 * (n + validation) * products
        title = f"part {self.part}, {self.epochs} epoch{'s' * (self.epochs > 1)}"
        title += f" of {n:,} images with metrics"
        if self.momentum:
            title += f", batches of {self.batch_size:,}, momentum"
        return Job(
            name=name,
            title=title,
            method="train",
            network=network,
            arguments=(
                rows(setting.x_train, n),
                rows(setting.labels_train, n),
                rows(setting.x, validation),
                rows(setting.labels, validation),
                self.epochs,
                self.batch_size,
                self.learning_rate,
                self.momentum,
            ),
            n=n,
            flops=self.epochs * per_epoch,
            bytes=4.0 * 784 * (2 * n + validation) * self.epochs,
            judge=same_training,
        )


def call(name: str, _setting: Setting, n: int) -> Job:
    """Return a job of hardly any work: its time is the fixed cost of a call."""
    network = smallest()
    rng = np.random.default_rng(4)
    x, labels = rng.random((n, network.weights[0].shape[0])), rng.integers(0, 3, n)
    products = _products(network)
    return Job(
        name=name,
        title=f"clean and FGSM accuracy of a 4-8-3 network, {n:,} rows",
        method="accuracy",
        network=network,
        arguments=(x, labels, EPS, UNIT),
        n=n,
        flops=6.0 * products * n,
        bytes=4.0 * (x.size + products),
        judge=same_counts,
    )


def _products(network: Network) -> int:
    """Return the multiply-adds of a forward pass of one sample: one for every weight."""
    return sum(w.size for w in network.weights)
