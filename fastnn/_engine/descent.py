"""Minibatch gradient descent: the steps of a batch, and the loop over epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn._engine import narrow
from fastnn._engine.fused import FusedSteps
from fastnn._engine.gradients import GradientSums
from fastnn._engine.layers import evaluate_tile
from fastnn._engine.losses import first_not_finite
from fastnn._engine.network import Network, parameter_name
from fastnn._engine.tiles import MOST_ROWS, cut, run_tiles
from fastnn._engine.workspace import Rows, Workspace, Workspaces
from fastnn._kernels.descent import _sgd_step
from fastnn._runtime.progress import Progress
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count

Samples = tuple[NDArray[Any], NDArray[np.int64]]  # inputs (N, D) and labels (N,), checked
Result = tuple[NDArray[Any], int]  # the loss of every sample, and how many are right


class Part(NamedTuple):
    """Some samples in memory, which make up whole batches, and the order in which they are taken.

    `numbers` are those of the samples among all, None where the part has all of them.
    """

    x: NDArray[Any]
    labels: NDArray[np.int64]
    order: NDArray[np.int64] | None = None
    numbers: NDArray[np.int64] | None = None


Moved = Callable[[Part, Rows], NDArray[Any]]  # inputs for the rows of a batch


class Keeper(Protocol):
    """What keeps a training, so that it goes on after its process was killed."""

    def begin(self, descent: Descent) -> int:
        """Put a descent where it was, and return how many epochs it has behind it."""

    def keep(self, descent: Descent) -> None:
        """Keep a descent after an epoch."""


@dataclass(frozen=True)
class Settings:
    """The checked settings of a training."""

    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    l2: float = 0.0


class Descent:
    """Gradient descent on the loss of one network, in buffers that are allocated once.

    Parameters
    ----------
    net : Network
        The network whose arrays every step changes.
    settings : Settings
    team : Team
        The threads at work.
    x : ndarray, shape (N, D)
        The samples, or similar ones: they show, once, whether most entries are 0.
    """

    def __init__(self, net: Network, settings: Settings, team: Team, x: NDArray[Any]) -> None:
        self.net = net
        self._settings = settings
        self._team = team
        self._parameters = [p.reshape(-1) for p in (*net.weights, *net.biases)]
        self._fused: FusedSteps | None = None
        if settings.batch_size <= narrow.MOST_ROWS:
            self._fused = FusedSteps(
                net,
                settings.batch_size,
                learning_rate=settings.learning_rate,
                momentum=settings.momentum,
                l2=settings.l2,
            )
            self._workspaces = Workspaces(net, MOST_ROWS, to=1)
            return
        self._velocities = [np.zeros_like(p) for p in self._parameters]
        self._sums = GradientSums(net, settings.batch_size, x)
        self._workspaces = Workspaces(net, max(MOST_ROWS, self._sums.height), to=1)

    def epoch(self, part: Part, moved: Moved | None = None) -> None:
        """Take one step for every batch of the samples, in the given order or in their own.

        With `moved`, a batch takes its step on the inputs that this returns for its rows.
        """
        x, labels, order, _ = part
        size = len(x) if order is None else len(order)
        batches = cut(size, self._settings.batch_size)
        every = [batch if order is None else order[batch] for batch in batches]
        if moved is None:
            self._take(x, labels, every)
        else:
            for rows in every:
                # On a team of its own, so not while helpers share products.
                inputs = moved(part, rows)
                self._take(inputs, labels[rows], [slice(0, len(inputs))])
        self._require_finite()

    @property
    def parameters(self) -> list[NDArray[Any]]:
        """Weights, then biases, as rows."""
        return self._parameters

    @property
    def state(self) -> list[NDArray[Any]]:
        """The arrays that a step changes: parameters and velocities."""
        fused = self._fused
        return [*self._parameters, *(self._velocities if fused is None else fused.velocities)]

    def restore(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Put a `state` back."""
        count = len(self._parameters)
        for ours, array in zip(self._parameters, arrays[:count], strict=True):
            ours[:] = array
        if self._fused is not None:
            self._fused.restore(arrays[count:])
        else:
            self._velocities = list(arrays[count:])

    def _take(self, x: NDArray[Any], labels: NDArray[np.int64], batches: Sequence[Rows]) -> None:
        """Take one step for every batch."""
        if self._fused is not None:
            with self._fused.on(self._team):
                for rows in batches:
                    self._fused.take(x, labels, rows)
                    self._team.deliver()
        else:
            for rows in batches:
                self._sums.add(self._team, self._workspaces, x, labels, rows)
                self._step(rows.stop - rows.start if isinstance(rows, slice) else len(rows))

    def _require_finite(self) -> None:
        """Raise for the first parameter that is not finite.

        The logits are not enough: the weights of an input that is 0 are skipped.
        """
        for k, parameter in enumerate(self._parameters):
            if first_not_finite(parameter[None]) is not None:
                name = parameter_name(self.net, k)
                raise FloatingPointError(f"the training diverges: {name} is not finite")

    def _step(self, rows: int) -> None:
        """Move every parameter against its mean gradient over `rows` samples."""
        kind = self.net.dtype.type
        scale, momentum = kind(1 / rows), kind(self._settings.momentum)
        rate, l2 = kind(self._settings.learning_rate), kind(self._settings.l2)
        weights = len(self.net.weights)

        def task(_: int, number_and_slice: tuple[int, slice]) -> None:
            k, where = number_and_slice
            _sgd_step(
                scale,
                l2 if k < weights else kind(0),
                momentum,
                rate,
                self._sums.join(k, where),
                self._velocities[k][where],
                self._parameters[k][where],
            )

        self._team.run(task, self._sums.slices)

    def evaluate(self, samples: Samples | Iterable[Samples]) -> Result:
        """Return every sample's loss, shape (N,), and the number of samples that are right.

        Samples outside of memory come block by block.
        """
        if isinstance(samples, tuple):
            return self._evaluate(*samples)
        every = [self._evaluate(*block) for block in samples]
        return np.concatenate([losses for losses, _ in every]), sum(hits for _, hits in every)

    def _evaluate(self, x: NDArray[Any], labels: NDArray[np.int64]) -> Result:
        """Return losses and hits of samples in memory."""
        losses = np.empty(len(x), self.net.dtype)
        hits: list[int] = []  # of every tile

        def work(ws: Workspace, tile: Rows) -> None:
            hits.append(evaluate_tile(ws, labels, tile))
            losses[tile] = ws.losses

        self._workspaces.pack(self._team, len(x))
        run_tiles(self._team, self._workspaces, x, work)
        return losses, sum(hits)


