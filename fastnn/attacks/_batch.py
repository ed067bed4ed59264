"""The attack of samples that are in memory: they are cut into tiles, attacked and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine import units
from fastnn._engine.narrow import MOST_ROWS as MOST_SHARED
from fastnn._engine.tiles import for_each_tile
from fastnn._engine.workspace import Rows, Workspace
from fastnn._kernels.timing import Clock
from fastnn._runtime.progress import Progress
from fastnn._runtime.signals import numpy_errors
from fastnn._runtime.team import Team
from fastnn.attacks._base import checked
from fastnn.attacks._clean import Clean
from fastnn.attacks._few import attack_few
from fastnn.attacks._goal import goal_of
from fastnn.attacks._names import names_of
from fastnn.attacks._outcome import Outcome, outcome_of
from fastnn.attacks._plan import Plan
from fastnn.attacks._tally import Tally, Task
from fastnn.attacks._verification import Verification
from fastnn.networks import MLP

Array = NDArray[Any]

_SMALLEST = float(np.finfo(np.float32).tiny)  # from here on, no type rounds to 0


class Run(NamedTuple):
    """How samples are attacked."""

    threads: int
    progress: bool = False


class Batch(NamedTuple):
    """Samples in memory, not checked yet; `rng` is a seed, perhaps with numbers of the samples."""

    x: Any
    labels: Any
    targets: Any = None
    rng: Any = 0


def attack_batch(
    net: MLP, plans: Sequence[Plan], batch: Batch, run: Run, *, first: bool = True
) -> tuple[list[Outcome], Array]:
    """Attack samples in memory; return what comes of every plan, and the checked inputs (N, D).

    Plans differ in bounds and in what they keep: they share the passes over clean inputs, and their
    time is that of all together. Only of the `first` samples of a set it is asked in which units
    they are.
    """
    each = _spread(run.threads)
    x, truth, tallies = batch.x, batch.labels, []
    for plan in plans:
        limits, x, truth = checked(net, x, truth, plan.bounds, each, stated=first, level=5)
        tallies.append(Tally(_task(net, plan, batch, x, truth, limits), net.sizes[0]))
    counts = [
        Verification(plan.verify, net, x, tally)
        for plan, tally in zip(plans, tallies, strict=True)
        if plan.verify
    ]
    with Clock() as time:
        if not (len(tallies) == 1 and attack_few(net, x, tallies[0], run.threads)):
            _attack_all(net, x, tallies, run)
            for tally in tallies:
                _attack_the_rest(net, x, tally, run)
                tally.require_all()
    for second_count in counts:
        second_count.require()
    outcomes = [outcome_of(tally, x, time) for tally in tallies]
    if first:
        units.warn_of_shares(net, x, truth, outcomes[0].clean_share, level=4)
    return outcomes, x


def _task(
    net: MLP, plan: Plan, batch: Batch, x: Array, labels: Array, limits: _checks.Bounds
) -> Task:
    """Return what is to be done with checked samples."""
    goal = goal_of(batch.targets, batch.rng, labels, net.sizes[-1])
    if plan.lattice is not None:
        plan.lattice.require(x)
    begun = plan.attack._begin(net, x, labels, plan.eps, plan.bounds)
    in_type = _in_type(plan.eps, net.dtype)
    stages = begun._stages(net.sizes[-1], targeted=goal.targets is not None)
    more = plan.recount, plan.keep, plan.lattice
    return Task(begun, stages, labels, in_type, limits, goal, *more)


def _in_type(eps: Array, dtype: np.dtype[Any]) -> Array:
    """Return eps in the type of the network, in which 1e-50 may be 0."""
    if min(eps.tolist()) >= _SMALLEST:  # the usual case, for less time
        return eps.astype(dtype)
    with numpy_errors():
        return eps.astype(dtype)


def _attack_all(net: MLP, x: Array, tallies: Sequence[Tally], run: Run) -> None:
    """Attack every sample with every eps."""
    task = tallies[0].task
    step = next((t.task.step for t in tallies if t.task.step is not None), None)

    def add(ws: Workspace, rows: Rows) -> None:
        known = Clean(again=len(tallies) > 1, step=step)
        for tally in tallies:
            tally.add(ws, rows, known)

    with Progress("attack", len(x), enabled=run.progress) as bar:
        for_each_tile(
            net,
            x,
            add,
            to=0,
            direction=True,
            variants=len(task.eps),
            # Samples of a class have zeros in the same places, which products of tiles leave out.
            order=task.labels.argsort(kind="stable") if len(x) > MOST_SHARED else None,
            threads=run.threads,
            progress=bar,
        )
        bar.update(len(x))


def _attack_the_rest(net: MLP, x: Array, tally: Tally, run: Run) -> None:
    """Attack what still stands at each eps with the later attacks, then try FGSM on what is left.

    What an attack leaves is cut into new tiles.
    """
    task = tally.task
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

            if len(left) > MOST_SHARED:
                left = left[task.labels[left].argsort(kind="stable")]
            with Progress(f"{name}, eps {eps:g}", len(left), enabled=run.progress) as bar:
                for_each_tile(
                    net,
                    x,
                    partial(add, k=k),
                    to=0,
                    direction=True,
                    order=left,
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
