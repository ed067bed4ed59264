"""Where inputs and labels are in files and folders: which key, column, file or folder has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.datasets import _idx, _named, _pictures, _tables
from fastnn.datasets._memory import Found
from fastnn.datasets._mnist import title_of
from fastnn.datasets._places import SPLITS, find_pair
from fastnn.io._archive import START, short
from fastnn.io._npy import MAGIC, StoredArray, open_npy, open_npz

_INPUT_KEYS = ("x", "images", "inputs", "data", "features")
_LABEL_KEYS = ("y", *_tables.LABELS, "targets")
# What the name of a file of inputs has in place of what the name of its file of labels has.
_PARTNERS = (
    ("images-idx3", "labels-idx1"),
    ("images.idx3", "labels.idx1"),
    ("images", "labels"),
    ("inputs", "labels"),
    ("X", "Y"),
    ("X", "y"),
    ("x", "y"),
)
_LARGE = 1 << 28  # bytes of a file from which on it is mapped and not read
_KINDS = ".npy, .npz, IDX or a table of text"
_OTHERS = {
    b"\x89PNG": "a picture: give the folder whose folders are the classes",
    b"PAR1": "Parquet: read it with pandas or polars, and pass the frame",
    b"\x89HDF": "HDF5: read it with h5py, and pass the array",
    b"\x80": "a pickle, which is never read: pass what it holds",
    b"\x1f\x8b": "compressed: gzip is read for IDX alone, unpack it first",
}


Members = Mapping[str, Callable[[], StoredArray]]


def from_path(path: Path, labels: Any, inputs: str | None, split: str | None) -> Found:
    """Return what a file, a folder or a data set of that name holds."""
    if not path.exists() and str(path) in _named.NAMES:
        path = _named.folder_of(str(path))
    if path.is_dir():
        if labels is not None or inputs is not None:
            raise ValueError(
                f"{path} is a folder, which has its labels: labels and inputs are none"
            )
        return _from_folder(path, split)
    start = _start(path)
    if start.startswith(START):
        with open_npz(path) as members:
            if len(members) > 1 or inputs is not None:
                return _from_archive(path, members, labels, inputs, split)
    if split is not None:
        raise ValueError(f"{path} has no parts for training and test, so split must be None")
    if inputs is not None:
        raise ValueError(f"{path} is no .npz archive, so inputs must be None")
    if not start.startswith((START, MAGIC)) and not _idx.is_idx(start):
        return _from_table(path, labels)
    values = _partner(path) if labels is None else labels
    if isinstance(values, (str, os.PathLike)):
        values = label_file(Path(values))
    return Found(_array(path), values, _title(path), str(path))


def has_splits(data: str | os.PathLike[str]) -> bool:
    """Return whether a file, folder or data set tells samples to train on from those to test with.

    Parameters
    ----------
    data : path-like
        As for `fastnn.load_data`.

    Raises
    ------
    FileNotFoundError, ValueError
        As for `fastnn.load_data`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.datasets import has_splits
    >>> np.save("some.npy", np.eye(2))
    >>> has_splits("some.npy")
    False
    """
    path = Path(data)
    if not path.exists() and str(path) in _named.NAMES:
        path = _named.folder_of(str(path))
    if path.is_dir():
        files = [find_pair(path, split) is not None for split in SPLITS]
        return any(files) or _has_parts(path)
    if not _start(path).startswith(START):
        return False
    with open_npz(path) as members:
        return all(_key(members, _INPUT_KEYS, split) is not None for split in SPLITS)


def _has_parts(folder: Path) -> bool:
    """Return whether a folder has the folders train and test, with pictures by class in each."""
    parts = [folder / name for name in SPLITS]
    return all(part.is_dir() and _pictures.has_classes(part) for part in parts)


def _start(path: Path) -> bytes:
    """Return the first bytes of a file, after checking that it is one of a known kind."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder, and no data set of that name: "
            + ", ".join(_named.NAMES)
        )
    if not path.is_file():  # a device or a pipe may have no end
        raise ValueError(f"{path} is neither a file nor a folder")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; expected {_KINDS}")
    start = _idx.start_of(path)
    for other, what in _OTHERS.items():
        if (start or b"\x1f\x8b").startswith(other):
            raise ValueError(f"{path} is {what}; expected {_KINDS}")
    return start


