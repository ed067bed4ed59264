"""Training by minibatch stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.gradients import GradientSums
from fastnn._engine.layers import evaluate_tile
from fastnn._engine.losses import first_not_finite
from fastnn._engine.network import parameter_name
from fastnn._engine.tiles import MOST_ROWS, run_tiles
from fastnn._engine.workspace import Rows, Workspace, Workspaces
from fastnn._kernels.descent import _sgd_step
from fastnn._runtime.progress import Progress
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count
from fastnn.networks import MLP

Samples = tuple[NDArray[Any], NDArray[np.int64]]  # inputs (N, D) and labels (N,), checked
Result = tuple[NDArray[Any], int]  # the loss of every sample, and how many are right


@dataclass(frozen=True)
class History:
    """Loss and accuracy after every epoch of `train`.

    Attributes
    ----------
    train_loss, train_accuracy : list of float, length epochs
        Mean cross-entropy and share of right predictions on the training samples.
    val_loss, val_accuracy : list of float, length epochs
        The same on the validation samples; empty if there were none.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((1, 2))
    >>> x = np.array([[0], [255]], dtype=np.uint8)
    >>> history = fastnn.train(net, x, [0, 1], epochs=20, batch_size=2, learning_rate=1.0)
    >>> len(history.train_loss), history.train_accuracy[-1], history.val_loss
    (20, 1.0, [])
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)


def train(
    net: MLP,
    x: ArrayLike,
    labels: ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.0,
    l2: float = 0.0,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: bool = False,
) -> History:
    """Train a network in place by minibatch stochastic gradient descent.

    Parameters
    ----------
    net : MLP
        Its weights and biases are replaced after every epoch. If an error or an interrupt ends the
        training, the network keeps those of the last complete epoch.
    x : ndarray, shape (N, D), type of the network or uint8
    labels : ndarray of int, shape (N,)
        True classes, each in [0, C).
    epochs : int
        Passes over the samples, at least 1.
    batch_size : int
        Samples per step, at least 1; the last step of an epoch takes the rest.
    learning_rate : float
        Step length, > 0.
    momentum : float, optional
        Share of the previous step that is added to each step, in [0, 1).
    l2 : float, optional
        Weight decay, >= 0: ``l2 * W`` is added to the gradient of the mean loss; none for biases.
    validation : tuple (x, labels), optional
        Samples to evaluate after every epoch; they are not used for training.
    rng : int, Generator or None, optional
        Seed or source of the order of the samples; None draws a new seed.
    progress : bool, optional
        Draw a progress bar on standard error.

    Returns
    -------
    History
        Loss and accuracy after every epoch, on `x` and on `validation`.

    Raises
    ------
    TypeError, ValueError
        As `MLP.loss` for `x`, `labels` and `validation`; a setting is out of its range.
    FloatingPointError
        The training diverges: a logit, a weight or a bias overflows.

    Notes
    -----
    ``v = momentum * v + mean gradient + l2 * W``; ``W = W - learning_rate * v``. The sums over a
    batch are added up in an order that does not depend on the number of threads.

    Examples
    --------
    >>> import fastnn
    >>> data = fastnn.load_mnist(source="sample")
    >>> net = fastnn.MLP.random((784, 32, 10))
    >>> history = fastnn.train(
    ...     net,
    ...     data.x_train,
    ...     data.y_train,
    ...     epochs=3,
    ...     batch_size=50,
    ...     learning_rate=0.1,
    ...     momentum=0.8,
    ...     validation=(data.x_test, data.y_test),
    ... )
    >>> history.val_accuracy[-1] > 0.85
    True
    """
    samples = _samples(net, x, labels, "x")
    held_out = None if validation is None else _samples(net, *_pair(validation), "validation x")
    epochs = _checks.positive_integer(epochs, "epochs")
    settings = Settings(
        batch_size=min(_checks.positive_integer(batch_size, "batch_size"), len(samples[0])),
        learning_rate=_checks.real(learning_rate, "learning_rate", open_below=True),
        momentum=_checks.real(momentum, "momentum"),
        l2=_checks.real(l2, "l2"),
    )
    if settings.momentum >= 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
    generator = np.random.default_rng(rng)
    work = MLP(net.weights, net.biases, net.activation)
    history = History()
    curves = (
        (history.train_loss, history.train_accuracy),
        (history.val_loss, history.val_accuracy),
    )

    def after(results: list[Result]) -> str:
        for (losses, hits), (loss, accuracy) in zip(results, curves, strict=False):
            loss.append(math.fsum(losses) / len(losses))
            accuracy.append(hits / len(losses))
        _take_over(net, work)
        return _remark(history)

    descend(
        work,
        settings,
        samples,
        [samples] if held_out is None else [samples, held_out],
        epochs=epochs,
        order=lambda: generator.permutation(len(samples[0])),
        after=after,
        progress=progress,
    )
    return history


