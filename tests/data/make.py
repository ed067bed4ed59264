"""Write the networks of this folder, each with the library whose format it is.

``python tests/data/make.py`` writes all of them where these libraries are installed,
and ``versions.json`` with the versions that did. They hold the same parameters, which
`parameters` makes.
"""

import importlib.metadata
import itertools
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZES = (7, 6, 5, 3)
LIBRARIES = ("torch", "safetensors", "onnx", "keras", "h5py")


def parameters(dtype="float32"):
    """Return the weights (d_in, d_out) and the biases: multiples of 1/16, the same in all types."""
    rng = np.random.default_rng(20150)
    pairs = list(itertools.pairwise(SIZES))
    weights = [rng.integers(-24, 24, pair) / 16 for pair in pairs]
    biases = [rng.integers(-16, 16, d_out) / 16 for _, d_out in pairs]
    return [w.astype(dtype) for w in weights], [b.astype(dtype) for b in biases]


def torch_module(dtype="float32", activation="ReLU"):
    """Return the network as a module of PyTorch."""
    import torch
    from torch import nn

    layers = []
    for weight, bias in zip(*parameters(dtype), strict=True):
        linear = nn.Linear(*weight.shape, dtype=getattr(torch, dtype))
        linear.load_state_dict(
            {"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias)}
        )
        layers += [linear, getattr(nn, activation)()]
    return nn.Sequential(*layers[:-1])


def write_torch(folder):
    """Write state dicts, a checkpoint and a whole module."""
    import torch

    module = torch_module()
    state = module.state_dict()
    torch.save(state, folder / "torch.pth")
    torch.save(state, folder / "torch-legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch_module("float64").state_dict(), folder / "torch-float64.pth")
    torch.save(module.to(torch.bfloat16).state_dict(), folder / "torch-bfloat16.pth")
    optimizer = torch.optim.SGD(torch_module().parameters(), lr=0.1, momentum=0.9)
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    checkpoint = {"epoch": 3, "state_dict": wrapped, "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, folder / "torch-checkpoint.pt")
    torch.save(torch_module(), folder / "torch-module.pt")


def write_safetensors(folder):
    """Write a state dict of PyTorch, and arrays of NumPy."""
    from safetensors import numpy, torch

    torch.save_file(torch_module().state_dict(), folder / "torch.safetensors")
    half = {name: tensor.bfloat16() for name, tensor in torch_module().state_dict().items()}
    torch.save_file(half, folder / "bfloat16.safetensors")
    arrays = {}
    for i, (weight, bias) in enumerate(zip(*parameters("float64"), strict=True)):
        arrays |= {f"layers.{i}.kernel": weight, f"layers.{i}.bias": bias}
    numpy.save_file(arrays, folder / "numpy.safetensors")


def write_onnx(folder):
    """Write what PyTorch exports, with a softmax at the end."""
    import torch

    module = torch_module(activation="Tanh").append(torch.nn.Softmax(1))
    x = torch.zeros(1, SIZES[0])
    torch.onnx.export(module, (x,), folder / "torch.onnx", dynamo=False)


def keras_model(kind="Sequential", activation="relu", end="softmax"):
    """Return the network as a model of Keras."""
    import keras

    widths = list(enumerate(SIZES[1:], start=1))
    dense = [keras.layers.Dense(n, activation if n != SIZES[-1] else end) for _, n in widths]
    if kind == "Sequential":
        model = keras.Sequential([keras.Input((SIZES[0],)), *dense])
    else:
        first = current = keras.Input((SIZES[0],))
        for layer in dense:
            current = layer(current)
        model = keras.Model(first, current)
    for layer, *arrays in zip(dense, *parameters(), strict=True):
        layer.set_weights(arrays)
    return model


def write_keras(folder):
    """Write a sequential and a functional model, in both formats."""
    for kind, activation in (("Sequential", "relu"), ("Functional", "tanh")):
        for suffix in (".keras", ".h5"):
            keras_model(kind, activation).save(folder / f"{kind.lower()}{suffix}")


def main():
    """Write all files and the versions."""
    write_torch(HERE)
    write_safetensors(HERE)
    write_onnx(HERE)
    write_keras(HERE)
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
