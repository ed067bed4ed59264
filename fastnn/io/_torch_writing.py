"""Write a state dict as PyTorch does, without PyTorch."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import atomic_write
from fastnn.io._parameters import OUT_IN, arrays_of
from fastnn.networks import MLP

_FOLDER = "archive"
_ALIGNMENT = 64  # of every storage in the file, so that PyTorch can map it into memory
_HEADER = 30  # bytes of a member's header before its name
_PADDING = b"FB"  # the mark of an extra field that PyTorch skips
_STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage"}

# Instructions of a pickle, protocol 2.
_START, _END = b"\x80\x02", b"."
_ORDERED = b"ccollections\nOrderedDict\n)R"
_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
_REFERENCE, _CALL, _STATE = b"Q", b"R", b"b"


def write(net: MLP, path: Path) -> None:
    """Write a network; the old file is replaced when the new one is complete."""
    arrays = arrays_of(net, OUT_IN)
    little = [a.astype(a.dtype.newbyteorder("<"), copy=False) for a in arrays.values()]
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, file, "data.pkl", _described(arrays, net.activation))
        _add(archive, file, "byteorder", b"little")
        for i, array in enumerate(little):
            _add(archive, file, f"data/{i}", array.reshape(-1).view(np.uint8).data)
        _add(archive, file, "version", b"3\n")


def _add(archive: zipfile.ZipFile, file: BinaryIO, name: str, content: bytes | memoryview) -> None:
    """Add a member whose content begins at a multiple of `_ALIGNMENT`."""
    member = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    start = file.tell() + _HEADER + len(member.filename) + 4
    padding = -start % _ALIGNMENT
    member.extra = struct.pack("<2sH", _PADDING, padding) + bytes(padding)
    archive.writestr(member, content)


def _described(arrays: dict[str, NDArray[Any]], activation: str) -> bytes:
    """Return the pickle of the tensors; the activation is where PyTorch ignores it."""
    names = [name.rpartition(".")[0] for name in arrays]
    notes = {name: {"version": 1} for name in ["", *dict.fromkeys(names)]}
    notes[""]["activation"] = activation  # type: ignore[assignment]
    tensors = {name: _Code(_tensor(i, one)) for i, (name, one) in enumerate(arrays.items())}
    state = _ORDERED + _items(tensors) + _code({"_metadata": _Code(_ORDERED + _items(notes))})
    return _START + state + _STATE + _END


class _Code(bytes):
    """Instructions that leave one value on the stack."""


def _tensor(i: int, array: NDArray[Any]) -> bytes:
    """Return the instructions for an array that is storage `i`."""
    kind = _Code(f"ctorch\n{_STORAGES[array.dtype.name]}\n".encode())
    reference = _Code(_code(("storage", kind, str(i), "cpu", array.size)) + _REFERENCE)
    strides = tuple(step // array.itemsize for step in array.strides)
    return _TENSOR + _code((reference, 0, array.shape, strides, False, _Code(_ORDERED))) + _CALL


def _code(value: Any) -> bytes:
    """Return the instructions for a value."""
    if isinstance(value, _Code):
        return value
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return struct.pack("<BB", 0x8A, size) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack("<cI", b"X", len(text)) + text
    if isinstance(value, dict):
        return b"}" + _items(value)
    return b"(" + b"".join(map(_code, value)) + b"t"


def _items(value: dict[str, Any]) -> bytes:
    """Return the instructions that put items into the dictionary on the stack."""
    return b"(" + b"".join(_code(key) + _code(one) for key, one in value.items()) + b"u"
