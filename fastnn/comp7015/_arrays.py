"""Convert the assignment's arrays, of any type of number, to those of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._runtime.signals import numpy_errors
from fastnn.networks import MLP

Array = NDArray[Any]


def numbers(values: ArrayLike, name: str) -> Array:
    """Return float32 `values` unchanged, any other numbers as float64."""
    array = _checks.array_of(values, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, got {array.dtype}")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def images(values: ArrayLike, name: str) -> Array:
    """Return `values` as `numbers` does, but uint8 pixels unchanged."""
    array = _checks.array_of(values, name)
    return array if array.dtype == np.uint8 else numbers(array, name)


def rows(array: Array, width: int, dtype: np.dtype[Any], name: str) -> Array:
    """Return images as (N, width), checked, of `dtype` unless they are pixels."""
    if array.dtype != np.uint8:
        with numpy_errors():  # an entry that overflows is reported as infinite
            array = array.astype(dtype, copy=False)
    return _checks.inputs(array, width, dtype, name=name)


def table(values: ArrayLike, name: str) -> Array:
    """Return images after checking that they are a table (N, D)."""
    array = images(values, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (N, D), got {array.shape}")
    return array


def classes(labels: ArrayLike, name: str) -> int:
    """Return the number of columns of one-hot labels (N, K)."""
    shape = np.shape(labels)
    if len(shape) != 2:
        raise ValueError(
            f"{name} must be one-hot, shape (N, K), got shape {shape}; see one_hot_labels"
        )
    return int(shape[1])


def from_one_hot(labels: ArrayLike, count: int, columns: int, name: str) -> NDArray[np.int64]:
    """Return the classes of one-hot labels (count, columns)."""
    classes(labels, name)
    return _checks.labels(labels, count, columns, name=name)


def samples(
    data: Array,
    labels: ArrayLike,
    sizes: Sequence[int],
    dtype: np.dtype[Any],
    names: tuple[str, str],
) -> tuple[Array, NDArray[np.int64]]:
    """Return images of `dtype`, N > 0, and their classes, checked against the widths `sizes`."""
    x = rows(data, sizes[0], dtype, names[0])
    _checks.some_rows(x, names[0])
    return x, from_one_hot(labels, len(x), sizes[-1], names[1])


def entries(params: Mapping[str, Any], keys: Sequence[str], name: str = "params") -> list[Any]:
    """Return ``params[key]`` for every key; for an archive of one array, that array."""
    for key in keys:
        if key not in params:
            raise ValueError(f"{name} lacks {key!r}; it has {sorted(map(str, params))}")
    return [_only_array(params[key], f"{name}[{key!r}]") for key in keys]


def _only_array(value: Any, name: str) -> Any:
    """Return the only array of an archive that `np.load` opened; anything else unchanged."""
    if not isinstance(value, NpzFile):
        return value
    if len(value) != 1:
        raise ValueError(f"{name} holds {len(value)} arrays, expected one")
    return next(iter(value.values()))


def network(arrays: Sequence[ArrayLike], names: Sequence[str], activation: str) -> MLP:
    """Return the network of alternating weights and biases, in their common type.

    Error messages use `names`.
    """
    parameters = [numbers(array, name) for array, name in zip(arrays, names, strict=True)]
    dtype = np.result_type(*parameters)
    cast = [parameter.astype(dtype, copy=False) for parameter in parameters]
    try:
        return MLP(cast[::2], cast[1::2], activation)
    except ValueError as error:
        text = str(error)
    for i, name in enumerate(names):
        text = text.replace(f"{('weights', 'biases')[i % 2]}[{i // 2}]", name)
    raise ValueError(text)


def common_type(array: Array, net: MLP) -> np.dtype[Any]:
    """Return the type to compute in: the network's, or float64 if the images are float64."""
    return net.dtype if array.dtype == np.uint8 else np.result_type(array, net.dtype)
