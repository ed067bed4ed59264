"""Read an HDF5 file from standard input, and write its arrays and texts to standard output.

`fastnn.io._hdf5` runs this in a process of its own. Nothing outside the file is followed.
"""

from __future__ import annotations

import io
import json
import math
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.io._archive import LONGEST_TEXT, MOST_SHARED

if sys.platform != "win32":
    import resource

ABOUT = "about"  # the name of the JSON among the arrays
TEXTS = ("model_config", "weight_names", "name")  # attributes that are read
_MOST_OBJECTS = 10_000
_DEEPEST = 20
_MEMORY = 1 << 30  # bytes, beside those for the file and those that the process has at first


class _Tree:
    """What a file holds: arrays, why others are not read, and texts, all by their path."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.arrays: dict[str, NDArray[Any]] = {}
        self.refused: dict[str, str] = {}
        self.texts: dict[str, list[str]] = {}
        self._objects = 0
        self._left = MOST_SHARED * size  # bytes that arrays may still have

    def add(self, found: Any, path: str) -> None:
        """Add a group and all that is in it."""
        import h5py

        self._objects += 1
        if self._objects > _MOST_OBJECTS or path.count("/") > _DEEPEST:
            raise ValueError("too many groups")
        for name in TEXTS:
            if name in found.attrs:
                self.texts[f"{path}@{name}"] = _texts(found, name)
        if isinstance(found, h5py.Group):
            for name in found:
                place = f"{path}/{name}" if path else name
                if isinstance(found.get(name, getlink=True), h5py.HardLink):
                    self.add(found[name], place)
        elif isinstance(found, h5py.Dataset):
            reason = self._refusal(found)
            if reason is None:
                self.arrays[path] = _floats(found)
            else:
                self.refused[path] = reason

    def _refusal(self, found: Any) -> str | None:
        """Return why an array is not read, None if its bytes are all in the file."""
        plan = found.id.get_create_plist()
        if plan.get_external_count() or found.is_virtual:
            return "in another file, which is not read"
        if found.dtype.kind != "f" or found.dtype.itemsize > 8:
            return "of another type than floats"
        if plan.get_nfilters():
            return "compressed, which Keras does not do"
        size, stored = math.prod(found.shape) * found.dtype.itemsize, found.id.get_storage_size()
        if not size <= stored <= self.size:
            return "that is not all there"
        self._left -= size
        return "among arrays that are larger than the file" if self._left < 0 else None


def _floats(found: Any) -> NDArray[Any]:
    """Return an array; types with fewer bits than float32 become float32."""
    values = np.asarray(found[()])
    kind = np.float32 if values.dtype.itemsize < 4 else values.dtype.newbyteorder("=")
    return values.astype(kind)


def _texts(found: Any, name: str) -> list[str]:
    """Return an attribute that is a text or a list of them."""
    header = found.attrs.get_id(name)
    if math.prod(header.shape) * max(header.dtype.itemsize, 1) > LONGEST_TEXT:
        raise ValueError("a long text")
    values = np.atleast_1d(found.attrs[name]).tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _limit_memory(size: int) -> None:
    """Let this process take no more memory than a file of this size may need."""
    if sys.platform != "win32":  # which has no such limit
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = _taken() + _MEMORY + 4 * MOST_SHARED * size
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _taken() -> int:
    """Return the bytes of addresses that this process has, 0 where the system does not say.

    Free-threaded Python reserves a GiB at its start.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * mmap.PAGESIZE


def main() -> None:
    """Read the file and write what it holds."""
    import h5py

    content = sys.stdin.buffer.read()
    _limit_memory(len(content))
    tree = _Tree(len(content))
    with h5py.File(io.BytesIO(content), "r") as file:
        tree.add(file, "")
    about = {"arrays": list(tree.arrays), "refused": tree.refused, "texts": tree.texts}
    entries = {str(i): array for i, array in enumerate(tree.arrays.values())}
    entries[ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **entries)  # type: ignore[arg-type]
    sys.stdout.buffer.write(out.getvalue())


if __name__ == "__main__":
    main()
