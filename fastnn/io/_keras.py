"""Keras models, ``.keras`` and ``.h5``, read with h5py alone (``pip install fastnn[keras]``).

A file has the configuration of every layer as JSON, and its arrays in HDF5. A ``.keras`` file is a
zip archive of both; in an ``.h5`` file, the JSON is an attribute.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastnn.io._archive import (
    START,
    RefusalError,
    one_line_errors,
    open_archive,
    read_stored,
    read_text,
    short,
)
from fastnn.io._hdf5 import Tree, require_h5py
from fastnn.io._keras_layers import Layer, layers_in, steps_of
from fastnn.io._parameters import Saved, saved_of

SUFFIXES = (".keras", ".h5", ".hdf5")

_EXPECTED = "a Keras model of Dense layers, model.save(path)"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ATTRIBUTE = "model_config"
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_ROOTS = ("layers", "_layer_checkpoint_dependencies")  # the latter in files of TensorFlow 2.12


def recognises(start: bytes, members: Collection[str]) -> bool:
    """Return whether a file that begins so, an archive of these members, is of this format."""
    return start.startswith(_HDF5) or {_CONFIG, _WEIGHTS} <= set(members)


def read(path: Path) -> Saved:
    """Return the parameters and the activation."""
    require_h5py(path)
    with path.open("rb") as file:
        packed = file.read(len(START)) == START
    if packed:
        with open_archive(path, _EXPECTED) as (archive, found), one_line_errors(path, _EXPECTED):
            members = {member.filename: member for member in found}
            layers = layers_in(json.loads(read_text(archive, members[_CONFIG])))
            tree = Tree(read_stored(archive, members[_WEIGHTS]).tobytes())
            steps = list(steps_of(layers, functools.partial(_in_archive, tree)))
    else:
        with one_line_errors(path, _EXPECTED):
            tree = Tree(path.read_bytes())
            layers = layers_in(json.loads(tree.texts("", _ATTRIBUTE)[0]))
            steps = list(steps_of(layers, functools.partial(_in_file, tree)))
    return saved_of(path, steps)


def _in_archive(tree: Tree, number: int, layer: Layer) -> list[NDArray[Any]]:
    """Return kernel and bias of a dense layer, which is named by its number."""
    name = f"dense_{number}" if number else "dense"
    for root in _ROOTS:
        group = f"{root}/{name}/vars"
        if paths := tree.inside(group):
            break
    if tree.has_text(group, "name") and tree.texts(group, "name") != [layer.name]:
        raise RefusalError(f"has the weights of another layer for {short(layer.name)}")
    return _kernel_and_bias(tree, layer, paths)


def _in_file(tree: Tree, number: int, layer: Layer) -> list[NDArray[Any]]:
    """Return kernel and bias of a dense layer, which is named as it is."""
    group = f"model_weights/{layer.name}"
    return _kernel_and_bias(
        tree, layer, [f"{group}/{name}" for name in tree.texts(group, "weight_names")]
    )


def _kernel_and_bias(tree: Tree, layer: Layer, paths: list[str]) -> list[NDArray[Any]]:
    """Return the arrays at the paths, one or two."""
    if len(paths) not in (1, 2):
        raise RefusalError(f"has {len(paths)} arrays for layer {short(layer.name)}")
    return [tree.array(path) for path in paths]
