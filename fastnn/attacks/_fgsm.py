"""The fast gradient sign method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._engine.layers import activate, forward, layer_product
from fastnn._engine.tiles import cut
from fastnn._kernels import attack_steps
from fastnn.attacks import _norms as norms
from fastnn.attacks._base import Answer, Attack, Found
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

_EPS_AT_ONCE = 64  # each takes a row of the first layer's width in the cache


def fgsm(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any,
    bounds: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Move every sample one signed-gradient step up its own loss.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), real numbers or uint8
        Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255 first.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).
    eps : float, or ndarray, shape (N,)
        Largest change of any entry, >= 0.
    bounds : tuple (lower, upper), optional
        Valid range of an input; the result is clipped to it. Default: no clipping, and inputs that
        look like pixels of 0 to 255, of any type but uint8, are an error.

    Returns
    -------
    ndarray, shape of `x`, type of the network
        A new array, also for ``eps=0``. Row i depends on row i alone, but for rounding: how many
        rows there are and how many zeros decide how products are summed.

    Raises
    ------
    TypeError
        `net` is no network; `x` holds no real numbers; labels are not integers.
    ValueError
        Shapes disagree; a label is outside [0, C); `eps` is negative or not finite; an entry of
        `x` is NaN, infinite, outside `bounds`, or beyond 2**24 if the network is float32. The
        message names the row and the value. There are no bounds, and `x` looks like pixels of 0 to
        255: rows of 64 entries or more, all from 0 to 255, one of them above 127.
    FloatingPointError
        The logits or the gradient of a row overflow.

    Notes
    -----
    ``x + eps * sign(dL_i/dx_i)``; entries with a zero gradient stay. Goodfellow, Shlens and
    Szegedy (2015), arXiv:1412.6572, section 4. The gradient's sign is right however sure the
    network is, since the residual is formed without cancellation or underflow, and however small
    the gradient is, since every row is scaled by a power of two on its way back through the
    layers. Two limits of the type remain. An entry whose derivative is 2**126 (in float64:
    2**1022) times smaller than the largest of its row may stay where it is. A hidden unit whose
    value underflows in the forward pass (below 1e-45 in float32) counts as inactive; a row in which
    every unit of a layer does so is one of `AdversarialReport.zero_gradient_rows`. One sample at a
    time: `fastnn.reference.fgsm`.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0], [-1.0, 1.0]])], [np.zeros(2)])
    >>> fastnn.fgsm(net, np.array([[0.5, 0.5]]), [0], eps=0.1)
    array([[0.4, 0.6]])
    """
    return FGSM().perturb(net, x, labels, eps, bounds)


@dataclass(frozen=True)
class FGSM(Attack):
    """The fast gradient sign method, ``x + eps * sign(dL/dx)``; see `fastnn.fgsm`.

    Parameters
    ----------
    norm : {"linf", "l2", "l1"}, optional
        Norm of the change that eps limits. In each it is the change within ball and bounds that
        raises the loss most, if the loss is linear.

    Raises
    ------
    ValueError
        `norm` is none of these.

    Notes
    -----
    In L-infinity, several eps share one gradient and the first layer's products: ``z_1(eps) = z_1 +
    eps * (sign(g) W_1)``. An input that has met its bound no longer depends on eps; it contributes
    a constant, so that nothing changes once every input has met its bound.

    In L2, ``x + eps * g / ||g||_2``; where bounds are in the way, ``x + clip(s * g)`` with the s
    that makes the norm eps. In L1, eps is spent on the entries with the largest derivatives, on
    each up to its bound: without bounds, all of it on one entry.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((4, 16, 3), rng=1)
    >>> x = np.full((2, 4), 0.5, np.float32)
    >>> x_adv = fastnn.attacks.FGSM().perturb(net, x, [0, 1], eps=0.25)
    >>> np.abs(x_adv - x).max().item()
    0.25
    >>> x_adv = fastnn.attacks.FGSM(norm="l1").perturb(net, x, [0, 1], eps=0.25)
    >>> np.count_nonzero(x_adv - x, axis=1)
    array([1, 1])
    """

    norm: str = "linf"

    def __post_init__(self) -> None:
        norms.require(self.norm)

    def perturb_tile(self, tile: Tile, eps: Any) -> NDArray[Any]:
        """Return the inputs after one step."""
        gradient = tile.gradient(tile.x)
        # In place: it is not used again.
        return norms.fast_gradient(tile, gradient, eps, self.norm, out=gradient)

    def answers(self, tile: Tile, eps: NDArray[Any]) -> Iterator[Found | Answer]:
        """Yield what every eps gives; several share the first layer's products, smallest first."""
        if len(eps) == 1 or self.norm != "linf":
            yield from super().answers(tile, eps)
            return
        first = FirstLayer(tile)
        ascending = np.argsort(eps, kind="stable")
        at_once = min(_EPS_AT_ONCE, tile.workspace.capacity)
        for start in range(0, len(eps), at_once):
            yield from first.answers(eps, ascending[start : start + at_once])


class FirstLayer:
    """What every eps shares: where the inputs of a tile go and how far, and their products."""

    def __init__(self, tile: Tile) -> None:
        ws = self._ws = tile.workspace
        self._z = ws.spare("products of the inputs", *ws.h[1].shape)
        layer_product(ws, ws.h[0], 0, self._z)
        # The gradient's signs, 0 where a bound is in the way, and the distance to that bound.
        self._direction = tile.gradient(tile.x, products=self._z)
        self._room = tile.buffer("room")
        attack_steps._direction_and_room(
            tile.lower, tile.upper, tile.x, self._direction, self._room
        )
        self._slope = ws.g[1]  # products of the directions
        self._reached = ws.net.dtype.type(0)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Leave out all other samples from now on."""
        self._direction, self._room = self._direction[chosen], self._room[chosen]
        self._z, self._slope = self._z[chosen], self._slope[: len(self._direction)]

    def answers(self, budgets: NDArray[Any], ks: NDArray[np.int64]) -> Iterator[Answer]:
        """Yield the logits at the eps in the positions `ks`; these eps ascend from call to call.

        It takes as many rows at a time as fit into the workspace, each with all its variants. The
        variants of a row are neighbours, as they have zeros in the same places.
        """
        ws, eps, room = self._ws, budgets[ks], self._room
        weights = ws.net.weights[0]
        moving = ws.spare("moving", *self._direction.shape)
        attack_steps._still_moving(self._direction, room, eps[-1], moving)
        layer_product(ws, moving, 0, self._slope)
        for rows in cut(len(room), ws.capacity // len(ks)):
            direction, distance, z, slope = (
                array[rows] for array in (self._direction, room, self._z, self._slope)
            )
            ws.resize(len(z) * len(ks))
            ws.holder = None
            attack_steps._shift_by_every_eps(
                direction,
                distance,
                self._reached,
                eps,
                weights,
                z,
                slope,
                ws.h[1],
            )
            activate(ws, 0)
            yield Answer(rows, ks, forward(ws, first=1))
        self._reached = eps[-1]
