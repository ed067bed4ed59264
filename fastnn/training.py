"""Training by minibatch stochastic gradient descent."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _units
from fastnn._adversary import Adversary, Moves, adversary_of
from fastnn._engine.descent import Result, Samples, Settings, descend
from fastnn._history import History
from fastnn._kept import Kept, about_training
from fastnn._parameters import require_network
from fastnn._shuffled import Shuffled, count_of, like_of, parts_of, some_of, taken
from fastnn.attacks._plan import AttackLike
from fastnn.networks import MLP

_NEAR = 0.05  # share of a loss

__all__ = ["History", "run_epochs", "train"]


def train(
    net: MLP,
    x: Any,
    labels: Any,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.0,
    l2: float = 0.0,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: bool = False,
    attack: AttackLike | None = None,
    eps: float | None = None,
    bounds: tuple[float, float] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> History:
    """Train a network in place by minibatch stochastic gradient descent.

    Parameters
    ----------
    net : MLP
        Its weights and biases are replaced after every epoch. If an error or an interrupt ends the
        training, the network keeps those of the last complete epoch.
    x : ndarray, shape (N, D), real numbers or uint8; or sliceable
        More than memory holds, such as an ``np.memmap``, is read in every epoch; see the notes.
    labels : ndarray of int, shape (N,); or sliceable
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
        Seed or source of the order of the samples, and of an attack's random numbers; None draws a
        new seed.
    progress : bool, optional
        Draw a progress bar on standard error.
    attack : str, Attack, sequence of these, or callable, optional
        Adversarial training: before its step, every batch is attacked on the network as it is then,
        and the adversarial inputs take the place of the batch. In the forms that
        `adversarial_accuracy` takes. Default: train on the inputs as they are.
    eps : float, optional
        The budget of the attack, >= 0, in the units of `x`.
    bounds : tuple (lower, upper), optional
        Valid range of an input, for the attack; the inputs must be within it.
    checkpoint : path-like, optional
        A file for the training as it is after every epoch: parameters, velocities, the generator
        and the history. The same call after an interrupt or a kill goes on from there, with the
        network of the start or that of the file, and ends with the bits of an undisturbed training.
        With more `epochs` than before, it goes on, too. It is not removed at the end.

    Returns
    -------
    History
        Loss and accuracy after every epoch, on `x` and on `validation` as they are, not attacked.

    Raises
    ------
    TypeError, ValueError
        As `MLP.loss` for `x`, `labels` and `validation`; a setting is out of its range; as
        `adversarial_accuracy` for `attack`, `eps` and `bounds`; one of `attack` and `eps` is given
        without the other, or `bounds` without both; `checkpoint` is that of another training.
    OSError
        A file cannot be read or written.
    FloatingPointError
        The training diverges: a logit, a weight or a bias overflows.

    Warns
    -----
    UserWarning
        The last loss is more than twice that before the first step, estimated from 1,000 samples,
        and more than twice that of a guess, ``log(C)``; or it is about that of a guess, and the
        inputs look like pixels of 0 to 255.

    Notes
    -----
    ``v = momentum * v + mean gradient + l2 * W``; ``W = W - learning_rate * v``. The sums over a
    batch are added up in an order that does not depend on the number of threads.

    Samples in memory are shuffled as a whole. Of those outside of it, runs of 512 neighbours are
    put into a random order; some of them, up to 20,480 rows, are read together, shuffled and cut
    into batches, while the next ones are read. So a file that is sorted by class should be shuffled
    first. Memory beyond two such groups: 4 or 8 bytes for each sample, for its loss.

    With an attack, each step lowers the loss at the worst inputs within eps that the attack finds:
    Madry et al. (2018), arXiv:1706.06083, equation 2.1. Every epoch has new random starts, and a
    sample's depend on `rng` and on its position in `x` alone.

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
    require_network(net)
    judged = [taken(x, labels, net, "x")]
    if validation is not None:
        judged.append(taken(*_pair(validation), net, "validation x"))
    epochs = _checks.positive_integer(epochs, "epochs")
    settings = _settings(count_of(judged[0]), batch_size, learning_rate, momentum, l2)
    some = some_of(judged[0])
    adversary = adversary_of(attack, eps, bounds, net, like_of(judged[0]))
    before, kept = net.loss(*some), None
    if checkpoint is not None:
        about = about_training(net, judged, settings, adversary, rng)
        kept = Kept(Path(checkpoint), about, before)
    history = run_epochs(
        net, settings, judged, epochs, rng, adversary=adversary, kept=kept, progress=progress
    )
    before = before if kept is None else kept.before
    _warn_of_failure(history, before, math.log(net.sizes[-1]), like_of(judged[0]))
    return history


