"""What the engine needs of a network; `fastnn.MLP` is one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """Dense layers, each followed by one activation, but for the last."""

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """One matrix a layer, shapes (d_in, d_out)."""

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """One vector a layer, shapes (d_out,)."""

    @property
    def activation(self) -> str:
        """A name in `fastnn._engine.activations.ACTIVATIONS`."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all parameters."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the classes."""


def parameter_name(net: Network, k: int) -> str:
    """Return what parameter `k` is called, where all weights come before all biases."""
    kind = "weights" if k < len(net.weights) else "biases"
    return f"{kind}[{k % len(net.weights)}]"
