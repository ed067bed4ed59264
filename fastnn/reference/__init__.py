"""The library for one sample at a time: plain and slow code that follows the formulas.

The tests compare every fast path of `fastnn` with the function of the same name here. So these
modules use nothing of the fast code: they import numpy and each other. There are no batches;
functions of several samples loop over them. The assignment's names and signatures are in
`fastnn.reference.comp7015`, because two of them (`cross_entropy`, `softmax`) differ.

A network is ``(weights, biases, activation)``: `weights` of shape ``(d_in, d_out)``, `biases` of
shape ``(d_out,)``, one pair a layer, and ``"relu"``, ``"sigmoid"`` or ``"tanh"`` between
the layers.

Two rules hold for all functions. Arrays of float32 or float64 keep their dtype, anything else is
converted to float64, and single numbers are returned as Python's ``float``, ``int`` or ``bool``.
Arguments are neither checked nor changed.
"""

from .attacks import adversarial_accuracy, fgsm, first_flip, iterated_fgsm
from .balls import fast_change, project
from .functional import (
    cross_entropy,
    log_softmax,
    one_hot,
    relu,
    relu_grad,
    sigmoid,
    softmax,
    tanh,
)
from .networks import gradients, input_gradient, logits, loss, predict, predict_proba
from .residuals import attack_residual, residual, residual_cancelling
from .searches import apgd, margin, pgd
from .smallest import deepfool, minimal_norm, square
from .training import mean_gradients, sgd_step

__all__ = [
    "adversarial_accuracy",
    "apgd",
    "attack_residual",
    "cross_entropy",
    "deepfool",
    "fast_change",
    "fgsm",
    "first_flip",
    "gradients",
    "input_gradient",
    "iterated_fgsm",
    "log_softmax",
    "logits",
    "loss",
    "margin",
    "mean_gradients",
    "minimal_norm",
    "one_hot",
    "pgd",
    "predict",
    "predict_proba",
    "project",
    "relu",
    "relu_grad",
    "residual",
    "residual_cancelling",
    "sgd_step",
    "sigmoid",
    "softmax",
    "square",
    "tanh",
]
