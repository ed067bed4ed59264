"""Jobs on arrays alone: activations, softmax, residual, signed step."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.bench.jobs.inputs import EPS, UNIT, part_one, rows
from fastnn.bench.jobs.job import Job
from fastnn.bench.jobs.judges import close
from fastnn.bench.protocol import Method
from fastnn.bench.setting import Setting

_SIGMOIDS = 300  # in the hidden layer of the assignment's first part
_RELUS = 2048  # in the first layer of its second part


def _job(
    name: str,
    title: str,
    method: Method,
    arguments: tuple[Any, ...],
    n: int,
    *,
    flops: float,
    moved: float,
) -> Job:
    """Return a job whose method does not use the network."""
    return Job(
        name=name,
        title=title,
        method=method,
        network=part_one(),
        arguments=arguments,
        n=n,
        flops=flops,
        bytes=moved,
        judge=close,
    )


def sigmoid(name: str, _setting: Setting, n: int) -> Job:
    """Return the job of a sigmoid layer's activation."""
    rng = np.random.default_rng(1)
    z, bias = rng.normal(0, 4, (n, _SIGMOIDS)), rng.normal(0, 1, _SIGMOIDS)
    title = f"sigmoid(z + bias), {n:,} x {_SIGMOIDS}"
    return _job(name, title, "sigmoid", (z, bias), n, flops=4.0 * z.size, moved=8.0 * z.size)


def relu(name: str, _setting: Setting, n: int) -> Job:
    """Return the job of a ReLU layer's activation."""
    rng = np.random.default_rng(1)
    z, bias = rng.normal(0, 1, (n, _RELUS)), rng.normal(0, 1, _RELUS)
    title = f"ReLU(z + bias), {n:,} x {_RELUS}"
    return _job(name, title, "relu", (z, bias), n, flops=2.0 * z.size, moved=8.0 * z.size)


def softmax(name: str, _setting: Setting, n: int) -> Job:
    """Return the job of probabilities from logits."""
    logits = np.random.default_rng(2).normal(0, 5, (n, 10))
    title, size = f"softmax, {n:,} x 10", logits.size
    return _job(name, title, "softmax", (logits,), n, flops=5.0 * size, moved=8.0 * size)


def residual(name: str, _setting: Setting, n: int) -> Job:
    """Return the job of losses and residuals from logits."""
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(0, 5, (n, 10)), rng.integers(0, 10, n)
    title, moved = f"softmax, loss and residual, {n:,} x 10", 8.0 * logits.size + 12.0 * n
    flops = 5.0 * logits.size
    return _job(name, title, "residual", (logits, labels), n, flops=flops, moved=moved)


def step(name: str, setting: Setting, n: int) -> Job:
    """Return the job of moving images along the signs of a gradient."""
    x = rows(setting.x, n)
    gradient = np.random.default_rng(3).normal(0, 1, x.shape)
    gradient[:, ::50] = 0
    title, arguments = f"signed step, clipped, {n:,} x 784", (x, gradient, EPS, UNIT)
    return _job(name, title, "step", arguments, n, flops=5.0 * x.size, moved=12.0 * x.size)
