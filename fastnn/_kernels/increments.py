"""What is new in inputs that move step by step, for products that only the new part enters."""

from __future__ import annotations

from fastnn._kernels.jit import kernel


@kernel
def _surprises(x, before, change, rounding, again, out):
    """out = each row of `x` less a guess of it; `before` and `change` become those of `x`.

    The guess is the row before or, where that leaves fewer entries and `again` is set, that row
    with the last change once more. Less than ``rounding * (|x| + |change|)`` is left out.
    """
    rows, width = x.shape
    for i in range(rows):
        here, last, way, left = x[i], before[i], change[i], out[i]
        moved, turned = 0, 0
        for j in range(width):
            least = rounding * abs(here[j]) + rounding * abs(way[j])
            step = here[j] - last[j]
            moved += abs(step) > least
            turned += abs(step - way[j]) > least
        again[i] = turned < moved
        if not again[i]:
            way[:] = 0
        for j in range(width):
            least = rounding * abs(here[j]) + rounding * abs(way[j])
            rest = here[j] - last[j] - way[j]
            left[j] = 0
            if abs(rest) > least:
                left[j] = rest
            way[j] += left[j]
            last[j] += way[j]


@kernel
def _advance(again, change, products, out):
    """out = the products of the new inputs, from those of what `_surprises` leaves, also in `out`.

    `change` has the products of the last change, and `products` those of the inputs before; both
    become those of the new inputs.
    """
    rows, width = products.shape
    for i in range(rows):
        way, total, new = change[i], products[i], out[i]
        if not again[i]:
            way[:] = 0
        for j in range(width):
            way[j] += new[j]
            total[j] += way[j]
            new[j] = total[j]
