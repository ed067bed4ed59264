"""First products of inputs all of whose entries have moved by one length, up or down.

FGSM without bounds makes such inputs. Hardly an entry is 0, so that nothing can be left out. But
``x W = before W + (size * signs) W``, and four signs have no more than 16 combinations: tables of
their sums take half the time of the product (`fastnn._kernels.sign_products`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.workspace import Workspace
from fastnn._kernels import sign_products
from fastnn._kernels.sign_products import DEPTH, LINES, STRIP_BYTES, TABLES

Array = NDArray[Any]


def moved_product(ws: Workspace, x: Array, before: Array, size: Any, z: Array, out: Array) -> bool:
    """out = x W of the first layer, whose weights are packed, where ``z = before W``.

    False, and nothing done, where an entry has not moved by `size`, as `_mark_steps` says.
    """
    panels = ws.packed[0, False]
    masks = ws.spare("signs", -(-x.shape[1] // DEPTH), len(x), dtype=np.uint64)
    step = x.dtype.type(size)
    if not sign_products._mark_steps(x, before, step, masks):
        return False
    strip = STRIP_BYTES // x.itemsize
    last = ws.spare("last rows", DEPTH, strip)
    tables = ws.spare("tables", TABLES * LINES, strip)
    sums = ws.spare("sums", len(x), panels.shape[2])
    sign_products._add_sign_products(masks, panels, step, z, last, tables, sums, out)
    return True
