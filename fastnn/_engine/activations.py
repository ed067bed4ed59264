"""What an activation is: all that the library asks about one is here.

To add one, write its kernels in `fastnn._kernels`, its formula in `fastnn.reference.activations`,
and an entry below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastnn._kernels import elementwise, exponentials

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """A function that follows every layer but the last, and its derivative.

    Attributes
    ----------
    variance : callable
        Takes the widths before and after a layer, and returns the variance that its random weights
        start with.
    forward : callable
        ``forward(bias, z)`` sets ``z = activation(z + bias)`` in place.
    backward : callable
        ``backward(slope, g)`` turns a derivative by the activation's result into one by its
        argument, in place.
    forward_with_slope : callable or None
        ``forward_with_slope(bias, z, slope)`` also writes the derivative at every entry into
        `slope`. None where `backward` reads the derivative off the activation's result, and takes
        that in place of `slope`.
    forward_with_direction : callable or None
        As `forward_with_slope`, but a row of `slope` may be multiplied by any positive number: it
        must not be all zero where the derivatives only underflow.
    """

    variance: Callable[[int, int], float]
    forward: Callable[[Array, Array], None]
    backward: Callable[[Array, Array], None]
    forward_with_slope: Callable[[Array, Array, Array], None] | None = None
    forward_with_direction: Callable[[Array, Array, Array], None] | None = None

    @property
    def has_slope(self) -> bool:
        """Whether the derivative is a buffer of its own."""
        return self.forward_with_slope is not None


def _he(d_in: int, _: int) -> float:
    """Return 2 / d_in: He et al. (2015), arXiv:1502.01852, equation 10."""
    return 2 / d_in


def _glorot(d_in: int, d_out: int) -> float:
    """Return 2 / (d_in + d_out): Glorot and Bengio (2010), AISTATS 9, 249-256, equation 12."""
    return 2 / (d_in + d_out)


ACTIVATIONS = {
    "relu": Activation(
        variance=_he,
        forward=elementwise._add_bias_relu,
        backward=elementwise._mask_relu,
    ),
    "sigmoid": Activation(
        variance=_glorot,
        forward=exponentials._add_bias_sigmoid,
        backward=elementwise._apply_slope,
        forward_with_slope=exponentials._add_bias_sigmoid_slope,
        forward_with_direction=exponentials._add_bias_sigmoid_direction,
    ),
    "tanh": Activation(
        variance=_glorot,
        forward=exponentials._add_bias_tanh,
        backward=elementwise._apply_slope,
        forward_with_slope=exponentials._add_bias_tanh_slope,
        forward_with_direction=exponentials._add_bias_tanh_direction,
    ),
}


def activation_named(name: str) -> Activation:
    """Return the activation of that name, or raise ValueError."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {tuple(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]
