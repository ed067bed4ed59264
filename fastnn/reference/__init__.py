"""The library once more, for one sample at a time: plain, slow, straight from the formulas.

Every fast path of `fastnn` is held to the function of the same name here, so nothing here may lean
on the fast code: these modules import numpy and each other. There are no batches: what takes
several samples loops over them. The assignment's names and signatures are in
`fastnn.reference.comp7015`, since two of them (`cross_entropy`, `softmax`) mean something else.

A network is ``(weights, biases, activation)``: `weights` of shape ``(d_in, d_out)``, `biases` of
shape ``(d_out,)``, one pair a layer, and ``"relu"``, ``"sigmoid"`` or ``"tanh"`` between
the layers.

Two rules hold throughout. Arrays of float32 or float64 keep their dtype, anything else is read as
float64, and numbers come back as Python's ``float``, ``int`` or ``bool``. Arguments are neither
checked nor changed: the checks are the business of the functions people call.
"""

from .attacks import adversarial_accuracy, fgsm, iterated_fgsm
from .functional import (
    attack_residual,
    cross_entropy,
    log_softmax,
    one_hot,
    relu,
    relu_grad,
    residual,
    residual_cancelling,
    sigmoid,
    softmax,
    tanh,
)
from .networks import gradients, input_gradient, logits, loss, predict, predict_proba
from .training import mean_gradients, sgd_step

__all__ = [
    "adversarial_accuracy",
    "attack_residual",
    "cross_entropy",
    "fgsm",
    "gradients",
    "input_gradient",
    "iterated_fgsm",
    "log_softmax",
    "logits",
    "loss",
    "mean_gradients",
    "one_hot",
    "predict",
    "predict_proba",
    "relu",
    "relu_grad",
    "residual",
    "residual_cancelling",
    "sgd_step",
    "sigmoid",
    "softmax",
    "tanh",
]
