"""Records: frozen dataclasses that are written as JSON, and read again with every type checked."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

_Record = TypeVar("_Record")


def from_json(kind: type[_Record], value: object) -> _Record:
    """Make a record from what `json.loads` returned.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are numbers, strings, other such dataclasses, ``tuple[X, ...]``,
        ``dict[str, X]``, or one of these or None.
    value : object
        A dict with a key for every field that has no default; other keys are ignored.

    Raises
    ------
    ValueError
        A key is missing; a value has another type; a number is not finite; a string does not fit
        on one line. The message names the place and the value.
    """
    return cast(_Record, _read(kind, value, kind.__name__))


def one_line(message: object) -> str:
    """Return a message as a string that a record may hold: printable, without line breaks."""
    text = "".join(c if c.isprintable() else " " for c in str(message))
    return " ".join(text.split())


def _read(kind: Any, value: Any, place: str) -> Any:
    """Return `value` as an instance of `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType:
        (other,) = set(arguments) - {types.NoneType}
        return None if value is None else _read(other, value, place)
    if is_dataclass(kind) and isinstance(value, dict):
        return _read_fields(cast(type[Any], kind), value, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], v, f"{place}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        inside = f"{place}, an entry"
        return {_read(str, k, inside): _read(arguments[1], v, inside) for k, v in value.items()}
    if _is_simple(kind, value):
        return value
    name = getattr(origin or kind, "__name__", kind)
    raise ValueError(f"{place}: expected {name}, found {value!r:.80}")


def _read_fields(kind: type[Any], values: Mapping[str, Any], place: str) -> Any:
    """Return the dataclass `kind` with these values of its fields."""
    hints = get_type_hints(kind)
    optional = {field.name for field in fields(kind) if field.default is not MISSING}
    hints = {name: hint for name, hint in hints.items() if name in values or name not in optional}
    missing = [name for name in hints if name not in values]
    if missing:
        raise ValueError(f"{place}: {', '.join(missing)} missing")
    return kind(**{name: _read(hints[name], values[name], f"{place}.{name}") for name in hints})


def _is_simple(kind: Any, value: Any) -> bool:
    """Return whether `value` is of the simple type `kind`: a number, a boolean, a string."""
    if kind is float:
        # An integer too large for float64 is not a measurement either; NaN fails the comparison.
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if kind is str:
        return isinstance(value, str) and value.isprintable()
    return type(value) is kind
