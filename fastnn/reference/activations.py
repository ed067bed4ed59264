"""The activations of a network: each a function and its derivative, for one layer of one sample."""

from collections.abc import Callable
from typing import NamedTuple

from .functional import Array, relu, relu_grad, sigmoid, tanh


class Activation(NamedTuple):
    """A function of the values before activation, and its derivative at the same values."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def _sigmoid_grad(z: Array) -> Array:
    """``s (1 - s)`` with s = sigmoid(z); sigmoid(-z) is 1 - s without the cancellation."""
    return sigmoid(z) * sigmoid(-z)


def _tanh_grad(z: Array) -> Array:
    """``1 - tanh(z)**2 = 4 s (1 - s)`` with s = sigmoid(2 z), for the same reason."""
    return 4 * _sigmoid_grad(2 * z)


ACTIVATIONS = {
    "relu": Activation(relu, relu_grad),
    "sigmoid": Activation(sigmoid, _sigmoid_grad),
    "tanh": Activation(tanh, _tanh_grad),
}


def activation_named(name: str) -> Activation:
    """Return the activation of that name, or raise ValueError."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
