"""What an attack gets: the samples of one tile, and the network's answers to any inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine import layers, losses
from fastnn._engine.workspace import Workspace
from fastnn._kernels import attack_steps
from fastnn.attacks import _random
from fastnn.attacks._clean import Clean
from fastnn.attacks._goal import Goal
from fastnn.attacks._random import Keys

Array = NDArray[Any]
Residual = Callable[[Array], Array]


class Tile:
    """Some samples under attack: their clean inputs, and the network's answers to any inputs.

    Results are views of buffers: the next call overwrites them. An attack may overwrite them, too.

    Attributes
    ----------
    x : ndarray, shape (n, D), float32 or float64
        The clean inputs, C-contiguous and read-only.
    labels : ndarray of int64, shape (n,)
        True classes.
    targets : ndarray of int64, shape (n,), or None
        Classes that the attack is to reach; None: any class but the true one.
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
        self,
        workspace: Workspace,
        clean: Array,
        labels: NDArray[np.int64],
        numbers: NDArray[np.int64],
        bounds: _checks.Bounds,
        goal: Goal,
        known: Clean | None = None,
    ) -> None:
        self.workspace = workspace
        self._clean, self._bounds, self._goal = clean, bounds, goal
        self.x = self._clean.view()
        self.x.flags.writeable = False
        self.labels, self.numbers = labels, numbers
        self.targets = None if goal.targets is None else goal.targets[numbers]
        self.lower, self.upper = _checks.bounds_in(clean.dtype, bounds)
        self._known = Clean() if known is None else known

    @property
    def _at_clean(self) -> bool:
        """Whether the layers' values are those of the clean inputs: parts share the layers."""
        return self.workspace.holder is self._known

    def some(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Tile:
        """Return a tile of some of the samples, which shares the buffers of this one."""
        return Tile(
            self.workspace,
            np.ascontiguousarray(self._clean[chosen]),
            self.labels[chosen],
            self.numbers[chosen],
            self._bounds,
            self._goal,
        )

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
        given = products is not None
        if products is not None and not np.may_share_memory(products, ws.h[1]):
            np.copyto(ws.h[1], products)  # they were not there already
        if given or self._known.multiply(ws, self._clean):
            layers.activate(ws, 0)
            out = layers.forward(ws, first=1)
        else:
            out = layers.forward(ws)
        layers.require_finite(out, self.numbers, "logits")
        ws.holder = self._known if x is self.x else None
        if self._at_clean and self._known.logits is None:
            self._known.logits = out.copy()
        return out

    def clean_logits(self) -> Array:
        """Return the logits of the clean inputs, shape (n, C), a copy."""
        if self._known.logits is None:
            self.logits(self.x)
        assert self._known.logits is not None
        return self._known.logits.copy()

    def gradient(
        self, x: Array, residual: Residual | None = None, *, products: Array | None = None
    ) -> Array:
        """Return a positive multiple of every row's gradient of a loss, shape (n, D).

        By default that of the cross-entropy. To follow it leads away from the true class or, where
        there are targets, towards the target.
        The multiple differs from row to row and from call to call; a row may be all zero. The signs
        are right however sure the network is and however small the gradient is; see `fastnn.fgsm`.

        Parameters
        ----------
        x : ndarray, shape (n, D)
            As for `logits`.
        residual : callable, optional
            Returns the gradient of another loss by the logits, shape (n, C), from the logits.
        products : ndarray, optional
            As for `logits`.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `logits`; a derivative is not finite.
        """
        ws, known = self.workspace, self._known
        of_clean = x is self.x and residual is None
        if of_clean and known.gradient is not None:
            ws.resize(len(self.x))
            np.copyto(ws.g[0], known.gradient)
            return ws.g[0]
        if not (x is self.x and self._at_clean):
            self.logits(x, products=products)
        # Not from the layers: an attack may have overwritten the logits that it got.
        logits = known.logits if self._at_clean else ws.h[-1]
        assert logits is not None
        saturated = losses.attack_residual(logits, self.labels, ws.g[-1])
        if residual is not None:
            ws.g[-1][:] = residual(logits)
        elif self.targets is not None:
            losses.attack_residual(logits, self.targets, ws.g[-1])
            np.negative(ws.g[-1], out=ws.g[-1])
        layers.backward(ws, to=0)
        gradient = ws.g[0]
        layers.require_finite(gradient, self.numbers, "derivatives")
        if of_clean:
            known.marks = saturated, attack_steps._zero_rows(gradient)
            known.gradient = gradient.copy() if known.again else None
        return gradient

    def logits_and_gradient(
        self, x: Array, residual: Residual | None = None, *, products: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the logits of a forward pass, and the `gradient` from them."""
        gradient = self.gradient(x, residual, products=products)
        return (self.clean_logits() if self._at_clean else self.workspace.h[-1]), gradient

    def derivatives(self, x: Array, residuals: Iterable[Array]) -> Iterator[tuple[Array, Array]]:
        """Yield logits and a gradient itself, not a multiple of it, for each of several losses.

        All share one forward pass. The gradient may underflow, and the next one overwrites it.
        The tile can do nothing else before the last one.

        Parameters
        ----------
        x : ndarray, shape (n, D)
            As for `logits`.
        residuals : iterable of ndarray, shape (n, C)
            The gradient of each loss by the logits.
        """
        ws = self.workspace
        scaled, ws.direction = ws.direction, False
        try:
            logits = self.logits(x).copy()
            for residual in residuals:
                ws.g[-1][:] = residual
                layers.backward(ws, to=0)
                layers.require_finite(ws.g[0], self.numbers, "derivatives")
                yield logits, ws.g[0]
        finally:
            ws.direction = scaled
            ws.holder = None  # slopes are not those that `gradient` needs

    def margins(self, logits: Array) -> Array:
        """Return by how much each row still fails to be an adversarial example, shape (n,).

        Without targets, the true class's logit less the largest of the others; with targets, the
        largest other logit less the target's. Negative numbers are successes, and 0 is one where
        the largest logit's first place says so: see `fooled`.
        """
        if self.targets is None:
            return losses.margins(logits, self.labels)
        return -losses.margins(logits, self.targets)

    def fooled(self, logits: Array) -> NDArray[np.bool_]:
        """Say for which rows the attack has succeeded, shape (n,).

        The largest logit, the first of equals, is not the true class's; with targets, it is the
        target's.
        """
        found = losses.predictions(logits, np.empty(len(logits), np.int64))
        return np.asarray(found != self.labels if self.targets is None else found == self.targets)

    def keys(self, *places: int) -> Keys:
        """Return a key for random numbers of each sample, shape (n,).

        `places` are the restart, the step or whatever else tells numbers apart. The same key gives
        the same numbers, in any tile and on any thread: see `fastnn.attacks._random`.
        """
        numbers = self.numbers if self._goal.samples is None else self._goal.samples[self.numbers]
        return _random.keys(self._goal.seed, numbers, *places)

    def step(self, x: Array, gradient: Array, size: Any, eps: Any, out: Array) -> Array:
        """Write ``x + size * sign(gradient)`` to `out` and return it.

        No entry of the result differs from the clean input by more than `eps`, as its type computes
        the difference, and all are within the bounds. `size` and `eps` are numbers, or arrays
        (n, 1). `gradient` may be any array of the shape of `x`. `out` is a buffer of the tile,
        perhaps `x` or `gradient` itself.
        """
        start, slope = self.usable(x), self.usable(gradient)
        if self.usable(out) is not out:
            raise ValueError("out must be a buffer of the tile")
        sizes, rounding = (self.each(size), self.each(eps)), attack_steps.ROUNDING[self.x.dtype]
        limits = self.lower, self.upper
        attack_steps._signed_step(self._clean, start, slope, *sizes, *limits, rounding, out)
        return out

    def each(self, value: Any) -> Array:
        """Return a number, or an array (n, 1), as an array (n,) of the type of `x`."""
        out = np.empty(len(self.x), self.x.dtype)
        out[:] = value.reshape(-1) if isinstance(value, np.ndarray) else value
        return out

    def counts(self) -> tuple[int, int]:
        """Return how many rows are saturated and how many have no gradient, at the clean inputs.

        In a saturated row the true class has a probability that rounds to 1, and `p - one_hot`
        would cancel. A row without a gradient has zeros only.
        """
        saturated, still = self._marks()
        return int(np.count_nonzero(saturated)), int(np.count_nonzero(still))

    def _marks(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows are saturated and which have no gradient, at the clean inputs."""
        if self._known.marks is None:
            self.gradient(self.x)
        assert self._known.marks is not None
        return self._known.marks

    def usable(self, x: Array) -> Array:
        """Return `x`, or a copy that has the type and the layout of the clean inputs."""
        if x is self.x:
            return self._clean
        if not isinstance(x, np.ndarray):
            raise TypeError(f"an attack works on arrays, got {type(x).__name__}")
        if x.shape != self.x.shape:
            raise ValueError(f"an attack keeps the shape {self.x.shape} of a tile, got {x.shape}")
        if x.dtype == self.x.dtype and x.flags.carray:  # the usual case, for less time
            return x
        return np.require(x, self.x.dtype, requirements=["C", "A", "W"])
