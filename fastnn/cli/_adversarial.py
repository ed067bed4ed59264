"""Files of adversarial images: what `fastnn attack --save-adversarial` writes, and .npy files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._checks import FLOATS
from fastnn._runtime.files import atomic_write
from fastnn.io._archive import short
from fastnn.io._npy import StoredArray, find_spelling, open_npy, open_npz

_LONGEST_WORD = 1000  # characters


@dataclass(frozen=True)
class Adversarial:
    """Adversarial images and what is known of them; None for what a plain array does not say.

    Attributes
    ----------
    x_adv : ndarray, shape (N, D), float32, float64 or uint8
    labels, predictions : ndarray of int64, shape (N,), or None
        True classes; what the attacked network says of `x_adv`.
    samples : ndarray of int64, shape (N,), or None
        Positions of the images in the data.
    clean : str or None
        `fingerprint` of the clean images.
    eps : float or None
    bounds : tuple (lower, upper) or None
    norm, attack : str or None
    """

    x_adv: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    predictions: NDArray[np.int64] | None = None
    samples: NDArray[np.int64] | None = None
    clean: str | None = None
    eps: float | None = None
    bounds: tuple[float, float] | None = None
    norm: str | None = None
    attack: str | None = None


def fingerprint(x: NDArray[Any]) -> str:
    """Return the SHA-256 of images: of type, shape and values."""
    digest = hashlib.sha256(f"{x.dtype.name} {x.shape}\n".encode())
    digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()


def floats(x: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
    """Return pixels of 0 to 255 as numbers in [0, 1]."""
    return np.divide(x, 255, dtype=dtype)


def save(path: Path, found: Adversarial) -> None:
    """Write images with all that is known of them to an .npz file, completely or not at all."""
    arrays: Any = {name: np.asarray(value) for name, value in vars(found).items()}
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def read(path: Path) -> Adversarial:
    """Read a file of adversarial images; pickles are never read.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, pickled or of another kind, or an array has a wrong type or shape.
    """
    found = find_spelling(path)
    if found is None:
        raise FileNotFoundError(f"{path}: no such file")
    with found.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    if is_archive:
        with open_npz(found) as members:
            if "x_adv" in members:
                return _from_archive(found, members)
            if len(members) != 1:
                names = ", ".join(name[:40] for name in sorted(members)[:6])
                raise ValueError(f"{found}: x_adv is missing, found {names}")
    with open_npy(found) as stored:
        return Adversarial(_images(found, stored))


def _from_archive(path: Path, members: Mapping[str, Callable[[], StoredArray]]) -> Adversarial:
    """Return what `save` wrote."""
    missing = [name for name in Adversarial.__dataclass_fields__ if name not in members]
    if missing:
        raise ValueError(f"{path}: {', '.join(missing)} missing beside x_adv")
    x_adv = _images(path, members["x_adv"]())
    n = len(x_adv)

    def array(name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
        stored = members[name]()
        wrong = stored.dtype.kind != kind or stored.dtype.itemsize > 4 * _LONGEST_WORD
        if wrong or stored.shape != shape:
            raise ValueError(
                f"{path}: {name} is {stored.dtype} of shape {stored.shape}, expected kind "
                f"{kind!r} of shape {shape}"
            )
        return stored.read()

    def word(name: str) -> str:
        text = str(array(name, "U", ()))
        if not text.isprintable():  # it could move the cursor, or look like a line of the answer
            raise ValueError(f"{path}: {name} is {short(text)}, expected one line of text")
        return text

    lower, upper = array("bounds", "f", (2,)).tolist()
    return Adversarial(
        x_adv,
        labels=array("labels", "i", (n,)).astype(np.int64),
        predictions=array("predictions", "i", (n,)).astype(np.int64),
        samples=array("samples", "i", (n,)).astype(np.int64),
        clean=word("clean"),
        eps=float(array("eps", "f", ())),
        bounds=(lower, upper),
        norm=word("norm"),
        attack=word("attack"),
    )


def _images(path: Path, stored: StoredArray) -> NDArray[Any]:
    """Return images (N, D), of a stored array (N, ...)."""
    if stored.dtype not in (*FLOATS, np.uint8):
        raise ValueError(f"{path}: {stored.dtype} images, expected float32, float64 or uint8")
    if len(stored.shape) < 2 or 0 in stored.shape:
        raise ValueError(f"{path}: images of shape {stored.shape}, expected (N, 784) or so")
    return stored.read().reshape(stored.shape[0], -1)
