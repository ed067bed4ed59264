"""Which arrays of a file are the weights and biases of its layers, and in which order.

A name is that of a layer and a last word: ``fc1.weight``, ``net.0.bias``, ``layers/0/kernel``,
``fc1_weight``, ``W1``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastnn.io._npy import StoredArray
from fastnn.io._parameters import LAYOUTS, Saved, misfit, read_parameter

_LONGEST = 1000  # characters of a name
_LONG = re.compile(r"(?:([\w-]+(?:[./][\w-]+)*)[./_])?(weight|kernel|bias)(?::0)?", re.ASCII)
_BRIEF = re.compile(r"([WwBb])_?([0-9]+)")
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
_FC = re.compile(r"(?:[^#]*\.)?fc#")  # the assignment's names, which are numbered without a gap
_MOST_NAMED = 6  # arrays in a message
_MOST_TRIED = 6  # layers without a number whose order the shapes may tell

Arrays = Mapping[str, Callable[[], StoredArray]]


class _Layer(NamedTuple):
    """The names of the arrays of one layer; `bias` is None if it has none."""

    stem: str
    weight: str
    bias: str | None


def layer_and_part(name: str) -> tuple[str, str] | None:
    """Return the layer of an array and "weight" or "bias", None for any other array."""
    if len(name) > _LONGEST:
        return None
    if found := _LONG.fullmatch(name):
        return found[1] or "", "bias" if found[2] == "bias" else "weight"
    if found := _BRIEF.fullmatch(name):
        return found[2], "bias" if found[1] in "Bb" else "weight"
    return None


def read_layers(
    place: Path, arrays: Arrays, *, ordered: bool = False, all_of_them: bool = False
) -> Saved:
    """Read the weight and bias of every layer, in order.

    Parameters
    ----------
    place : Path
        For messages.
    arrays : mapping
        Functions that read the headers of the arrays, by name.
    ordered : bool
        Whether the arrays are in the order of the layers. Numbers in the names count first.
    all_of_them : bool
        Whether the file holds a network and nothing else: then an array that is no weight or bias
        is an error, and a layer may have no bias.
    """
    layers = _layers_in(place, arrays, all_of_them=all_of_them)
    headers = {
        name: arrays[name]() for layer in layers for name in (layer.weight, layer.bias) if name
    }
    for layer in layers:
        _require_dense(place, layer.weight, headers[layer.weight])
    weights: dict[str, NDArray[Any]] = {}
    biases: dict[str, NDArray[Any] | None] = {}
    for layer in _in_order(place, layers, headers, ordered=ordered):
        weights[layer.weight] = read_parameter(place, layer.weight, headers[layer.weight])
        if layer.bias is None:
            biases[f"{layer.stem}.bias"] = None
        else:
            biases[layer.bias] = read_parameter(place, layer.bias, headers[layer.bias])
    return Saved(weights, biases)


def listed(names: Iterable[str]) -> str:
    """Return some of the names, for a message."""
    some = list(itertools.islice(names, _MOST_NAMED + 1))
    text = ", ".join(ascii(name[:40])[1:-1] for name in some[:_MOST_NAMED])
    return text + ", ..." * (len(some) > _MOST_NAMED)


def _layers_in(place: Path, arrays: Arrays, *, all_of_them: bool) -> list[_Layer]:
    """Return the layers that the names tell, none of them without its weight."""
    parts: dict[str, dict[str, str]] = {}
    for name in arrays:
        key = layer_and_part(name)
        if key is None:
            if all_of_them or name.rpartition(".")[2] in _BUFFERS:
                raise ValueError(f"{place}: {listed([name])} is no weight or bias of a dense layer")
        elif key[1] in parts.setdefault(key[0], {}):
            raise ValueError(f"{place}: {listed([parts[key[0]][key[1]], name])} are both {key[1]}")
        else:
            parts[key[0]][key[1]] = name
    _require_no_gap(place, list(parts), arrays)
    layers = []
    for stem, found in parts.items():
        if "weight" not in found:
            raise _missing(place, _partner(found["bias"]), arrays)
        if "bias" not in found and not all_of_them:
            raise _missing(place, _partner(found["weight"]), arrays)
        layers.append(_Layer(stem, found["weight"], found.get("bias")))
    if not layers:
        raise _missing(place, "fc1.weight", arrays)
    return layers


def _require_no_gap(place: Path, stems: list[str], arrays: Arrays) -> None:
    """Raise if layers that are named as the assignment's are not numbered 1, 2, 3 and so on."""
    kinds = {_without_numbers(stem) for stem in stems}
    if len(kinds) != 1 or not _FC.fullmatch(kind := kinds.pop()):
        return
    numbers = sorted(_numbers(stem)[0] for stem in stems)
    start = min(numbers[0], 1)
    for expected, number in enumerate(numbers, start):
        if number != expected:
            raise _missing(place, f"{kind.replace('#', str(expected))}.weight", arrays)


def _require_dense(place: Path, name: str, header: StoredArray) -> None:
    """Raise if a weight is that of another kind of layer."""
    axes = len(header.shape)
    if axes != 2:
        what = "a convolution" if axes > 2 else "a normalisation"
        raise ValueError(
            f"{place}: {name} has shape {header.shape} as {what} has, expected dense layers alone"
        )


def _in_order(
    place: Path, layers: list[_Layer], headers: Mapping[str, StoredArray], *, ordered: bool
) -> list[_Layer]:
    """Return the layers by their numbers, else as in the file, else as their shapes tell."""
    kinds = {_without_numbers(layer.stem) for layer in layers}
    if len(kinds) == 1:
        return sorted(layers, key=lambda layer: _numbers(layer.stem))
    if ordered:
        return layers
    orders = itertools.permutations(layers) if len(layers) <= _MOST_TRIED else ()
    fitting = [order for order in orders if _chains(order, headers)]
    if len(fitting) != 1:
        names = listed(layer.weight for layer in layers)
        raise ValueError(f"{place}: neither names nor shapes tell the order of {names}")
    return list(fitting[0])


def _chains(layers: Iterable[_Layer], headers: Mapping[str, StoredArray]) -> bool:
    """Return whether layers in this order fit each other in some layout."""
    layers = list(layers)
    weights = {layer.weight: headers[layer.weight].shape for layer in layers}
    biases = {one.stem: headers[one.bias].shape if one.bias else None for one in layers}
    return any(misfit(weights, biases, layout) is None for layout in LAYOUTS)


def _without_numbers(stem: str) -> str:
    """Return the name of a layer with # for each number."""
    return re.sub("[0-9]+", "#", stem)


def _numbers(stem: str) -> tuple[int, ...]:
    """Return the numbers in the name of a layer."""
    return tuple(int(number) for number in re.findall("[0-9]+", stem))


def _partner(name: str) -> str:
    """Return the name of the bias that belongs to a weight, or the reverse."""
    if _BRIEF.fullmatch(name):
        return ("W" if name[0] in "Bb" else "b") + name[1:]
    partners = {"weight": "bias", "kernel": "bias", "bias": "weight"}
    start, part, end = re.split("(weight|kernel|bias)(?=(?::0)?$)", name)
    return start + partners[part] + end


def _missing(place: Path, name: str, arrays: Iterable[str]) -> Exception:
    """Return the error for a missing array; it lists what is there."""
    present = sorted(other for other in arrays if layer_and_part(other))
    found = listed(present) or "no parameters"
    if not present and (others := listed(arrays)):
        found += f", only {others}"
    kind = FileNotFoundError if place.is_dir() else ValueError
    return kind(f"{place}: {name} is missing, found {found}")
