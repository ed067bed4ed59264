"""Weights in panels for `masked`: packed by all threads of a call, and kept for the next call.

The arrays of a network belong to its user, who may write to them between two calls. So a call makes
fingerprints of all weights, and packs them anew unless they are those of the call before.
"""

from __future__ import annotations

import contextlib
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
Packed = dict[tuple[int, bool], Array]  # by the number of the weights, and whether transposed

_PIECE = 1 << 17  # entries that a thread takes at a time: it packs them in about 50 microseconds
_MOST_KEPT = 64 << 20  # bytes of panels


class _Kept(NamedTuple):
    """What a call leaves for the next one."""

    net: weakref.ref[Network]
    fingerprints: list[int]
    packed: Packed


_kept: list[_Kept] = []  # of the network that was used last: a call takes it, and puts it back


@contextlib.contextmanager
def kept_for(net: Network, to: int | None, team: Team) -> Iterator[Packed]:
    """Yield the packed weights of a network, as `buffers` has them, and keep them afterwards.

    Calls at the same time have panels of their own. After an error nothing is kept.
    """
    shapes = _shapes(net, to)
    if not shapes:
        yield {}
        return
    before = _take(net)
    fingerprints = _fingerprints(net, team)
    if before is not None and shapes.keys() <= before.packed.keys():
        packed, changed = before.packed, before.fingerprints != fingerprints
    else:
        packed, changed = buffers(net, to), True
    if changed:
        fill(packed, net, team)
    yield packed
    if sum(panels.nbytes for panels in packed.values()) <= _MOST_KEPT:
        _kept[:] = [_Kept(weakref.ref(net, _forget), fingerprints, packed)]


def buffers(net: Network, to: int | None) -> Packed:
    """Return panels for all weights, and for their transposes from number `to` on."""
    return {key: empty(shape, net.dtype) for key, shape in _shapes(net, to).items()}


def fill(packed: Packed, net: Network, team: Team) -> None:
    """Pack the weights as they are now."""

    def task(_: int, piece: tuple[int, bool, slice]) -> None:
        i, transposed, some = piece
        panels = packed[i, transposed][some]
        masked.pack(net.weights[i], panels, transposed=transposed, first=some.start)

    team.run(task, pieces(packed))


def pieces(packed: Packed) -> list[tuple[int, bool, slice]]:
    """Return what a thread packs at a time: weights by their number, and some of the panels."""

    def cut(panels: Array) -> list[slice]:
        count = max(1, _PIECE // panels[0].size)
        starts = range(0, len(panels), count)
        return [slice(start, min(start + count, len(panels))) for start in starts]

    return [(*key, some) for key, panels in packed.items() for some in cut(panels)]


def _shapes(net: Network, to: int | None) -> dict[tuple[int, bool], tuple[int, int, int]]:
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

    team.run(task, range(len(every)))
    return found


def _take(net: Network) -> _Kept | None:
    """Return what the call before has left, if it was a call on this network."""
    try:
        found = _kept.pop()
    except IndexError:
        return None
    return found if found.net() is net else None


def _forget(net: weakref.ref[Network]) -> None:
    """Drop what belongs to a network that is no more."""
    for found in _kept:
        if found.net is net:
            _kept.clear()
