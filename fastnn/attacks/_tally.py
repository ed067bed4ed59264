"""What an evaluation keeps of every sample, filled tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine.layers import require_finite
from fastnn._engine.losses import predictions
from fastnn._engine.tiles import numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn.attacks import _norms as norms
from fastnn.attacks._base import Answer, Attack, Found
from fastnn.attacks._budget import Budget
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._goal import Goal
from fastnn.attacks._in_turn import InTurn
from fastnn.attacks._lattice import Lattice
from fastnn.attacks._names import norms_of
from fastnn.attacks._signs import FGSM_STRONGER, RECOUNT, STUCK, Signs, probe_norm
from fastnn.attacks._tile import Tile

Array = NDArray[Any]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """What is to be evaluated.

    Attributes
    ----------
    attack : Attack
    labels : ndarray of int64, shape (N,)
    eps : ndarray, shape (K,), type of the network
    bounds : Bounds
    goal : Goal
    recount : bool
        Count the sweep of FGSM again from adversarial arrays.
    keep : bool
        Keep the adversarial arrays.
    lattice : Lattice, optional
        Count inputs after they were rounded to it.
    """

    attack: Attack
    labels: Classes
    eps: Array
    bounds: _checks.Bounds
    goal: Goal
    recount: bool = False
    keep: bool = False
    lattice: Lattice | None = None

    @property
    def believes(self) -> bool:
        """Whether logits are counted as they are: those of FGSM, unless more is asked for."""
        more = self.recount or self.keep or self.lattice is not None
        return type(self.attack) is FGSM and not more

    def succeeds(self, prediction: Classes, numbers: Classes) -> NDArray[np.bool_]:
        """Say for which samples a prediction is what the attack wants."""
        if self.goal.targets is None:
            return np.asarray(prediction != self.labels[numbers])
        return np.asarray(prediction == self.goal.targets[numbers])


class Tally:
    """Predictions and what is known of them, for every sample and eps.

    Attributes
    ----------
    clean, adversarial : ndarray of int64, shapes (N,) and (K, N)
        Predictions.
    traces : ndarray of int32, shape (K, N, 3), or None
    inputs : ndarray, shape (K, N, D), or None
        The adversarial arrays.
    zero_gradient_rows, saturated_rows : list of int
        Numbers of every tile.
    signs : Signs
        What is worth a diagnostic.
    """

    def __init__(self, task: Task, width: int) -> None:
        self._task = task
        self._budget = Budget(norms_of(task.attack), task.bounds)
        shape = len(task.eps), len(task.labels)
        tells = type(task.attack).answers not in (Attack.answers, FGSM.answers)
        self.clean = np.empty(shape[1], np.int64)
        self.adversarial = np.full(shape, -1, np.int64)
        self.traces = np.full((*shape, 3), -1, np.int32) if tells else None
        self.inputs = np.empty((*shape, width), task.eps.dtype) if task.keep else None
        self.zero_gradient_rows: list[int] = []
        self.saturated_rows: list[int] = []
        self.signs = Signs()
        self._probed = probe_norm(task.attack)

    def add(self, ws: Workspace, rows: Rows) -> None:
        """Attack the samples in `ws` with every eps, and store what comes of it."""
        task, numbers = self._task, numbers_of(rows)
        tile = Tile(ws, ws.h[0], task.labels[rows], numbers, task.bounds, task.goal)
        claimed = set()
        for answer in task.attack.answers(tile, task.eps):
            if isinstance(answer, Found):
                self._count(tile, answer)
            elif isinstance(answer, Answer):
                self._note(tile, answer)
                claimed.update(answer.positions.tolist())
            else:
                raise TypeError(f"answers must yield Found or Answer, got {type(answer).__name__}")
        if not task.believes:
            for k in sorted(claimed):
                fooled = task.succeeds(self.adversarial[k, numbers], numbers)
                x = task.attack.perturb_tile(tile, task.eps[k])
                self._count(tile, Found(k, x, fooled))
        if self._probed is not None:
            self._probe(tile, self._probed)
        saturated, zero = self.signs.look(tile)
        self.saturated_rows.append(saturated)
        self.zero_gradient_rows.append(zero)
        self.clean[rows] = predicted(tile.clean_logits())

    def _note(self, tile: Tile, answer: Answer) -> None:
        """Store the predictions of logits that an attack has computed."""
        chosen, ks = tile.numbers[answer.rows], answer.positions
        require_finite(answer.logits, chosen.repeat(len(ks)), "logits")
        self.adversarial[ks[:, None], chosen] = predicted(answer.logits).reshape(-1, len(ks)).T

    def _count(self, tile: Tile, found: Found) -> None:
        """Store the predictions for adversarial inputs, by a forward pass over them."""
        task, k, numbers = self._task, found.position, tile.numbers
        _require_fitting(found, len(task.eps), len(numbers))
        x = tile.usable(found.x)
        prediction = predicted(tile.logits(x))
        self._budget.require(x, tile.usable(tile.x), task.eps[k], numbers)
        if found.fooled is not None:
            differs = found.fooled != task.succeeds(prediction, numbers)
            self.signs.note(RECOUNT, numbers[differs])
        if task.lattice is not None:
            x = task.lattice.rounded(x, tile.x)
            prediction = predicted(tile.logits(x))
        self.adversarial[k, numbers] = prediction
        succeeded = task.succeeds(prediction, numbers)
        if found.stuck is not None and task.eps[k] > 0:
            self.signs.note(STUCK, numbers[found.stuck & ~succeeded])
        if self.traces is not None:
            self.traces[k, numbers] = self._traced(found, succeeded)
        if self.inputs is not None:
            self.inputs[k, numbers] = x

    def _probe(self, tile: Tile, norm: str) -> None:
        """Try FGSM on the samples that still stand."""
        task, gradient = self._task, tile.gradient(tile.x).copy()
        for k, eps in enumerate(task.eps):
            found = self.adversarial[k, tile.numbers]
            left = np.flatnonzero(~task.succeeds(found, tile.numbers))
            if len(left):
                x = norms.fast_gradient(tile, gradient, eps, norm, out=np.empty_like(gradient))
                if task.lattice is not None:
                    x = task.lattice.rounded(x, tile.x)
                part = tile.some(left)
                fooled = part.fooled(part.logits(x[left]))
                self.signs.note(FGSM_STRONGER, part.numbers[fooled])

    def _traced(self, found: Found, succeeded: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the origins of what an attack has found, -1 for what has not succeeded."""
        origins = np.full((len(succeeded), 3), -1) if found.origins is None else found.origins
        traced = np.where(succeeded[:, None], origins, -1)
        if not isinstance(self._task.attack, InTurn):
            traced[succeeded, 0] = 0
        return traced

    def require_all(self) -> None:
        """Raise if the attack has left out a sample."""
        missing = self.adversarial < 0
        if missing.any():
            k, row = (int(i) for i in np.argwhere(missing)[0])
            raise ValueError(f"the attack gave no answer for row {row} at eps {self._task.eps[k]}")


def _require_fitting(found: Found, count: int, rows: int) -> None:
    """Raise if what an attack has found is not for one of `count` eps and a tile of `rows` rows."""
    if not 0 <= found.position < count:
        raise ValueError(f"position must be one of {count} eps, got {found.position}")
    for name, shape in (("fooled", (rows,)), ("origins", (rows, 3)), ("stuck", (rows,))):
        value = getattr(found, name)
        if value is not None and np.shape(value) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {np.shape(value)}")


def predicted(logits: Array) -> Classes:
    """Return the class of each row of logits."""
    return predictions(logits, np.empty(len(logits), np.int64))
