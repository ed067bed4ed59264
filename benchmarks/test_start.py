"""What comes before the computation: importing, the first call, loading digits."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from timing import run_for

from fastnn.datasets import load_split

PACKAGES = ("fastnn", "numpy", "torch", "jax", "foolbox")
FIRST_CALLS = {
    "fastnn": "import fastnn\nimport numpy as np\n"
    "net = fastnn.MLP.random((784, 64, 10))\n"
    "x = np.zeros((8, 784), np.float32)\n"
    "print(fastnn.adversarial_accuracy(net, x, np.zeros(8, int)).n)",
    "torch": "import torch\n"
    "from torch.nn import Linear, ReLU, Sequential\n"
    "net = Sequential(Linear(784, 64), ReLU(), Linear(64, 10))\n"
    "x = torch.zeros(8, 784, requires_grad=True)\n"
    "loss = torch.nn.functional.cross_entropy(net(x), torch.zeros(8, dtype=int))\n"
    "loss.backward()\n"
    "print(len(net(x + 0.1 * x.grad.sign())))",
}


def python(code):
    """Run code in a new process and return what it prints."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_import(benchmark, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    benchmark.group = "import"
    code = f"import {package}; print({package}.__name__)"
    assert python(code) == package
    run_for(benchmark, lambda: python(code))


@pytest.mark.parametrize("package", FIRST_CALLS)
def test_first_call(benchmark, package):
    """A new process up to its first answer; compiled kernels are read from the disk."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    benchmark.group = "first call"
    assert python(FIRST_CALLS[package]) == "8"
    run_for(benchmark, lambda: python(FIRST_CALLS[package]))


@pytest.mark.parametrize("source", ["sample", "mnist"])
def test_loading(benchmark, request, source):
    benchmark.group = f"loading, {source}"
    data = request.config.getoption("--data") if source == "mnist" else None
    try:
        x, labels, _ = load_split("test", data, source=source, dtype=np.float32)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert x.shape == (len(labels), 784)
    assert 0 <= x.min() < x.max() == 1
    run_for(benchmark, lambda: load_split("test", data, source=source, dtype=np.float32))
    benchmark.extra_info["n"] = len(x)


def test_loading_by_hand(benchmark, request):
    """Reading MNIST's own file without any check."""
    benchmark.group = "loading, mnist"
    file = Path(request.config.getoption("--data") or "") / "t10k-images-idx3-ubyte"
    if not file.is_file():
        pytest.skip("needs --data with MNIST's own files, unpacked")

    def load():
        return np.fromfile(file, np.uint8, offset=16).reshape(-1, 784) / np.float32(255)

    np.testing.assert_array_equal(load(), load_split("test", file.parent, dtype=np.float32)[0])
    run_for(benchmark, load)
