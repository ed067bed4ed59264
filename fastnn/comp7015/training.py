"""Part 1's training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastnn import _checks
from fastnn._engine.descent import Part, Result, Settings, descend
from fastnn.comp7015 import _arrays
from fastnn.comp7015.two_layers import Params, mean_loss
from fastnn.networks import MLP


def nn_train(
    trainData: ArrayLike,
    trainLabels: ArrayLike,
    devData: ArrayLike,
    devLabels: ArrayLike,
    num_hidden: int = 300,
    learning_rate: float = 5,
    batch_size: int = 1000,
    num_epochs: int = 30,
    reg_strength: float = 0,
    *,
    seed: int | None = None,
    dtype: DTypeLike = np.float32,
    progress: bool = False,
) -> tuple[Params, list[float], list[float], list[float], list[float]]:
    """Train by minibatches in the order given; rows after the last whole batch are left out.

    Parameters
    ----------
    trainData, devData : ndarray, shapes (N, D) and (M, D)
    trainLabels, devLabels : ndarray, shapes (N, K) and (M, K)
        One-hot rows.
    num_hidden : int, optional
        Hidden units H.
    learning_rate : float, optional
        Step length, >= 0.
    batch_size : int, optional
        Rows per step. If it is larger than N, there is no whole batch and nothing is learnt.
    num_epochs : int, optional
        Passes over the batches, at least 1.
    reg_strength : float, optional
        The ``lambda`` of `backward_prop`, >= 0.
    seed : int, optional
        Seed for the first weights. Default: numpy's global generator, as in the assignment's code,
        so that ``np.random.seed`` has an effect.
    dtype : float32 or float64, optional
        Type to compute in, for data of any type; float32 is about twice as fast.
    progress : bool, optional
        Draw a progress bar on standard error. By default the number of every epoch is printed on
        standard output when it begins, ``0,1,2,``, as in the assignment's code.

    Returns
    -------
    params : dict
        ``W1`` (D, H), ``b1`` (1, H), ``W2`` (H, K), ``b2`` (1, K) of `dtype`, and ``lambda``.
    tr_loss, tr_metric, dev_loss, dev_metric : list of float, length num_epochs
        Loss and accuracy after every epoch, over all rows, as `forward_prop` and `calc_accuracy`.

    Raises
    ------
    TypeError, ValueError
        As `forward_prop`, for either pair; a setting is out of its range.
    FloatingPointError
        The training diverges: a logit, a weight or a bias overflows.

    Notes
    -----
    Weights start from the standard normal distribution, first ``W1``, then ``W2``, and biases from
    0. The steps are those of `fastnn.train` with ``l2 = lambda / batch_size``, without shuffling.

    Examples
    --------
    >>> from fastnn.comp7015 import nn_test, nn_train, prepare_data
    >>> train_x, train_y, dev_x, dev_y, test_x, test_y = prepare_data(seed=0)
    >>> params, tr_loss, tr_metric, dev_loss, dev_metric = nn_train(
    ...     train_x[:2000], train_y[:2000], dev_x, dev_y, batch_size=100, num_epochs=3, seed=0
    ... )
    0,1,2,
    >>> tr_loss[-1] < tr_loss[0]
    True
    >>> params["W1"].shape, params["b1"].shape
    ((784, 300), (1, 300))
    """
    train, dev = _arrays.table(trainData, "trainData"), _arrays.table(devData, "devData")
    classes = _arrays.classes(trainLabels, "trainLabels")
    sizes = (train.shape[1], _checks.positive_integer(num_hidden, "num_hidden"), classes)
    kind = _checks.float_dtype(dtype)
    epochs = _checks.positive_integer(num_epochs, "num_epochs")
    batch = _checks.positive_integer(batch_size, "batch_size")
    penalty = _checks.real(reg_strength, "reg_strength")
    settings = Settings(batch, _checks.real(learning_rate, "learning_rate"), l2=penalty / batch)
    pairs = [
        _arrays.samples(train, trainLabels, sizes, kind, ("trainData", "trainLabels")),
        _arrays.samples(dev, devLabels, sizes, kind, ("devData", "devLabels")),
    ]
    net = _first_network(sizes, kind, seed)
    images, truth = (array[: len(train) // batch * batch] for array in pairs[0])
    curves: list[list[float]] = [[], [], [], []]

    def after(results: list[Result]) -> str:
        for (losses, hits), loss, metric in zip(results, curves[::2], curves[1::2], strict=True):
            loss.append(mean_loss(losses))
            metric.append(hits / len(losses))
        return f"loss {curves[0][-1]:.4f}, dev accuracy {curves[3][-1]:.2%}"

    descend(
        net,
        settings,
        lambda: [Part(images, truth)],
        pairs,
        like=images,
        epochs=epochs,
        before=None if progress else _print_number,
        after=after,
        progress=progress,
    )
    return _as_dict(net, reg_strength), curves[0], curves[1], curves[2], curves[3]


def _print_number(epoch: int) -> None:
    """Print the number of an epoch, as the assignment's code does."""
    print(epoch, end=",")


def _first_network(sizes: tuple[int, int, int], dtype: np.dtype[Any], seed: int | None) -> MLP:
    """Return a network with weights from the standard normal distribution and biases of 0."""
    draw: Any = np.random if seed is None else np.random.default_rng(seed)
    inputs, hidden, outputs = sizes
    w1 = draw.standard_normal((inputs, hidden)).astype(dtype)
    w2 = draw.standard_normal((hidden, outputs)).astype(dtype)
    return MLP([w1, w2], [np.zeros(hidden, dtype), np.zeros(outputs, dtype)], "sigmoid")


def _as_dict(net: MLP, penalty: float) -> Params:
    """Return the network's own arrays by the assignment's names, biases as rows (1, H)."""
    (w1, w2), (b1, b2) = net.weights, net.biases
    return {
        "W1": w1,
        "b1": b1.reshape(1, -1),
        "W2": w2,
        "b2": b2.reshape(1, -1),
        "lambda": penalty,
    }
