"""What an implementation offers, so that it can be measured.

A class is an implementation if it has what `Implementation` declares. The methods of the other
protocols are optional: a job names the one method that it needs, and an implementation without it
is left out of that job. Nothing has to be inherited.

The clock runs while a method runs, and not while an implementation is built or converts arrays.
A method that cannot answer for these arguments or this network raises `NotImplementedError` with
the reason; the implementation is then left out of the job, too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, cast

from numpy.typing import NDArray

Array = NDArray[Any]
Bounds = tuple[float, float] | None
OwnArray = Any  # an array of the implementation's own kind, as its method `array` makes it


class Network(NamedTuple):
    """What an implementation is built from."""

    weights: Sequence[Array]
    biases: Sequence[Array]
    activation: str


class Implementation(Protocol):
    """What every implementation has.

    Attributes
    ----------
    exact : bool
        Whether the residual keeps its digits. Where ``p - one_hot`` is formed in float32 it does
        not, and wrong signs in the gradient are then allowed for (`fastnn.bench.jobs.judges`).
    dtype : type
        The floating type of the computation: float32 or float64.
    """

    exact: ClassVar[bool]
    dtype: ClassVar[type[Any]]

    def __init__(self, weights: Sequence[Array], biases: Sequence[Array], activation: str) -> None:
        """Build the network; weights are ``(d_in, d_out)``."""

    def array(self, values: Array) -> OwnArray:
        """Return a copy of `values` as an array of the implementation's own kind."""


class ArrayFunctions(Protocol):
    """Functions of arrays; no network is involved. They may work in place."""

    def sigmoid(self, z: OwnArray, bias: OwnArray) -> OwnArray:
        """Return the logistic function of z + bias, shape (N, D)."""

    def relu(self, z: OwnArray, bias: OwnArray) -> OwnArray:
        """Return max(0, z + bias), shape (N, D)."""

    def softmax(self, logits: OwnArray) -> OwnArray:
        """Return each row's probabilities, shape (N, C)."""

    def residual(self, logits: OwnArray, labels: OwnArray) -> tuple[OwnArray, OwnArray]:
        """Return the losses (N,), and softmax minus one_hot (N, C)."""

    def step(self, x: OwnArray, gradient: OwnArray, eps: float, bounds: Bounds) -> OwnArray:
        """Return x + eps * sign(gradient), clipped to `bounds`."""


class Passes(Protocol):
    """Passes through the network."""

    def logits(self, x: OwnArray) -> OwnArray:
        """Return the values of the last layer, shape (N, C)."""

    def gradients(self, x: OwnArray, labels: OwnArray) -> tuple[OwnArray, ...]:
        """Return the mean loss's derivative by every weight, then by every bias."""

    def input_gradient(self, x: OwnArray, labels: OwnArray) -> OwnArray:
        """Return the derivative of each sample's own loss by its input, shape (N, D)."""


class Attacks(Protocol):
    """FGSM, and how many samples the network classifies correctly before and after it."""

    def fgsm(self, x: OwnArray, labels: OwnArray, eps: float, bounds: Bounds) -> OwnArray:
        """Return the inputs after one signed step up each sample's loss."""

    def accuracy(self, x: OwnArray, labels: OwnArray, eps: float, bounds: Bounds) -> OwnArray:
        """Return two counts of correct samples: clean, and after FGSM."""


class EpsSweep(Protocol):
    """FGSM at many eps."""

    def sweep(
        self, x: OwnArray, labels: OwnArray, eps: Sequence[float], bounds: Bounds
    ) -> OwnArray:
        """Return the count of correct samples at each eps."""


class ManySteps(Protocol):
    """Projected gradient descent."""

    def pgd(
        self,
        x: OwnArray,
        labels: OwnArray,
        eps: float,
        bounds: Bounds,
        steps: int,
        step_size: float,
    ) -> OwnArray:
        """Return two counts of correct samples: clean, and after the attack.

        Steps of ``step_size * sign(gradient)`` from `x`, each cut to within eps and the bounds. The
        inputs after the last step count, or each sample's worst ones of all steps.
        """


class SeveralInTurn(Protocol):
    """Several attacks in turn, as AutoAttack: each on the samples that still stand."""

    def standard(self, x: OwnArray, labels: OwnArray, eps: float, bounds: Bounds) -> OwnArray:
        """Return two counts of correct samples: clean, and after all the attacks."""