@dataclass(frozen=True)
class Settings:
    """The checked settings of a training."""

    batch_size: int
    learning_rate: float
    momentum: float = 0.0
    l2: float = 0.0


def descend(
    net: MLP,
    settings: Settings,
    samples: Samples,
    judged: Sequence[Samples],
    *,
    epochs: int,
    after: Callable[[list[Result]], str],
    before: Callable[[int], None] = lambda _: None,
    order: Callable[[], NDArray[np.int64] | None] = lambda: None,
    progress: bool = False,
) -> None:
    """Train for some epochs: the loop of `train` and of the assignment's `nn_train`.

    Every epoch calls `before` with its number, takes a step for every batch of `samples`, in the
    order that `order` returns, evaluates all that are `judged`, and calls `after` with the results,
    which returns a remark for the progress bar.
    """
    with Team(thread_count()) as team, Progress("training", epochs, enabled=progress) as bar:
        descent = Descent(net, settings, team, samples[0])
        for epoch in range(epochs):
            before(epoch)
            descent.epoch(*samples, order())
            bar.update(epoch + 1, after([descent.evaluate(*pair) for pair in judged]))


class Descent:
    """Gradient descent on the loss of one network, in buffers that are allocated once.

    Parameters
    ----------
    net : MLP
        The network whose arrays every step changes.
    settings : Settings
    team : Team
        The threads at work.
    x : ndarray, shape (N, D)
        The samples, or similar ones: they show, once, whether most entries are 0.
    """

    def __init__(self, net: MLP, settings: Settings, team: Team, x: NDArray[Any]) -> None:
        self.net = net
        self._settings = settings
        self._team = team
        self._parameters = [p.reshape(-1) for p in (*net.weights, *net.biases)]
        self._velocities = [np.zeros_like(p) for p in self._parameters]
        self._sums = GradientSums(net, settings.batch_size, x)
        self._workspaces = Workspaces(net, MOST_ROWS, to=1)

    def epoch(
        self, x: NDArray[Any], labels: NDArray[np.int64], order: NDArray[np.int64] | None = None
    ) -> None:
        """Take one step for every batch of the samples, in the given `order` or in their own."""
        size = self._settings.batch_size
        for start in range(0, len(x), size):
            batch = slice(start, min(start + size, len(x)))
            rows = batch if order is None else order[batch]
            self._sums.add(self._team, self._workspaces, x, labels, rows)
            self._step(batch.stop - batch.start)
        self._require_finite()

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

    def evaluate(self, x: NDArray[Any], labels: NDArray[np.int64]) -> Result:
        """Return every sample's loss, shape (N,), and the number of samples that are right."""
        losses = np.empty(len(x), self.net.dtype)
        hits: list[int] = []  # of every tile

        def work(ws: Workspace, tile: Rows) -> None:
            hits.append(evaluate_tile(ws, labels, tile))
            losses[tile] = ws.losses

        run_tiles(self._team, self._workspaces, x, work)
        return losses, sum(hits)


def _take_over(net: MLP, work: MLP) -> None:
    """Copy all parameters of `work` to `net`; a `Team` delays signals, so none can interrupt."""
    for ours, new in zip(net.weights + net.biases, work.weights + work.biases, strict=True):
        ours[...] = new


def _pair(validation: tuple[ArrayLike, ArrayLike]) -> tuple[ArrayLike, ArrayLike]:
    """Return `validation` as a pair of inputs and labels."""
    try:
        inputs, truth = validation
    except (TypeError, ValueError):
        raise TypeError("validation must be a pair (x, labels)") from None
    return inputs, truth


def _samples(net: MLP, x: ArrayLike, labels: ArrayLike, name: str) -> Samples:
    """Return inputs (N, D) with N > 0 and labels (N,), checked against the network."""
    rows = _checks.inputs(x, net.sizes[0], net.dtype, name=name)
    _checks.some_rows(rows, name)
    return rows, _checks.labels(labels, len(rows), net.sizes[-1])


def _remark(history: History) -> str:
    """Return the last epoch's results for the progress bar."""
    text = f"loss {history.train_loss[-1]:.4f}, accuracy {history.train_accuracy[-1]:.2%}"
    if history.val_accuracy:
        text += f", validation {history.val_accuracy[-1]:.2%}"
    return text
