"""Read images and labels from single files: MNIST's IDX format, raw or gzip, and NumPy arrays.

Images are converted block by block, so that memory holds the result and one block. Only an `.npz`
archive is read as a whole, as it cannot be mapped into memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _units
from fastnn._runtime.signals import numpy_errors
from fastnn.datasets._idx import open_idx
from fastnn.io._npy import StoredArray, open_npy

SIDE = 28
PIXELS = SIDE * SIDE
CLASSES = 10
_BLOCK_ROWS = 500
_BLOCK_LABELS = 1 << 20


def is_numpy_file(path: Path) -> bool:
    """Return whether the suffix is that of a NumPy file; any other file is read as IDX."""
    return path.suffix in {".npy", ".npz"}


def read_pair(
    images: Path, labels: Path, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return images (N, 784) and labels (N,).

    The headers must agree on N before either file is read. `dtype` is for the images: floats in
    [0, 1], or pixels as stored for uint8. Files of floats cannot become uint8 without loss, and are
    returned as float32.
    """
    with _image_blocks(images) as (count, stored, blocks), _label_blocks(labels) as (others, rows):
        if count != others:
            raise ValueError(f"{images} holds {count:,} images but {labels.name} {others:,} labels")
        if not count:
            raise ValueError(f"{images} holds no images, expected at least one")
        truth = _checked_labels(rows, count, labels)
        if dtype == np.uint8 and stored.kind == "f":
            dtype = np.dtype(np.float32)
        return _converted_images(blocks, count, dtype, images), truth


def read_labels(path: Path) -> NDArray[np.int64]:
    """Return labels (N,), each in 0..9; NumPy files may hold whole floats or one-hot rows."""
    with _label_blocks(path) as (count, blocks):
        return _checked_labels(blocks, count, path)


def _converted_images(
    blocks: Iterator[NDArray[Any]], count: int, dtype: np.dtype[Any], path: Path
) -> NDArray[Any]:
    """Return `count` images (N, 784) of `dtype`."""
    images = np.empty((count, PIXELS), dtype)
    start = 0
    for block in blocks:
        rows = block.reshape(len(block), PIXELS)
        out = images[start : start + len(rows)]
        if rows.dtype.kind == "f":
            _check_unit_range(rows, start, path)
            with numpy_errors():
                out[...] = rows
        elif dtype == np.uint8:
            out[...] = rows
        else:
            np.divide(rows, 255, out=out, dtype=dtype)
        start += len(rows)
    return images


def _checked_labels(blocks: Iterator[NDArray[Any]], count: int, path: Path) -> NDArray[np.int64]:
    """Return `count` labels after checking that each is a whole number from 0 to 9."""
    labels = np.empty(count, np.int64)
    start = 0
    for block in blocks:
        if block.ndim == 2:
            good = ((block == 0) | (block == 1)).all(axis=1)
            good &= (block != 0).sum(axis=1) == 1
            found, wanted = block.argmax(axis=1), "one 1 among nine 0"
        else:
            good = np.logical_or.reduce([block == label for label in range(CLASSES)])
            found, wanted = block, "a whole number from 0 to 9"
        if not good.all():
            row = int(np.argmin(good))
            value = block[row].tolist()
            raise ValueError(f"{path}: label {start + row} is {value}, expected {wanted}")
        labels[start : start + len(block)] = found
        start += len(block)
    return labels


@contextlib.contextmanager
def _label_blocks(path: Path) -> Iterator[tuple[int, Iterator[NDArray[Any]]]]:
    """Open a file of labels: their number, and blocks of labels (n,) or one-hot rows (n, 10)."""
    if not is_numpy_file(path):
        with open_idx(path, "labels") as (shape, blocks):
            yield shape[0], blocks
        return
    with open_npy(path) as stored:
        shape, dtype = stored.shape, stored.dtype
        if dtype.kind not in "biuf":
            raise ValueError(f"{path} has dtype {dtype}, expected whole numbers 0 to 9")
        if len(shape) != 1 and shape[1:] != (CLASSES,):
            raise ValueError(f"{path} has shape {shape}, expected (N,), or (N, 10) for one-hot")
        yield shape[0], _blocks_of(stored, _BLOCK_LABELS)


def _blocks_of(stored: StoredArray, height: int) -> Iterator[NDArray[Any]]:
    """Yield blocks of the rows of an array; it is read when the first is asked for."""
    array = stored.read()
    for start in range(0, len(array), height):
        yield array[start : start + height]


@contextlib.contextmanager
def _image_blocks(
    path: Path,
) -> Iterator[tuple[int, np.dtype[Any], Iterator[NDArray[Any]]]]:
    """Open a file of images: their number, the dtype stored, and blocks of rows."""
    if not is_numpy_file(path):
        with open_idx(path, "images") as (shape, blocks):
            if shape[1:] != (SIDE, SIDE):
                size = " x ".join(map(str, shape[1:]))
                raise ValueError(f"{path} has images of {size}, expected 28 x 28")
            yield shape[0], np.dtype(np.uint8), blocks
        return
    with open_npy(path, mmap=True) as stored:
        shape, dtype = stored.shape, stored.dtype
        if shape[1:] not in {(PIXELS,), (SIDE, SIDE)}:
            raise ValueError(f"{path} has shape {shape}, expected (N, 784) or (N, 28, 28)")
        if dtype != np.uint8 and dtype.kind != "f":
            raise ValueError(f"{path} has dtype {dtype}, expected uint8 (0-255) or floats (0-1)")
        yield shape[0], dtype, _image_blocks_of(stored)


def _image_blocks_of(stored: StoredArray) -> Iterator[NDArray[Any]]:
    """Yield blocks of images.

    Raises
    ------
    ValueError
        The file has become shorter since it was opened.
    """
    array = stored.read()
    for start in range(0, len(array), _BLOCK_ROWS):
        block = array[start : start + _BLOCK_ROWS]
        if isinstance(array, np.memmap) and array.flags.c_contiguous:
            # Read, as a process dies where it reads a map beyond the end of its file.
            before = array.offset + start * array.strides[0]
            path = Path(array.filename or "")
            found = np.fromfile(path, array.dtype, block.size, offset=before)
            if found.size != block.size:
                raise ValueError(f"{path} is truncated: its end was cut off while it was read")
            block = found.reshape(block.shape)
        elif isinstance(array, np.memmap):
            # Mapped again for every block: the pages of a map take memory until it is released.
            block = stored.read()[start : start + _BLOCK_ROWS]
        yield block


def _check_unit_range(rows: NDArray[Any], start: int, path: Path) -> None:
    """Raise ValueError unless all entries are in [0, 1]; `start` is the first row's number."""
    low, high = rows.min(), rows.max()
    if low >= 0 and high <= 1:
        return
    bad = np.argwhere(~((rows >= 0) & (rows <= 1)))[0]
    where = f"{path}: row {start + bad[0]}, pixel {bad[1]} is {rows[tuple(bad)]:.6g}"
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{where}, expected finite floats in [0, 1]")
    raise ValueError(f"{where}, expected floats in [0, 1]{_units.hint(low, high)}")
