"""Arrays and texts of an HDF5 file, which a process of its own reads.

On some damaged files, libhdf5 never returns or ends its process. There, it has limits of time and
memory.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.io._archive import RefusalError, short
from fastnn.io._hdf5_child import ABOUT

_SECONDS = 20.0
_BYTES_A_SECOND = 10e6
_CHILD = "fastnn.io._hdf5_child"


class Tree:
    """What an HDF5 file holds.

    Parameters
    ----------
    content : bytes
        The file.
    """

    def __init__(self, content: bytes) -> None:
        import subprocess  # it takes some milliseconds, which other formats are spared

        code = f"import sys; sys.path[:] = {sys.path!r}; from {_CHILD} import main; main()"
        try:
            done = subprocess.run(
                [sys.executable, "-c", code],
                input=content,
                capture_output=True,
                timeout=_SECONDS + len(content) / _BYTES_A_SECOND,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise RefusalError("is truncated or damaged") from error
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as entries:
            about = json.loads(entries[ABOUT].tobytes())
            arrays = [entries[str(i)] for i in range(len(about["arrays"]))]
        self._arrays: dict[str, NDArray[Any]] = dict(zip(about["arrays"], arrays, strict=True))
        self._refused: dict[str, str] = about["refused"]
        self._texts: dict[str, list[str]] = about["texts"]

    def array(self, path: str) -> NDArray[Any]:
        """Return the floats at a path."""
        if path in self._refused:
            raise RefusalError(f"has {short(path)} {self._refused[path]}")
        if path not in self._arrays:
            raise RefusalError(f"has no array {short(path)}")
        return self._arrays[path]

    def texts(self, path: str, name: str) -> list[str]:
        """Return the texts of an attribute of what is at a path."""
        if f"{path}@{name}" not in self._texts:
            raise RefusalError(f"has no {name}" + (f" of {short(path)}" if path else ""))
        return self._texts[f"{path}@{name}"]

    def has_text(self, path: str, name: str) -> bool:
        """Return whether what is at a path has an attribute of texts."""
        return f"{path}@{name}" in self._texts

    def inside(self, path: str) -> list[str]:
        """Return the paths of all arrays in a group."""
        return sorted(one for one in {*self._arrays, *self._refused} if one.startswith(f"{path}/"))


def require_h5py(path: Path) -> None:
    """Raise if the package h5py is not installed."""
    if importlib.util.find_spec("h5py") is None:
        raise ImportError(f"{path}: HDF5 needs a package: pip install fastnn[keras]")