def run_epochs(
    net: MLP,
    settings: Settings,
    judged: Sequence[Samples | Shuffled],
    epochs: int,
    rng: int | np.random.Generator | None,
    *,
    adversary: Adversary | None = None,
    enough: Callable[[History], bool] = lambda _: False,
    kept: Kept | None = None,
    progress: bool = False,
) -> History:
    """Train as `train` does, on the first of the checked samples that are `judged`.

    `adversary` makes what moves the batches, for a network and a source of random numbers.
    `enough` is asked after every epoch whether it was the last.
    """
    samples = judged[0]
    generator = np.random.default_rng(rng)
    work = MLP(net.weights, net.biases, net.activation)
    moves = None if adversary is None else Moves(adversary, work, generator)
    history = History()
    if kept is not None:
        kept.attach(generator, history, epochs, lambda: _take_over(net, work))

    def after(results: list[Result]) -> str:
        _append(history, results)
        _take_over(net, work)
        return _remark(history)

    descend(
        work,
        settings,
        lambda: parts_of(samples, generator, settings.batch_size),
        judged,
        like=like_of(samples),
        epochs=epochs,
        after=after,
        before=None if moves is None else moves.begin_epoch,
        moved=moves,
        enough=lambda: enough(history),
        keeper=kept,
        progress=progress,
    )
    return history


def _warn_of_failure(history: History, before: float, guess: float, x: NDArray[Any]) -> None:
    """Warn if the last loss is twice that at the start; of 0 to 255, also if it is a guess's."""
    loss, pixels = history.train_loss[-1], _units.like_pixels(x)
    units = "x / 255 in place of x, or " if pixels else ""
    if loss > 2 * max(before, guess):
        what = (
            f"the training diverged: the last loss is {loss:.4g}, more than twice that at the "
            "start and that of a guess"
        )
    elif pixels and abs(loss - guess) < _NEAR * guess:
        what = f"the network learned nothing: the last loss is {loss:.4g}, that of a guess"
    else:
        return
    warnings.warn(f"{what}; try {units}a smaller learning_rate", stacklevel=3)


def _settings(
    rows: int, batch_size: int, learning_rate: float, momentum: float, l2: float
) -> Settings:
    """Return the settings of steps on so many samples, after checks."""
    settings = Settings(
        batch_size=min(_checks.positive_integer(batch_size, "batch_size"), rows),
        learning_rate=_checks.real(learning_rate, "learning_rate", open_below=True),
        momentum=_checks.real(momentum, "momentum"),
        l2=_checks.real(l2, "l2"),
    )
    if settings.momentum >= 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
    return settings


def _append(history: History, results: list[Result]) -> None:
    """Append loss and accuracy on the training samples and, if there are any, on the others."""
    curves = (
        (history.train_loss, history.train_accuracy),
        (history.val_loss, history.val_accuracy),
    )
    for (losses, hits), (loss, accuracy) in zip(results, curves, strict=False):
        loss.append(math.fsum(losses) / len(losses))
        accuracy.append(hits / len(losses))


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


def _remark(history: History) -> str:
    """Return the last epoch's results for the progress bar."""
    text = f"loss {history.train_loss[-1]:.4f}, accuracy {history.train_accuracy[-1]:.2%}"
    if history.val_accuracy:
        text += f", validation {history.val_accuracy[-1]:.2%}"
    return text