def _from_folder(folder: Path, split: str | None) -> Found:
    """Return the samples of a folder with files of images and labels, or with pictures."""
    pair = find_pair(folder, split or "test")
    if pair is None and split is None:
        pair = find_pair(folder, "train")
    if pair is not None:
        images, labels = pair
        return Found(_array(images), label_file(labels), _title(images), str(images))
    if split is not None and any(find_pair(folder, other) for other in SPLITS):
        raise FileNotFoundError(f"{folder} has no files of images and labels for {split}")
    title = folder.resolve().name
    if _has_parts(folder):
        folder, split, title = folder / (split or "test"), None, f"{title}, {split or 'test'}"
    if not _pictures.has_classes(folder):
        raise FileNotFoundError(
            f"{folder}: expected files of images and labels, such as images_test.npy and "
            "labels_test.npy, or a folder of PNG pictures for each class"
        )
    if split is not None:
        raise ValueError(f"{folder} has no folders train and test, so split must be None")
    found = _pictures.read_pictures(folder)
    return Found(found.x, found.labels, title, str(folder), (), found.classes)


def _from_archive(
    path: Path, members: Members, labels: Any, inputs: str | None, split: str | None
) -> Found:
    """Return two arrays of an archive."""
    parts = [split] if split else ["test", "train"]
    part = next((one for one in parts if _key(members, _INPUT_KEYS, one)), split)
    key = _key(members, _INPUT_KEYS, part) if inputs is None else inputs
    x = _member(path, members, key, "inputs")
    if labels is None:
        labels = _member(path, members, _key(members, _LABEL_KEYS, part), "labels")
    elif isinstance(labels, (str, os.PathLike)):
        if str(labels) in members or not Path(labels).exists():
            labels = _member(path, members, str(labels), "labels")
        else:
            labels = label_file(Path(labels))
    return Found(x, labels, _title(path), str(path))


def _member(path: Path, members: Members, key: str | None, what: str) -> NDArray[Any]:
    """Return an array of an archive."""
    if key is not None and key in members:
        return members[key]().read()
    found = ", ".join(map(short, sorted(members)[:8])) + (", ..." if len(members) > 8 else "")
    missing = f"no {what}" if key is None else f"no array {short(key)}"
    raise FileNotFoundError(f"{path} has {missing}, found {found}; name the key with {what}")


def _key(members: Members, usual: Sequence[str], part: str | None) -> str | None:
    """Return the first key of a usual name: x_test or test_x for a part, else x."""
    lower: dict[str, str] = {name.lower(): name for name in members}
    for name in usual:
        for form in (f"{name}_{part}", f"{part}_{name}") if part else (name,):
            if form in lower:
                return lower[form]
    return None


def _from_table(path: Path, labels: Any) -> Found:
    """Return the columns of a table of text."""
    if labels is None or isinstance(labels, (str, int)):
        table = _tables.read_table(path, labels)
        return Found(table.x, table.labels, _title(path), str(path))
    raise TypeError(f"{path}: labels must be the name or position of a column, got {short(labels)}")


def _partner(path: Path) -> Path:
    """Return the file of labels that belongs to a file of inputs by its name."""
    for inputs, labels in _PARTNERS:
        other = path.with_name(path.name.replace(inputs, labels))
        if other != path and other.is_file():
            return other
    raise FileNotFoundError(
        f"{path}: labels are missing, and no file beside it has them by its name"
    )


def label_file(path: Path) -> NDArray[Any]:
    """Return the labels in a file: one array, or a label a line."""
    start = _start(path)
    if start.startswith((START, MAGIC)) or _idx.is_idx(start):
        return _array(path)
    return _tables.read_column(path)


def _array(path: Path) -> NDArray[Any]:
    """Return the one array of a NumPy file or an IDX file."""
    with _opened(path) as stored:
        return stored.read()


@contextmanager
def _opened(path: Path) -> Iterator[StoredArray]:
    """Open the one array of a NumPy file or an IDX file."""
    if not _idx.is_idx(_idx.start_of(path)):
        with open_npy(path, mmap=path.stat().st_size >= _LARGE) as stored:
            yield stored
        return
    with _idx.open_idx(path) as (shape, blocks):

        def read() -> NDArray[Any]:
            out, start = np.empty(shape, np.uint8), 0
            for block in blocks:
                out[start : start + len(block)] = block
                start += len(block)
            return out

        yield StoredArray(shape, np.dtype(np.uint8), read)


def _title(path: Path) -> Callable[[NDArray[np.int64]], str]:
    """Return a function that says what samples are, by their labels or the name of their file."""
    return lambda labels: title_of(labels, path)
