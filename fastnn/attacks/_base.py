"""What an attack is: an object that moves the rows of one tile, with a network's help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine import layers, losses
from fastnn._engine.tiles import for_each_tile, labels_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels import attack_steps
from fastnn.networks import MLP

Array = NDArray[Any]


class Tile:
    """Clean samples under attack, and what their network says about them and about changed ones.

    Results are views of buffers: the next call overwrites them.

    Attributes
    ----------
    x : ndarray, shape (n, D), float32 or float64
        The clean inputs. Attacks must not write to them.
    labels : ndarray of int64, shape (n,)
        True classes.
    lower, upper : float of the type of `x`
        Bounds of every input; infinite where there are none.
    saturated_rows, zero_gradient_rows : int
        Rows whose true class has a probability that rounds to 1, and rows whose gradient is all
        zero, both at the clean inputs; 0 until an attack asks for the gradient there.
    workspace : Workspace
        For attacks that share work below the level of logits and gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class HalfAStep(fastnn.attacks.Attack):
    ...     def perturb_tile(self, tile, eps):
    ...         out = tile.buffer("adversarial")
    ...         return tile.step(tile.x, tile.gradient(tile.x), eps / 2, eps, out)
    >>> net = fastnn.MLP.random((2, 8, 3))
    >>> x = np.full((1, 2), 0.5, np.float32)
    >>> np.abs(HalfAStep().perturb(net, x, [0], eps=0.5) - x)
    array([[0.25, 0.25]], dtype=float32)
    """

    def __init__(
        self, workspace: Workspace, labels: NDArray[np.int64], rows: Rows, bounds: _checks.Bounds
    ) -> None:
        kind = workspace.net.dtype.type
        self.workspace = workspace
        self.x = workspace.h[0]
        self.labels = labels_of(workspace, labels, rows)
        self.lower, self.upper = kind(bounds.lower), kind(bounds.upper)
        self.saturated_rows = 0
        self.zero_gradient_rows = 0
        self._rows = rows
        self._clean_logits: Array | None = None
        self._at_clean = False  # whether the layers' values are those of the clean inputs

    def buffer(self, name: str) -> Array:
        """Return a buffer of the shape and type of `x`, the same for the same name."""
        return self.workspace.spare(name, *self.x.shape)

    def logits(self, x: Array, *, products: Array | None = None) -> Array:
        """Return the logits of `x`, shape (n, C).

        Parameters
        ----------
        x : ndarray, shape (n, D), type of the network, contiguous
        products : ndarray, shape (n, width of the first layer), optional
            ``x W_1``, for a caller that has computed it.
        """
        ws = self.workspace
        ws.h[0] = x
        if products is None:
            out = layers.forward(ws)
        else:
            np.copyto(ws.h[1], products)
            layers.activate(ws, 0)
            out = layers.forward(ws, first=1)
        layers.require_finite(out, self._rows, "logits")
        self._at_clean = x is self.x
        if self._at_clean and self._clean_logits is None:
            self._clean_logits = out.copy()
        return out

    def clean_logits(self) -> Array:
        """Return the logits of the clean inputs, shape (n, C), a copy."""
        if self._clean_logits is None:
            self.logits(self.x)
        assert self._clean_logits is not None
        return self._clean_logits

    def gradient(self, x: Array) -> Array:
        """Return a positive multiple of every row's gradient of the cross-entropy, shape (n, D).

        The signs are right however sure the network is and however small the gradient is; see
        `fastnn.fgsm`.
        """
        ws = self.workspace
        if not (x is self.x and self._at_clean):
            self.logits(x)
        saturated = losses.attack_residual(ws.h[-1], self.labels, ws.g[-1])
        layers.backward(ws, to=0)
        gradient = ws.g[0]
        layers.require_finite(gradient, self._rows, "derivatives")
        if x is self.x:
            self.saturated_rows = saturated
            self.zero_gradient_rows = int(attack_steps._zero_rows(gradient))
        return gradient

    def step(self, x: Array, gradient: Array, size: Any, eps: Any, out: Array) -> Array:
        """Write ``x + size * sign(gradient)`` to `out` and return it.

        The result is within `eps` of the clean inputs in every entry, and within the bounds. `out`
        may be `x`, unless that is the clean one.
        """
        kind = self.workspace.net.dtype.type
        attack_steps._signed_step(
            self.x, x, gradient, kind(size), kind(eps), self.lower, self.upper, out
        )
        return out


class Answer(NamedTuple):
    """Logits of some rows of a tile at some of the eps.

    Attributes
    ----------
    rows : slice
        Of the tile.
    eps : ndarray of int64, shape (K,)
        Which of the eps, by number.
    logits : ndarray, shape (number of rows * K, C)
        The K of a row are neighbours.
    """

    rows: slice
    eps: NDArray[np.int64]
    logits: Array


class Attack(ABC):
    """An attack: its settings are attributes, and its work is `perturb_tile`.

    An attack knows nothing of threads, files or counting: `fastnn.adversarial_accuracy` sends
    tiles through any attack and counts. What changes from step to step belongs in local variables
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
        ndarray, shape (n, D), type of the network
            A buffer of the tile, within `eps` of ``tile.x`` and within the bounds.
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
            moved = self.perturb_tile(Tile(ws, truth, numbers, limits), net.dtype.type(budget))
            layers.require_finite(moved, numbers, "steps")
            out[numbers] = moved

        for_each_tile(net, rows, work, to=0, direction=True)
        return out[0] if np.ndim(x) == 1 else out
