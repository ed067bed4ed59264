"""Networks of other libraries, as weights (d_in, d_out), biases and one activation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.activations import ACTIVATIONS

Array = NDArray[Any]


class Dense(NamedTuple):
    """A dense layer; `name` is for messages, `weight` is (d_in, d_out)."""

    name: str
    weight: Array
    bias: Array | None = None


class Function(NamedTuple):
    """What follows a layer: "relu", "sigmoid", "tanh", or "softmax" at the end."""

    name: str
    kind: str


class Network(NamedTuple):
    """What an `MLP` is made of; `activation` is None if there are no hidden layers."""

    weights: list[Array]
    biases: list[Array]
    activation: str | None
    names: list[str]  # of the layers


def network_of(steps: Iterable[Dense | Function]) -> Network:
    """Return the network that computes the steps in turn.

    A softmax at the end is left out, and a single output with a sigmoid becomes two classes.
    ValueError names the first step that no `MLP` has.
    """
    layers: list[Dense] = []
    functions: list[list[Function]] = []
    for step in steps:
        if isinstance(step, Dense):
            layers.append(step)
            functions.append([])
        elif not functions:
            raise ValueError(f"{step.name}: {step.kind} comes before the first dense layer")
        else:
            functions[-1].append(step)
    if not layers:
        raise ValueError("there is no dense layer")
    weights = [layer.weight for layer in layers]
    biases = [
        np.zeros(layer.weight.shape[-1], layer.weight.dtype) if layer.bias is None else layer.bias
        for layer in layers
    ]
    activation = _activation(layers, functions[:-1])
    if _is_single(layers[-1], functions[-1]):
        weights[-1], biases[-1] = two_classes(weights[-1], biases[-1])
    return Network(weights, biases, activation, [layer.name for layer in layers])


def two_classes(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Return a last layer with the logits 0 and z for one with z, the logit of the second class."""
    return (
        np.concatenate([np.zeros_like(weight), weight], axis=1),
        np.concatenate([np.zeros_like(bias), bias]),
    )


def _activation(layers: Sequence[Dense], functions: Sequence[Sequence[Function]]) -> str | None:
    """Return the one function that follows every hidden layer."""
    found = None
    for layer, following in zip(layers, functions, strict=False):
        if len(following) != 1:
            what = ", ".join(one.kind for one in following) or "no activation"
            raise ValueError(f"{layer.name} is followed by {what}, expected one activation")
        (one,) = following
        if one.kind not in ACTIVATIONS:
            raise ValueError(f"{one.name}: {one.kind} follows a hidden layer")
        if found not in (None, one.kind):
            raise ValueError(f"{one.name}: {one.kind} follows a layer, and {found} earlier ones")
        found = one.kind
    return found


def _is_single(last: Dense, following: Sequence[Function]) -> bool:
    """Return whether a last layer is one logit with a sigmoid; raise if it is no classifier's."""
    kinds = [one.kind for one in following]
    single = last.weight.shape[-1] == 1
    if kinds == ["sigmoid"] and single:
        return True
    if kinds not in ([], ["softmax"]) or (kinds and single):
        raise ValueError(
            f"{last.name}, the last layer, with {last.weight.shape[-1]} outputs is followed by "
            f"{', '.join(kinds)}, expected softmax or nothing, or sigmoid after a single output"
        )
    return False


def foreign(model: Any) -> str:
    """Return what something that is no `MLP` is, and how it becomes one."""
    kind = type(model)
    library = kind.__module__.partition(".")[0]
    name = kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"
    if isinstance(model, (str, os.PathLike)):
        return f"{name}; to use a file, load_mlp(path); are the arguments in the order (net, ...)?"
    if isinstance(model, np.ndarray):
        return f"{name}; are the arguments in the order (net, ...)?"
    if hasattr(model, "state_dict"):
        return f"{name}; for a PyTorch module, MLP.from_torch(module)"
    if library == "sklearn":
        return f"{name}; for a fitted MLPClassifier, MLP.from_sklearn(classifier)"
    if library == "keras":
        return f'{name}; for a Keras model, model.save("model.keras") and load_mlp("model.keras")'
    return name


