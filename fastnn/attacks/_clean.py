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
    step : float, optional
        The length by which nearly all entries of adversarial inputs will have moved, or None.
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

    def multiply(self, ws: Workspace, clean: Array) -> bool:
        """Fill ``ws.h[1]`` with the first layer's products of ``ws.h[0]``; False: it is not done.

        Those of the `clean` inputs are kept, for the products of inputs that are a `step` from
        there. Those of any other inputs are left to the caller.
        """
        if self.step is None or (0, False) not in ws.packed:
            return False
        if ws.h[0] is clean:
            layer_product(ws, clean, 0, ws.h[1])
            self.products = ws.spare("products of the clean inputs", *ws.h[1].shape)
            np.copyto(self.products, ws.h[1])
            return True
        z = self.products
        return z is not None and moved_product(ws, ws.h[0], clean, self.step, z, ws.h[1])
