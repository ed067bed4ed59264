"""The report of an evaluation, with the sentences of its diagnostics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._kernels.timing import Clock
from fastnn.attacks import _signs as signs
from fastnn.attacks._base import Attack
from fastnn.attacks._names import name_of, names_of, norms_of
from fastnn.attacks._tally import Tally, Task
from fastnn.networks import MLP
from fastnn.reports import AdversarialReport, Diagnostic
from fastnn.reports._sources import Sources

Array = NDArray[Any]

# What each sign means; {samples} becomes the number of samples that show it.
_TEXTS = {
    signs.RECOUNT: "for {samples} a forward pass over the adversarial input says something else "
    "than the attack; the forward pass counts.",
    signs.NO_GRADIENT: "for {samples} the gradient at the clean input is all zero, so that attacks "
    "by gradients cannot move from there; try Square, or a random start.",
    signs.SATURATED: "for {samples} the probability of the true class rounds to 1; fastnn keeps "
    "their gradients, other libraries may lose them and count these samples as robust.",
    signs.FGSM_STRONGER: "FGSM fools {samples} that the attack of many steps does not; more steps, "
    "another step size or more restarts will lower the accuracy.",
    signs.RISES: "the accuracy is higher at a larger eps, though what is allowed at a smaller one "
    "is allowed there, too; {samples} became right again, so the attack is too weak.",
    signs.BLACK_BOX: "Square, which uses no gradients, fools {samples} that the attacks by "
    "gradients before it do not; gradients may be masked, and the accuracy too high.",
    signs.STUCK: "for {samples} no step made the margin smaller than at the first input; the step "
    "size may be wrong, or gradients may be masked.",
    signs.PROBABILITIES: "all outputs ({samples}) are between 0 and 1 with the sum 1; if the "
    "network ends in a softmax, fastnn's softmax is a second one: give it the logits.",
    signs.NORMALISED: "the inputs ({samples}) have negative entries, a mean near 0 and a deviation "
    "near 1; if they were normalised, eps and bounds count in deviations, not in pixels.",
}


def report_of(
    task: Task,
    tally: Tally,
    net: MLP,
    x: Array,
    asked: tuple[float | NDArray[np.float64], tuple[float, float] | None],
    used: NDArray[np.float64],
    time: Clock,
    attacker: Attack,
) -> AdversarialReport:
    """Return what the tally has, for one eps without the axis of the eps."""
    labels, targets, samples = task.labels, task.goal.targets, task.goal.samples
    eps, bounds = asked
    single, names = isinstance(eps, float), names_of(task.attack)
    hits = [int(np.count_nonzero(found == labels)) for found in tally.adversarial]

    def of(array: Any) -> Any:
        return array[0] if single and array is not None else array

    return AdversarialReport(
        n=len(labels),
        eps=eps,
        bounds=bounds,
        clean_correct=int(np.count_nonzero(tally.clean == labels)),
        adversarial_correct=hits[0] if single else np.array(hits, np.int64),
        clean_prediction=tally.clean,
        adversarial_prediction=of(tally.adversarial),
        zero_gradient_rows=sum(tally.zero_gradient_rows),
        saturated_rows=sum(tally.saturated_rows),
        seconds=time.working,
        compile_seconds=time.compiling,
        labels=labels.copy(),
        targets=None if targets is None else targets.copy(),
        classes=net.sizes[-1],
        attack=names[0] if len(task.stages) == len(names) == 1 else name_of(task.attack),
        attacks=names,
        eps_used=float(used[0]) if single else used,
        norm=", ".join(norms_of(task.attack)),
        lattice=None if task.lattice is None else task.lattice.steps,
        rng=task.goal.seed if samples is None else (task.goal.seed, samples.copy()),
        traces=of(tally.traces),
        adversarial=of(tally.inputs),
        diagnostics=_diagnostics(task, tally, x),
        sources=Sources((*net.weights, *net.biases), net.activation, x),
        attacker=attacker,
    )


def _diagnostics(task: Task, tally: Tally, x: Array) -> tuple[Diagnostic, ...]:
    """Return the signs that were seen, each with a sentence."""
    noted, everybody = tally.signs, np.arange(len(task.labels))
    if len(task.eps) > 1:
        noted.note(signs.RISES, _standing_again(task, tally))
    noted.note(signs.STUCK, tally.stuck())
    if signs.look_normalised(x):
        noted.note(signs.NORMALISED, everybody)
    if noted.probabilities and all(noted.probabilities):
        noted.note(signs.PROBABILITIES, everybody)
    for number in signs.black_box(task.attack):
        if tally.traces is not None:
            fooled = (tally.traces[..., 0] == number).any(axis=0)
            noted.note(signs.BLACK_BOX, np.flatnonzero(fooled))
    found = noted.rows()
    return tuple(
        Diagnostic(name, text.format(samples=_samples(len(found[name]))), found[name])
        for name, text in _TEXTS.items()
        if name in found
    )


def _samples(count: int) -> str:
    """Return a number of samples in words."""
    return f"{count:,} sample{'s' if count != 1 else ''}"


def _standing_again(task: Task, tally: Tally) -> NDArray[np.int64]:
    """Return the samples that stand at a larger eps but not at the one before, if more do."""
    order = np.argsort(task.eps, kind="stable")
    right = (tally.adversarial == task.labels)[order]
    counts = np.count_nonzero(right, axis=1)
    rises = counts[1:] > counts[:-1]
    return np.flatnonzero((right[1:] & ~right[:-1])[rises].any(axis=0))
