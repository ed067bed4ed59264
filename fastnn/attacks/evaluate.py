"""Adversarial accuracy of a whole test set in one call: tiles go through any attack, and count."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import _rows
from fastnn._kernels.timing import Clock
from fastnn._parameters import require_network
from fastnn._runtime.threads import thread_count
from fastnn.attacks import Attack
from fastnn.attacks._batch import Batch, Run, attack_batch
from fastnn.attacks._blocks import Ways, attack_blocks
from fastnn.attacks._few import MOST_ROWS
from fastnn.attacks._goal import goal_of
from fastnn.attacks._outcome import alone
from fastnn.attacks._plan import AttackLike, plan_of
from fastnn.attacks._summary import report_of
from fastnn.attacks._verification import share_of
from fastnn.networks import MLP
from fastnn.reports import AdversarialReport


def adversarial_accuracy(
    net: MLP,
    x: Any,
    labels: Any = None,
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
    verify: float = 0,
    results: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Any = None,
) -> AdversarialReport:
    """Attack every sample, by default with FGSM, and count those that the network still gets right.

    Parameters
    ----------
    net : MLP
    x : ndarray, shape (N, D) or (D,), real numbers or uint8; or sliceable, or iterator
        Inputs, in the units that `eps` is given in; uint8 pixels are divided by 255. More than
        memory holds are read block by block, while the block before is attacked: an array that is
        sliced as an ndarray is, such as ``np.memmap``, ``h5py.Dataset``, ``zarr.Array`` or
        ``dask.array``, shape (N, D), or an iterator of pairs (x, labels).
    labels : ndarray of int, shape (N,), or int; or sliceable
        True classes, each in [0, C). None where an iterator has them.
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
    verify : float, optional
        Share of the samples, chosen by the seed of `rng`, that are counted again one at a time in
        float64 by `fastnn.reference`, from the inputs that were counted; FGSM in L-infinity is made
        again, too. Only ties may differ: see the notes. It takes twice the weights in float64.
    results : path-like, optional
        A folder. The report's arrays of all samples are then ``.npy`` files there, mapped into
        memory, and old ones of these names are replaced when all are complete.
    checkpoint : path-like, optional
        A file for what comes of finished blocks. The same call after an interrupt or a kill goes on
        from there. It is not removed at the end.
    executor : concurrent.futures.Executor or distributed.Client, optional
        What attacks the blocks: a pool of processes, or a cluster. Rows in a file are read by its
        workers, and those of a ``dask.array`` where its chunks are; others are sent. `threads` is
        then the number for each worker; default: its machine's processors, shared by its workers.

    Returns
    -------
    AdversarialReport
        No count depends on the number of threads. Memory beyond the result: the weights once or
        twice more, as products read them, and a few hundred rows for every thread; of what is read
        block by block, two blocks. Such copies of the weights of up to 64 MiB are kept for the
        next call on the network.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `Attack.perturb`; `threads` is not a positive integer; `verify` is no share; `attack` is
        neither a name on the list nor an attack nor a function; what an attack returns has another
        shape, is beyond eps in the norm of the attack, or is outside the bounds; an entry of `x` is
        no multiple of ``1 / lattice``, up to rounding. Rows are numbered as in all of `x`.
    VerificationError
        A sample that was counted again differs. The message names the row.
    ValueError
        `checkpoint` is that of another network, other settings or other data.
    OSError
        A file cannot be read or written, is in use, or is shorter than when it was opened.
    RuntimeError
        The executor has lost a block several times, or runs nothing any more.

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

    A block is an attack of its own: a function as `attack` is called once for every block and eps.
    Random numbers follow from the number of the sample in all of `x`. The height of a block follows
    from the width and the type of the rows alone (of a ``dask.array``, also from its chunks). So
    counts are those of an array in memory, but where two logits are equal up to rounding. Whether
    inputs are in other units than they seem to be is decided by the first block.

    With `verify`, a prediction is a tie if the largest logit in float64 leads the predicted one by
    no more than 8 standard deviations of the rounding errors that both have in the network's type,
    each sum of n products taken to be off by ``u * sqrt(n + 2) * sum |products|``.

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
    require_network(net)
    run = Run(thread_count(threads), progress)
    plan = plan_of(
        attack,
        eps,
        bounds,
        recount=recount,
        keep=keep_adversarial,
        lattice=lattice,
        verify=share_of(verify),
    )
    seen: Any
    ways = Ways(results, checkpoint, executor, threads)
    source = _rows.samples_of(x, labels, always=ways.any)
    if source is None:
        [outcome], seen = attack_batch(net, [plan], Batch(x, labels, targets, rng), run)
        whole, time = alone(outcome, plan.eps), (outcome.seconds, outcome.compiling)
    else:
        with Clock() as clock:
            whole = attack_blocks(net, plan, Batch(source, None, targets, rng), run, ways)
        seen, time = source.digested(), (clock.working, clock.compiling)
    goal = goal_of(targets, rng, whole.labels, net.sizes[-1])
    return report_of(net, plan, whole, goal, seen, time)


def in_ways(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    eps: Any,
    ways: Sequence[tuple[float, float] | None],
    *,
    attack: AttackLike,
    targets: ArrayLike | None = None,
    rng: Any = 0,
    threads: int | None = None,
    progress: bool = False,
    verify: float = 0,
    keep_last: bool = False,
) -> list[AdversarialReport]:
    """Attack samples in memory within each of several bounds; return a report of each.

    The ways share the passes over clean inputs, so `seconds` of every report is the time of all.
    `keep_last` keeps the adversarial inputs of the last way. The rest is as in
    `adversarial_accuracy`.
    """
    require_network(net)
    plans = [
        plan_of(
            attack,
            eps,
            bounds,
            recount=False,
            keep=keep_last and number == len(ways) - 1,
            lattice=None,
            verify=share_of(verify),
        )
        for number, bounds in enumerate(ways)
    ]
    batch = Batch(x, labels, targets, rng)
    outcomes, seen = attack_batch(net, plans, batch, Run(thread_count(threads), progress))
    goal = goal_of(targets, rng, outcomes[0].labels, net.sizes[-1])
    return [
        report_of(net, plan, alone(one, plan.eps), goal, seen, (one.seconds, one.compiling))
        for plan, one in zip(plans, outcomes, strict=True)
    ]


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

    It takes one row more than a single kernel attacks, so that there are tiles.
    """
    rows = slice(0, MOST_ROWS + 1)
    some = np.asarray(x)[rows], np.asarray(labels)[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the work itself will warn
        adversarial_accuracy(net, *some, eps, bounds, attack=attack)
