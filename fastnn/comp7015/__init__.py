"""The assignment's names and signatures, over the engine.

``from fastnn.comp7015 import *`` replaces the assignment's cells. Part 1 is a sigmoid network
with one hidden layer, kept as a dict with ``W1 b1 W2 b2 lambda``; part 2 is
`MultiLayerPerceptron`, with three hidden ReLU layers. The same for one row at a time:
`fastnn.reference.comp7015`.

Numbers. Results are float32 if all input arrays are float32, else float64. uint8 images are
divided by 255, as everywhere in fastnn; all other numbers are used as they are.

Where the assignment's text and its code disagree, this does what the code does:

- biases are rows ``(1, H)``, though commented as ``batch_size * dim_hidden``; ``(H,)`` is fine too;
- `nn_test` returns a count, though it is printed as "Test accuracy";
- `backward_prop` divides the penalty ``lambda * W`` by the batch size, as it does the gradients;
- the assignment names some files both ``.npy`` and ``.npz``: a file is found under either suffix.
"""

from fastnn.comp7015.files import prepare_data, readData
from fastnn.comp7015.functions import (
    calc_accuracy,
    cross_entropy,
    one_hot,
    one_hot_labels,
    relu,
    relu_grad,
    sigmoid,
    softmax,
)
from fastnn.comp7015.perceptron import MultiLayerPerceptron
from fastnn.comp7015.training import nn_train
from fastnn.comp7015.two_layers import backward_prop, forward_prop, nn_test, update_params

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
    "prepare_data",
    "readData",
    "relu",
    "relu_grad",
    "sigmoid",
    "softmax",
    "update_params",
]
