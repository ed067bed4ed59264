"""Valid files of every kind that the library reads, and the calls that read them."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile._frame import BrokeError

SIZES = (6, 5, 3)
_TRAIN, _TEST = 3, 5
_IDX = {
    "train-images-idx3-ubyte": "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte": "t10k-labels-idx1-ubyte",
}


def write_all(folder: Path) -> None:
    """Write one folder of valid files for every kind."""
    rng = np.random.default_rng(0)
    for kind in READERS:
        (folder / kind).mkdir(parents=True)
    _write_networks(folder)
    for kind in ("idx", "idx-gz"):
        _write_idx(folder / kind, rng, packed=kind == "idx-gz")
    for kind in ("npy", "npz"):
        _write_arrays(folder / kind, rng, packed=kind == "npz")
    (folder / "bench" / "old.json").write_text(json.dumps(document(), indent=2))


def _write_networks(folder: Path) -> None:
    """Write a network in every format that needs no other package."""
    import fastnn

    net = fastnn.MLP.random(SIZES, "sigmoid", rng=0)
    fastnn.save_mlp(net, folder / "net-npz" / "net.npz")
    fastnn.save_mlp(net, folder / "net-folder")
    fastnn.save_mlp(net, folder / "net-torch" / "net.pth")
    fastnn.save_mlp(net, folder / "net-safetensors" / "net.safetensors")
    legacy = Path(__file__).parents[1] / "data" / "torch-1.3.1.pth"
    (folder / "net-legacy" / "net.pth").write_bytes(legacy.read_bytes())


def _write_idx(folder: Path, rng: np.random.Generator, *, packed: bool) -> None:
    """Write images and labels in the format of MNIST."""
    for (images, labels), n in zip(_IDX.items(), (_TRAIN, _TEST), strict=True):
        pixels = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        pixels[rng.random(pixels.shape) < 0.8] = 0
        digits = rng.integers(0, 10, n).astype(np.uint8)
        for name, content in {
            images: struct.pack(">4I", 2051, n, 28, 28) + pixels.tobytes(),
            labels: struct.pack(">2I", 2049, n) + digits.tobytes(),
        }.items():
            path = folder / (name + ".gz" * packed)
            path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def _write_arrays(folder: Path, rng: np.random.Generator, *, packed: bool) -> None:
    """Write images and labels as NumPy files: one half floats and one-hot, the other pixels."""
    arrays = {
        "images_train": rng.random((_TRAIN, 784), np.float32),
        "labels_train": np.eye(10)[rng.integers(0, 10, _TRAIN)],
        "images_test": rng.integers(0, 256, (_TEST, 28, 28)).astype(np.uint8),
        "labels_test": rng.integers(0, 10, _TEST),
    }
    for name, array in arrays.items():
        if packed:
            np.savez_compressed(folder / f"{name}.npz", array)
        else:
            np.save(folder / f"{name}.npy", array)


def document() -> dict[str, Any]:
    """Return a small result of ``fastnn bench``."""
    control = {"median": 0.99, "low": 0.95, "high": 1.03}
    case = {
        "job": "softmax",
        "title": "softmax, 10,000 x 10",
        "implementation": "fastnn float32",
        "asked": 10_000,
        "n": 10_000,
        "threads": 2,
        "seconds": 2e-4,
        "samples_per_second": 5e7,
        "flops": 5e5,
        "bytes": 8e5,
        "gflops": 2.5,
        "share_of_peak": 0.03,
        "answer": None,
        "peak_memory": 155_869_184,
        "speedup": {
            "base": "numpy",
            "median": 7.8,
            "low": 7.2,
            "high": 8.4,
            "control": control,
            "resolved": True,
        },
        "times": [[2e-4, 2e-4], [2e-4, 2e-4]],
    }
    blas = {"library": "openblas", "version": "0.3.31", "kernels": "SkylakeX", "threads": 2}
    machine = {
        "processor": "AMD EPYC",
        "architecture": "x86_64",
        "vector_bits": 512,
        "processors": 2,
        "usable_processors": 2,
        "cpu_quota": None,
        "system": "Linux",
        "python": "3.11.7",
        "numpy": "2.4.6",
        "numba": "0.68.1",
        "llvmlite": "0.50.0",
        "numba_threading_layer": "default",
        "fastnn": "0.1.0",
        "commit": None,
        "blas": blas,
        "environment": {},
    }
    rates = ("fma_float32", "fma_float64", "fma_float32_one_thread", "sgemm")
    rates += ("peak_float32", "peak_float64", "triad_memory", "triad_cache")
    return {
        "schema": "fastnn-bench/1",
        "machine": machine,
        "ceilings": dict.fromkeys(rates, 76.0) | {"threads": 2},
        "source": "bundled sample, 1,000 held-out digits; the network of fastnn attack",
        "skipped": {},
        "cases": [case | {"implementation": "numpy", "speedup": None}, case],
    }


def read_network(place: Path) -> None:
    """Load a network and put a sample through it."""
    import fastnn

    net = fastnn.load_mlp(place)
    for array in (*net.weights, *net.biases):
        require(array.dtype in (np.float32, np.float64), "a network that is no float")
        require(np.isfinite(array).all(), "a network that is not finite")
    x = np.ones((2, net.sizes[0]), net.dtype)
    try:
        require(net.predict(x).shape == (2,), "predictions of another shape")
    except FloatingPointError as error:
        require(str(error).startswith("row "), str(error))


def read_file(folder: Path) -> None:
    """Load the network in the one file of a folder."""
    (file,) = folder.iterdir()
    read_network(file)


def read_digits(folder: Path) -> None:
    """Load images and labels in all types."""
    import fastnn

    for kind in (np.float32, np.uint8, np.float64):
        data = fastnn.load_mnist(folder, dtype=kind)
        for x, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            require(x.ndim == 2 and x.shape[1] == 784 and len(x) == len(labels), str(x.shape))
            require(labels.dtype == np.int64, str(labels.dtype))
            require(np.isin(labels, range(10)).all(), "labels beyond 0 to 9")
            if x.dtype != np.uint8:
                require(x.size == 0 or (x.min() >= 0 and x.max() <= 1), "pixels beyond [0, 1]")


def read_results(folder: Path) -> None:
    """Read the result of a benchmark and compare it with a newer one."""
    from fastnn.bench import comparison, results

    old = results.read(folder / "old.json")
    try:
        comparison.compare(old, results.document_from(document()))
    except Exception as error:
        raise BrokeError(f"results.read takes what compare cannot: {error!r}") from error


def require(holds: Any, text: str) -> None:
    """Raise where what was loaded is not valid."""
    if not holds:
        raise BrokeError(f"loaded something invalid: {text}")


READERS: dict[str, Callable[[Path], None]] = {
    "net-npz": read_file,
    "net-torch": read_file,
    "net-legacy": read_file,
    "net-safetensors": read_file,
    "net-folder": read_network,
    "idx": read_digits,
    "idx-gz": read_digits,
    "npy": read_digits,
    "npz": read_digits,
    "bench": read_results,
}
