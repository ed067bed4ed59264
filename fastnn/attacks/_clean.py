"""What passes over clean inputs have shown, for a tile and for those that come after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.layers import layer_product
from fastnn._engine.moved import moved_product
from fastnn._engine.workspace import Workspace

Array = NDArray[Any]


@dataclass
class Clean:
    """What is known of some clean inputs, for all tiles that have them and the same goal.

    Attributes
    ----------
    again : bool
        Whether another tile will ask for the gradient.
    step : float, or None
        The length by which all entries of other inputs will have moved, if there is one.
    logits, gradient : ndarray, or None
        Copies; of the gradient only where it is needed `again`.
    marks : tuple of two ndarray of bool, shapes (n,), or None
        The rows whose true class has a probability that rounds to 1, and those without a gradient.
    products : ndarray, or None
        ``x W_1``, in a buffer of the workspace, if there is a `step`.
    """

    again: bool = False
    step: Any = None
    logits: Array | None = None
    gradient: Array | None = None
    marks: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
    products: Array | None = None

    def first_products(self, ws: Workspace, clean: Array) -> Array | None:
        """Return the first layer's products of the inputs in ``ws.h[0]``, or None.

        None says that they are to be computed as usual. Those of the `clean` inputs are kept, for
        inputs that are a `step` from there. The result may be in ``ws.h[1]``.
        """
        if self.step is None or (0, False) not in ws.packed:
            return None
        if ws.h[0] is clean:
            self.products = ws.spare("products of the clean inputs", *ws.h[1].shape)
            layer_product(ws, clean, 0, self.products)
            return self.products
        z = self.products
        if z is not None and moved_product(ws, ws.h[0], clean, self.step, z, ws.h[1]):
            return ws.h[1]
        return None
