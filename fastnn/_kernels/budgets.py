"""Kernel that finds entries which an attack has moved too far."""

from __future__ import annotations

from fastnn._kernels.jit import kernel


@kernel
def _entries_beyond(x, clean, eps, lower, upper):
    """Return how many entries of x are not within eps of `clean` and the bounds; NaN is not.

    `eps` has a number for each row.
    """
    rows, width = x.shape
    count = 0
    for i in range(rows):
        most, here, before = eps[i], x[i], clean[i]
        for j in range(width):
            v = here[j]
            within = (abs(v - before[j]) <= most) & (v >= lower) & (v <= upper)
            count += not within
    return count
