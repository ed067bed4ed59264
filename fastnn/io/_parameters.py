"""What is read from a file of any format, and the network that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._checks import FLOATS
from fastnn._models import Dense, Function
from fastnn._models import network_of as steps_to_network
from fastnn._runtime.signals import numpy_errors
from fastnn.io._npy import StoredArray
from fastnn.networks import MLP

# Saved with the parameters; without it the activation is ReLU, as in the assignment.
ACTIVATION = "activation"
IN_OUT, OUT_IN = LAYOUTS = ("in-out", "out-in")
_LONGEST_WORD = 100  # characters
_HALF = np.dtype(np.float16)


class Saved(NamedTuple):
    """The parameters of a network as a file has them.

    Attributes
    ----------
    weights : dict of ndarray
        One matrix a layer, first layer first, by the names that errors give them.
    biases : dict of (ndarray or None)
        One vector a layer, None where the layer has none.
    activation : str, optional
        None where the file does not say it.
    layout : {"in-out", "out-in"}, optional
        What the axes of all weights are; None where the kind of file does not say it.
    usual_layout : {"in-out", "out-in"}, optional
        What it is if the weights chain either way; None where the user has to say it.
    """

    weights: dict[str, NDArray[Any]]
    biases: dict[str, NDArray[Any] | None]
    activation: str | None = None
    layout: str | None = None
    usual_layout: str | None = None


def saved_of(place: Path, steps: Iterable[Dense | Function]) -> Saved:
    """Return the network of a file that says what it computes, one step after the other."""
    try:
        found = steps_to_network(steps)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    weights = dict(zip((f"{name}: weight" for name in found.names), found.weights, strict=True))
    biases = dict(zip((f"{name}: bias" for name in found.names), found.biases, strict=True))
    return Saved(weights, dict(biases), found.activation, IN_OUT)


def arrays_of(net: MLP, layout: str = IN_OUT) -> dict[str, NDArray[Any]]:
    """Return the parameters of a network by name, in order, each C-contiguous."""
    arrays = {}
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        arrays[f"fc{i}.weight"] = np.ascontiguousarray(_turned(weight, layout))
        arrays[f"fc{i}.bias"] = bias
    return arrays


def network_of(saved: Saved, place: Path, activation: str | None, layout: str | None) -> MLP:
    """Return the network of what `read` of a format returned.

    Raises ValueError, which names `place`, if the arrays are not those of a network.
    """
    known = saved.activation
    if known is not None and activation not in (None, known):
        raise ValueError(f"{place} was saved with activation {known!r}, not {activation!r}")
    found = _layout_of(saved, place, layout)
    weights = [_turned(weight, found) for weight in saved.weights.values()]
    biases = [
        np.zeros(weight.shape[1], weight.dtype) if bias is None else bias
        for weight, bias in zip(weights, saved.biases.values(), strict=True)
    ]
    try:
        return MLP(weights, biases, known or activation or "relu")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {_in_words_of(saved, found, str(error))}") from error


def require_layout(layout: str | None) -> None:
    """Raise if `layout` is none that weights can have."""
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout must be one of {LAYOUTS} or None, got {layout!r}")


def read_parameter(place: Path, name: str, stored: StoredArray) -> NDArray[Any]:
    """Read a weight or bias, once its header says floats; float16 becomes float32."""
    dtype = stored.dtype
    if dtype != _HALF and dtype not in FLOATS:
        raise ValueError(f"{place}: {name} must be float32 or float64, got {dtype}")
    array = stored.read()
    return widened(array) if dtype == _HALF else array


def widened(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return floats of fewer bits as float32; `MLP` refuses those that are NaN and names them."""
    with numpy_errors():
        return array.astype(np.float32)


def read_activation(place: Path, stored: StoredArray) -> str:
    """Read the name of the activation, once its header says one word."""
    shape, dtype = stored.shape, stored.dtype
    if shape or dtype.kind != "U" or dtype.itemsize > 4 * _LONGEST_WORD:
        raise ValueError(f"{place}: {ACTIVATION} must be one word, got {dtype} {shape}")
    return str(stored.read())


def misfit(
    weights: dict[str, tuple[int, ...]], biases: dict[str, tuple[int, ...] | None], layout: str
) -> tuple[int, str] | None:
    """Return the first layer that does not fit in a layout, and why, in the words of the file."""
    inner = None
    layers = zip(weights.items(), biases.items(), strict=True)
    for i, ((name, shape), (bias, length)) in enumerate(layers):
        if len(shape) != 2 or 0 in shape:
            return i, f"{name} must have shape (d_in, d_out), got {shape}"
        d_in, d_out = shape if layout == IN_OUT else shape[::-1]
        if inner not in (None, d_in):
            axis = "rows" if layout == IN_OUT else "columns"
            hint = " (transposed it would)" if d_out == inner else ""
            return i, f"{name} must have {inner} {axis} to follow, got {shape}{hint}"
        if length not in (None, (d_out,), (1, d_out)):
            return i, f"{bias} must have shape ({d_out},), got {length}"
        inner = d_out
    return None


def _turned(weight: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return a weight (d_in, d_out) in a layout, or the reverse."""
    return weight if layout == IN_OUT else weight.T


def _layout_of(saved: Saved, place: Path, asked: str | None) -> str:
    """Return the layout that was asked for or, without one, the only one in which layers chain."""
    if saved.layout is not None and asked not in (None, saved.layout):
        raise ValueError(f"{place}: weights of this kind of file are {saved.layout}, not {asked}")
    known = asked or saved.layout
    weights = {name: weight.shape for name, weight in saved.weights.items()}
    biases = {name: None if b is None else b.shape for name, b in saved.biases.items()}
    misfits = {one: misfit(weights, biases, one) for one in ((known,) if known else LAYOUTS)}
    fitting = [layout for layout, found in misfits.items() if found is None]
    if not fitting:
        # What fits further is more likely what the file is meant to be.
        _, reason = max((found for found in misfits.values() if found), key=lambda found: found[0])
        raise ValueError(f"{place}: {reason}")
    if len(fitting) == 1:
        return fitting[0]
    if saved.usual_layout is None:
        raise ValueError(
            f"{place}: the layers chain both as (in, out) and as (out, in); say which by layout "
            "(--layout in a command): 'in-out' (NumPy, Keras) or 'out-in' (PyTorch)"
        )
    return saved.usual_layout


def _in_words_of(saved: Saved, layout: str, reason: str) -> str:
    """Return an error of `MLP` with the names that the arrays have in the file."""
    if layout == OUT_IN:  # and with the position that a wrong entry has in the file
        reason = re.sub(r"(weights\[\d+\])\[(\d+), (\d+)\]", r"\1[\3, \2]", reason)
    names = {"weights": list(saved.weights), "biases": list(saved.biases)}
    return re.sub(r"\b(weights|biases)\[(\d+)\]", lambda m: names[m[1]][int(m[2])], reason)
