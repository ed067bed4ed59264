"""Kernels for training: sums of gradients, and the step of gradient descent."""

from __future__ import annotations

from fastnn._kernels.jit import kernel


@kernel
def _add_column_sums(residual, out):
    """out += the sums of the columns, rows added in order."""
    rows, width = residual.shape
    for i in range(rows):
        for j in range(width):
            out[j] += residual[i, j]


@kernel
def _sgd_step(scale, l2, momentum, rate, total, velocity, parameter):
    """velocity = momentum * velocity + scale * total + l2 * w; w -= rate * velocity."""
    for i in range(parameter.size):
        step = momentum * velocity[i] + scale * total[i] + l2 * parameter[i]
        velocity[i] = step
        parameter[i] -= rate * step
