"""How much of an ONNX file describes its graph: every byte of that may become a hundred in memory.

The package onnx makes an object of each message in a file, and an empty one takes two bytes there.
So the fields of a file are counted before it is parsed. They lie in it as protocol buffers do:
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from fastnn.io._archive import LONGEST_TEXT, RefusalError

# What a message has in the fields of these numbers: other messages, or the entries of an array.
_Fields = dict[int, "_Fields"]
_ENTRIES: _Fields = {}
_TENSOR: _Fields = dict.fromkeys((4, 5, 9, 10), _ENTRIES)  # float, int32, raw, double
_NODE: _Fields = {5: {5: _TENSOR}}  # an attribute of it, which is an array
_MODEL: _Fields = {7: {1: _NODE, 5: _TENSOR}}  # its graph: nodes and arrays

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of fields


def require_small(content: bytes) -> None:
    """Raise RefusalError if a file has too much beside the entries of its arrays, or is damaged."""
    _rest(memoryview(content), _MODEL, 0)


def _rest(message: memoryview, fields: _Fields, before: int) -> int:
    """Return `before` and how many bytes of a message are no entries of arrays."""
    place, total = 0, before
    while place < len(message):
        start = place
        key, place = _number(message, place)
        inner = fields.get(key >> 3)
        if key & 7 == _BYTES:
            size, place = _number(message, place)
            if size > len(message) - place:
                raise RefusalError("is truncated or damaged")
            total += place - start
            if inner is None:
                total += size
            elif inner:
                total = _rest(message[place : place + size], inner, total)
            place += size
        else:
            place = _behind(message, key & 7, place)
            total += place - start
        if total > LONGEST_TEXT:
            raise RefusalError(f"has more than {LONGEST_TEXT:,} bytes beside its arrays")
    return total


def _behind(message: memoryview, kind: int, place: int) -> int:
    """Return where a number ends."""
    if kind == _VARINT:
        return _number(message, place)[1]
    if kind not in (_FOUR, _EIGHT):
        raise RefusalError("is truncated or damaged")
    return place + (4 if kind == _FOUR else 8)


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number of one to ten bytes, and where it ends; IndexError if it has no end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
    raise RefusalError("is truncated or damaged")
