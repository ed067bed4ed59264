"""Adversarial accuracy of a whole test set in one call: tiles go through any attack, and count."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine import units
from fastnn._engine.narrow import MOST_ROWS as MOST_SHARED
from fastnn._engine.tiles import for_each_tile, numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels.timing import Clock
from fastnn._runtime.progress import Progress
from fastnn._runtime.signals import numpy_errors
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count
from fastnn.attacks import ATTACKS, Attack, InTurn
from fastnn.attacks._base import checked, goal_of
from fastnn.attacks._function import Function, Given
from fastnn.attacks._lattice import Lattice
from fastnn.attacks._names import names_of, norms_of, stages_of
from fastnn.attacks._summary import report_of
from fastnn.attacks._tally import Tally, Task
from fastnn.networks import MLP
from fastnn.reports import AdversarialReport

AttackLike = str | Attack | Function | Sequence[str | Attack | Function]


def adversarial_accuracy(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any = 0.1,
    bounds: tuple[float, float] | None = None,
    threads: int | None = None,
    progress: bool = False,
    *,
    attack: AttackLike = "fgsm",
    targets: ArrayLike | None = None,
    rng: Any = 0,
    recount: bool = False,
    keep_adversarial: bool = False,
    lattice: int | None = None,
) -> AdversarialReport:
    """Attack every sample, by default with FGSM, and count those that the network still gets right.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), real numbers or uint8
        Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255.
    labels : ndarray of int, shape (N,), or int
        True classes, each in [0, C).
    eps : float or sequence of float, shape (K,), optional
        Largest change of any entry, or of the norm of the attack, >= 0. FGSM takes one gradient for
        all of them.
    bounds : tuple (lower, upper), optional
        Valid range of an input; adversarial inputs are clipped to it. Default: no clipping, as the
        assignment has it, and inputs that look like pixels of 0 to 255, of any type but uint8, are
        an error.
    threads : int, optional
        Number of threads. Default: the number that `fastnn.threads` set, else one for each
        processor that the process may use.
    progress : bool, optional
        Draw a bar on standard error.
    attack : str, Attack, sequence of these, or callable, optional
        A name in `fastnn.attacks.ATTACKS`, for that attack with its default settings; an object
        such as ``fastnn.attacks.PGD(steps=40)``; several, each for the samples that the ones before
        have not fooled; or a function ``f(net, x, labels, eps, bounds)`` that returns adversarial
        inputs of the shape and type of its `x`, which is in the type of the network. It is called
        once for every eps.
    targets : ndarray of int, shape (N,), or int, optional
        Classes that the attack is to reach, none of them the true one. Default: any other.
    rng : int, or pair of int and ndarray of int, optional
        Seed of random numbers; see `Attack.perturb`.
    recount : bool, optional
        With several eps and FGSM in L-infinity: count again from adversarial arrays, one gradient
        and one forward pass for every eps. See the notes.
    keep_adversarial : bool, optional
        Keep the adversarial inputs in the report. They take 4 or 8 bytes an entry, for every eps.
    lattice : int, optional
        Allow only inputs that are whole multiples of ``1 / lattice``, such as 255 for images of 8
        bits: in L-infinity, eps is rounded down to such a multiple; adversarial inputs are rounded
        to them within eps and bounds (in L2 and L1 towards the clean input), and then counted.

    Returns
    -------
    AdversarialReport
        No count depends on the number of threads. Memory beyond the result: the weights once or
        twice more, as products read them, and a few hundred rows for every thread.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `Attack.perturb`; `threads` is not a positive integer; `attack` is neither a name on the
        list nor an attack nor a function; what an attack returns has another shape, is beyond eps
        in the norm of the attack, or is outside the bounds; an entry of `x` is no multiple of
        ``1 / lattice``, up to rounding.

    Warns
    -----
    UserWarning
        The network seems to be trained in other units than the inputs are in: it is as sure of ``x
        / 255``, or is right about most of ``255 * x`` and about few of `x`.

    Notes
    -----
    What an attack says about its success does not count. Its adversarial inputs are checked against
    eps and bounds, and go through the network once more. Where that says something else than the
    attack, as it may where two logits are equal up to rounding, the report has a diagnostic.

    With several eps, FGSM shares the first layer's products: ``z_1(eps) = z_1 + eps * (sign(g)
    W_1)``. There are no adversarial inputs then, unless `recount` or `keep_adversarial` asks for
    them; to make them takes as long as the sharing saves. A clipped input no longer depends on eps;
    it contributes a constant, so that no eps beyond the bounds changes a prediction. Sums are
    rounded in another order than in a call for one eps. Where two logits are equal up to rounding,
    the predictions may therefore differ.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
    >>> x, labels = np.array([[0.25], [0.45], [0.55], [0.75]]), [1, 1, 0, 0]
    >>> report = fastnn.adversarial_accuracy(net, x, labels, eps=[0, 0.1, 0.3], bounds=(0, 1))
    >>> report.clean_correct, report.adversarial_correct.tolist()
    (4, [4, 2, 0])
    """
    count = thread_count(threads)
    limits, rows, truth = checked(net, x, labels, bounds, _spread(count))
    budget = _checks.eps(eps)
    goal = goal_of(targets, rng, truth, net.sizes[-1])
    chosen, used, grid = attack_of(attack), np.atleast_1d(budget), None
    if lattice is not None:
        grid = Lattice.of(lattice, used, norms_of(chosen), limits)
        grid.require(rows)
        used = grid.eps
    begun = chosen._begin(net, rows, truth, used, bounds)
    with numpy_errors():
        in_type = used.astype(net.dtype)  # an eps of 1e-50 is 0 in float32
    stages = stages_of(begun, net.sizes[-1], targeted=targets is not None)
    task = Task(begun, stages, truth, in_type, limits, goal, recount, keep_adversarial, grid)
    tally = Tally(task, net.sizes[0])
    with Clock() as time:
        run = _Run(count, progress)
        _attack_all(net, rows, task, tally, run)
        _attack_the_rest(net, rows, task, tally, run)
    tally.require_all()
    right = np.count_nonzero(tally.clean == truth) / max(len(truth), 1)
    units.warn_of_shares(net, rows, truth, right, level=3)
    asked = budget, None if bounds is None else (limits.lower, limits.upper)
    with numpy_errors():
        return report_of(task, tally, net, rows, asked, used, time, chosen)


class _Run(NamedTuple):
    """How the samples are attacked."""

    threads: int
    progress: bool


def _attack_all(net: MLP, x: NDArray[Any], task: Task, tally: Tally, run: _Run) -> None:
    """Attack every sample with every eps."""
    with Progress("attack", len(x), enabled=run.progress) as bar:
        for_each_tile(
            net,
            x,
            tally.add,
            to=0,
            direction=True,
            variants=len(task.eps),
            # Samples of a class have zeros in the same places, which products of tiles leave out.
            order=task.labels.argsort(kind="stable") if len(x) > MOST_SHARED else None,
            threads=run.threads,
            progress=bar,
        )
        bar.update(len(x))


def _attack_the_rest(net: MLP, x: NDArray[Any], task: Task, tally: Tally, run: _Run) -> None:
    """Attack what still stands at each eps with the later attacks, then try FGSM on what is left.

    What an attack leaves is cut into new tiles.
    """
    if len(task.stages) == 1 and tally.probed is None:
        return
    names = names_of(task.attack)
    later: list[tuple[str, Any]] = [
        (names[number], partial(tally.add_stage, stage=stage))
        for stage, (number, _) in enumerate(task.stages)
        if stage > 0
    ]
    if tally.probed is not None:
        later.append(("FGSM, to compare", tally.probe))
    for name, add in later:
        for k, eps in enumerate(task.eps):
            left = tally.standing(k)
            if not len(left):
                continue

            def work(
                ws: Workspace, rows: Rows, add: Any = add, k: int = k, left: Any = left
            ) -> None:
                add(ws, left[numbers_of(rows)], k=k)

            order = task.labels[left].argsort(kind="stable") if len(left) > MOST_SHARED else None
            with Progress(f"{name}, eps {eps:g}", len(left), enabled=run.progress) as bar:
                for_each_tile(
                    net,
                    x[left],
                    work,
                    to=0,
                    direction=True,
                    order=order,
                    threads=run.threads,
                    progress=bar,
                )
                bar.update(len(left))


def _spread(count: int) -> _checks.Each:
    """Return a function that calls another one for each of several items, on so many threads."""

    def each(function: Callable[[Any], None], items: Sequence[Any]) -> None:
        with Team(min(count, len(items))) as team:
            team.run(lambda _, item: function(item), items)

    return each


def attack_of(attack: AttackLike) -> Attack:
    """Return an attack given by name, as an object, as several or as a function.

    Raises
    ------
    TypeError, ValueError
        It is none of these, or no attack has that name.
    """
    if isinstance(attack, Attack):
        return attack
    if isinstance(attack, (list, tuple)):
        return InTurn(tuple(attack_of(one) for one in attack))
    if callable(attack) and not isinstance(attack, type):
        return Given(attack)
    if not isinstance(attack, str):
        raise TypeError(f"attack must be a name, an Attack or a function, got {attack!r}")
    if attack not in ATTACKS:
        raise ValueError(f"attack must be one of {tuple(ATTACKS)}, got {attack!r}")
    return ATTACKS[attack]()


def warm_up(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any,
    bounds: tuple[float, float] | None = None,
    *,
    attack: str | Attack,
) -> None:
    """Load or compile every kernel of such a call, so that a time is that of the work.

    It takes one row more than all threads share, so that there are tiles.
    """
    rows = slice(0, MOST_SHARED + 1)
    some = np.asarray(x)[rows], np.asarray(labels)[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the work itself will warn
        adversarial_accuracy(net, *some, eps, bounds, attack=attack)
