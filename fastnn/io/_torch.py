"""State dicts of PyTorch, ``.pt`` and ``.pth``, read and written without PyTorch.

Since PyTorch 1.6 a file is a zip archive: ``data.pkl`` describes the tensors, and each storage is a
member. Older files have several pickles and then the storages, one after the other.
"""

from __future__ import annotations

import functools
import io
import os
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnn._runtime.files import require_file_place
from fastnn.io import _torch_writing
from fastnn.io._archive import (
    LONGEST_TEXT,
    MOST_SHARED,
    RefusalError,
    one_line_errors,
    open_archive,
    read_stored,
    read_text,
    short,
)
from fastnn.io._names import read_layers
from fastnn.io._npy import StoredArray
from fastnn.io._parameters import OUT_IN, Saved
from fastnn.io._pickles import Order, Storage, Tensor, load

SUFFIXES = (".pth", ".pt")
write = _torch_writing.write
require_place = require_file_place

_PICKLE = b"\x80"
_LEGACY = 0x1950A86A20F9469CFC6C  # the number that older files begin with
_EXPECTED = "a PyTorch state dict, torch.save(model.state_dict(), path)"

_Fetch = Callable[[Storage], NDArray[np.uint8]]
_Opened = tuple[Any, _Fetch, Order]


def recognises(start: bytes, members: Collection[str]) -> bool:
    """Return whether a file that begins so, an archive of these members, is of this format."""
    return start.startswith(_PICKLE) or any(name.endswith("/data.pkl") for name in members)


def read(path: Path) -> Saved:
    """Return the parameters, and the activation if fastnn wrote it beside them."""
    with path.open("rb") as file:
        pickled = file.read(1) == _PICKLE
    if pickled:
        with path.open("rb") as file:
            with one_line_errors(path, _EXPECTED):
                content, fetch, order = _opened_legacy(file)
            return _layers_of(path, content, fetch, order)
    with open_archive(path, _EXPECTED) as (archive, found):
        with one_line_errors(path, _EXPECTED):
            content, fetch, order = _opened_archive(archive, found)
        return _layers_of(path, content, fetch, order)


def _opened_archive(archive: zipfile.ZipFile, found: list[zipfile.ZipInfo]) -> _Opened:
    """Return what an archive holds, a function that reads a storage, and the byte order."""
    members = {member.filename: member for member in found}
    name = next((name for name in members if name.endswith("/data.pkl")), None)
    if name is None:
        raise RefusalError("has no data.pkl")
    folder = name.removesuffix("data.pkl")

    def fetch(storage: Storage) -> NDArray[np.uint8]:
        member = members[f"{folder}data/{storage.key}"]
        return read_stored(archive, member, storage.size * storage.itemsize)

    order = members.get(f"{folder}byteorder")
    big = order is not None and read_text(archive, order) == b"big"
    content = load(io.BytesIO(read_text(archive, members[name])), {})
    return content, fetch, ">" if big else "<"


def _opened_legacy(file: BinaryIO) -> _Opened:
    """Return the same for a file of several pickles, followed by the storages."""
    start = io.BytesIO(file.read(LONGEST_TEXT))
    storages: dict[str, Storage] = {}
    if load(start, {}) != _LEGACY:
        raise RefusalError("holds pickled objects")
    load(start, {})  # the version of the format, the same in all files
    system, content, keys = (load(start, storages) for _ in range(3))
    order: Order = "<" if system["little_endian"] else ">"
    places = _places(file, start.tell(), [storages[key] for key in keys], order)

    def fetch(storage: Storage) -> NDArray[np.uint8]:
        file.seek(places[storage.key])
        return np.fromfile(file, np.uint8, storage.size * storage.itemsize)

    return content, fetch, order


def _places(file: BinaryIO, place: int, storages: list[Storage], order: Order) -> dict[str, int]:
    """Return where the content of each storage begins; all of them fit in the file."""
    size = os.fstat(file.fileno()).st_size
    places = {}
    for storage in storages:
        file.seek(place)
        count = int.from_bytes(file.read(8), "little" if order == "<" else "big")
        places[storage.key] = place + 8
        place += 8 + count * storage.itemsize
        if count != storage.size or place > size:
            raise RefusalError("is truncated or damaged")
    return places


def _layers_of(path: Path, content: Any, fetch: _Fetch, order: Order) -> Saved:
    """Return the layers of what a file holds."""
    read: dict[Storage, NDArray[np.uint8]] = {}

    def array_of(tensor: Tensor) -> NDArray[Any]:
        with one_line_errors(path, _EXPECTED):
            if tensor.storage not in read:
                read[tensor.storage] = fetch(tensor.storage)
            return tensor.of(read[tensor.storage], order)

    def header_of(tensor: Tensor) -> StoredArray:
        return StoredArray(tensor.shape, tensor.dtype, functools.partial(array_of, tensor))

    with one_line_errors(path, _EXPECTED):
        state = _state_in(content)
        tensors = {name: one for name, one in state.items() if type(one) is Tensor}
        if sum(one.nbytes for one in tensors.values()) > MOST_SHARED * path.stat().st_size:
            raise RefusalError("has tensors that are larger than the file")
    arrays = {name: functools.partial(header_of, one) for name, one in tensors.items()}
    saved = read_layers(path, arrays, ordered=True, all_of_them=True)
    return saved._replace(layout=OUT_IN, activation=_activation_in(state))


def _state_in(content: Any) -> dict[Any, Any]:
    """Return the state dict that a file is, or that a checkpoint has under some key."""
    if not isinstance(content, dict):
        raise RefusalError(f"holds a {type(content).__name__.lower()}")
    if any(type(value) is Tensor for value in content.values()):
        return content
    found = {key: value for key, value in content.items() if _is_state(value)}
    if len(found) != 1:
        keys = ", ".join(short(key) for key in [*found, *content][:6])
        raise RefusalError(f"holds {len(found)} state dicts under its keys {keys or '(none)'}")
    return next(iter(found.values()))


def _is_state(value: Any) -> bool:
    """Return whether a value of a checkpoint is a state dict."""
    return isinstance(value, dict) and any(type(one) is Tensor for one in value.values())


def _activation_in(state: dict[Any, Any]) -> str | None:
    """Return the activation that fastnn wrote beside a state dict."""
    kept: Any = getattr(state, "state", None)
    for key in ("_metadata", "", "activation"):
        kept = kept.get(key) if isinstance(kept, dict) else None
    return kept if isinstance(kept, str) else None
