"""Results of every sample as files, for more samples than memory holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fastnn._runtime.files import (
    Temporary,
    named_errors,
    remove_stale,
    require_folder_place,
    sync_folder,
)
from fastnn.attacks._outcome import Whole

Array = NDArray[Any]

# The names that reports have for them.
_NAMES = {
    "labels": "labels",
    "clean": "clean_prediction",
    "adversarial": "adversarial_prediction",
    "traces": "traces",
    "inputs": "adversarial",
}


class Folder:
    """A folder of ``.npy`` files, which get their names when all are complete.

    Parameters
    ----------
    path : Path
        Created where there is none.
    """

    def __init__(self, path: Path) -> None:
        require_folder_place(path)
        path.mkdir(parents=True, exist_ok=True)
        remove_stale(path, lambda name: name == "blocks" or name[:-4] in _NAMES.values())
        self.path = path
        self._files: dict[str, _Filled] = {}

    def make(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array in a file, to be filled block by block."""
        self._files[name] = _Filled(self.path / f"{_NAMES[name]}.npy", shape, np.dtype(dtype))
        return self._files[name]

    def finish(self, whole: Whole) -> Whole:
        """Give all files their names, and return the results with arrays that are mapped."""
        for file in self._files.values():
            file.temporary.commit()
        sync_folder(self.path)
        return whole._replace(
            **{name: np.load(file.path, mmap_mode="r") for name, file in self._files.items()}
        )

    def discard(self) -> None:
        """Remove what is not complete."""
        for file in self._files.values():
            file.temporary.discard()


class _Filled:
    """An ``.npy`` file that is filled block by block.

    It is written and not mapped: pages of a map would count as memory of the process.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.temporary = path, Temporary(path)
        self._shape, self._dtype = shape, dtype
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(cast(Any, self._file), header)
        self._start = self._file.tell()

    @property
    def _file(self) -> BinaryIO:
        return self.temporary.file

    def __setitem__(self, places: tuple[slice, ...], values: Array) -> None:
        """Write the rows of a block: all along the first axes, and a slice of the last one."""
        axis, first = len(places) - 1, places[-1].start
        row_bytes = math.prod(self._shape[axis + 1 :]) * self._dtype.itemsize
        values = np.ascontiguousarray(values, self._dtype)
        with named_errors(self.path):
            for k, part in enumerate(values.reshape(-1, *values.shape[axis:])):
                self._file.seek(self._start + (k * self._shape[axis] + first) * row_bytes)
                self._file.write(part.data if part.size else b"")