# --- PyTorch

_TORCH = {
    "ReLU": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
}
_TORCH_IDENTITIES = {"Identity", "Dropout", "Flatten"}  # of a batch of rows, when not training


def from_torch(module: Any) -> Network:
    """Return the network of a ``Sequential`` of ``Linear`` and activations."""
    return network_of(_torch_steps(module, ""))


def _torch_steps(module: Any, name: str) -> Iterator[Dense | Function]:
    """Yield the steps of a module; `name` is where it is in the network."""
    kind = type(module).__name__
    if not type(module).__module__.startswith("torch.nn.modules."):
        kind = f"{type(module).__module__}.{kind}"
    label = f"{name} ({kind})" if name else kind
    if kind == "Sequential":
        for key, child in module.named_children():
            yield from _torch_steps(child, f"{name}.{key}" if name else key)
    elif kind == "Linear":
        bias = None if module.bias is None else _torch_array(module.bias)
        yield Dense(label, _torch_array(module.weight).T, bias)
    elif kind in _TORCH:
        yield Function(label, _TORCH[kind])
    elif kind not in _TORCH_IDENTITIES:
        raise ValueError(
            f"{label} is no Sequential of Linear, ReLU, Sigmoid, Tanh; if its layers are such, "
            "torch.save(module.state_dict(), path) and load_mlp(path)"
        )


def _torch_array(tensor: Any) -> Array:
    """Return a parameter as an array; types with fewer bits than float32 become float32."""
    kept = tensor.detach().cpu()
    return np.asarray(kept if kept.element_size() >= 4 else kept.float())


# --- scikit-learn

_SKLEARN = {"relu": "relu", "logistic": "sigmoid", "tanh": "tanh"}


def from_sklearn(classifier: Any) -> tuple[Network, list[dict[str, Any]]]:
    """Return the network of a fitted classifier, and what scalers before it do to its inputs.

    The latter are arguments of ``MLP.with_input``, the last scaler first.
    """
    *scalers, (_, last) = getattr(classifier, "steps", [("", classifier)])
    return _sklearn_network(last), [_scaling(name, one) for name, one in reversed(scalers)]


def _sklearn_network(classifier: Any) -> Network:
    """Return the network of a fitted ``MLPClassifier``."""
    name = type(classifier).__name__
    if not hasattr(classifier, "hidden_layer_sizes") or not hasattr(classifier, "predict_proba"):
        raise TypeError(
            f"expected a fitted MLPClassifier, or a pipeline that ends in one, got {name}"
        )
    if not hasattr(classifier, "coefs_"):
        raise ValueError(f"this {name} is not fitted")
    weights, biases = list(classifier.coefs_), list(classifier.intercepts_)
    activation, out = classifier.activation, classifier.out_activation_
    if len(weights) > 1 and activation not in _SKLEARN:
        raise ValueError(f"activation {activation!r} is none of {tuple(_SKLEARN)}")
    if out == "logistic" and weights[-1].shape[1] == 1:
        weights[-1], biases[-1] = two_classes(weights[-1], biases[-1])
    elif out != "softmax":
        raise ValueError(f"this {name} gives a sample several labels, expected one label for each")
    names = [f"layer {i}" for i in range(len(weights))]
    return Network(weights, biases, _SKLEARN.get(activation), names)


def _scaling(name: str, step: Any) -> dict[str, Any]:
    """Return what a scaler of a pipeline does, as arguments of ``MLP.with_input``."""
    kind = type(step).__name__
    if kind == "StandardScaler":
        given = {"mean": step.mean_, "std": step.scale_}
        return {key: value for key, value in given.items() if value is not None}
    if kind == "MinMaxScaler" and not step.clip:
        return {"scale": step.scale_, "mean": -step.min_}
    if step == "passthrough":
        return {}
    raise ValueError(f"step {name!r} of the pipeline, {kind}, is no StandardScaler or MinMaxScaler")
