"""Read a folder of PNG pictures: one folder for each class."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.datasets._png import require_whole
from fastnn.io._archive import DEFLATE_LIMIT, RefusalError, one_line_errors, short

_PICTURE = "a PNG picture of 8 bits, in grey or in colours"
_SMALLEST_PIXEL = 8  # pixels in a byte
_SYSTEM = {"thumbs.db", "desktop.ini"}  # files that Windows puts into folders of pictures


class Pictures(NamedTuple):
    """Pixels (N, H, W) or (N, H, W, 3), labels (N,), and the names of the classes.

    There are no names if they are numbers: these are then the labels.
    """

    x: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def has_classes(folder: Path) -> bool:
    """Return whether one of the folders inside holds a PNG file."""
    return any(_pictures(place, look=True) for place in _folders(folder))


def read_pictures(folder: Path) -> Pictures:
    """Read all pictures of a folder whose folders are the classes.

    Parameters
    ----------
    folder : Path
        Links to files and folders are followed. Files beside the folders of the classes, and files
        whose name begins with a dot, are left out.

    Raises
    ------
    ValueError
        A folder has no pictures, or other files; a picture is damaged, too large, or of another
        size or mode than the first. Sizes are compared, from the headers, before memory is
        allocated, and no header may announce more than its file can hold.
    """
    places, no_names = _folders(folder), tuple[str, ...]()
    numbers = [int(place.name) for place in places if place.name.isdecimal()]
    if len(numbers) == len(places):
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"{folder}: two folders have the same number as their name")
        order = np.argsort(numbers)
        places = [places[k] for k in order]
        values, classes = sorted(numbers), no_names
        if values[-1] > np.iinfo(np.int32).max:
            raise ValueError(
                f"{folder}: {short(values[-1])} is too large for the number of a class"
            )
    else:
        values, classes = list(range(len(places))), tuple(place.name for place in places)
    files, labels = [], []
    for place, value in zip(places, values, strict=True):
        found = _pictures(place)
        files += found
        labels += [value] * len(found)
    mode, shape = _form(files)
    x = np.empty((len(files), *shape), np.uint8)
    for file, out in zip(files, x, strict=True):
        with _opened(file) as picture:
            require_whole(file.read_bytes())
            out[...] = _pixels(picture, mode)
    return Pictures(x, np.array(labels, np.int64), classes)


def _folders(folder: Path) -> list[Path]:
    """Return the folders inside, by name."""
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if one.is_dir() and one.name[0] != ".")
    return [folder / name for name in names]


def _pictures(place: Path, *, look: bool = False) -> list[Path]:
    """Return the PNG files of a folder, by name; with `look`, one at most and no errors."""
    found = []
    with os.scandir(place) as entries:
        for one in entries:
            name = one.name
            if name.startswith(".") or name.lower() in _SYSTEM:
                continue
            if name.lower().endswith(".png"):
                if look:
                    return [place / name]
                if not one.is_file():  # a link to nothing, a folder, a pipe
                    raise ValueError(f"{place / name} is no file, expected {_PICTURE}")
                found.append(place / name)
            elif not look:
                raise ValueError(f"{place / name}: expected PNG pictures alone in this folder")
    if not found and not look:
        raise ValueError(f"{place} holds no PNG pictures, expected those of one class")
    return sorted(found)


def _form(files: list[Path]) -> tuple[str, tuple[int, ...]]:
    """Return mode and shape of the pictures after checking that all have the same."""
    first: tuple[str, tuple[int, ...]] | None = None
    for file in files:
        with _opened(file) as picture:
            mode = _mode(picture)
            width, height = picture.size
            found = mode, (height, width) if mode == "L" else (height, width, 3)
        if first is None:
            first = found
        if found != first:
            sizes = [f"{_size(shape)} {mode}" for mode, shape in (found, first)]
            raise ValueError(f"{file} is {sizes[0]}, but {files[0]} is {sizes[1]}")
    assert first is not None  # no folder of a class is empty
    return first


def _size(shape: tuple[int, ...]) -> str:
    """Return width and height for a message."""
    return f"{shape[1]} x {shape[0]}"


def _mode(picture: Any) -> str:
    """Return "L" for a picture in grey, "RGB" for one in colours; others are refused."""
    mode: str = picture.mode
    if mode in {"1", "L"} and "transparency" not in picture.info:
        return "L"
    if mode in {"LA", "RGBA", "P", "L", "1", "RGB"}:
        has_alpha = mode in {"LA", "RGBA"} or "transparency" in picture.info
        if has_alpha and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
            raise RefusalError("is transparent in places")
        if mode == "P":
            colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
            return "L" if (colours == colours[:, :1]).all() else "RGB"
        return "L" if mode in {"1", "L", "LA"} else "RGB"
    raise RefusalError(f"has the mode {short(mode)}")


def _pixels(picture: Any, mode: str) -> NDArray[np.uint8]:
    """Return the pixels in grey or in colours."""
    if picture.mode == "P" and np.asarray(picture).max() >= len(picture.getpalette("RGB")) // 3:
        raise RefusalError("has pixels of no colour in its palette")
    return np.asarray(picture.convert(mode))


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a picture whose header announces no more than the file can hold."""
    from PIL import Image

    with one_line_errors(file, _PICTURE), warnings.catch_warnings():
        warnings.simplefilter("error")  # a picture beyond Pillow's limit, a damaged part
        size = file.stat().st_size
        with Image.open(file, formats=("PNG",)) as picture:
            width, height = picture.size
            if width * height > size * DEFLATE_LIMIT * _SMALLEST_PIXEL:
                raise RefusalError("is truncated or damaged")
            yield picture
