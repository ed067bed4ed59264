"""Part 1's training."""

import numpy as np

from ..functional import Array
from .functions import calc_accuracy
from .two_layers import Params, backward_prop, forward_prop, update_params


def nn_train(
    trainData: Array,
    trainLabels: Array,
    devData: Array,
    devLabels: Array,
    num_hidden: int = 300,
    learning_rate: float = 5,
    batch_size: int = 1000,
    num_epochs: int = 30,
    reg_strength: float = 0,
    *,
    params: Params | None = None,
    seed: int | None = None,
) -> tuple[Params, list[float], list[float], list[float], list[float]]:
    """Train by minibatches in the order given; rows after the last whole batch are left out.

    Parameters
    ----------
    trainData, devData : ndarray, shape (N, D)
    trainLabels, devLabels : ndarray, shape (N, K)
        One-hot rows.
    num_hidden, learning_rate, batch_size, num_epochs, reg_strength
        As in the assignment; `reg_strength` is the ``lambda`` of `backward_prop`.
    params : dict, optional
        ``W1 b1 W2 b2`` to start from; copied. Default: biases 0, and weights drawn from the
        standard normal distribution, first ``W1``, then ``W2``.
    seed : int, optional
        For ``numpy.random.default_rng``, which draws them.

    Returns
    -------
    params : dict
        ``W1 b1 W2 b2 lambda`` after the last epoch.
    tr_loss, tr_metric, dev_loss, dev_metric : list of float
        Loss and accuracy after every epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.reference.comp7015 import nn_train
    >>> data, labels = np.eye(2), np.eye(2)
    >>> params, tr_loss, tr_metric, dev_loss, dev_metric = nn_train(
    ...     data, labels, data, labels, learning_rate=1, batch_size=2, num_epochs=20, seed=0
    ... )
    >>> tr_loss[-1] < tr_loss[0], dev_metric[-1]
    (True, 1.0)
    """
    if params is None:
        rng = np.random.default_rng(seed)
        classes = trainLabels.shape[1]
        params = {
            "W1": rng.standard_normal((trainData.shape[1], num_hidden)),
            "b1": np.zeros((1, num_hidden)),
            "W2": rng.standard_normal((num_hidden, classes)),
            "b2": np.zeros((1, classes)),
        }
    params = {name: params[name].copy() for name in ("W1", "b1", "W2", "b2")}
    params["lambda"] = reg_strength
    tr_loss, tr_metric, dev_loss, dev_metric = [], [], [], []
    for _ in range(num_epochs):
        for j in range(len(trainData) // batch_size):
            rows = slice(j * batch_size, (j + 1) * batch_size)
            grad = backward_prop(trainData[rows], trainLabels[rows], params)
            update_params(params, grad, learning_rate)
        _, y, loss = forward_prop(trainData, trainLabels, params)
        tr_loss.append(loss)
        tr_metric.append(calc_accuracy(y, trainLabels))
        _, y, loss = forward_prop(devData, devLabels, params)
        dev_loss.append(loss)
        dev_metric.append(calc_accuracy(y, devLabels))
    return params, tr_loss, tr_metric, dev_loss, dev_metric
