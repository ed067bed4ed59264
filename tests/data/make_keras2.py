"""Write keras2.keras and keras2.h5 with Keras 2, which TensorFlow's package tf_keras still is.

`TF_USE_LEGACY_KERAS=1 python tests/data/make_keras2.py`, where tensorflow and tf_keras are. The
parameters are those of `make.parameters`.
"""

import sys
from pathlib import Path

import tf_keras

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from make import SIZES, parameters  # noqa: E402

layers = tf_keras.layers
model = tf_keras.Sequential(
    [
        layers.Flatten(input_shape=(1, SIZES[0])),
        layers.Dense(SIZES[1], activation="relu", name="first"),
        layers.Dropout(0.2),
        layers.Dense(SIZES[2]),
        layers.Activation("relu"),
        layers.Dense(SIZES[3], activation="softmax"),
    ]
)
dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
for layer, *arrays in zip(dense, *parameters(), strict=True):
    layer.set_weights(arrays)
model.compile("sgd", "sparse_categorical_crossentropy")
for suffix in (".keras", ".h5"):
    model.save(HERE / f"keras2{suffix}")
