"""Images with one square of pixels changed, for the Square attack."""

from __future__ import annotations

from fastnn._kernels.jit import kernel


@kernel
def _with_square(x, low, high, places, tall, wide, across, out, change):
    """out = x with a square of each row taken from `low` or `high`; change = out - x.

    A row is an image with `across` pixels in a line. ``places[i]`` has the first line and the first
    column of a square of `tall` lines and `wide` columns, and 1 where `high` is meant, 0 for `low`.
    """
    for i in range(len(x)):
        out[i] = x[i]
        change[i] = 0
        top, left, up = places[i]
        for line in range(top, top + tall):
            for j in range(line * across + left, line * across + left + wide):
                out[i, j] = high[i, j] if up else low[i, j]
                change[i, j] = out[i, j] - x[i, j]
