"""The parameters of a network by the names that files have for them: fc1.weight, fc1.bias, ...."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastnn._checks import FLOATS
from fastnn.io._npy import StoredArray
from fastnn.networks import MLP

PARAMETER = re.compile(r"fc[1-9][0-9]*\.(weight|bias)")
# Saved with the parameters; without it the activation is ReLU, as in the assignment.
ACTIVATION = "activation"
FIRST = "fc1.weight"
_LONGEST_WORD = 100  # characters
_MOST_NAMED = 6  # parameters in a message


def arrays_of(net: MLP) -> dict[str, NDArray[Any]]:
    """Return the parameters of a network by name, in order."""
    arrays = {}
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        arrays[f"fc{i}.weight"], arrays[f"fc{i}.bias"] = weight, bias
    return arrays


def network_of(arrays: dict[str, NDArray[Any]], place: Path, activation: str | None) -> MLP:
    """Return the network of what `read` of a format returned.

    Raises ValueError, which names `place`, if the arrays are not those of a network.
    """
    found = arrays.pop(ACTIVATION, None)
    saved = None if found is None else str(found)
    if saved is not None and activation not in (None, saved):
        raise ValueError(f"{place} was saved with activation {saved!r}, not {activation!r}")
    weights, biases = (list(arrays.values())[kind::2] for kind in (0, 1))
    try:
        return MLP(weights, biases, saved or activation or "relu")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {_explain(weights, biases, str(error))}") from error


def read_parameter(place: Path, name: str, stored: StoredArray) -> NDArray[Any]:
    """Read an array, once its header fits its name."""
    shape, dtype = stored.shape, stored.dtype
    if name == ACTIVATION:
        if shape or dtype.kind != "U" or dtype.itemsize > 4 * _LONGEST_WORD:
            raise ValueError(f"{place}: {name} must be one word, got {dtype} {shape}")
    elif dtype not in FLOATS:
        raise ValueError(f"{place}: {name} must be float32 or float64, got {dtype}")
    return stored.read()


def names_in_order(place: Path, found: Collection[str]) -> list[str]:
    """Return the names of the arrays to read; every layer up to the last has weight and bias."""
    names: list[str] = []
    for i in itertools.count(1):
        pair = [f"fc{i}.weight", f"fc{i}.bias"]
        if i > 1 and not any(name in found for name in pair):
            break
        for name in pair:
            if name not in found:
                raise _missing(place, name, found)
        names += pair
    if len(names) < sum(PARAMETER.fullmatch(name) is not None for name in found):
        raise _missing(place, pair[0], found)
    return names + [ACTIVATION] * (ACTIVATION in found)


def _missing(place: Path, name: str, found: Collection[str]) -> Exception:
    """Return the error for a missing parameter; it lists those that were found."""
    present = sorted(other for other in found if PARAMETER.fullmatch(other))
    has = ", ".join(other[:40] for other in present[:_MOST_NAMED]) or "no parameters"
    more = ", ..." if len(present) > _MOST_NAMED else ""
    kind = FileNotFoundError if place.is_dir() else ValueError
    return kind(f"{place}: {name} is missing, found {has}{more}")


def _explain(weights: list[NDArray[Any]], biases: list[NDArray[Any]], reason: str) -> str:
    """Return an error of `MLP` with the names that the arrays have in the file."""
    turned = [weight.T for weight in weights]
    if not _chain(weights, biases) and _chain(turned, biases):
        shape = weights[0].shape
        return (
            f"{FIRST} {shape} and the rest chain only when transposed: this looks like PyTorch's "
            "(out, in) layout, expected (d_in, d_out); save weight.T"
        )
    reason = re.sub(r"\bweights\[(\d+)\]", lambda m: f"fc{int(m[1]) + 1}.weight", reason)
    return re.sub(r"\bbiases\[(\d+)\]", lambda m: f"fc{int(m[1]) + 1}.bias", reason)


def _chain(weights: list[NDArray[Any]], biases: list[NDArray[Any]]) -> bool:
    """Return whether every layer fits the one before it, and every bias its layer."""
    if any(weight.ndim != 2 for weight in weights):
        return False
    widths = [weight.shape[1] for weight in weights]
    return [weight.shape[0] for weight in weights[1:]] == widths[:-1] and [
        bias.size for bias in biases
    ] == widths
