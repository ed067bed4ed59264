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
from fastnn.attacks._base import Answer, Attack, Found
from fastnn.attacks._budget import Budget
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._goal import Goal
from fastnn.attacks._in_turn import InTurn
from fastnn.attacks._names import norms_of
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
    """

    attack: Attack
    labels: Classes
    eps: Array
    bounds: _checks.Bounds
    goal: Goal
    recount: bool = False
    keep: bool = False

    @property
    def believes(self) -> bool:
        """Whether logits are counted as they are: those of FGSM, unless more is asked for."""
        return type(self.attack) is FGSM and not (self.recount or self.keep)

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
    disputed : ndarray of bool, shape (K, N), or None
        Where the attack says something else than the count.
    inputs : ndarray, shape (K, N, D), or None
        The adversarial arrays.
    zero_gradient_rows, saturated_rows : list of int
        Numbers of every tile.
    """

    def __init__(self, task: Task, width: int) -> None:
        self._task = task
        self._budget = Budget(norms_of(task.attack), task.bounds)
        shape = len(task.eps), len(task.labels)
        tells = type(task.attack).answers not in (Attack.answers, FGSM.answers)
        self.clean = np.empty(shape[1], np.int64)
        self.adversarial = np.full(shape, -1, np.int64)
        self.traces = np.full((*shape, 3), -1, np.int32) if tells else None
        self.disputed = None if task.believes else np.zeros(shape, bool)
        self.inputs = np.empty((*shape, width), task.eps.dtype) if task.keep else None
        self.zero_gradient_rows: list[int] = []
        self.saturated_rows: list[int] = []

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
        clean = tile.clean_logits()
        self.clean[rows] = predictions(clean, np.empty(len(clean), np.int64))
        saturated, zero = tile.counts()
        self.saturated_rows.append(saturated)
        self.zero_gradient_rows.append(zero)

    def _note(self, tile: Tile, answer: Answer) -> None:
        """Store the predictions of logits that an attack has computed."""
        chosen, ks = tile.numbers[answer.rows], answer.positions
        require_finite(answer.logits, chosen.repeat(len(ks)), "logits")
        found = predictions(answer.logits, np.empty(len(answer.logits), np.int64))
        self.adversarial[ks[:, None], chosen] = found.reshape(-1, len(ks)).T

    def _count(self, tile: Tile, found: Found) -> None:
        """Store the predictions for adversarial inputs, by a forward pass over them."""
        task, k, numbers = self._task, found.position, tile.numbers
        x = tile.usable(found.x)
        logits = tile.logits(x)
        self._budget.require(x, tile.usable(tile.x), task.eps[k], numbers)
        predicted = predictions(logits, np.empty(len(logits), np.int64))
        self.adversarial[k, numbers] = predicted
        succeeded = task.succeeds(predicted, numbers)
        if found.fooled is not None and self.disputed is not None:
            self.disputed[k, numbers] = found.fooled != succeeded
        if self.traces is not None:
            self.traces[k, numbers] = self._traced(found, succeeded)
        if self.inputs is not None:
            self.inputs[k, numbers] = x

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
