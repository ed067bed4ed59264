"""What an attack is: an object that moves the rows of one tile, with a network's help."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _units
from fastnn._engine import units
from fastnn._engine.layers import require_finite
from fastnn._engine.tiles import for_each_tile, numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._parameters import require_network
from fastnn.attacks._goal import goal_of
from fastnn.attacks._tile import Tile
from fastnn.networks import MLP

Array = NDArray[Any]


class Found(NamedTuple):
    """Adversarial inputs for all rows of a tile at one eps, and what the attack says about them.

    `fastnn.adversarial_accuracy` counts from `x`, by a forward pass of its own; where `fooled`
    says something else, the report has a diagnostic.

    Attributes
    ----------
    position : int
        Which of the eps: a position in the array that `Attack.answers` got.
    x : ndarray, shape (n, D)
        Adversarial inputs. They are used before the attack goes on, so they may be a buffer.
    fooled : ndarray of bool, shape (n,), optional
        Where the attack says that it has succeeded.
    origins : ndarray of int, shape (n, 3), optional
        What succeeded first: the number of the attack (0 but for several in turn), that of its run,
        and that of the input in the run; -1 where it is not known.
    stuck : ndarray of bool, shape (n,), optional
        Where several inputs were tried, and none had a smaller margin than the first of its run.

    Examples
    --------
    An attack that says that it has fooled all, which the report does not believe:

    >>> import numpy as np
    >>> import fastnn
    >>> class Liar(fastnn.attacks.Attack):
    ...     def perturb_tile(self, tile, eps):
    ...         return tile.x
    ...     def answers(self, tile, eps):
    ...         for k in range(len(eps)):
    ...             yield fastnn.attacks.Found(k, tile.x, np.ones(len(tile.x), bool))
    >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
    >>> report = fastnn.adversarial_accuracy(net, x, net.predict(x), eps=0.1, attack=Liar())
    >>> report.adversarial_correct
    1
    >>> report.diagnostics[0].name
    'recount differs'
    """

    position: int
    x: Array
    fooled: NDArray[np.bool_] | None = None
    origins: NDArray[np.int64] | None = None
    stuck: NDArray[np.bool_] | None = None


class Answer(NamedTuple):
    """Logits of some rows of a tile at some of the eps, from an attack that shares work.

    Those of `FGSM` are counted as they are, unless the caller asks for a recount; those of any
    other attack are compared with a forward pass over what its `perturb_tile` returns.

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

    Attributes
    ----------
    norm : {"linf", "l2", "l1"}
        Norm of the change that eps limits; L-infinity unless a class says otherwise.

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

    norm: str = "linf"

    @abstractmethod
    def perturb_tile(self, tile: Tile, eps: Any) -> Array:
        """Return adversarial inputs for the samples of a tile.

        Parameters
        ----------
        tile : Tile
        eps : number of the network's type, or ndarray, shape (n, 1)
            The budget, >= 0: one for all samples, or one for each.

        Returns
        -------
        ndarray, shape (n, D)
            Within `eps` of ``tile.x``, and within the bounds. It may be a buffer of the tile.
        """

    def _begin(
        self,
        net: MLP,
        x: Array,
        labels: NDArray[np.int64],
        eps: NDArray[np.float64],
        bounds: tuple[float, float] | None,
    ) -> Attack:
        """Return the attack for a batch, which is given as checked."""
        return self

    def _parts(self) -> tuple[Attack, ...]:
        """Return the attacks that are made in turn, or the one."""
        return (self,)

    def _stages(self, classes: int, *, targeted: bool) -> list[tuple[int, Attack]]:
        """Return the parts, with their numbers, that a network of so many classes allows."""
        return list(enumerate(self._parts()))

    def answers(self, tile: Tile, eps: Array) -> Iterator[Found | Answer]:
        """Yield what was found at each of several eps, for every row of the tile.

        An attack that can share work between several eps, or that knows more about its results,
        overrides this.
        """
        for k, budget in enumerate(eps):
            yield Found(k, self.perturb_tile(tile, budget))

    def perturb(
        self,
        net: MLP,
        x: ArrayLike,
        labels: ArrayLike,
        eps: Any,
        bounds: tuple[float, float] | None = None,
        *,
        targets: ArrayLike | None = None,
        rng: Any = 0,
    ) -> NDArray[Any]:
        """Return adversarial inputs for a batch or a single sample.

        Parameters
        ----------
        net : MLP
        x : ndarray, shape (N, D) or (D,), real numbers or uint8
            Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255 first.
        labels : ndarray of int, shape (N,), or int
            True classes, each in [0, C).
        eps : float, or ndarray, shape (N,)
            The budget, >= 0: the largest change of any entry, or of the norm of the attack.
        bounds : tuple (lower, upper), optional
            Valid range of an input; the result is clipped to it. Default: no clipping, and inputs
            that look like pixels of 0 to 255, of any type but uint8, are an error.
        targets : ndarray of int, shape (N,), or int, optional
            Classes that the attack is to reach, none of them the true one. Default: any other.
        rng : int or pair of int and ndarray of int, optional
            Seed of random numbers; with a pair, also the number of each sample, shape (N,) or (),
            as random numbers count them. Default: its position. With the number that it had in a
            batch, a sample is attacked alone as it was there.

        Returns
        -------
        ndarray, shape of `x`, type of the network
            A new array, also for ``eps=0``.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `fastnn.fgsm`; a target is the true class, or outside [0, C); `rng` is neither.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0], [-1.0, 1.0]])], [np.zeros(2)])
        >>> fastnn.attacks.FGSM().perturb(net, np.array([[0.5, 0.5]]), [0], eps=0.25)
        array([[0.25, 0.75]])
        """
        limits, rows, truth = checked(net, x, labels, bounds)
        budget = _checks.eps(eps)
        if not isinstance(budget, float) and len(budget) != len(rows):
            raise ValueError(
                f"eps must be one number or one for each row: {len(rows)} rows, {len(budget)} eps"
            )
        goal = goal_of(targets, rng, truth, net.sizes[-1])
        attack = self._begin(net, rows, truth, np.atleast_1d(budget), bounds)
        out = np.empty(rows.shape, net.dtype)
        every = budget if isinstance(budget, float) else budget.astype(net.dtype)[:, None]

        def work(ws: Workspace, some: Rows) -> None:
            numbers = numbers_of(some)
            tile = Tile(ws, ws.h[0], truth[numbers], numbers, limits, goal)
            mine = net.dtype.type(every) if isinstance(every, float) else every[numbers]
            moved = tile.usable(attack.perturb_tile(tile, mine))
            require_finite(moved, some, "steps")
            out[some] = moved

        for_each_tile(net, rows, work, to=0, direction=True)
        return _checks.as_given(x, out)


def checked(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    bounds: tuple[float, float] | None,
    each: _checks.Each | None = None,
    *,
    stated: bool = True,
    level: int = 4,
) -> tuple[_checks.Bounds, Array, NDArray[np.int64]]:
    """Return bounds, inputs (N, D) and labels (N,) of what is to be attacked, after checks.

    With `each`, many rows are checked on its threads. With `stated`, inputs that look like other
    units are an error where there are no bounds, and else a warning that names the line `level`
    calls up.
    """
    require_network(net)
    limits = _checks.bounds(bounds)
    rows = _checks.inputs(x, net.sizes[0], net.dtype, limits=limits, each=each)
    if stated and bounds is None:
        _units.require_stated(rows, "x")
    elif stated:
        units.warn_of_pixels(net, rows, level=level)
    return limits, rows, _checks.labels(labels, len(rows), net.sizes[-1])
