"""Networks in ``.onnx`` files, with the package onnx (``pip install fastnn[onnx]``)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fastnn._runtime.files import atomic_write
from fastnn._runtime.files import require_file_place as _require_file_place
from fastnn.io._archive import one_line_errors
from fastnn.io._onnx_graph import EXPECTED, FUNCTIONS, steps_of
from fastnn.io._onnx_size import require_small
from fastnn.io._parameters import ACTIVATION, Saved, arrays_of, saved_of
from fastnn.networks import MLP

SUFFIXES = (".onnx",)

_VERSION = b"\x08"  # what a file usually begins with: the number of its version,
_NEXT = b'\x12\x1a"(2:B'  # and then one of these fields
_OPERATORS, _FORMAT = 13, 8  # the versions that are written: of 2021, for older runtimes
_WRITTEN = {kind: name for name, kind in FUNCTIONS.items()}


def recognises(start: bytes, members: Collection[str]) -> bool:
    """Return whether a file that begins so is of this format."""
    return len(start) > 2 and start[:1] == _VERSION and 0 < start[1] < 32 and start[2] in _NEXT


def read(path: Path) -> Saved:
    """Return the parameters and the activation."""
    onnx = _onnx(path)
    with one_line_errors(path, EXPECTED):
        content = path.read_bytes()
        require_small(content)
        model = onnx.ModelProto.FromString(content)
    saved = saved_of(path, steps_of(model.graph, onnx, path))
    if saved.activation is None:  # a single layer
        notes = {entry.key: entry.value for entry in model.metadata_props}
        return saved._replace(activation=notes.get(ACTIVATION))
    return saved


def write(net: MLP, path: Path) -> None:
    """Write a network whose output is the logits; the old file is replaced when it is complete."""
    onnx = _onnx(path)
    helper = onnx.helper
    nodes, current, last = [], "x", len(net.weights)
    for i in range(1, last + 1):
        out = "logits" if i == last else f"fc{i}"
        names = [current, f"fc{i}.weight", f"fc{i}.bias"]
        nodes.append(helper.make_node("Gemm", names, [out], name=f"fc{i}"))
        if i < last:
            current = f"{net.activation}{i}"
            kind = _WRITTEN[net.activation]
            nodes.append(helper.make_node(kind, [out], [current], name=current))
    number = helper.np_dtype_to_tensor_dtype(net.dtype)
    x = helper.make_tensor_value_info("x", number, ["N", net.sizes[0]])
    logits = helper.make_tensor_value_info("logits", number, ["N", net.sizes[-1]])
    arrays = [onnx.numpy_helper.from_array(a, name) for name, a in arrays_of(net).items()]
    model = helper.make_model(
        helper.make_graph(nodes, "MLP", [x], [logits], arrays),
        opset_imports=[helper.make_opsetid("", _OPERATORS)],
        ir_version=_FORMAT,
        producer_name="fastnn",
    )
    helper.set_model_props(model, {ACTIVATION: net.activation})
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def require_place(path: Path) -> None:
    """Raise if no network can be written to `path`."""
    _onnx(path)
    _require_file_place(path)


def _onnx(path: Path) -> Any:
    """Return the package onnx."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(f"{path}: ONNX needs a package: pip install fastnn[onnx]") from error
    return onnx
