"""Networks in .safetensors files: read and written without the library, and checked against it."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastnn import MLP
from fastnn.io import load_mlp, save_mlp
from tests.data.make import SIZES, parameters

DATA = Path(__file__).parents[1] / "data"


def known(dtype="float32"):
    return MLP(*parameters(dtype))


def same(net, other):
    assert (net.sizes, net.activation) == (other.sizes, other.activation)
    for a, b in zip(net.weights + net.biases, other.weights + other.biases, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("torch", "float32"), ("bfloat16", "float32"), ("numpy", "float64")],
)
def test_files_that_the_library_wrote_are_read(tmp_path, name, dtype):
    same(load_mlp(DATA / f"{name}.safetensors"), known(dtype))
    (tmp_path / "net").write_bytes((DATA / f"{name}.safetensors").read_bytes())
    same(load_mlp(tmp_path / "net"), known(dtype))


@pytest.mark.parametrize("sizes", [SIZES, (4, 4, 4), (5, 2), (3,) * 13])
def test_what_is_saved_is_loaded(tmp_path, make_net, activation, dtype, sizes):
    net = make_net(sizes, activation, dtype)
    save_mlp(net, tmp_path / "net.safetensors")
    same(load_mlp(tmp_path / "net.safetensors"), net)


def test_the_library_reads_what_is_saved(tmp_path, make_net, activation, dtype):
    library = pytest.importorskip("safetensors.numpy")
    net = make_net(SIZES, activation, dtype)
    save_mlp(net, tmp_path / "net.safetensors")
    arrays = library.load_file(tmp_path / "net.safetensors")
    assert len(arrays) == 6
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        np.testing.assert_array_equal(arrays[f"fc{i}.weight"], weight.T)
        np.testing.assert_array_equal(arrays[f"fc{i}.bias"], bias)


def test_what_the_library_saves_is_loaded(tmp_path, make_net, dtype):
    library = pytest.importorskip("safetensors.numpy")
    net = make_net((4, 4, 4), dtype=dtype)
    arrays = {"0.weight": net.weights[0], "0.bias": net.biases[0]}
    arrays |= {"2.weight": net.weights[1], "2.bias": net.biases[1]}
    path = tmp_path / "net.safetensors"
    library.save_file(arrays, path)
    same(load_mlp(path, layout="in-out"), net)
    with pytest.raises(ValueError, match=r"the layers chain both as"):
        load_mlp(path)
    turned = {name: np.ascontiguousarray(array.T) for name, array in arrays.items()}
    library.save_file(turned, path, metadata={"format": "pt"})
    same(load_mlp(path), net)


# --- what is refused


def write(path, header, data=bytes(100), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)


def entry(shape, start=0, end=24, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


GOOD = {"0.weight": entry([2, 3]), "0.bias": entry([2], 24, 32)}
DAMAGED = "is truncated or damaged"
BAD = {
    "larger than the file": (GOOD | {"0.weight": entry([200, 3], 0, 2400)}, DAMAGED),
    "of petabytes": (GOOD | {"0.weight": entry([2**50, 3], 0, 12 * 2**50)}, DAMAGED),
    "another size than its bytes": (GOOD | {"0.weight": entry([2, 4])}, DAMAGED),
    "of more numbers than bytes": (GOOD | {"0.weight": entry([10**9, 3])}, DAMAGED),
    "negative sizes": (GOOD | {"0.weight": entry([-2, -3])}, DAMAGED),
    "no whole size": (GOOD | {"0.weight": entry([2.0, 3])}, DAMAGED),
    "true": (GOOD | {"0.weight": entry([True, 6])}, DAMAGED),
    "the end first": (GOOD | {"0.weight": entry([2, 3], 32, 8)}, DAMAGED),
    "before the data": (GOOD | {"0.weight": entry([2, 3], -24, 0)}, DAMAGED),
    "bytes shared": (GOOD | {f"{i}.weight": entry([2, 3]) for i in range(5)}, DAMAGED),
    "another type": (GOOD | {"0.weight": entry([2, 3], dtype="F8_E4M3")}, "type 'F8_E4M3'"),
    "integers": (GOOD | {"0.weight": entry([2, 3], dtype="I32")}, "0.weight must be float32 or"),
    "no entry": (GOOD | {"0.weight": 3}, DAMAGED),
    "half an entry": (GOOD | {"0.weight": {"dtype": "F32", "shape": [2, 3]}}, DAMAGED),
    "notes of other things": (GOOD | {"__metadata__": {"activation": 3}}, DAMAGED),
    "an unknown activation": (GOOD | {"__metadata__": {"activation": "x"}}, "activation must be"),
    "no arrays": ({}, "0.weight is missing|fc1.weight is missing, found no parameters"),
    "a list": (b'{"a": [1]}', DAMAGED),
    "deeper than Python goes": (b'{"a":' * 100_000, DAMAGED),
    "no JSON": (b"{0.weight}", DAMAGED),
    "no text": (b'{"\xff": 1}', DAMAGED),
    "twice the same": (b'{"0.bias": 1, "0.bias": 2}', "has two entries of the same name"),
    "a number of many digits": (b'{"a": ' + b"1" * 9999 + b"}", DAMAGED),
    "another kind of layer": (
        GOOD | {"1.running_mean": entry([2], 32, 40)},
        "1.running_mean is no",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_headers_that_lie_are_refused(tmp_path, kind):
    header, message = BAD[kind]
    write(tmp_path / "net.safetensors", header)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"net\.safetensors:? .*({message})") as caught:
        load_mlp(tmp_path / "net.safetensors")
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_a_header_that_is_not_all_there_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    write(path, GOOD)
    assert load_mlp(path).sizes == (3, 2)
    content = path.read_bytes()
    for size in range(0, 8 + 80, 5):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"net\.safetensors is truncated or damaged"):
            load_mlp(path)
    write(path, GOOD, length=2**39)
    with pytest.raises(ValueError, match=r"has a header of 549,755,813,888 bytes, expected a \.sa"):
        load_mlp(path)