class Training(Protocol):
    """Training."""

    def train(
        self,
        x: OwnArray,
        labels: OwnArray,
        x_val: OwnArray,
        labels_val: OwnArray,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        momentum: float,
    ) -> OwnArray:
        """Train a copy of the network by minibatch descent, samples in their order.

        ``v = momentum * v + mean gradient``; ``w = w - learning_rate * v``.

        Returns loss and accuracy on the training data, then on the validation data. Both are
        computed after every epoch; those after the last one are returned.
        """


class Complete(
    Implementation, ArrayFunctions, Passes, Attacks, EpsSweep, ManySteps, Training, Protocol
):
    """An implementation with all the methods but `standard`."""


Method = Literal[
    "sigmoid",
    "relu",
    "softmax",
    "residual",
    "step",
    "logits",
    "gradients",
    "input_gradient",
    "fgsm",
    "accuracy",
    "sweep",
    "pgd",
    "standard",
    "train",
]


def _declared(*protocols: type[Any]) -> dict[str, Callable[..., Any]]:
    """Return the public methods that protocols declare, by their names."""
    members = [item for protocol in protocols for item in vars(protocol).items()]
    return {name: value for name, value in members if name[0] != "_" and inspect.isfunction(value)}


METHODS = _declared(ArrayFunctions, Passes, Attacks, EpsSweep, ManySteps, SeveralInTurn, Training)
_REQUIRED = ("array", "dtype", "exact")


def offers(implementation: type[Implementation], method: Method) -> bool:
    """Return whether an implementation has an optional method."""
    return hasattr(implementation, method)


def load_implementation(path: str) -> type[Implementation]:
    """Import an implementation.

    Parameters
    ----------
    path : str
        ``"package.module:Class"``, or a form of it, ``"package.module:Class(batch=500)"``: a
        subclass with other values of its class attributes.

    Raises
    ------
    ImportError
        The module cannot be imported, as when a library is not installed.
    AttributeError
        The module has no such class, or the class no such attribute.
    TypeError
        The class differs from the protocols; the message names every difference.
    ValueError
        `path` has another format.
    """
    parts = re.fullmatch(r"([\w.]+):(\w+)(\(.*\))?", path)
    if parts is None:
        raise ValueError(f"expected 'package.module:Class' or a form of it, found {path!r}")
    found = getattr(importlib.import_module(parts[1]), parts[2])
    options = _options(parts[3] or "()")
    for name in options:
        getattr(found, name)
    if options:
        found = type(parts[2], (found,), options)
    differences = signature_differences(found)
    if differences:
        raise TypeError(f"{path} is not an implementation: {'; '.join(differences)}")
    return cast(type[Implementation], found)


def form_of(path: str, **options: object) -> str:
    """Return the path of the form of an implementation that has these class attributes."""
    values = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"{path}({values})" if options else path


def _options(text: str) -> dict[str, Any]:
    """Return the names and values in parentheses: constants alone, nothing is evaluated."""
    call = ast.parse(f"form{text}", mode="eval").body
    if not isinstance(call, ast.Call) or call.args or not all(k.arg for k in call.keywords):
        raise ValueError(f"expected (name=value, ...), found {text}")
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}


def signature_differences(implementation: type[Any]) -> list[str]:
    """Compare a class with the protocols.

    Returns
    -------
    list of str
        What the class lacks of `Implementation`; public methods that no protocol declares, which
        no job would ever use; methods whose parameters have other names or another order.
    """
    found = [f"no {name}" for name in _REQUIRED if not hasattr(implementation, name)]
    declared = METHODS | _declared(Implementation)
    for name in dir(implementation):
        method = getattr(implementation, name)
        if name in declared:
            found += _method_differences(name, method, declared[name])
        elif name[0] != "_" and name not in _REQUIRED and callable(method):
            found.append(f"no protocol declares {name}")
    build = _method_differences("__init__", implementation.__init__, Implementation.__init__)
    return found + build


def _method_differences(name: str, method: Any, declared: Callable[..., Any]) -> list[str]:
    """Return what differs between a method and its declaration: nothing, or one remark."""
    if not callable(method):
        return [f"{name} is {method!r}, not a method; leave out methods that are not offered"]
    wanted = list(inspect.signature(declared).parameters)
    parameters = list(inspect.signature(method).parameters.values())
    names = [p.name for p in parameters]
    optional = all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in parameters[len(wanted) :]
    )
    if names[: len(wanted)] == wanted and optional:
        return []
    return [f"{name}({', '.join(names)}), expected {name}({', '.join(wanted)})"]
