"""The assignment's data: its own files, or the digits that `fastnn.load_mnist` finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.comp7015._arrays import Array
from fastnn.comp7015.functions import one_hot_labels
from fastnn.datasets import load_mnist
from fastnn.datasets._files import read_labels
from fastnn.io._npy import find_spelling, load_npy

_PathLike = str | os.PathLike[str]

# 10,000 of 60,000 images are for validation; of a smaller set, the same share.
_VALIDATION_SHARE = 6


def readData(images_file: _PathLike, labels_file: _PathLike) -> tuple[Array, Array]:  # noqa: N802
    """Load images and labels as they are stored.

    Parameters
    ----------
    images_file, labels_file : path-like
        ``.npy`` files, or ``.npz`` archives of one array; a file is found under either suffix.

    Returns
    -------
    x, y : ndarray

    Raises
    ------
    FileNotFoundError
        A file is missing under both suffixes.
    ValueError
        A file is damaged, pickled, of another kind, or holds several arrays; or the two disagree in
        the number of rows.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastnn.comp7015 import readData
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((5, 784)))
    ...     np.save(f"{folder}/labels.npy", np.arange(5))
    ...     x, y = readData(f"{folder}/images.npy", f"{folder}/labels.npy")
    >>> x.shape, y.tolist()
    ((5, 784), [0, 1, 2, 3, 4])
    """
    x, y = load_npy(images_file), load_npy(labels_file)
    if x.shape[:1] != y.shape[:1]:
        raise ValueError(
            f"{images_file} holds an array of shape {x.shape} but {labels_file} of {y.shape}"
        )
    return x, y


def prepare_data(
    path: _PathLike | None = None, seed: int | None = None
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Load the digits, and set a random sixth of the training images aside for validation.

    Parameters
    ----------
    path : path-like, optional
        Folder with the assignment's files ``images_train.npy``, ``labels_train.npy``,
        ``images_test.npy`` and ``labels_test.npy``, or with any that `fastnn.load_mnist` takes.
        Default: the current folder if it has the assignment's files; else the files that
        `fastnn.load_mnist` finds; else the bundled sample.
    seed : int, optional
        Seed for the order of the training images. Default: numpy's global generator, as in the
        assignment's code, so that ``np.random.seed`` has an effect.

    Returns
    -------
    trainData, trainLabels, valData, valLabels, testData, testLabels : ndarray
        Images (N, 784), labels one-hot (N, 10). MNIST gives 50,000, 10,000 and 10,000; the bundled
        sample 3,334, 666 and 1,000. The assignment's images are returned as they are stored, with
        any normalisation; others are float32 in [0, 1].

    Raises
    ------
    FileNotFoundError
        A file is missing under both suffixes.
    ValueError
        A file is damaged or of a wrong shape or type, images and labels disagree in number, or
        there are fewer than six images to train on.

    Examples
    --------
    The sizes are those of the digits that are found: 50,000, 10,000 and 10,000 for MNIST.

    >>> from fastnn.comp7015 import prepare_data
    >>> train_x, train_y, dev_x, dev_y, test_x, test_y = prepare_data(seed=0)
    >>> train_x.shape[1], train_y.shape[1]
    (784, 10)
    """
    folder = Path("." if path is None else path)
    if find_spelling(folder / "images_train.npy"):
        x, labels = _read_half(folder, "train")
        testData, digits = _read_half(folder, "test")
    else:
        data = load_mnist(path)
        x, labels, testData, digits = data.x_train, data.y_train, data.x_test, data.y_test
    if len(x) < _VALIDATION_SHARE:
        raise ValueError(f"{len(x)} images to train on, expected at least {_VALIDATION_SHARE}")
    draw: Any = np.random if seed is None else np.random.default_rng(seed)
    order = draw.permutation(len(x))
    held_out, rest = np.split(order, [len(x) // _VALIDATION_SHARE])
    trainLabels = one_hot_labels(labels)
    return (
        x[rest],
        trainLabels[rest],
        x[held_out],
        trainLabels[held_out],
        testData,
        one_hot_labels(digits),
    )


def _read_half(folder: Path, half: str) -> tuple[Array, Array]:
    """Return the assignment's images (N, D) and labels (N,) of "train" or "test"."""
    images, labels = (folder / f"{kind}_{half}.npy" for kind in ("images", "labels"))
    x, _ = readData(images, labels)
    if x.ndim < 2 or x.dtype.kind not in "iuf":
        raise ValueError(f"{images} holds {x.dtype} of shape {x.shape}, expected images (N, 784)")
    # Labels may be stored as whole floats or as one-hot rows.
    return x.reshape(len(x), -1), read_labels(find_spelling(labels) or labels)
