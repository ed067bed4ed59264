"""What an evaluation keeps of every sample, filled tile by tile."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._engine.layers import require_finite
from fastnn._engine.losses import predictions
from fastnn._engine.tiles import numbers_of
from fastnn._engine.workspace import Rows, Workspace
from fastnn._errors import row_error
from fastnn.attacks import _norms as norms
from fastnn.attacks._base import Answer, Attack, Found
from fastnn.attacks._budget import Budget
from fastnn.attacks._clean import Clean
from fastnn.attacks._fgsm import FGSM
from fastnn.attacks._goal import Goal
from fastnn.attacks._lattice import Lattice
from fastnn.attacks._names import norms_of
from fastnn.attacks._signs import FGSM_STRONGER, RECOUNT, Signs, probe_norm
from fastnn.attacks._tile import Tile

Array = NDArray[Any]
Classes = NDArray[np.int64]


class Task(NamedTuple):
    """What is to be evaluated.

    Attributes
    ----------
    attack : Attack
    stages : list of tuple (int, Attack)
        The attacks that are made in turn, with their numbers, or the one.
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
    stages: list[tuple[int, Attack]]
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

    @property
    def step(self) -> Any:
        """The eps of FGSM without bounds, by which nearly every entry moves; otherwise None."""
        attack, bounded = self.attack, any(map(math.isfinite, self.bounds))
        by_sign = type(attack) is FGSM and attack.norm == "linf" and len(self.eps) == 1
        return self.eps[0] if by_sign and not bounded else None

    def succeeds(self, prediction: Classes, numbers: Classes) -> NDArray[np.bool_]:
        """Say for which samples a prediction is what the attack wants."""
        if self.goal.targets is None:
            return np.asarray(prediction != self.labels[numbers])
        return np.asarray(prediction == self.goal.targets[numbers])


