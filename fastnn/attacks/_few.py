"""FGSM of a few rows: one kernel makes all passes of a call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine.few import Signed, attack_by_sign
from fastnn._engine.narrow import worth_threads
from fastnn._kernels import attack_steps, narrow_passes
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._function import floats
from fastnn.attacks._tally import Tally, Task
from fastnn.networks import MLP

Array = NDArray[Any]

# Measured: up to so many rows, one kernel is at least as fast as tiles.
MOST_ROWS = 200


def attack_few(net: MLP, x: Array, tally: Tally, threads: int) -> bool:
    """Attack samples and count; False, and nothing stored, where they have to be attacked in tiles.

    Tiles are used for other attacks, for many rows, and if a number is not finite: they raise the
    error.
    """
    task, rows, kind = tally.task, len(x), net.dtype
    if not _suits(net, task):
        return False
    x = floats(x if x.flags.carray else x.copy(), net)
    limits = _checks.bounds_in(kind, task.bounds)
    settings = np.array([task.eps[0], *limits, *attack_steps.ROUNDING[kind]], kind)
    found = Signed.of(x)
    shared = worth_threads(net, rows, threads)
    state = attack_by_sign(net, x, task.labels, settings, found, shared)
    if state == narrow_passes.UNUSUAL:
        return False
    numbers = np.arange(rows)
    tally.clean[:], tally.adversarial[0] = found.classes
    if tally.inputs is not None:
        tally.inputs[0, numbers] = found.moved
    probabilities = state == narrow_passes.PROBABILITIES
    tally.signs.note_clean(numbers, found.saturated, found.still, probabilities)
    return True


def _suits(net: MLP, task: Task) -> bool:
    """Say whether one kernel can do all of a task."""
    attack = task.attack
    return (
        0 < len(task.labels) <= MOST_ROWS
        and type(attack) is FGSM
        and attack.norm == "linf"
        and len(task.eps) == 1
        and net.activation == "relu"
        and task.goal.targets is None
        and task.lattice is None
    )
