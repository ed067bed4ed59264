"""The pickles of PyTorch: an interpreter of the few instructions that a state dict consists of.

Nothing is imported and no function of a file's choice is called: of all names, those in `_DTYPES`,
``OrderedDict`` and ``_rebuild_tensor_v2`` have a meaning here, and every other one is refused.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.io._archive import RefusalError, short

Order = Literal["<", ">"]  # of the bytes of a number

_BFLOAT16 = "bfloat16"  # not a type of NumPy
_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_DICT, _TENSOR = "collections.OrderedDict", "torch._utils._rebuild_tensor_v2"
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING")
_VALUES = {*_NUMBERS, *_TEXTS}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Name(str):
    """A name of Python's that has a meaning here; any other text is data."""

    __slots__ = ()


class Ordered(dict[Any, Any]):
    """What an ``OrderedDict`` of a file becomes; `state` is what PyTorch keeps beside it."""

    state: Any = None


class Storage(NamedTuple):
    """A block of memory of a file: `size` numbers of one type."""

    key: str
    kind: str
    size: int

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return 2 if self.kind == _BFLOAT16 else np.dtype(self.kind).itemsize


class Tensor(NamedTuple):
    """An array that lies in a storage, in steps of `strides` numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its entries when they are read."""
        kind = self.storage.kind
        return np.dtype(np.float32 if kind == _BFLOAT16 else kind)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def of(self, content: NDArray[np.uint8], order: Order) -> NDArray[Any]:
        """Return the array; `content` are the bytes of its storage."""
        if len(content) != self.storage.size * self.storage.itemsize:
            raise RefusalError("is truncated or damaged")
        if not math.prod(self.shape):
            return np.zeros(self.shape, self.dtype)
        bfloat = self.storage.kind == _BFLOAT16
        kind = np.dtype("u2" if bfloat else self.storage.kind).newbyteorder(order)
        flat = content.view(kind)[self.offset :]
        steps = [stride * kind.itemsize for stride in self.strides]
        array = np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)
        if bfloat:  # the upper half of a float32
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(self.dtype)


def load(file: BinaryIO, storages: dict[str, Storage]) -> Any:
    """Return what the next pickle in a file holds, and add the storages that it names.

    The file is left behind the end of the pickle.
    """
    import pickletools

    machine = _Machine(storages)
    for opcode, argument, _ in pickletools.genops(file):
        machine.step(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack and the memory of the interpreter."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.stack: list[Any] = []
        self._storages = storages
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(self._last(_TUPLES[name])))
        elif name in ("EMPTY_LIST", "EMPTY_DICT"):
            stack.append([] if name == "EMPTY_LIST" else {})
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("TUPLE", "APPENDS", "SETITEMS", "APPEND", "SETITEM"):
            self._collect(name)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            words = self._last(2) if argument is None else argument.split(" ", 1)
            stack.append(_known(".".join(words)))
        elif name in ("BINPERSID", "REDUCE", "BUILD"):
            self._make(name)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise RefusalError(f"holds pickled objects ({name})")

    def _last(self, count: int) -> list[Any]:
        """Take `count` values from the stack."""
        if count > len(self.stack):
            raise RefusalError("is truncated or damaged")
        start = len(self.stack) - count
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _collect(self, name: str) -> None:
        """Put the values since the last mark, or the last ones, into a container."""
        single = {"APPEND": 1, "SETITEM": 2}.get(name)
        values = self._last(len(self.stack) - self._marks.pop() if single is None else single)
        if name == "TUPLE":
            self.stack.append(tuple(values))
            return
        target = self.stack[-1]
        if name.startswith("APPEND") and type(target) is list:
            target.extend(values)
        elif name.startswith("SETITEM") and isinstance(target, dict):
            target.update(_pairs(zip(values[::2], values[1::2], strict=True)))
        else:
            raise RefusalError("is truncated or damaged")

    def _make(self, name: str) -> None:
        """Make a storage, a dictionary or a tensor, or keep what belongs to a dictionary."""
        if name == "BINPERSID":
            storage = _storage(*self._last(1))
            if self._storages.setdefault(storage.key, storage) != storage:
                raise RefusalError("is truncated or damaged")
            self.stack.append(storage)
            return
        target, argument = self._last(2)
        if name == "BUILD" and isinstance(target, Ordered):
            target.state = argument
            self.stack.append(target)
        elif name == "REDUCE" and type(target) is Name and target == _DICT:
            self.stack.append(Ordered(_pairs(*argument)) if argument else Ordered())
        elif name == "REDUCE" and type(target) is Name and target == _TENSOR:
            self.stack.append(_tensor(*argument[:4]))
        else:
            raise RefusalError("holds pickled objects")


def _known(name: str) -> Name:
    """Return a name that a state dict needs; every other one is refused."""
    module, _, last = name.rpartition(".")
    if name in (_DICT, _TENSOR) or (module == "torch" and last in _DTYPES):
        return Name(name)
    raise RefusalError(f"holds {short(name)}, which is not loaded")


def _pairs(items: Any) -> dict[Any, Any]:
    """Return a dictionary; only text and numbers can be its keys."""
    found = [(key, value) for key, value in items]
    if not all(type(key) in (str, int) for key, _ in found):
        raise RefusalError("holds pickled objects")
    return dict(found)


def _storage(reference: Any) -> Storage:
    """Return the storage that a reference names."""
    word, kind, key, _, count, *view = reference
    if word != "storage" or type(kind) is not Name or any(view):
        raise RefusalError("holds pickled objects")
    if type(key) is not str or not _is_size(count):
        raise RefusalError("is truncated or damaged")
    return Storage(key, _DTYPES[kind.rpartition(".")[2]], count)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Return a tensor that lies within its storage and is no larger."""
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise RefusalError("holds pickled objects")
    if len(shape) != len(strides) or not all(map(_is_size, (offset, *shape, *strides))):
        raise RefusalError("is truncated or damaged")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    count = math.prod(shape)
    if len(shape) > 8 or count > storage.size or (count and last >= storage.size):
        raise RefusalError("is truncated or damaged")
    return Tensor(storage, offset, shape, strides)


def _is_size(number: Any) -> bool:
    """Return whether a value is a size that fits in 63 bits."""
    return type(number) is int and 0 <= number < 2**63
