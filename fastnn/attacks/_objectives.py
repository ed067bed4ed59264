"""What attacks of many steps raise: values that can be compared, and gradients by the logits.

Both take logits (n, C), true classes and targets (n,). Residuals are gradients up to a positive
factor for each row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Classes = NDArray[np.int64]

LOSSES = ("ce", "dlr")


def require(loss: str, among: tuple[str, ...] = LOSSES) -> None:
    """Raise if there is no such loss."""
    if loss not in among:
        raise ValueError(f"loss must be one of {among}, got {loss!r}")


def require_classes(loss: str, classes: int, *, targeted: bool) -> None:
    """Raise if a network has too few classes for a loss."""
    least = 2 if loss == "ce" else (4 if targeted else 3)
    if classes < least:
        kind = "targeted " if targeted else ""
        raise ValueError(f"{kind}loss {loss!r} needs {least} classes or more, got {classes}")


def ratio(logits: Array, labels: Classes, aims: Classes | None) -> tuple[Any, Array]:
    """Return `dlr`, or `targeted_dlr` where there are classes to aim at."""
    return dlr(logits, labels) if aims is None else targeted_dlr(logits, labels, aims)


def cross_entropy(logits: Array, labels: Classes) -> NDArray[np.float64]:
    """Return ``log(sum of the others' e**z) - z_label``, which rises with the cross-entropy.

    The cross-entropy is ``log1p(e**value)``. It underflows where the true class leads by more than
    a hundred; the value does not.
    """
    z = logits.astype(np.float64)
    rows = np.arange(len(z))
    own = z[rows, labels]
    z[rows, labels] = -np.inf
    largest = z.max(axis=1)
    return np.asarray(largest + np.log(np.exp(z - largest[:, None]).sum(axis=1)) - own)


def dlr(logits: Array, labels: Classes) -> tuple[NDArray[np.float64], Array]:
    """Return the difference of logits ratio, and its residual.

    ``-(z_y - max of the others) / (z_(1) - z_(3))`` with z_(k) the k-th largest logit: Croce and
    Hein (2020), arXiv:2003.01690, equation 6. Equal logits make no difference, and a row whose
    three largest are equal has the value 0.
    """
    z = logits.astype(np.float64)
    rows, order = np.arange(len(z)), np.argsort(-z, axis=1, kind="stable")
    other = np.where(order[:, 0] == labels, order[:, 1], order[:, 0])
    return _ratio(z, rows, labels, other, order[:, 0], order[:, 2:3])


def targeted_dlr(logits: Array, labels: Classes, targets: Classes) -> tuple[Any, Array]:
    """Return the targeted difference of logits ratio, and its residual.

    ``-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2)``: equation 7 of the same paper.
    """
    z = logits.astype(np.float64)
    rows, order = np.arange(len(z)), np.argsort(-z, axis=1, kind="stable")
    return _ratio(z, rows, labels, targets, order[:, 0], order[:, 2:4])


def _ratio(
    z: Array, rows: Array, labels: Classes, others: Classes, first: Classes, low: Classes
) -> tuple[NDArray[np.float64], Array]:
    """Return ``-(z_y - z_other) / (z_first - mean of z_low)``, and its gradient times that."""
    spread = z[rows, first] - np.mean(z[rows[:, None], low], axis=1)
    lead = z[rows, labels] - z[rows, others]
    share = np.divide(lead, spread, out=np.zeros_like(lead), where=spread > 0)
    residual = np.zeros_like(z)
    np.add.at(residual, (rows, labels), -1.0)
    np.add.at(residual, (rows, others), 1.0)
    np.add.at(residual, (rows, first), share)
    for k in range(low.shape[1]):
        np.add.at(residual, (rows, low[:, k]), -share / low.shape[1])
    return -share, residual
