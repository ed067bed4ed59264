"""Training by minibatch stochastic gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _kernels, _passes
from fastnn._gradients import GradientSums, parameter_name
from fastnn._parallel import Team, thread_count
from fastnn._progress import Progress
from fastnn.networks import MLP


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
    with (
        Team(thread_count()) as team,
        Progress("training", epochs, enabled=progress) as bar,
    ):
        descent = Descent(work, settings, team, samples[0])
        for epoch in range(epochs):
            descent.epoch(*samples, generator.permutation(len(samples[0])))
            _note(descent, samples, history.train_loss, history.train_accuracy)
            if held_out is not None:
                _note(descent, held_out, history.val_loss, history.val_accuracy)
            _take_over(net, work)
            bar.update(epoch + 1, _remark(history))
    return history


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
        self._workspaces = _passes.Workspaces(net, _passes.MOST_ROWS, to=1)

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
            if _kernels._first_not_finite(parameter[None]) >= 0:
                name = parameter_name(self.net, k)
                raise FloatingPointError(f"the training diverges: {name} is not finite")

    def _step(self, rows: int) -> None:
        """Move every parameter against its mean gradient over `rows` samples."""
        kind = self.net.dtype.type
        scale, momentum = kind(1 / rows), kind(self._settings.momentum)
        rate, l2 = kind(self._settings.learning_rate), kind(self._settings.l2)
        weights = len(self.net.weights)

        def task(_: int, number_and_piece: tuple[int, slice]) -> None:
            k, piece = number_and_piece
            _kernels._sgd_step(
                scale,
                l2 if k < weights else kind(0),
                momentum,
                rate,
                self._sums.join(k, piece),
                self._velocities[k][piece],
                self._parameters[k][piece],
            )

        self._team.run(task, self._sums.pieces)

    def evaluate(self, x: NDArray[Any], labels: NDArray[np.int64]) -> tuple[NDArray[Any], int]:
        """Return every sample's loss, shape (N,), and the number of samples that are right."""
        cut = _passes.tiles(len(x))
        losses = np.empty(len(x), self.net.dtype)
        hits = [0] * len(cut)

        def task(worker: int, i: int) -> None:
            ws = self._workspaces[worker]
            ws.load(x, cut[i])
            hits[i] = _passes.evaluate_tile(ws, labels, cut[i])
            losses[cut[i]] = ws.losses

        self._workspaces.pack(self._team, len(x))
        self._team.run(task, range(len(cut)))
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


def _samples(
    net: MLP, x: ArrayLike, labels: ArrayLike, name: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return inputs (N, D) with N > 0 and labels (N,), checked against the network."""
    rows = _checks.inputs(x, net.sizes[0], net.dtype, name=name)
    _checks.some_rows(rows, name)
    return rows, _checks.labels(labels, len(rows), net.sizes[-1])


def _note(
    descent: Descent,
    samples: tuple[NDArray[Any], NDArray[np.int64]],
    losses: list[float],
    accuracies: list[float],
) -> None:
    """Append the mean loss and the accuracy on `samples`."""
    loss, hits = descent.evaluate(*samples)
    losses.append(math.fsum(loss) / len(loss))
    accuracies.append(hits / len(loss))


def _remark(history: History) -> str:
    """Return the last epoch's results for the progress bar."""
    text = f"loss {history.train_loss[-1]:.4f}, accuracy {history.train_accuracy[-1]:.2%}"
    if history.val_accuracy:
        text += f", validation {history.val_accuracy[-1]:.2%}"
    return text
