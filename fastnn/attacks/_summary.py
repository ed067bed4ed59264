"""The report of an evaluation, with the sentences of its diagnostics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.attacks import _signs as signs
from fastnn.attacks._goal import Goal
from fastnn.attacks._names import name_of, names_of, norms_of
from fastnn.attacks._outcome import Whole
from fastnn.attacks._plan import Plan
from fastnn.networks import MLP
from fastnn.reports import AdversarialReport, Diagnostic
from fastnn.reports._sources import Sources

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
    net: MLP,
    plan: Plan,
    whole: Whole,
    goal: Goal,
    source: Any,
    time: tuple[float, float],
) -> AdversarialReport:
    """Return what comes of all samples, for one eps without the axis of the eps.

    `goal` has the targets and numbers of all samples, `source` is what digests are made from, and
    `time` are the seconds of the work and of the compiler.
    """
    single, names = isinstance(plan.asked, float), names_of(plan.attack)
    stages = plan.attack._stages(net.sizes[-1], targeted=goal.targets is not None)
    n, zero, saturated, clean, *hits = whole.counts.tolist()

    def of(array: Any) -> Any:
        return array[0] if single and array is not None else array

    return AdversarialReport(
        n=n,
        eps=plan.asked,
        bounds=plan.bounds,
        clean_correct=clean,
        adversarial_correct=hits[0] if single else np.array(hits, np.int64),
        clean_prediction=whole.clean,
        adversarial_prediction=of(whole.adversarial),
        zero_gradient_rows=zero,
        saturated_rows=saturated,
        seconds=time[0],
        compile_seconds=time[1],
        labels=whole.labels,
        targets=None if goal.targets is None else goal.targets.copy(),
        classes=net.sizes[-1],
        attack=names[0] if len(stages) == len(names) == 1 else name_of(plan.attack),
        attacks=names,
        eps_used=float(plan.eps[0]) if single else plan.eps,
        norm=", ".join(norms_of(plan.attack)),
        lattice=None if plan.lattice is None else plan.lattice.steps,
        rng=goal.seed if goal.samples is None else (goal.seed, goal.samples),
        traces=of(whole.traces),
        adversarial=of(whole.inputs),
        diagnostics=_diagnostics(whole.found),
        sources=None
        if source is None
        else Sources((*net.weights, *net.biases), net.activation, source),
        attacker=plan.attack,
    )


def _diagnostics(found: dict[str, NDArray[np.int64]]) -> tuple[Diagnostic, ...]:
    """Return the signs that were seen, each with a sentence."""
    return tuple(
        Diagnostic(name, text.format(samples=_samples(len(found[name]))), found[name])
        for name, text in _TEXTS.items()
        if name in found
    )


def _samples(count: int) -> str:
    """Return a number of samples in words."""
    return f"{count:,} sample{'s' if count != 1 else ''}"
