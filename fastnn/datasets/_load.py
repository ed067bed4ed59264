"""Load inputs and labels from whatever holds them: arrays, frames, files, folders, names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _units
from fastnn.datasets import _memory, _sources
from fastnn.datasets._labels import numbered
from fastnn.datasets._places import SPLITS


class Samples(NamedTuple):
    """Inputs and their labels, from `load_data`.

    Attributes
    ----------
    x : ndarray, shape (N, D), uint8, float32 or float64
        uint8 entries are pixels, and 255 means 1.0; other numbers mean what they say.
    labels : ndarray of int64, shape (N,)
    source : str
        What the samples are and how many, for tables and titles.
    classes : tuple of str
        The name of every class; empty where labels were numbers.

    Examples
    --------
    >>> import fastnn
    >>> x, labels, source, classes = fastnn.load_data([[0.5, 1.5], [2.5, 0.5]], ["dog", "cat"])
    >>> labels, classes
    (array([1, 0]), ('cat', 'dog'))
    """

    x: NDArray[Any]
    labels: NDArray[np.int64]
    source: str
    classes: tuple[str, ...] = ()


def load_data(
    data: Any,
    labels: ArrayLike | str | os.PathLike[str] | None = None,
    *,
    inputs: str | None = None,
    split: str | None = None,
) -> Samples:
    r"""Load inputs and labels from arrays, frames, files, folders, or by the name of a data set.

    Parameters
    ----------
    data : array-like, frame, or path-like
        An array or tensor, shape (N, ...); a frame of pandas or polars; a file, ``.npy``, ``.npz``,
        IDX (raw or gzip) or a table of text (CSV), which its content tells and not its name; a
        folder with the files that `load_mnist` takes, of images of any size, or with a folder of
        PNG pictures for each class, perhaps in ``train`` and ``test``; or a name in
        `fastnn.datasets.NAMES`.
    labels : array-like, path-like or str, optional
        The labels, a file of them, or where they are in `data`: a key of an ``.npz`` file, a name
        or position of a column. Default: where labels usually are. A key or column has a usual name
        such as ``y`` or ``label``, or is the last column; ``labels.npy`` is beside ``images.npy``,
        ``Y.npy`` beside ``X.npy``.
    inputs : str, optional
        Key of the inputs in an ``.npz`` file. Default: a usual one, such as ``x``.
    split : {"train", "test"}, optional
        Which samples of a source that has both. Default: "test" of such a source, else all.

    Returns
    -------
    Samples
        ``x, labels, source, classes``. Images become rows: (N, 28, 28) is (N, 784). Labels are
        whole numbers of any type, one-hot rows, or names of classes, which are sorted.

    Raises
    ------
    FileNotFoundError
        There is no such file, folder or key, or the data set was not downloaded.
    TypeError, ValueError
        A file is damaged or of another kind; inputs are no finite numbers; a label is missing,
        negative or no whole number; inputs and labels differ in number. The message names the file
        and the line, row or column.

    Notes
    -----
    The type of the inputs is kept where it is uint8, float32 or float64. float16 becomes float32.
    Other integers, and tables of text, become float64, unless they look like pixels of 0 to 255
    (rows of 64 or more, one above 127): these become uint8. Floats are never divided by anything;
    attacks refuse those that look like pixels of 0 to 255, unless they are given bounds.

    An ``.npy`` file of 256 MiB or more is mapped into memory, not read, if it has a type that is
    kept: attacks and `train` read it block by block, and check its numbers then.

    No pickle is read. No file allocates more memory than its size allows; a table of text takes up
    to eight bytes for each number, and twice that while it is put together.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fastnn
    >>> table = "length,width,species\n5.1,3.5,iris\n4.9,3.0,rose\n"
    >>> _ = Path("flowers.csv").write_text(table)
    >>> samples = fastnn.load_data("flowers.csv")
    >>> samples.x.tolist(), samples.labels.tolist(), samples.classes
    ([[5.1, 3.5], [4.9, 3.0]], [0, 1], ('iris', 'rose'))
    >>> np.save("X.npy", np.zeros((3, 8, 8), np.uint8))
    >>> np.save("Y.npy", [2, 0, 1])
    >>> fastnn.load_data("X.npy").x.shape
    (3, 64)
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
    if isinstance(data, (str, os.PathLike)):
        found = _sources.from_path(Path(data), labels, inputs, split)
    else:
        if split is not None or inputs is not None:
            raise ValueError("split and inputs are for files and folders, not for arrays")
        if isinstance(labels, (str, os.PathLike)) and not hasattr(data, "columns"):
            labels = _sources.label_file(Path(labels))
        found = _memory.from_memory(data, labels)
    x = _usable(found)
    name = f"{found.where}: labels" if found.where else "labels"
    if found.classes:
        numbers, classes = np.asarray(found.labels, np.int64), found.classes
    else:
        numbers, classes = numbered(found.labels, len(x), name)
    source = found.title(numbers) if callable(found.title) else found.title
    return Samples(x, numbers, f"{source}, {len(x):,} samples", classes)


def _usable(found: _memory.Found) -> NDArray[Any]:
    """Return inputs (N, D) that a network takes, of uint8, float32 or float64."""
    array = _checks.array_of(found.x, found.where or "x")
    if isinstance(found.x, np.memmap) and array.dtype in (np.uint8, *_checks.FLOATS):
        array = found.x  # its entries are checked as they are read
    where = f"{found.where}: x" if found.where else "x"
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{where} must be numbers, got {array.dtype}")
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(
            f"{where} must have shape (N, ...), with a row a sample, got {array.shape}"
        )
    rows = array.reshape(len(array), -1)
    if isinstance(array, np.memmap):
        return rows
    rows = np.ascontiguousarray(rows)
    if rows.dtype == np.uint8:
        return rows
    if rows.dtype.kind in "iu" and _units.like_pixels(rows):
        return rows.astype(np.uint8)
    kind = np.dtype(np.float32 if rows.dtype.kind in "bf" and rows.itemsize <= 4 else np.float64)
    rows = (
        rows.astype(kind, copy=False)
        if rows.dtype.kind == "f"
        else _units.converted(rows, kind, where)
    )
    for start in range(0, len(rows), 512):
        wrong = ~np.isfinite(rows[start : start + 512])
        if wrong.any():
            row, column = (int(k) for k in np.argwhere(wrong)[0])
            place = found.names[column] if found.names else column
            raise ValueError(
                f"{where}[{start + row}, {place}] is {rows[start + row, column]}; "
                "every entry must be finite"
            )
    return rows