class Tally:
    """Predictions and what is known of them, for every sample and eps.

    Attributes
    ----------
    task : Task
    clean, adversarial : ndarray of int64, shapes (N,) and (K, N)
        Predictions.
    traces : ndarray of int32, shape (K, N, 3), or None
    margins : ndarray, shape (K, N), or None
        Of the inputs that count, where several attacks are made in turn: see `Tile.margins`.
    progress : ndarray of int8, shape (K, N), or None
        0 where it is not known, 1 where no attack in turn made the margin smaller than at first, 2
        where one did.
    inputs : ndarray, shape (K, N, D), or None
        The adversarial arrays.
    signs : Signs
        What is worth a diagnostic.
    """

    def __init__(self, task: Task, width: int) -> None:
        self.task = task
        shape = len(task.eps), len(task.labels)
        in_turn = len(task.stages) > 1
        silent = (Attack.answers, FGSM.answers)
        tells = in_turn or type(task.attack).answers not in silent
        self.clean = np.empty(shape[1], np.int64)
        self.adversarial = np.empty(shape, np.int64)
        self.adversarial.fill(-1)
        self.margins = np.full(shape, np.inf, task.eps.dtype) if in_turn else None
        self.traces = np.full((*shape, 3), -1, np.int32) if tells else None
        self.progress = np.zeros(shape, np.int8) if tells else None
        self.inputs = np.empty((*shape, width), task.eps.dtype) if task.keep else None
        self.signs = Signs()

    # Both are asked for where tiles are attacked, but not where one kernel has attacked a few rows.
    @functools.cached_property
    def probed(self) -> str | None:
        """The norm in which FGSM is tried on what is left, or None."""
        return probe_norm(self.task.attack)

    @functools.cached_property
    def _budget(self) -> Budget:
        """What limits adversarial inputs."""
        return Budget(norms_of(self.task.attack), self.task.bounds)

    def add(self, ws: Workspace, rows: Rows, known: Clean) -> None:
        """Attack the samples in `ws` with every eps, and store what comes of it.

        `known` is what an evaluation of these samples with other bounds has left.
        """
        numbers = numbers_of(rows)
        ws.resize(len(numbers))
        tile = self._tile(ws, numbers, known)
        ks = np.arange(len(self.task.eps))
        # In turn, each eps has other samples left.
        for some in [ks] if len(self.task.stages) == 1 else ks[:, None]:
            self._attack(tile, 0, some)
        self.signs.look(tile)
        self.clean[rows] = predicted(tile.clean_logits())

    def standing(self, k: int) -> Classes:
        """Return the numbers of the samples that no attack has fooled yet."""
        every = np.arange(len(self.task.labels))
        return np.flatnonzero(~self.task.succeeds(self.adversarial[k], every))

    def stuck(self, progress: NDArray[np.int8]) -> Classes:
        """Return the numbers of the samples that stand at an eps above 0, and had no progress."""
        found = [
            some[progress[k, some] == 1]
            for k, some in enumerate(map(self.standing, range(len(self.task.eps))))
            if self.task.eps[k] > 0
        ]
        return np.unique(np.concatenate([np.empty(0, np.int64), *found]))

    def add_stage(self, ws: Workspace, numbers: Classes, stage: int, k: int) -> None:
        """Attack samples that still stand at one eps with a later attack."""
        self._attack(self._tile(ws, numbers), stage, np.array([k]))

    def probe(self, ws: Workspace, numbers: Classes, k: int) -> None:
        """Try FGSM on samples that still stand at one eps."""
        task, tile = self.task, self._tile(ws, numbers)
        gradient = tile.gradient(tile.x)
        assert self.probed is not None
        x = norms.fast_gradient(tile, gradient, task.eps[k], self.probed, out=gradient)
        if task.lattice is not None:
            x = task.lattice.rounded(x, tile.x)
        self.signs.note(FGSM_STRONGER, numbers[tile.fooled(tile.logits(x))])

    def _tile(self, ws: Workspace, numbers: Classes, known: Clean | None = None) -> Tile:
        """Return the samples that are loaded in a workspace."""
        task = self.task
        return Tile(ws, ws.h[0], task.labels[numbers], numbers, task.bounds, task.goal, known)

    def _attack(self, tile: Tile, stage: int, ks: Classes) -> None:
        """Attack the samples of a tile at some of the eps."""
        task, numbers = self.task, tile.numbers
        number, attack = task.stages[stage]
        claimed = set()
        for answer in attack.answers(tile, task.eps[ks]):
            if isinstance(answer, Found):
                _require_fitting(answer, len(ks), len(numbers))
                self._count(tile, number, answer._replace(position=int(ks[answer.position])))
            elif isinstance(answer, Answer):
                self._note(tile, answer._replace(positions=ks[answer.positions]))
                claimed.update(ks[answer.positions].tolist())
            else:
                raise TypeError(f"answers must yield Found or Answer, got {type(answer).__name__}")
        if not task.believes:
            for k in sorted(claimed):
                fooled = task.succeeds(self.adversarial[k, numbers], numbers)
                x = attack.perturb_tile(tile, task.eps[k])
                self._count(tile, number, Found(k, x, fooled))

    def _note(self, tile: Tile, answer: Answer) -> None:
        """Store the predictions of logits that an attack has computed."""
        chosen, ks = tile.numbers[answer.rows], answer.positions
        require_finite(answer.logits, chosen.repeat(len(ks)), "logits")
        self.adversarial[ks[:, None], chosen] = predicted(answer.logits).reshape(-1, len(ks)).T

    def _count(self, tile: Tile, number: int, found: Found) -> None:
        """Keep the adversarial inputs that are worse, by a forward pass over them."""
        task, k, numbers = self.task, found.position, tile.numbers
        x = tile.usable(found.x)
        logits = tile.logits(x)
        prediction = predicted(logits)
        self._budget.require(x, tile.usable(tile.x), task.eps[k], numbers)
        if found.fooled is not None:
            differs = found.fooled != task.succeeds(prediction, numbers)
            self.signs.note(RECOUNT, numbers[differs])
        if task.lattice is not None:
            x = task.lattice.rounded(x, tile.x)
            logits = tile.logits(x)
            prediction = predicted(logits)
        if found.stuck is not None and self.progress is not None:
            state = np.where(found.stuck, 1, 2).astype(np.int8)
            self.progress[k, numbers] = np.maximum(self.progress[k, numbers], state)
        worse: Any = slice(None)
        if self.traces is not None:
            succeeded = task.succeeds(prediction, numbers)
            self._trace(number, k, numbers, found.origins, succeeded)
            if self.margins is not None:
                worse = self._worse(tile.margins(logits), k, numbers, succeeded)
        self.adversarial[k, numbers[worse]] = prediction[worse]
        if self.inputs is not None:
            self.inputs[k, numbers[worse]] = x[worse]

    def _worse(
        self, margins: Array, k: int, numbers: Classes, succeeded: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Say which inputs count: those that succeed or have a smaller margin than before."""
        assert self.margins is not None
        first = self.adversarial[k, numbers] < 0
        worse = first | succeeded | (margins < self.margins[k, numbers])
        self.margins[k, numbers[worse]] = margins[worse]
        return np.asarray(worse)

    def _trace(
        self,
        number: int,
        k: int,
        numbers: Classes,
        origins: Classes | None,
        succeeded: NDArray[np.bool_],
    ) -> None:
        """Store where successes come from."""
        assert self.traces is not None
        some = numbers[succeeded]
        if origins is not None:
            self.traces[k, some] = origins[succeeded]
        self.traces[k, some, 0] = number

    def require_all(self) -> None:
        """Raise if the attack has left out a sample."""
        missing = self.adversarial < 0
        if missing.any():
            k, row = (int(i) for i in np.argwhere(missing)[0])
            before, after = "the attack gave no answer for row ", f" at eps {self.task.eps[k]}"
            raise row_error(ValueError, before, row, after)


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
