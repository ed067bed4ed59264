"""Probabilities, losses, residuals and predictions from rows of logits.

What needs e**x is a pair of kernels, as those of e**x are in a file of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels import exponentials
from fastnn._kernels import logits as kernels

Array = NDArray[Any]
Labels = NDArray[np.int64]


def softmax(logits: Array, out: Array) -> None:
    """out = e**(z_k - max z) / sum_j e**(z_j - max z), row by row."""
    exponentials._exponentials(logits, out)
    kernels._normalise(out)


def log_softmax(logits: Array, out: Array) -> None:
    """out = z_k - max z - log(sum_j e**(z_j - max z)), row by row."""
    exponentials._exponentials(logits, out)
    kernels._log_probabilities(logits, out)


def loss_residual(logits: Array, labels: Labels, losses: Array, out: Array) -> int:
    """losses = -log softmax[label], out = softmax - one_hot; return how many rows are right."""
    exponentials._exponentials(logits, out)
    return int(kernels._loss_residual(logits, labels, losses, out))


def attack_residual(logits: Array, labels: Labels, out: Array) -> NDArray[np.bool_]:
    """out = a positive multiple of softmax - one_hot that never underflows, row by row.

    Returns for which rows the true class has a probability that rounds to 1.
    """
    saturated = np.empty(len(out), np.bool_)
    exponentials._exponentials_of_others(logits, labels, out)
    kernels._attack_residual(labels, out, saturated)
    return saturated


def predictions(logits: Array, out: Labels) -> Labels:
    """out = the column of the largest logit, the first of equals; return `out`."""
    kernels._argmax(logits, out)
    return out


def are_probabilities(logits: Array) -> bool:
    """Say whether all rows look like those of a softmax."""
    return bool(kernels._are_probabilities(logits))


def margins(logits: Array, classes: Labels) -> Array:
    """Return each row's logit of a class less the largest of the others, of the logits' type."""
    out = np.empty(len(logits), logits.dtype)
    kernels._margins(logits, classes, out)
    return out


def first_not_finite(values: Array) -> int | None:
    """Return the first row with a NaN or an infinity, None where there is none."""
    row = int(kernels._first_not_finite(values))
    return row if row >= 0 else None
