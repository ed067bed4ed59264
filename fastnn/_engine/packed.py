"""Weights in panels for `masked`: packed by all threads of a call, and kept for the next call.

The arrays of a network belong to its user, who may write to them between two calls. So a call makes
fingerprints of all weights, and packs them anew unless they are those of the call before. Handlers
of signals wait from the fingerprints to the end of packing. A handler may write to weights and then
restore them: the panels would be wrong, and the fingerprints right.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import masked
from fastnn._engine.memory import empty
from fastnn._engine.network import Network
from fastnn._kernels.fingerprints import _fingerprint
from fastnn._runtime.team import Team

Array = NDArray[Any]
Key = tuple[int, bool]  # the number of the weights, and whether transposed
Packed = dict[Key, Array]
Shapes = dict[Key, tuple[int, int, int]]

_PIECE = 1 << 17  # entries that a thread takes at a time; to pack them takes about 50 microseconds
_MOST_KEPT = 64 << 20  # bytes of panels


class _Kept(NamedTuple):
    """What a call leaves for the next one."""

    net: weakref.ref[Network]
    fingerprints: list[int]
    packed: Packed


# What the last call with panels has left, or nothing. A list, as only one call can pop from it.
_kept: list[_Kept] = []


@contextlib.contextmanager
def kept_for(net: Network, to: int | None, team: Team) -> Iterator[Packed]:
    """Yield the packed weights of a network, as `buffers` has them, and keep them afterwards.

    Calls at the same time have panels of their own. Nothing is kept after an error, nor of a
    network whose panels take more than `_MOST_KEPT` bytes.
    """
    shapes = _shapes(net, to)
    if not shapes:
        yield {}
        return
    size = sum(math.prod(shape) for shape in shapes.values()) * net.dtype.itemsize
    keeps = size <= _MOST_KEPT
    fingerprints = _fingerprints(net, team) if keeps else []
    packed, before = _take(net, shapes)
    if not packed or before != fingerprints:
        packed = packed or buffers(net, to)
        fill(packed, net, team, deliver=not keeps)
    yield packed
    if keeps:
        _kept[:] = [_Kept(weakref.ref(net, lambda _: _kept.clear()), fingerprints, packed)]


def buffers(net: Network, to: int | None) -> Packed:
    """Return panels for all weights, and for their transposes from number `to` on."""
    return {key: empty(shape, net.dtype) for key, shape in _shapes(net, to).items()}


def fill(packed: Packed, net: Network, team: Team, *, deliver: bool = True) -> None:
    """Pack the weights as they are now; for `deliver` see `Team.run`."""

    def task(_: int, piece: tuple[int, bool, slice]) -> None:
        i, transposed, some = piece
        panels = packed[i, transposed][some]
        masked.pack(net.weights[i], panels, transposed=transposed, first=some.start)

    team.run(task, pieces(packed), deliver=deliver)


def pieces(packed: Packed) -> list[tuple[int, bool, slice]]:
    """Return what a thread packs at a time: weights by their number, and some of the panels."""

    def cut(panels: Array) -> list[slice]:
        count = max(1, _PIECE // panels[0].size)
        starts = range(0, len(panels), count)
        return [slice(start, min(start + count, len(panels))) for start in starts]

    return [(*key, some) for key, panels in packed.items() for some in cut(panels)]


def _shapes(net: Network, to: int | None) -> Shapes:
    """Return the shapes of the panels of all weights that are wide enough for panels.

    Their transposes are needed where gradients go back: from number `to` on.
    """
    shapes = {}
    for i, weights in enumerate(net.weights):
        for transposed in (False, True):
            depth, width = weights.shape[::-1] if transposed else weights.shape
            shape = masked.panels_shape(depth, width, net.dtype)
            needed = not transposed or (to is not None and i >= to)
            if shape is not None and needed:
                shapes[i, transposed] = shape
    return shapes


def _fingerprints(net: Network, team: Team) -> list[int]:
    """Return the fingerprints of all weights, piece by piece."""
    every = [
        flat[start : start + _PIECE]
        for flat in (weights.reshape(-1) for weights in net.weights)
        for start in range(0, flat.size, _PIECE)
    ]
    found = [0] * len(every)

    def task(_: int, number: int) -> None:
        piece = every[number]
        if piece.nbytes % 8:  # words have 64 bits
            piece = np.append(piece, piece[:1])
        found[number] = _fingerprint(piece.view(np.uint64))

    team.run(task, range(len(every)), deliver=False)
    return found


def _take(net: Network, shapes: Shapes) -> tuple[Packed, list[int]]:
    """Return the panels that the call before has left, and the fingerprints of their weights.

    Nothing, if it was a call on another network, or if it left no panels of these shapes.
    """
    try:
        found = _kept.pop()
    except IndexError:
        return {}, []
    there = {key: panels.shape for key, panels in found.packed.items()}
    if found.net() is not net or not shapes.items() <= there.items():
        return {}, []
    return found.packed, found.fingerprints
