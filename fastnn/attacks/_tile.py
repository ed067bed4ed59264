"""What an attack gets: the samples of one tile, and the network's answers to any inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine import layers, losses
from fastnn._engine.tiles import numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels import attack_steps

Array = NDArray[Any]


class Tile:
    """Some samples under attack: their clean inputs, and the network's answers to any inputs.

    Results are views of buffers: the next call overwrites them. An attack may overwrite them, too.

    Attributes
    ----------
    x : ndarray, shape (n, D), float32 or float64
        The clean inputs, C-contiguous and read-only.
    labels : ndarray of int64, shape (n,)
        True classes.
    numbers : ndarray of int64, shape (n,)
        The position of each sample in the batch.
    lower, upper : float of the type of `x`
        Bounds of every input; infinite where there are none.
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
        self._clean = workspace.h[0]
        self.x = self._clean.view()
        self.x.flags.writeable = False
        self.labels = labels[rows]
        self.lower, self.upper = kind(bounds.lower), kind(bounds.upper)
        self.numbers = numbers_of(rows)
        self._clean_logits: Array | None = None
        self._counts: tuple[int, int] | None = None
        self._at_clean = False  # whether the layers' values are those of the clean inputs

    def buffer(self, name: str) -> Array:
        """Return a buffer of the shape and type of `x`, the same for the same name.

        It holds the values of the tile before.
        """
        return self.workspace.spare(name, *self.x.shape)

    def logits(self, x: Array, *, products: Array | None = None) -> Array:
        """Return the logits of `x`, shape (n, C).

        Parameters
        ----------
        x : ndarray, shape (n, D)
            Copied where it is not of the network's type or not C-contiguous.
        products : ndarray, shape (n, width of the first layer), optional
            ``x W_1``, for a caller that has computed it.

        Raises
        ------
        TypeError, ValueError
            `x` is no array, or has another shape.
        FloatingPointError
            The logits of a row are not finite.
        """
        ws = self.workspace
        ws.resize(len(self.x))
        ws.h[0] = self.usable(x)
        if products is None:
            out = layers.forward(ws)
        else:
            np.copyto(ws.h[1], products)
            layers.activate(ws, 0)
            out = layers.forward(ws, first=1)
        layers.require_finite(out, self.numbers, "logits")
        self._at_clean = x is self.x
        if self._at_clean and self._clean_logits is None:
            self._clean_logits = out.copy()
        return out

    def clean_logits(self) -> Array:
        """Return the logits of the clean inputs, shape (n, C), a copy."""
        if self._clean_logits is None:
            self.logits(self.x)
        assert self._clean_logits is not None
        return self._clean_logits.copy()

    def gradient(self, x: Array) -> Array:
        """Return a positive multiple of every row's gradient of the cross-entropy, shape (n, D).

        The multiple differs from row to row and from call to call; a row may be all zero. The signs
        are right however sure the network is and however small the gradient is; see `fastnn.fgsm`.

        Parameters
        ----------
        x : ndarray, shape (n, D)
            As for `logits`.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `logits`; a derivative is not finite.
        """
        ws = self.workspace
        if not (x is self.x and self._at_clean):
            self.logits(x)
        # Not from the layers: an attack may have overwritten the logits that it got.
        logits = self._clean_logits if self._at_clean else ws.h[-1]
        assert logits is not None
        saturated = losses.attack_residual(logits, self.labels, ws.g[-1])
        layers.backward(ws, to=0)
        gradient = ws.g[0]
        layers.require_finite(gradient, self.numbers, "derivatives")
        if x is self.x:
            self._counts = saturated, int(attack_steps._zero_rows(gradient))
        return gradient

    def step(self, x: Array, gradient: Array, size: Any, eps: Any, out: Array) -> Array:
        """Write ``x + size * sign(gradient)`` to `out` and return it.

        Up to rounding, the result is within `eps` of the clean inputs in every entry; and it is
        within the bounds. `gradient` may be any array of that shape. `out` is a buffer of the tile,
        perhaps `x` or `gradient` itself.
        """
        kind = self.workspace.net.dtype.type
        start, slope = self.usable(x), self.usable(gradient)
        if self.usable(out) is not out:
            raise ValueError("out must be a buffer of the tile")
        attack_steps._signed_step(
            self._clean, start, slope, kind(size), kind(eps), self.lower, self.upper, out
        )
        return out

    def counts(self) -> tuple[int, int]:
        """Return how many rows are saturated and how many have no gradient, at the clean inputs.

        In a saturated row the true class has a probability that rounds to 1, and `p - one_hot`
        would cancel. A row without a gradient has zeros only.
        """
        if self._counts is None:
            self.gradient(self.x)
        assert self._counts is not None
        return self._counts

    def usable(self, x: Array) -> Array:
        """Return `x`, or a copy that has the type and the layout of the clean inputs."""
        if x is self.x:
            return self._clean
        if not isinstance(x, np.ndarray):
            raise TypeError(f"an attack works on arrays, got {type(x).__name__}")
        if x.shape != self.x.shape:
            raise ValueError(f"an attack keeps the shape {self.x.shape} of a tile, got {x.shape}")
        if x.dtype == self.x.dtype and x.flags.carray:  # the usual case, at a fraction of the time
            return x
        return np.require(x, self.x.dtype, requirements=["C", "A", "W"])
