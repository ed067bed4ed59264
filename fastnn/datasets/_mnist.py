"""MNIST: the bundled sample, or the user's own files. Nothing here uses the network."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn.datasets import _named
from fastnn.datasets._files import PIXELS, is_numpy_file, read_pair
from fastnn.datasets._places import SPLITS, Pair, locate
from fastnn.datasets._sample import SAMPLE_SHA256, load_sample

# SHA-256 of the labels: Fashion-MNIST and others have files of the same names and sizes.
_MNIST_LABELS = {
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13": "MNIST training set",
    "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5": "MNIST test set",
}
_Half = tuple[NDArray[Any], NDArray[np.int64], str]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Digits to train on and digits to test with.

    Attributes
    ----------
    x_train, x_test : ndarray, shape (N, 784), float32 or float64 in [0, 1], or uint8 pixels
        One image a row; `x_train` has no rows where only test files were found.
    y_train, y_test : ndarray of int64, shape (N,)
        The digits, 0 to 9.
    source : str
        What `x_test` is and how many digits it holds, for tables and titles.

    Examples
    --------
    >>> import fastnn
    >>> data = fastnn.load_mnist(source="sample")
    >>> data.source
    'bundled sample, 1,000 held-out digits'
    >>> data.x_test.shape, data.y_test[:10].tolist()
    ((1000, 784), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """

    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    source: str

    def __repr__(self) -> str:
        train, test = (f"{len(x):,}" for x in (self.x_train, self.x_test))
        return f"Dataset(train={train}, test={test}, {self.x_test.dtype}, source={self.source!r})"


def load_mnist(
    path: str | os.PathLike[str] | None = None,
    *,
    source: str = "auto",
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Load MNIST from files, or the sample of 5,000 real digits that comes with fastnn.

    Parameters
    ----------
    path : path-like, optional
        Folder with the files. Default: the first of ``$FASTNN_DATA``, ``./data`` and the user's
        cache that has them; `fetch_mnist` downloads them to the cache.
    source : {"auto", "mnist", "sample"}, optional
        "mnist": files, or an error. "sample": the bundled digits. "auto": files, or the bundled
        digits if no `path` is given and no files are found.
    dtype : dtype, optional
        float32 or float64: images in [0, 1], stored pixels divided by 255. uint8: pixels as they
        are stored; files of floats are then returned as float32.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        `path` lacks the files, or `source` is "mnist" and none were found.
    ValueError
        A file is truncated, mislabelled, of a wrong size or type; images and labels disagree in
        number; floats are not in [0, 1]; a label is not in 0..9; an argument is not one of those
        above. The message names the file, what was expected and what was found.

    Warns
    -----
    UserWarning
        ``$FASTNN_DATA`` is set but lacks the files.

    Notes
    -----
    Files are either the four of MNIST, ``train-images-idx3-ubyte`` and so on, raw or gzip, also
    spelt ``.idx3-ubyte``; or the assignment's ``images_train.npy``, ``labels_train.npy``,
    ``images_test.npy``, ``labels_test.npy``, or ``X_test.npy`` and ``Y_test.npy``, also spelt
    ``.npz``: (N, 784) or (N, 28, 28), uint8 or floats in [0, 1], labels (N,) or one-hot (N, 10).
    In a folder that has test files only, the training half is empty: (0, 784) and (0,).

    The sample, 4,000 digits to train on and 1,000 held out, is all from MNIST's training set: a
    score on it is not a test-set score.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.load_mnist(source="sample", dtype="uint8")
    Dataset(train=4,000, test=1,000, uint8, source='bundled sample, 1,000 held-out digits')
    """
    wanted = _pixel_dtype(dtype)
    files = locate(path, source)
    x_train, y_train, _ = _load_half(files, "train", wanted)
    x_test, y_test, text = _load_half(files, "test", wanted)
    return Dataset(x_train, y_train, x_test, y_test, text)


def load_split(
    split: str,
    path: str | os.PathLike[str] | None = None,
    *,
    source: str = "auto",
    dtype: DTypeLike = np.uint8,
) -> tuple[NDArray[Any], NDArray[np.int64], str]:
    """Load the training digits or the test digits, and read only their files.

    Parameters
    ----------
    split : {"train", "test"}
    path, source, dtype
        As for `load_mnist`; here the default is pixels as they are stored.

    Returns
    -------
    x : ndarray, shape (N, 784)
    labels : ndarray of int64, shape (N,)
    source : str
        What the digits are and how many, such as "MNIST test set, 10,000 digits".

    Raises
    ------
    FileNotFoundError, ValueError
        As for `load_mnist`; `split` is neither "train" nor "test".

    Examples
    --------
    >>> from fastnn.datasets import load_split
    >>> x, labels, source = load_split("train", source="sample")
    >>> x.shape, x.dtype.name, source
    ((4000, 784), 'uint8', 'bundled sample, 4,000 training digits')
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
    wanted = _pixel_dtype(dtype)
    return _load_half(locate(path, source), split, wanted)


def identity(path: str | os.PathLike[str] | None = None, *, source: str = "auto") -> str:
    """Return a text that identifies the training digits, without reading their images.

    Parameters
    ----------
    path, source
        As for `load_mnist`.

    Raises
    ------
    FileNotFoundError, ValueError
        As for `load_mnist`.

    Notes
    -----
    An attack on a kept network needs no training images, and reading 47 MB of them takes time. So
    the text has name, size and time of change of the file of images, and a digest of the labels.

    Examples
    --------
    >>> from fastnn.datasets import identity
    >>> identity(source="sample")[:16]
    'sample 99d6b75fd'
    """
    files = locate(path, source)
    if files is None:
        return f"sample {SAMPLE_SHA256}"
    pair = files["train"]
    if pair is None:
        return "no training digits"
    images, labels = pair
    digest = hashlib.sha256(labels.read_bytes()).hexdigest()
    facts = images.stat()
    return f"{images.name} {facts.st_size} {facts.st_mtime_ns} labels {digest}"


def _pixel_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` after checking that images can have it."""
    wanted = np.dtype(dtype)
    if wanted not in (np.float32, np.float64, np.uint8):
        raise ValueError(f"dtype must be float32, float64 or uint8, got {wanted}")
    return wanted


def _load_half(files: dict[str, Pair | None] | None, split: str, dtype: np.dtype[Any]) -> _Half:
    """Load one split: images, labels and what they are."""
    if files is None:
        return load_sample(split, dtype)
    pair = files[split]
    if pair is None:
        return np.empty((0, PIXELS), dtype), np.empty(0, np.int64), f"no {split} files, 0 digits"
    images, labels = read_pair(*pair, dtype)
    return images, labels, f"{title_of(labels, pair[0])}, {len(images):,} digits"


def title_of(labels: NDArray[np.int64], images: Path) -> str:
    """Return what samples are by their labels, in IDX files; else the name of their file."""
    named = _named.title_of(images)
    if named is None and not is_numpy_file(images) and labels.size and labels.max() < 256:
        digest = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()
        named = _MNIST_LABELS.get(digest)
    return named or images.name
