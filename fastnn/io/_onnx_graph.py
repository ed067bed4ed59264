"""What the nodes of an ONNX file compute, one after the other; any other node is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._models import Dense, Function
from fastnn._runtime.signals import numpy_errors
from fastnn.io._archive import MOST_SHARED, RefusalError, one_line_errors, short
from fastnn.io._parameters import widened

EXPECTED = "an .onnx file"
FUNCTIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}

_ALL_FUNCTIONS = FUNCTIONS | {"Softmax": "softmax", "LogSoftmax": "softmax"}
_IDENTITIES = ("Identity", "Dropout")
_KNOWN = "Gemm, MatMul, Add, Relu, Sigmoid, Tanh, Flatten or a last Softmax"
_MOST_AXES = 8


def steps_of(graph: Any, onnx: Any, path: Path) -> Iterator[Dense | Function]:
    """Yield what the nodes of a graph compute; each takes the result of the one before it.

    ValueError names the first node that does not, or that is of another kind.
    """
    arrays = _Arrays(graph, onnx, path)
    inputs = [port.name for port in graph.input if port.name not in arrays.tensors]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(graph.output)} outputs, not one")
    current, waiting = inputs[0], None  # a MatMul whose Add may follow
    for number, node in enumerate(arrays.others):
        name = f"node {short(node.name or f'{node.op_type} {number}')}"
        if current not in node.input or len(node.output) == 0 or node.domain not in ("", "ai.onnx"):
            raise ValueError(f"{name}, {short(node.op_type)}, does not follow the one before it")
        if waiting is not None and node.op_type == "Add":
            others = [other for other in node.input if other != current]
            bias = arrays.vector(name, "".join(others[:1]), waiting.weight.shape[1])
            yield waiting._replace(bias=bias)
            waiting = None
        else:
            if waiting is not None:
                yield waiting
                waiting = None
            if node.op_type == "MatMul":
                waiting = Dense(name, arrays.matrix(name, node, current))
            else:
                yield from _step(arrays, name, node, current)
        current = node.output[0]
    if waiting is not None:
        yield waiting
    if current != graph.output[0].name:
        raise ValueError("its output is not the result of its last node")


def _step(arrays: _Arrays, name: str, node: Any, current: str) -> Iterator[Dense | Function]:
    """Yield what one node computes, nothing for one that changes nothing."""
    kind = node.op_type
    if kind == "Gemm":
        yield _gemm(arrays, name, node, current)
    elif kind in _ALL_FUNCTIONS and _number(node, "axis", 1) in (1, -1):
        yield Function(name, _ALL_FUNCTIONS[kind])
    elif not (kind in _IDENTITIES or (kind == "Flatten" and _number(node, "axis", 1) == 1)):
        raise ValueError(f"{name} is {short(kind)}, expected {_KNOWN}")


def _gemm(arrays: _Arrays, name: str, node: Any, current: str) -> Dense:
    """Return the layer ``alpha * x B + beta * C``."""
    weight, bias = arrays.matrix(name, node, current), None
    if _number(node, "transA", 0):
        raise ValueError(f"{name} transposes its input")
    if _number(node, "transB", 0):
        weight = weight.T
    if len(node.input) > 2 and node.input[2]:
        bias = arrays.vector(name, node.input[2], weight.shape[1])
        bias = _scaled(bias, _number(node, "beta", 1.0))
    return Dense(name, _scaled(weight, _number(node, "alpha", 1.0)), bias)


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return a multiple of an array; `MLP` refuses an entry that overflows and names it."""
    with numpy_errors():
        scaled: NDArray[Any] = np.multiply(array, factor, dtype=array.dtype)
    return scaled


def _number(node: Any, name: str, default: float) -> float:
    """Return an attribute of a node, an integer or a float."""
    for attribute in node.attribute:
        if attribute.name == name:
            return float(attribute.f or attribute.i)
    return default


class _Arrays:
    """The arrays of a graph, and its nodes that are none."""

    def __init__(self, graph: Any, onnx: Any, path: Path) -> None:
        self._onnx = onnx
        self._path = path
        self._left = MOST_SHARED * path.stat().st_size  # bytes that arrays may still have
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.others = []
        for node in graph.node:
            if node.op_type == "Constant" and len(node.attribute) == len(node.output) == 1:
                self.tensors[node.output[0]] = node.attribute[0].t
            elif self._copies(node):
                self.tensors[node.output[0]] = self.tensors[node.input[0]]
            else:
                self.others.append(node)

    def _copies(self, node: Any) -> bool:
        """Return whether a node gives an array another name."""
        one = len(node.input) == len(node.output) == 1
        return one and node.op_type == "Identity" and node.input[0] in self.tensors

    def matrix(self, name: str, node: Any, current: str) -> NDArray[Any]:
        """Return what a node multiplies the result of the one before it with, from the right."""
        if len(node.input) < 2 or node.input[0] != current:
            raise ValueError(f"{name} does not multiply by its weights from the right")
        weight = self._array(name, node.input[1])
        if weight.ndim != 2:
            raise ValueError(f"{name} has weights of shape {weight.shape}, expected a matrix")
        return weight

    def vector(self, name: str, tensor: str, width: int) -> NDArray[Any]:
        """Return a bias; a single number stands for `width` of them."""
        bias = self._array(name, tensor)
        if bias.size not in (1, width) or bias.size != max(bias.shape[-1:], default=1):
            raise ValueError(f"{name} has a bias of shape {bias.shape}, expected ({width},)")
        return np.broadcast_to(bias.reshape(-1), (width,))

    def _array(self, name: str, tensor_name: str) -> NDArray[Any]:
        """Return an array of which all bytes are in the file."""
        tensor, kinds = self.tensors.get(tensor_name), self._onnx.TensorProto
        if tensor is None:
            raise ValueError(f"{name} takes {short(tensor_name)}, which is no array of the file")
        if tensor.data_location == kinds.EXTERNAL or len(tensor.external_data):
            raise ValueError(f"{name} has its weights in another file, which is not read")
        halves = (kinds.FLOAT16, kinds.BFLOAT16)
        if tensor.data_type not in (kinds.FLOAT, kinds.DOUBLE, *halves):
            raise ValueError(f"{name} has weights that are neither float32 nor float64")
        with one_line_errors(self._path, EXPECTED):
            if len(tensor.dims) > _MOST_AXES or any(size < 0 for size in tensor.dims):
                raise RefusalError("is truncated or damaged")
            array = np.asarray(self._onnx.numpy_helper.to_array(tensor))
            self._left -= array.nbytes
            if self._left < 0:
                raise RefusalError("has weights that are larger than the file")
            return widened(array) if tensor.data_type in halves else array
