"""Training by minibatch stochastic gradient descent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks, _units
from fastnn._adversary import Adversary, Moves, adversary_of
from fastnn._engine.descent import Result, Samples, Settings, descend
from fastnn._history import History
from fastnn._parameters import require_network
from fastnn.attacks.evaluate import AttackLike
from fastnn.networks import MLP

_SOME = 1000  # samples by which a loss is estimated
_NEAR = 0.05  # share of a loss

__all__ = ["History", "run_epochs", "train"]


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
    attack: AttackLike | None = None,
    eps: float | None = None,
    bounds: tuple[float, float] | None = None,
) -> History:
    """Train a network in place by minibatch stochastic gradient descent.

    Parameters
    ----------
    net : MLP
        Its weights and biases are replaced after every epoch. If an error or an interrupt ends the
        training, the network keeps those of the last complete epoch.
    x : ndarray, shape (N, D), real numbers or uint8
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

    Returns
    -------
    History
        Loss and accuracy after every epoch, on `x` and on `validation` as they are, not attacked.

    Raises
    ------
    TypeError, ValueError
        As `MLP.loss` for `x`, `labels` and `validation`; a setting is out of its range; as
        `adversarial_accuracy` for `attack`, `eps` and `bounds`; one of `attack` and `eps` is given
        without the other, or `bounds` without both.
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
    samples = _checks.samples(x, labels, net.sizes, net.dtype)
    judged = [samples]
    if validation is not None:
        pair = _pair(validation)
        judged.append(_checks.samples(*pair, net.sizes, net.dtype, name="validation x"))
    epochs = _checks.positive_integer(epochs, "epochs")
    settings = _settings(len(samples[0]), batch_size, learning_rate, momentum, l2)
    adversary = adversary_of(attack, eps, bounds, net, samples)
    before = net.loss(*_some(samples))
    history = run_epochs(net, settings, judged, epochs, rng, adversary=adversary, progress=progress)
    _warn_of_failure(history, before, math.log(net.sizes[-1]), samples[0])
    return history


def run_epochs(
    net: MLP,
    settings: Settings,
    judged: Sequence[Samples],
    epochs: int,
    rng: int | np.random.Generator | None,
    *,
    adversary: Adversary | None = None,
    enough: Callable[[History], bool] = lambda _: False,
    progress: bool = False,
) -> History:
    """Train as `train` does, on the first of the checked samples that are `judged`.

    `adversary` makes what moves the batches, for a network and a source of random numbers.
    `enough` is asked after every epoch whether it was the last.
    """
    samples = judged[0]
    generator = np.random.default_rng(rng)
    work = MLP(net.weights, net.biases, net.activation)
    moves = None if adversary is None else Moves(adversary, work, samples, generator)
    history = History()

    def after(results: list[Result]) -> str:
        _append(history, results)
        _take_over(net, work)
        return _remark(history)

    descend(
        work,
        settings,
        samples,
        judged,
        epochs=epochs,
        order=lambda: generator.permutation(len(samples[0])),
        after=after,
        before=None if moves is None else moves.begin_epoch,
        moved=moves,
        enough=lambda: enough(history),
        progress=progress,
    )
    return history


def _some(samples: Samples) -> Samples:
    """Return some hundred of the samples, from all parts of the set."""
    every = -(-len(samples[0]) // _SOME)
    return samples[0][::every], samples[1][::every]


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
