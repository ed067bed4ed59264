"""Kernels for rows of logits: probabilities, losses, residuals, predictions.

Those that need e**x begin where a kernel of `exponentials` ends: `fastnn._engine.losses` has the
pairs.
"""

from __future__ import annotations

import math

import numpy as np

from fastnn._kernels.jit import kernel

_ROUNDED = 1e-4  # no softmax is off by more than that


@kernel
def _normalise(out):
    """out /= the sum of its row."""
    rows, classes = out.shape
    for i in range(rows):
        total = out[i, 0]
        for j in range(1, classes):
            total += out[i, j]
        for j in range(classes):
            out[i, j] /= total


@kernel
def _log_probabilities(logits, out):
    """out = z_k - max z - log(sum_j e**(z_j - max z)), row by row; on entry, those exponentials."""
    rows, classes = logits.shape
    for i in range(rows):
        largest = 0
        rest = out.dtype.type(0)
        for j in range(1, classes):
            largest = j if logits[i, j] > logits[i, largest] else largest
        for j in range(classes):
            rest += out[i, j] if j != largest else out.dtype.type(0)
        # log1p of the sum without its largest term, which is 1, keeps a small sum's digits.
        log_total = math.log1p(rest)
        for j in range(classes):
            out[i, j] = (logits[i, j] - logits[i, largest]) - log_total


@kernel
def _loss_residual(logits, labels, losses, out):
    """out = softmax - one_hot and losses = -log softmax[label]; on entry, out = e**(z - max z).

    Returns how many rows are right. For the true class the residual is minus the sum of the other
    probabilities: `p - 1` would cancel. The loss is log1p(sum without the largest term) + (largest
    logit - true logit): both terms are >= 0, so nothing cancels there either.
    """
    rows, classes = logits.shape
    zero, one = out.dtype.type(0), out.dtype.type(1)
    hits = 0
    for i in range(rows):
        label = labels[i]
        best = 0
        for j in range(1, classes):
            best = j if logits[i, j] > logits[i, best] else best
        hits += best == label
        rest = zero
        others = zero
        for j in range(classes):
            rest += out[i, j] if j != best else zero
            others += out[i, j] if j != label else zero
        losses[i] = out.dtype.type(math.log1p(rest)) + (logits[i, best] - logits[i, label])
        scale = one / (one + rest)
        for j in range(classes):
            out[i, j] *= scale
        out[i, label] = -others * scale
    return hits


@kernel
def _attack_residual(labels, out, saturated):
    """out = a positive multiple of softmax - one_hot that never underflows, row by row.

    It is the softmax over the other classes, and -1 for the true one; on entry, out is that of
    `_exponentials_of_others`. `saturated` = whether the true probability of a row rounds to 1, so
    that `p - one_hot` would lose the true class.
    """
    rows, classes = out.shape
    zero, one = out.dtype.type(0), out.dtype.type(1)
    for i in range(rows):
        label = labels[i]
        behind = out[i, label]  # e**-lead, or 1 where the true class does not lead
        total = zero
        for j in range(classes):
            total += out[i, j] if j != label else zero
        for j in range(classes):
            out[i, j] /= total
        out[i, label] = -one
        saturated[i] = one / (one + total * behind) == one


@kernel
def _first_not_finite(values):
    """Return the first row with a NaN or an infinity, or -1."""
    rows, width = values.shape
    for i in range(rows):
        finite = True
        for j in range(width):
            finite &= abs(values[i, j]) < np.inf
        if not finite:
            return i
    return -1


@kernel
def _argmax(logits, out):
    """out = the column of the first largest entry, row by row."""
    rows, classes = logits.shape
    for i in range(rows):
        best = 0
        for j in range(1, classes):
            best = j if logits[i, j] > logits[i, best] else best
        out[i] = best


@kernel
def _are_probabilities(logits):
    """Say whether all entries are in [0, 1], and the sum of every row is 1 but for rounding."""
    rows, classes = logits.shape
    for i in range(rows):
        total, within = 0.0, True
        for j in range(classes):
            total += logits[i, j]
            within &= 0 <= logits[i, j] <= 1
        if not within or not abs(total - 1) < _ROUNDED:
            return False
    return True


@kernel
def _margins(logits, classes, out):
    """out = the logit of a class less the largest of the others, row by row."""
    rows, width = logits.shape
    for i in range(rows):
        own, largest = classes[i], -np.inf
        for j in range(width):
            largest = logits[i, j] if j != own and logits[i, j] > largest else largest
        out[i] = logits[i, own] - out.dtype.type(largest)
