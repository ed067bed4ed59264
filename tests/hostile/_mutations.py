"""Ways to damage a file: of bytes, of numbers in headers, of archives, of what is compressed."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[Rng, bytes, bytes], bytes]

BOMB = 40 * 10**6  # bytes that a bomb unpacks to
_NUMBERS = (0, 1, 2, 7, 9, 10, 27, 28, 255, 784, 2**31 - 1, 2**31, 2**32 - 1, 2049, 2051)
_SHAPES = ("0", "1", "2", "-1", "10", "784", "100000000", str(2**31), str(2**63), "9" * 40, "1.5")
_DTYPES = ["|O", "<f2", "<f4", ">f4", "<f8", ">f8", "<f16", "|u1", "|b1", "<i8", "<u8", "<c8"]
_DTYPES += ["<U3", "|S5", "|V8", "<M8[s]", "<m8[s]", "zzz"]
_DTYPES += ["", "f4,f4", "<f4" * 30]
_VALUES = (None, True, 0, -1, 1.5, 5e-324, 1e-200, 1e200, 1e308, float("nan"), float("inf"))
_VALUES += ("", "x", [], {}, [[]], 10**30, 10**400)


def flip(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Change a few bytes, most often of the first hundred."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        within = len(out) if rng.random() < 0.5 else min(len(out), 100)
        if within:
            out[rng.integers(within)] = rng.integers(256)
    return bytes(out)


def flip_bit(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Change one bit."""
    out = bytearray(content)
    out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def truncate(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Leave out the end, or the beginning."""
    at = int(rng.integers(len(content)))
    return content[:at] if rng.random() < 0.8 else content[at:]


def extend(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Add something at the end or the beginning."""
    more = [b"\0", bytes(1000), rng.bytes(50), content, other, b"\n", b"\x1f\x8b", b"PK\5\6"]
    extra = more[rng.integers(len(more))]
    return content + extra if rng.random() < 0.8 else extra + content


def swap_blocks(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Exchange two parts."""
    a, b, c, d = np.sort(rng.integers(0, len(content) + 1, 4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def splice(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Begin like one file and go on like another."""
    return content[: rng.integers(len(content) + 1)] + other[rng.integers(len(other) + 1) :]


def replace(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Be something else altogether."""
    choices = [b"", b"\n", b"{}", b"PK", b"\x1f\x8b", b"\x93NUMPY", b"\x80\x04N.", other]
    choices += [b"\xff\xfe{\0}\0", bytes(len(content)), rng.bytes(200), b"[" * 100_000]
    return choices[rng.integers(len(choices))]


def change_number(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Put another number at an aligned place near one end."""
    size = int(rng.choice([1, 2, 4, 8]))
    place = size * int(rng.integers(0, 64 // size))
    if rng.random() < 0.3:
        place = max(0, len(content) - place - size)
    number = int(rng.choice(_NUMBERS)) % (1 << 8 * size)
    packed = number.to_bytes(size, "big" if rng.random() < 0.5 else "little")
    return content[:place] + packed + content[place + size :]


def change_header(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Change the text of the first NumPy header: its shape, its type, its order."""
    start = content.find(b"\x93NUMPY")
    if start < 0:
        return flip(rng, content, other)
    end = start + 10 + struct.unpack_from("<H", content, start + 8)[0]
    header = content[start + 10 : end].decode("latin1").rstrip()
    new = _changed_text(rng, header)
    if rng.random() < 0.7:
        new = new[: end - start - 11].ljust(end - start - 11) + "\n"
        size = end - start - 10
    else:
        size = int(rng.choice([len(new), 0, 65535]))
    packed = struct.pack("<H", min(size, 65535))
    return content[: start + 8] + packed + new.encode("latin1") + content[end:]


def _changed_text(rng: Rng, header: str) -> str:
    """Return a NumPy header that says something else."""
    way = rng.integers(4)
    if way == 0:
        found = list(re.finditer(r"(?<=[(\s,])\d+", header.rsplit("shape", maxsplit=1)[-1]))
        start = len(header) - len(header.rsplit("shape", maxsplit=1)[-1])
        if not found:
            return header.replace("()", f"({rng.choice(_SHAPES)},)")
        one = found[rng.integers(len(found))]
        return (
            header[: start + one.start()] + str(rng.choice(_SHAPES)) + header[start + one.end() :]
        )
    if way == 1:
        return re.sub(r"'descr': '[^']*'", f"'descr': '{rng.choice(_DTYPES)}'", header)
    if way == 2:
        return header.replace("False", str(rng.choice(["True", "None", "1", "x"])))
    return str(rng.choice(["{}", "", "(" * 5000, "[1]", "{'descr': 1}", header * 2, "1" * 5000]))


def change_archive(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Build a zip archive anew, with members doubled, missing, renamed, foreign or damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, zlib.error, OSError):
        return flip(rng, content, other)
    for _ in range(int(rng.integers(1, 3))):
        members = _changed_members(rng, members, other)
    out = io.BytesIO()
    packing = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", packing) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, packing)  # any name, an empty one too
    return out.getvalue()


def _changed_members(
    rng: Rng, members: list[tuple[str, bytes]], other: bytes
) -> list[tuple[str, bytes]]:
    """Return the members of an archive with one of them changed."""
    if not members:
        return [("arr_0.npy", other)]
    k = int(rng.integers(len(members)))
    name, data = members[k]
    strange = ["notes.txt", "../x.npy", "/x.npy", "d/", "fc9.weight.npy", "activation.npy"]
    names = ["x", "fc0.weight.npy", name.upper(), name[:-4], "a" * 300, "fc1.weight.npy"]
    change = (flip, truncate, extend, change_header, replace)[rng.integers(5)]
    one = (
        list,
        lambda: [(name, data), (name, data if rng.random() < 0.5 else flip(rng, data, other))],
        lambda: [(name, data), (str(rng.choice(strange)), other if rng.random() < 0.5 else b"")],
        lambda: [(str(rng.choice(names)), data)],
        lambda: [(name, npy_bomb())],
        lambda: [(name, change(rng, data, other) if data else other)],
    )[rng.integers(6)]
    return [*members[:k], *one(), *members[k + 1 :]]


def npy_bomb() -> bytes:
    """Return a large array of zeros."""
    header = io.BytesIO()
    shape = (BOMB // 784 // 8, 784)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return header.getvalue() + bytes(8 * shape[0] * shape[1])


def change_packed(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Pack damaged content as a whole gzip file, or add to one."""
    try:
        inner = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        inner = content
    way = rng.integers(4)
    if way == 0:
        return gzip.compress(inner + bytes(BOMB), 1)
    if way == 1:  # a bomb whose header agrees
        n = BOMB // 784
        item = struct.pack(">2I", 28, 28) if inner[3:4] == b"\3" else b""
        return gzip.compress(inner[:4] + struct.pack(">I", n) + item + bytes(BOMB), 1)
    if way == 2:
        return content + gzip.compress(other)
    change = (flip, truncate, extend, change_number, replace)[rng.integers(5)]
    return gzip.compress(change(rng, inner, other))


def change_json(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Change one value of a JSON document, or how it is written."""
    try:
        document = json.loads(content)
    except ValueError:
        return flip(rng, content, other)
    way = rng.integers(10)
    if way == 0:
        codes = ["utf-16", "utf-8-sig", "latin1"]
        return json.dumps(document).encode(str(rng.choice(codes)))
    if way == 1:
        strange = [b"1" * 5000, b"[" * 50_000, b'{"a":' * 50_000, b"NaN", b'"\\ud800"', b"\xff"]
        return strange[rng.integers(len(strange))]
    places = list(_places(document))
    for _ in range(int(rng.integers(1, 3))):
        parent, key = places[rng.integers(len(places))]
        if way == 2 and isinstance(parent, dict):
            parent.pop(key, None)
        else:
            parent[key] = _VALUES[rng.integers(len(_VALUES))]
    return json.dumps(document).encode()


def _places(node: Any) -> Any:
    """Yield every container in a document with each of its keys."""
    keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in list(keys):
        yield node, key
        yield from _places(node[key])


_ANY: tuple[Mutation, ...] = (
    flip, flip_bit, truncate, extend, swap_blocks, splice, replace, change_number,
)  # fmt: skip
_OWN: dict[str, tuple[Mutation, ...]] = {
    "net-npz": (change_archive, change_archive, change_header),
    "net-folder": (change_header, change_header),
    "net-torch": (change_archive, change_number),
    "net-legacy": (change_number, flip_bit),
    "net-safetensors": (change_number, flip_bit),
    "idx": (change_packed, change_number, change_number),
    "idx-gz": (change_packed, change_packed),
    "npy": (change_header, change_header),
    "npz": (change_archive, change_archive, change_header),
    "bench": (change_json,) * 8,
}


def mutate(rng: Rng, kind: str, content: bytes, other: bytes) -> tuple[str, bytes]:
    """Return a damaged copy of a file and the name of the way; `other` is another valid file."""
    ways = _ANY + _OWN[kind]
    way = ways[rng.integers(len(ways))]
    out = way(rng, content, other) if content else other
    if rng.random() < 0.2 and out:
        out = flip(rng, out, other)
    return way.__name__, out
