"""The assignment's functions, following its text, with a loop over the rows of every batch.

Names, arguments and results are the assignment's: parameters are a dict with ``W1 b1 W2 b2
lambda``, biases have shape ``(1, H)``, labels are one-hot rows. Part 1 is the sigmoid network with
one hidden layer, part 2 the ReLU network with three. There are no functions that read files, and
nothing is printed.
"""

from ..functional import one_hot, relu, relu_grad
from .functions import calc_accuracy, cross_entropy, one_hot_labels, sigmoid, softmax
from .perceptron import MultiLayerPerceptron
from .training import nn_train
from .two_layers import backward_prop, forward_prop, nn_test, update_params

__all__ = [
    "MultiLayerPerceptron",
    "backward_prop",
    "calc_accuracy",
    "cross_entropy",
    "forward_prop",
    "nn_test",
    "nn_train",
    "one_hot",
    "one_hot_labels",
    "relu",
    "relu_grad",
    "sigmoid",
    "softmax",
    "update_params",
]
