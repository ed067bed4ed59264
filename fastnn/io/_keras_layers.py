"""What the configuration of a Keras model says that it computes, one layer after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastnn._models import Dense, Function
from fastnn.io._archive import RefusalError, short

_IDENTITIES = ("InputLayer", "Flatten", "Dropout")  # of a batch of rows, when not training
_FUNCTIONS = {name: name for name in ("relu", "sigmoid", "tanh", "softmax")}
_FUNCTIONS["log_softmax"] = "softmax"
_OF_OTHER_RELUS = ("max_value", "negative_slope", "threshold")


class Layer(NamedTuple):
    """A layer of a model: its name, its class, and its configuration."""

    name: str
    kind: str
    settings: dict[str, Any]


Arrays = Callable[[int, Layer], list[NDArray[Any]]]


def layers_in(config: dict[str, Any]) -> list[Layer]:
    """Return the layers of a model, each of which takes the result of the one before it."""
    kind, settings = config["class_name"], config["config"]
    if kind not in ("Sequential", "Functional", "Model"):
        raise RefusalError(f"is of class {short(kind)}")
    entries = settings if isinstance(settings, list) else settings["layers"]
    if kind != "Sequential":
        _require_chain(entries, settings["output_layers"])
    return [_layer(entry) for entry in entries]


def steps_of(layers: list[Layer], arrays: Arrays) -> Iterator[Dense | Function]:
    """Yield what the layers compute; `arrays` returns the kernel and the bias of a dense one."""
    number = 0
    for layer in layers:
        name, kind, settings = layer
        label = f"layer {short(name)}"
        if kind == "Dense":
            kernel, *bias = arrays(number, layer)
            if kernel.ndim != 2 or len(bias) != bool(settings["use_bias"]):
                raise RefusalError("is truncated or damaged")
            yield Dense(label, kernel, *bias)
            number += 1
        function = _function(layer)
        if function is not None:
            yield Function(label, function)


def _layer(entry: dict[str, Any]) -> Layer:
    """Return one layer."""
    kind, settings = entry["class_name"], entry["config"]
    name = settings["name"]
    own = entry.get("registered_name") not in (None, kind)
    if own or not str(entry.get("module") or "keras").startswith("keras"):
        raise RefusalError(f"has layer {short(name)} of a class of its own, {short(kind)}")
    return Layer(name, kind, settings)


def _function(layer: Layer) -> str | None:
    """Return the function that a layer applies at its end, None for none."""
    name, kind, settings = layer
    if kind in ("Dense", "Activation"):
        found = settings["activation"]
        if found == "linear":
            return None
        if isinstance(found, str) and found in _FUNCTIONS:
            return _FUNCTIONS[found]
        raise RefusalError(f"has layer {short(name)} with the activation {short(found)}")
    if kind == "ReLU" and not any(settings.get(key) for key in _OF_OTHER_RELUS):
        return "relu"
    if kind == "Softmax" and settings.get("axis", -1) == -1:
        return "softmax"
    if kind not in _IDENTITIES:
        raise RefusalError(f"has layer {short(name)} of class {short(kind)}")
    return None


def _require_chain(entries: list[dict[str, Any]], outputs: Any) -> None:
    """Raise unless each layer takes the result of the one before it, and the last is the output."""
    previous: set[str] = set()
    for entry in entries:
        name, nodes = entry["config"]["name"], entry.get("inbound_nodes", [])
        if len(nodes) > 1 or set(_sources(nodes)) != previous:
            raise RefusalError(f"has layer {short(name)} that does not follow the one before it")
        previous = {name}
    if set(_sources(outputs)) != previous:
        raise RefusalError("has another output than its last layer")


def _sources(node: Any) -> Iterator[str]:
    """Yield the names of layers in references such as ``["dense", 0, 0]``, however deep."""
    if isinstance(node, list) and len(node) > 2 and isinstance(node[0], str):
        yield node[0]
    elif isinstance(node, (list, dict)):
        for child in node if isinstance(node, list) else node.values():
            yield from _sources(child)
