"""State dicts of PyTorch: read without it, written for it, and refused where they could do harm."""

import pickle
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn import MLP
from fastnn.io import load_mlp, save_mlp
from fastnn.io._torch_writing import _described
from tests.data.make import SIZES, parameters, torch_module

DATA = Path(__file__).parents[1] / "data"
READ = ["torch.pth", "torch-legacy.pth", "torch-1.3.1.pth"]
READ += ["torch-bfloat16.pth", "torch-checkpoint.pt"]
EXPECTED = r", expected a PyTorch state dict, torch\.save\(model\.state_dict\(\), path\)$"


def known(dtype="float32", activation="relu"):
    return MLP(*parameters(dtype), activation)


def same(net, other):
    assert (net.sizes, net.activation) == (other.sizes, other.activation)
    for a, b in zip(net.weights + net.biases, other.weights + other.biases, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name",
    [
        "torch.pth",
        "torch-legacy.pth",
        "torch-1.3.1.pth",
        "torch-bfloat16.pth",
        "torch-checkpoint.pt",
    ],
)
def test_files_that_pytorch_wrote_are_read(name):
    same(load_mlp(DATA / name), known())
    same(load_mlp(DATA / name, activation="tanh"), known(activation="tanh"))


def test_float64_stays():
    same(load_mlp(DATA / "torch-float64.pth"), known("float64"))


def test_the_content_tells_the_kind_of_file(tmp_path):
    for name in ("torch.pth", "torch-legacy.pth"):
        (tmp_path / "net.bin").write_bytes((DATA / name).read_bytes())
        same(load_mlp(tmp_path / "net.bin"), known())


def test_weights_of_pytorch_are_never_in_out(make_net, tmp_path):
    with pytest.raises(ValueError, match="weights of this kind of file are out-in, not in-out"):
        load_mlp(DATA / "torch.pth", layout="in-out")
    square = make_net((4, 4, 4))
    save_mlp(square, tmp_path / "square.pth")
    same(load_mlp(tmp_path / "square.pth"), square)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PTH"])
def test_what_is_saved_is_loaded(tmp_path, make_net, activation, dtype, suffix):
    net = make_net(SIZES, activation, dtype)
    save_mlp(net, tmp_path / f"net{suffix}")
    same(load_mlp(tmp_path / f"net{suffix}"), net)
    assert [path.name for path in tmp_path.iterdir()] == [f"net{suffix}"]


# --- with PyTorch itself


