"""Adversarial accuracy of a whole test set in one call."""

from __future__ import annotations

import html
import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _kernels, _passes
from fastnn._parallel import thread_count
from fastnn._progress import Progress
from fastnn._signals import numpy_errors
from fastnn.attacks import ascend, step
from fastnn.networks import MLP

_EPS_AT_ONCE = 64  # each wants a row of the first layer's width in the cache


@dataclass(frozen=True, eq=False, repr=False)
class AdversarialReport:
    """How many samples a network gets right, as they are and after an attack.

    Attributes
    ----------
    n : int
        Number of samples.
    eps : float or ndarray of float64, shape (K,)
        Attack budgets as they were asked for.
    bounds : tuple (lower, upper) or None
        Range that adversarial inputs were clipped to.
    clean_correct : int
        Samples predicted right without an attack.
    adversarial_correct : int or ndarray of int64, shape (K,)
        Samples predicted right under attack, for every eps.
    clean_prediction : ndarray of int64, shape (n,)
    adversarial_prediction : ndarray of int64, shape (n,) or (K, n)
    zero_gradient_rows : int
        Samples whose gradient is all zero: the attack leaves them as they are.
    saturated_rows : int
        Samples whose true class has a probability that rounds to 1 in the network's type. There
        `p - one_hot` would lose the true class; fastnn's residual keeps it.
    seconds : float
        Wall time of the call.
    """

    n: int
    eps: float | NDArray[np.float64]
    bounds: tuple[float, float] | None
    clean_correct: int
    adversarial_correct: Any
    clean_prediction: NDArray[np.int64]
    adversarial_prediction: NDArray[np.int64]
    zero_gradient_rows: int
    saturated_rows: int
    seconds: float

    @property
    def clean_accuracy(self) -> float:
        """Share of samples predicted right without an attack; NaN where there are none."""
        return self.clean_correct / self.n if self.n else math.nan

    @property
    def adversarial_accuracy(self) -> Any:
        """Share of samples predicted right under attack: a float, or an array (K,)."""
        if isinstance(self.eps, float):
            return self.adversarial_correct / self.n if self.n else math.nan
        share = self.adversarial_correct / self.n if self.n else np.full(len(self.eps), math.nan)
        return np.asarray(share)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the predictions, ready for `json.dumps`; NaN and infinity become None."""

        def plain(value: Any) -> Any:
            if isinstance(value, (np.ndarray, tuple)):
                return [plain(one) for one in value]
            value = value.item() if isinstance(value, np.generic) else value
            return None if isinstance(value, float) and not math.isfinite(value) else value

        names = ["n", "eps", "bounds", "clean_correct", "clean_accuracy", "adversarial_correct"]
        names += ["adversarial_accuracy", "zero_gradient_rows", "saturated_rows", "seconds"]
        return {name: plain(getattr(self, name)) for name in names}

    def rows(self) -> list[tuple[str, str]]:
        """Return the report as pairs of a label and a value, in words."""
        many = [
            (f"adversarial accuracy, eps {eps:g}", _share(correct, self.n))
            for eps, correct in zip(
                np.atleast_1d(self.eps), np.atleast_1d(self.adversarial_correct), strict=True
            )
        ]
        speed = f"{self.n / self.seconds:,.0f} images a second" if self.seconds > 0 else ""
        clipped = f"[{self.bounds[0]:g}, {self.bounds[1]:g}]" if self.bounds else "not at all"
        return [
            ("samples", f"{self.n:,}"),
            ("clipped to", clipped),
            ("clean accuracy", _share(self.clean_correct, self.n)),
            *many,
            ("rows with an all-zero gradient", f"{self.zero_gradient_rows:,}"),
            ("rows where p rounds to 1", f"{self.saturated_rows:,}"),
            ("time", f"{self.seconds:.3f} s, {speed}"),
        ]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)

    def __repr__(self) -> str:
        eps = self.eps if isinstance(self.eps, float) else self.eps.tolist()
        return (
            f"AdversarialReport(n={self.n}, eps={eps}, clean_correct={self.clean_correct}, "
            f"adversarial_correct={np.asarray(self.adversarial_correct).tolist()})"
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for label, value in self.rows()
        )
        return f"<table>{cells}</table>"


def _share(correct: Any, n: int) -> str:
    """Return a count with its percentage."""
    return f"{correct / n:7.2%}  ({int(correct):,} of {n:,})" if n else "no samples"


def adversarial_accuracy(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any = 0.1,
    bounds: tuple[float, float] | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> AdversarialReport:
    """Attack every sample with the fast gradient sign method and count what is still right.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), type of the network or uint8
        Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).
    eps : float or sequence of float, shape (K,), optional
        Largest change of any entry, >= 0. Several share one gradient.
    bounds : tuple (lower, upper), optional
        Valid range of an input; adversarial inputs are clipped to it. Default: no clipping, as the
        assignment has it.
    threads : int, optional
        Number of threads; what `fastnn.threads` set by default, else all that may be used.
    progress : bool, optional
        Draw a bar on standard error.

    Returns
    -------
    AdversarialReport
        No count depends on the number of threads. Memory beyond the result: the weights once or
        twice more, as products read them, and a few hundred rows for every thread.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `fastnn.fgsm`; `threads` is not a positive integer.

    Notes
    -----
    The clean prediction is that of the gradient's own forward pass. With one eps, the
    adversarial input goes through the network as it is. With several, the first layer's products
    are shared: ``z_1(eps) = z_1 + eps * (sign(g) W_1)``. An input that has met its bound no longer
    depends on eps; it contributes a constant, so that nothing changes once every input has met its
    bound. Rounding differs from that of a call for each eps, so where two logits are equal up to
    rounding a prediction may differ too.
    """
    limits = _checks.bounds(bounds)
    rows = _checks.inputs(x, net.sizes[0], net.dtype, limits=limits)
    truth = _checks.labels(labels, len(rows), net.sizes[-1])
    budget = _checks.eps(eps)
    count = thread_count(threads)
    start = time.perf_counter()
    attack = _Attack(net, truth, np.atleast_1d(budget), limits)
    with Progress("attack", len(rows), enabled=progress) as bar:
        _passes.for_each_tile(
            net,
            rows,
            attack.tile,
            to=0,
            direction=True,
            variants=np.size(budget),
            # Samples of a class have zeros in the same places, which products leave out.
            order=np.argsort(truth, kind="stable"),
            threads=count,
            progress=bar,
        )
        bar.update(len(rows))
    hits = np.count_nonzero(attack.prediction == truth, axis=1)
    single = isinstance(budget, float)
    return AdversarialReport(
        n=len(rows),
        eps=budget,
        bounds=None if bounds is None else (limits.lower, limits.upper),
        clean_correct=int(np.count_nonzero(attack.clean == truth)),
        adversarial_correct=int(hits[0]) if single else hits.astype(np.int64),
        clean_prediction=attack.clean,
        adversarial_prediction=attack.prediction[0] if single else attack.prediction,
        zero_gradient_rows=sum(attack.still),
        saturated_rows=sum(attack.saturated),
        seconds=time.perf_counter() - start,
    )


class _FirstLayer(NamedTuple):
    """What every eps shares, for a tile: where inputs go and how far, and their products."""

    direction: NDArray[Any]  # the gradient's signs, 0 where a bound is in the way
    room: NDArray[Any]  # the distance to that bound
    z: NDArray[Any]  # products of the inputs
    slope: NDArray[Any]  # products of the directions


class _Attack:
    """What a report is made of, filled tile by tile."""

    def __init__(
        self,
        net: MLP,
        labels: NDArray[np.int64],
        budgets: NDArray[np.float64],
        limits: _checks.Bounds,
    ) -> None:
        self._labels = labels
        with numpy_errors():  # an eps of 1e-50 is 0 in float32
            self._budgets = budgets.astype(net.dtype)
        self._ascending = np.argsort(budgets, kind="stable")
        self._limits = limits
        self.clean = np.empty(len(labels), np.int64)
        self.prediction = np.empty((len(budgets), len(labels)), np.int64)
        self.still: list[int] = []  # of every tile
        self.saturated: list[int] = []

    def tile(self, ws: _passes.Workspace, rows: _passes.Rows) -> None:
        """Attack the rows in `ws` with every eps."""
        if len(self._budgets) > 1:
            self._sweep(ws, rows)
            return
        _passes.forward(ws)
        self._climb(ws, rows)
        self.still.append(step(ws, self._budgets[0], self._limits))
        _passes.forward(ws)
        self._predict(ws, rows, 0)

    def _climb(self, ws: _passes.Workspace, rows: _passes.Rows) -> None:
        """Note the clean prediction and go back to the gradient by the inputs."""
        self.saturated.append(ascend(ws, self._labels, rows))
        self.clean[rows] = _predictions(ws)

    def _predict(self, ws: _passes.Workspace, rows: _passes.Rows, k: int) -> None:
        """Note the prediction under eps number `k`."""
        _passes.require_finite(ws.h[-1], rows, "logits")
        self.prediction[k, rows] = _predictions(ws)

    def _sweep(self, ws: _passes.Workspace, rows: _passes.Rows) -> None:
        """Attack with every eps, smallest first; their products with the first layer are shared."""
        z = ws.spare("z", *ws.h[1].shape)
        _passes.multiply(ws, ws.h[0], 0, z)
        np.copyto(ws.h[1], z)
        _passes.activate(ws, 0)
        _passes.forward(ws, first=1)
        self._climb(ws, rows)
        first = _FirstLayer(ws.g[0], ws.h[0], z, ws.g[1])
        kind = ws.net.dtype.type
        lower, upper = kind(self._limits.lower), kind(self._limits.upper)
        still = _kernels._direction_and_room(lower, upper, first.direction, first.room)
        self.still.append(int(still))
        reached = kind(0)
        for start in range(0, len(self._ascending), _EPS_AT_ONCE):
            ks = self._ascending[start : start + _EPS_AT_ONCE]
            self._take_steps(ws, _passes.numbers_of(rows), first, ks, reached)
            reached = self._budgets[ks[-1]]

    def _take_steps(
        self,
        ws: _passes.Workspace,
        rows: NDArray[np.int64],
        first: _FirstLayer,
        ks: NDArray[np.int64],
        reached: Any,
    ) -> None:
        """Send `rows` through the network, moved by each of the eps with the numbers `ks`.

        As many rows at a time as fill the workspace with all their variants. The variants of a row
        are neighbours in the products, as they have zeros in the same places.
        """
        weights, eps = ws.net.weights[0], self._budgets[ks]
        moving = ws.spare("moving", *first.direction.shape)
        _kernels._still_moving(first.direction, first.room, eps[-1], moving)
        _passes.multiply(ws, moving, 0, first.slope)
        stops = ws.spare("stops", len(weights), dtype=np.int64)
        stopping = ws.spare("stopping", len(ks), weights.shape[1])
        for block in _passes.cut(len(rows), ws.capacity // len(ks)):
            direction, room, z, slope = (array[block] for array in first)
            chosen = rows[block]
            ws.resize(len(chosen) * len(ks))
            _kernels._shift_by_every_eps(
                direction, room, reached, eps, weights, stops, stopping, z, slope, ws.h[1]
            )
            _passes.activate(ws, 0)
            _passes.forward(ws, first=1)
            _passes.require_finite(ws.h[-1], np.repeat(chosen, len(ks)), "logits")
            self.prediction[ks[:, None], chosen] = _predictions(ws).reshape(-1, len(ks)).T


def _predictions(ws: _passes.Workspace) -> NDArray[np.int64]:
    """Return the class of the largest logit of every row."""
    found = ws.spare("predictions", len(ws.h[-1]), dtype=np.int64)
    _kernels._argmax(ws.h[-1], found)
    return found
