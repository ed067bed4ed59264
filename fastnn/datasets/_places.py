"""Where the files of MNIST are: which folders are searched, and for which names."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from fastnn._runtime.files import user_cache_dir
from fastnn.datasets._files import is_numpy_file
from fastnn.io._npy import find_spelling

SOURCES = ("auto", "mnist", "sample")
SPLITS = ("train", "test")

# Files of images and labels of each split; the first complete pair is used.
_PAIRS = {
    "train": (
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("images_train.npy", "labels_train.npy"),
    ),
    "test": (
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("images_test.npy", "labels_test.npy"),
        ("X_test.npy", "Y_test.npy"),
    ),
}
Pair = tuple[Path, Path]


def locate(path: str | os.PathLike[str] | None, source: str) -> dict[str, Pair | None] | None:
    """Return the files of each split, or None for the bundled sample."""
    if source not in SOURCES:
        raise ValueError(f"source must be one of {SOURCES}, got {source!r}")
    if path is not None:
        if source == "sample":
            raise ValueError(f"source='sample' is the bundled one and takes no path, got {path}")
        return _find_splits(Path(path))
    if source == "sample":
        return None
    cache = user_cache_dir() / "mnist"
    own = os.environ.get("FASTNN_DATA")
    for folder in (own, "data", cache):
        try:
            if folder:
                return _find_splits(Path(folder))
        except FileNotFoundError as error:
            if folder == own:
                warnings.warn(f"FASTNN_DATA is ignored: {error}", stacklevel=3)
    if source == "mnist":
        raise FileNotFoundError(
            f"no MNIST files in $FASTNN_DATA, ./data or {cache}: run `fastnn fetch`, or set "
            "FASTNN_DATA to the folder that has them"
        )
    return None


def _find_splits(folder: Path) -> dict[str, Pair | None]:
    """Return the files of each split in a folder; FileNotFoundError if it has no test set."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    test = find_pair(folder, "test")
    if test is None:
        wanted = ", or ".join(" and ".join(names) for names in _PAIRS["test"])
        raise FileNotFoundError(f"{folder}: no MNIST files, expected {wanted}")
    return {"train": find_pair(folder, "train"), "test": test}


def find_pair(folder: Path, split: str) -> Pair | None:
    """Return the files of a split, None if there are none; FileNotFoundError if one is missing."""
    lonely = None
    for names in _PAIRS[split]:
        images, labels = (_find_file(folder / name) for name in names)
        if images and labels:
            return images, labels
        if images or labels:
            missing = names[1] if images else names[0]
            lonely = lonely or f"{images or labels}: {missing} is missing in its folder"
    if lonely:
        raise FileNotFoundError(lonely)
    return None


def _find_file(path: Path) -> Path | None:
    """Return the file under any of its spellings."""
    if is_numpy_file(path):
        return find_spelling(path)
    dotted = path.name.replace("-idx", ".idx")
    names = [name + suffix for name in (path.name, dotted) for suffix in ("", ".gz")]
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