def descend(
    net: Network,
    settings: Settings,
    parts: Callable[[], Iterable[Part]],
    judged: Sequence[Samples | Iterable[Samples]],
    *,
    like: NDArray[Any],
    epochs: int,
    after: Callable[[list[Result]], str],
    before: Callable[[int], None] | None = None,
    moved: Moved | None = None,
    enough: Callable[[], bool] = lambda: False,
    keeper: Keeper | None = None,
    progress: bool = False,
) -> None:
    """Train for some epochs: the loop of `train` and of the assignment's `nn_train`.

    Every epoch calls `before` with its number, takes a step for every batch of the samples that
    `parts` returns, on the inputs that `moved` returns for its rows, evaluates all that are
    `judged`, and calls `after` with the results, which returns a remark for the progress bar.
    `enough` is asked after every epoch whether it was the last. The rows of `like` are similar to
    those of the samples. With a `keeper`, the epochs that it has kept are left out.
    """
    with Team(thread_count()) as team, Progress("training", epochs, enabled=progress) as bar:
        descent = Descent(net, settings, team, like)
        begin = 0 if keeper is None else keeper.begin(descent)
        for epoch in range(begin, epochs):
            if before is not None:
                before(epoch)
            for part in parts():
                descent.epoch(part, moved)
            bar.update(epoch + 1, after([descent.evaluate(samples) for samples in judged]))
            if keeper is not None:
                keeper.keep(descent)
            if enough():
                break