def test_pytorch_loads_what_is_saved(tmp_path, make_net, activation, dtype):
    torch = pytest.importorskip("torch")
    net = make_net(SIZES, activation, dtype)
    save_mlp(net, tmp_path / "net.pth")
    for options in ({}, {"mmap": True}):
        state = torch.load(tmp_path / "net.pth", weights_only=True, **options)
        assert list(state) == [f"fc{i}.{part}" for i in (1, 2, 3) for part in ("weight", "bias")]
        module = torch_module(np.dtype(dtype).name)
        module.load_state_dict(dict(zip(module.state_dict(), state.values(), strict=True)))
        for i, weight in enumerate(net.weights):
            np.testing.assert_array_equal(module[2 * i].weight.detach().numpy(), weight.T)
    torch.save(state, tmp_path / "again.pth")
    same(load_mlp(tmp_path / "again.pth"), net)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_pytorch_saves_is_loaded(tmp_path, legacy, protocol):
    torch = pytest.importorskip("torch")
    torch.save(
        torch_module().state_dict(),
        tmp_path / "net.pth",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    same(load_mlp(tmp_path / "net.pth"), known())


@pytest.mark.parametrize("legacy", [False, True])
def test_views_of_one_storage_are_loaded(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    state = torch_module().state_dict()
    flat = torch.cat([tensor.t().flatten() for tensor in state.values()])
    start, views = 0, {}
    for name, tensor in state.items():
        part = flat[start : start + tensor.numel()]
        views[name], start = part.view(tensor.t().shape).t(), start + tensor.numel()
    torch.save(views, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    same(load_mlp(tmp_path / "net.pth"), known())


def test_a_layer_may_have_no_bias(tmp_path):
    torch = pytest.importorskip("torch")
    state = torch_module().state_dict()
    del state["2.bias"]
    torch.save(state, tmp_path / "net.pth")
    net = load_mlp(tmp_path / "net.pth")
    assert not net.biases[1].any()
    np.testing.assert_array_equal(net.weights[1], known().weights[1])


def test_other_layers_are_refused_by_name(tmp_path):
    torch = pytest.importorskip("torch")
    layers = {
        "Conv2d(1, 4, 3)": r"0\.weight has shape \(4, 1, 3, 3\) as a convolution has",
        "LayerNorm(4)": r"0\.weight has shape \(4,\) as a normalisation has",
        "BatchNorm1d(4)": r"0\.running_mean is no weight or bias of a dense layer",
        "LSTM(3, 4)": r"0\.weight_ih_l0 is no weight or bias of a dense layer",
    }
    for layer, message in layers.items():
        module = torch.nn.Sequential(eval(f"torch.nn.{layer}"), torch.nn.Linear(4, 3))
        torch.save(module.state_dict(), tmp_path / "net.pth")
        with pytest.raises(ValueError, match=rf"net\.pth: {message}"):
            load_mlp(tmp_path / "net.pth")


def test_big_endian_files_are_read(tmp_path):
    with zipfile.ZipFile(DATA / "torch.pth") as old, zipfile.ZipFile(tmp_path / "n.pt", "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if "/data/" in member.filename:
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            new.writestr(member.filename, b"big" if "byteorder" in member.filename else content)
    same(load_mlp(tmp_path / "n.pt"), known())


# --- what is refused


def archive(path, pickled, storages=None, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as file:
        file.writestr("archive/data.pkl", pickled)
        for key, content in (storages or {}).items():
            file.writestr(f"archive/data/{key}", content)


def legacy(path, pickled, end=b""):
    heads = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    path.write_bytes(b"".join(pickle.dumps(head, 2) for head in heads) + pickled + end)


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HARM = {"eval": eval, "exec": exec, "Path": Path, "getattr": getattr}


@pytest.mark.parametrize("write", [archive, legacy])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", HARM)
def test_foreign_globals_are_refused_by_name(tmp_path, write, name, protocol):
    harm = pickle.dumps({"fc1.weight": Call(HARM[name], "x", "y")}, protocol)
    write(tmp_path / "net.pth", harm)
    message = rf"net\.pth holds '\w+\.{name}', which is not loaded{EXPECTED}"
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / "net.pth")


def test_a_whole_module_is_refused_by_name():
    name = r"torch\.nn\.modules\.container\.Sequential"
    with pytest.raises(ValueError, match=rf"holds '{name}', which is not loaded{EXPECTED}"):
        load_mlp(DATA / "torch-module.pt")


@pytest.mark.parametrize("name", ["torch.load", "torch.FloatStorage.x", "torch._utils._rebuild"])
def test_other_names_of_pytorch_are_refused(tmp_path, name):
    module, _, last = name.rpartition(".")
    archive(tmp_path / "net.pt", f"\x80\x02c{module}\n{last}\n.".encode("latin1"))
    with pytest.raises(ValueError, match=rf"net\.pt holds '{name}', which is not loaded"):
        load_mlp(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"holds 0 state dicts under its keys \(none\)"),
        ({"a": 1, "b": {}}, "holds 0 state dicts under its keys 'a', 'b'"),
        ([1, 2], "holds a list"),
        (3, "holds a int"),
        ({(1, 2): 3}, "holds pickled objects"),
        (b"bytes", r"holds '_codecs\.encode', which is not loaded"),
    ],
)
@pytest.mark.parametrize("write", [archive, legacy])
def test_pickles_of_other_things(tmp_path, content, message, write):
    ends = {"end": pickle.dumps([], 2)} if write is legacy else {}
    write(tmp_path / "net.pth", pickle.dumps(content, 2), **ends)
    with pytest.raises(ValueError, match=rf"net\.pth {message}{EXPECTED}"):
        load_mlp(tmp_path / "net.pth")


def described(**changes):
    """Return the pickle of a network of two layers, with some bytes replaced."""
    arrays = {
        "fc1.weight": np.ones((3, 4), np.float32),
        "fc1.bias": np.ones(3, np.float32),
        "fc2.weight": np.ones((2, 3), np.float32),
        "fc2.bias": np.ones(2, np.float32),
    }
    content = _described(arrays, "relu")
    for old, new in changes.values():
        assert old in content
        content = content.replace(old, new, 1)
    return content


STORAGES = {str(i): bytes(4 * size) for i, size in enumerate((12, 3, 6, 2))}


def number(value):
    size = value.bit_length() // 8 + 1
    return struct.pack("<BB", 0x8A, size) + value.to_bytes(size, "little", signed=True)


SHAPE, STRIDES = b"(" + number(3) + number(4) + b"t", b"(" + number(4) + number(1) + b"t"
LIES = {
    "larger than its storage": {"shape": (SHAPE, b"(" + number(30) + number(4) + b"t")},
    "of petabytes": {"shape": (SHAPE, b"(" + number(2**40) + number(4) + b"t")},
    "one number repeated": {
        "shape": (SHAPE, b"(" + number(10**9) + number(4) + b"t"),
        "strides": (STRIDES, b"(" + number(0) * 2 + b"t"),
    },
    "steps out of its storage": {"strides": (STRIDES, b"(" + number(5) + number(1) + b"t")},
    "negative steps": {"strides": (STRIDES, b"(" + number(-4) + number(1) + b"t")},
    "a negative size": {"shape": (SHAPE, b"(" + number(-3) + number(-4) + b"t")},
    "steps of another shape": {"strides": (STRIDES, b"(" + number(1) + b"t")},
    "behind its storage": {"offset": (b"Q" + number(0) + b"(", b"Q" + number(1) + b"(")},
    "before its storage": {"offset": (b"Q" + number(0) + b"(", b"Q" + number(-1) + b"(")},
    "a storage of another size": {"size": (b"cpu" + number(12), b"cpu" + number(13))},
    "a huge storage": {"size": (b"cpu" + number(12), b"cpu" + number(2**61))},
    "a storage that is not there": {"key": (b"\x01\0\0\x000", b"\x01\0\0\x009")},
    "a path": {"key": (b"\x01\0\0\x000", b"\x09\0\0\x00../../0/x")},
    "a storage of two sizes": {"key": (b"\x01\0\0\x001", b"\x01\0\0\x000")},
    "no storage": {"type": (b"ctorch\nFloatStorage\n", b"X\x01\0\0\0a")},
}


def test_a_described_network_is_loaded(tmp_path):
    archive(tmp_path / "net.pt", described(), STORAGES)
    assert load_mlp(tmp_path / "net.pt").sizes == (4, 3, 2)


@pytest.mark.parametrize("lie", LIES)
def test_tensors_that_do_not_fit_in_their_storage_are_refused(tmp_path, lie):
    archive(tmp_path / "net.pt", described(**LIES[lie]), STORAGES)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"net\.pt (is truncated or damaged|holds pickled)"):
        load_mlp(tmp_path / "net.pt")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_many_tensors_of_one_storage_are_refused(tmp_path):
    one = described()
    tensor = one[one.index(b"ctorch._utils") : one.index(b"X\x08\0\0\0fc1.bias")]
    names = [b"X\x0b\0\0\0fc%02d.weight" % i for i in range(100)]
    content = b"\x80\x02}(" + b"".join(name + tensor for name in names) + b"u."
    large = content.replace(SHAPE, b"(" + number(30) + number(400) + b"t")
    large = large.replace(b"cpu" + number(12), b"cpu" + number(12_000))
    archive(tmp_path / "net.pt", large, {"0": bytes(48_000)})
    with pytest.raises(ValueError, match=r"net\.pt has tensors that are larger than the file"):
        load_mlp(tmp_path / "net.pt")


def test_a_compressed_archive_is_refused(tmp_path):
    archive(tmp_path / "net.pt", described(), STORAGES, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"net\.pt has a compressed member 'archive/data\.pkl'"):
        load_mlp(tmp_path / "net.pt")


def test_a_long_description_is_refused(tmp_path):
    archive(tmp_path / "net.pt", b"\x80\x02" + b"]" * 2**21 + b".")
    with pytest.raises(ValueError, match=r"has more than 1,048,576 bytes in 'archive/data\.pkl'"):
        load_mlp(tmp_path / "net.pt")
    legacy(tmp_path / "net.pt", b"\x80\x02" + b"]" * 2**21 + b".")
    with pytest.raises(ValueError, match=r"net\.pt is truncated or damaged"):
        load_mlp(tmp_path / "net.pt")


def test_text_cannot_stand_for_a_name(tmp_path):
    ordered = b"X\x17\0\0\0collections.OrderedDict)R."
    archive(tmp_path / "net.pt", b"\x80\x02" + ordered)
    with pytest.raises(ValueError, match=r"net\.pt holds pickled objects"):
        load_mlp(tmp_path / "net.pt")


ANNOUNCED = {
    "memory": b"]r\xff\xff\xff\x7f",
    "bytes": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "text": b"X\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("kind", ANNOUNCED)
def test_memory_is_not_taken_for_what_is_announced(tmp_path, kind):
    archive(tmp_path / "net.pt", b"\x80\x02" + ANNOUNCED[kind])
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"net\.pt is truncated or damaged"):
        load_mlp(tmp_path / "net.pt")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_tuples_of_tuples_take_no_time(tmp_path):
    doubled = b")" + b"q\x00h\x00\x86" * 60
    archive(tmp_path / "net.pt", b"\x80\x02}(" + doubled + b"Nu.")
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"net\.pt holds pickled objects"):
        load_mlp(tmp_path / "net.pt")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("name", ["torch.pth", "torch-legacy.pth"])
def test_a_truncated_file_is_named(tmp_path, name):
    content = (DATA / name).read_bytes()
    for size in (0, 1, 20, len(content) // 2, len(content) - 1):
        (tmp_path / "net.pth").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"net\.pth (is truncated|has no data\.pkl|is empty)"):
            load_mlp(tmp_path / "net.pth")
