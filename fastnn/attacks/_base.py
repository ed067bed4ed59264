"""What an attack is: an object that moves the rows of one tile, with a network's help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.layers import require_finite
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

Array = NDArray[Any]


class Answer(NamedTuple):
    """Logits of some rows of a tile at some of the eps.

    Attributes
    ----------
    rows : slice
        Of the tile.
    positions : ndarray of int64, shape (K,)
        Which of the eps: positions in the array that `Attack.answers` got.
    logits : ndarray, shape (number of rows * K, C)
        First the K rows of logits of the first sample, then those of the second, and so on.

    Examples
    --------
    An attack that moves nothing, and so computes the logits once for all eps:

    >>> import numpy as np
    >>> import fastnn
    >>> class Nothing(fastnn.attacks.Attack):
    ...     def perturb_tile(self, tile, eps):
    ...         return tile.x
    ...     def answers(self, tile, eps):
    ...         logits = np.repeat(tile.clean_logits(), len(eps), axis=0)
    ...         yield fastnn.attacks.Answer(slice(0, len(tile.x)), np.arange(len(eps)), logits)
    >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
    >>> report = fastnn.adversarial_accuracy(net, x, [0], eps=[0.1, 0.2], attack=Nothing())
    >>> (report.adversarial_prediction == report.clean_prediction).all().item()
    True
    """

    rows: slice
    positions: NDArray[np.int64]
    logits: Array


class Attack(ABC):
    """An attack: its settings are attributes, and its work is `perturb_tile`.

    An attack has no part in threads, files or counting: `fastnn.adversarial_accuracy` sends tiles
    through any attack and counts. What changes from step to step belongs in local variables
    or buffers of the tile, since one object serves several threads.

    Examples
    --------
    An attack that makes every input lighter:

    >>> import numpy as np
    >>> import fastnn
    >>> class Lighter(fastnn.attacks.Attack):
    ...     def perturb_tile(self, tile, eps):
    ...         return np.clip(tile.x + eps, tile.lower, tile.upper, out=tile.buffer("lighter"))
    >>> net = fastnn.MLP.random((2, 8, 3))
    >>> x = np.array([[0.25, 0.75]], np.float32)
    >>> Lighter().perturb(net, x, [0], eps=0.5, bounds=(0, 1))
    array([[0.75, 1.  ]], dtype=float32)
    """

    @abstractmethod
    def perturb_tile(self, tile: Tile, eps: Any) -> Array:
        """Return adversarial inputs for the samples of a tile.

        Parameters
        ----------
        tile : Tile
        eps : float of the network's type
            Largest change of any entry, >= 0.

        Returns
        -------
        ndarray, shape (n, D)
            Within `eps` of ``tile.x``, up to rounding, and within the bounds. It may be a buffer
            of the tile.
        """

    def answers(self, tile: Tile, eps: Array) -> Iterator[Answer]:
        """Yield the logits under attack, for every row of the tile and each of several eps.

        An attack that can share work between several eps overrides this.
        """
        rows = slice(0, len(tile.x))
        for k, budget in enumerate(eps):
            yield Answer(rows, np.array([k]), tile.logits(self.perturb_tile(tile, budget)))

    def perturb(
        self,
        net: MLP,
        x: ArrayLike,
        labels: ArrayLike,
        eps: float,
        bounds: tuple[float, float] | None = None,
    ) -> NDArray[Any]:
        """Return adversarial inputs for a batch or a single sample.

        Parameters
        ----------
        net : MLP
        x : ndarray, shape (N, D) or (D,), type of the network or uint8
            Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255 first.
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).
        eps : float
            Largest change of any entry, >= 0.
        bounds : tuple (lower, upper), optional
            Valid range of an input; the result is clipped to it. Default: no clipping.

        Returns
        -------
        ndarray, shape of `x`, type of the network
            A new array, also for ``eps=0``.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `fastnn.fgsm`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0], [-1.0, 1.0]])], [np.zeros(2)])
        >>> fastnn.attacks.FGSM().perturb(net, np.array([[0.5, 0.5]]), [0], eps=0.1)
        array([[0.4, 0.6]])
        """
        limits = _checks.bounds(bounds)
        rows = _checks.inputs(x, net.sizes[0], net.dtype, limits=limits)
        truth = _checks.labels(labels, len(rows), net.sizes[-1])
        budget = _checks.eps(eps)
        if not isinstance(budget, float):
            raise ValueError(f"an attack takes one eps, got {len(budget)}")
        out = np.empty(rows.shape, net.dtype)

        def work(ws: Workspace, numbers: Rows) -> None:
            tile = Tile(ws, truth, numbers, limits)
            moved = tile.usable(self.perturb_tile(tile, net.dtype.type(budget)))
            require_finite(moved, numbers, "steps")
            out[numbers] = moved

        for_each_tile(net, rows, work, to=0, direction=True)
        return _checks.as_given(x, out)
