"""Networks in .onnx files: of other writers, for other readers, and refused by node."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastnn import MLP
from fastnn.io import load_mlp, networks, save_mlp
from tests.data.make import SIZES, parameters

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def onnx():
    module = pytest.importorskip("onnx")
    pytest.importorskip("onnx.helper")
    return module


def known(activation="relu", dtype="float32"):
    return MLP(*parameters(dtype), activation)


def same(net, other):
    assert (net.sizes, net.activation) == (other.sizes, other.activation)
    for a, b in zip(net.weights + net.biases, other.weights + other.biases, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_what_pytorch_exported_is_read(onnx, tmp_path):
    same(load_mlp(DATA / "torch.onnx"), known("tanh"))
    (tmp_path / "net").write_bytes((DATA / "torch.onnx").read_bytes())
    same(load_mlp(tmp_path / "net"), known("tanh"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
def test_what_pytorch_exports_is_read(onnx, tmp_path, activation, dynamo):
    torch = pytest.importorskip("torch")
    if dynamo:
        pytest.importorskip("onnxscript")
    from tests.data.make import torch_module

    name = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}[activation]
    module = torch_module(activation=name).eval()
    torch.onnx.export(module, (torch.zeros(1, SIZES[0]),), tmp_path / "n.onnx", dynamo=dynamo)
    same(load_mlp(tmp_path / "n.onnx"), known(activation))


@pytest.mark.parametrize("sizes", [SIZES, (4, 4, 4), (5, 2)])
def test_what_is_saved_is_loaded(onnx, tmp_path, make_net, activation, dtype, sizes):
    net = make_net(sizes, activation, dtype)
    save_mlp(net, tmp_path / "net.onnx")
    same(load_mlp(tmp_path / "net.onnx"), net)
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)


def test_a_runtime_computes_the_same(onnx, tmp_path, make_net, activation, dtype, rng):
    runtime = pytest.importorskip("onnxruntime")
    net = make_net(SIZES, activation, dtype)
    save_mlp(net, tmp_path / "net.onnx")
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = rng.normal(size=(9, 7)).astype(dtype)
    (found,) = session.run(["logits"], {"x": x})
    np.testing.assert_allclose(found, net.logits(x), rtol=1e-5, atol=1e-5)


def test_without_the_package_a_line_says_what_to_install(tmp_path, make_net, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    message = r"net\.onnx: ONNX needs a package: pip install fastnn\[onnx\]$"
    with pytest.raises(ImportError, match=message):
        networks.require_place(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes((DATA / "torch.onnx").read_bytes())
    with pytest.raises(ImportError, match=message):
        load_mlp(tmp_path / "net.onnx")


# --- graphs


class Builder:
    """Builds a graph node by node, and saves it."""

    def __init__(self, onnx, path):
        self.onnx, self.path = onnx, path
        self.nodes, self.arrays = [], []
        self.current = "x"

    def array(self, value):
        name = f"a{len(self.arrays)}"
        value = np.asarray(value)
        self.arrays.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def add(self, kind, *others, first=False, **attributes):
        out = f"t{len(self.nodes)}"
        inputs = [*others, self.current] if first else [self.current, *others]
        node = self.onnx.helper.make_node(kind, inputs, [out], name=f"n{out}", **attributes)
        self.nodes.append(node)
        self.current = out
        return self

    def save(self, *, end=None, inputs=("x",)):
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        ports = [helper.make_tensor_value_info(name, kind, ["N", 3]) for name in inputs]
        out = helper.make_tensor_value_info(end or self.current, kind, ["N", 2])
        graph = helper.make_graph(self.nodes, "g", ports, [out], self.arrays)
        self.path.write_bytes(helper.make_model(graph).SerializeToString())
        return self.path


@pytest.fixture
def graph(onnx, tmp_path):
    return Builder(onnx, tmp_path / "net.onnx")


W, B = np.arange(6, dtype=np.float32).reshape(3, 2) / 4, np.array([1, -1], np.float32)


def test_products_and_sums(graph):
    w2 = np.eye(2, dtype=np.float32)
    graph.add("Flatten").add("MatMul", graph.array(W)).add("Add", graph.array(B)).add("Relu")
    graph.add("MatMul", graph.array(w2)).add("Relu").add("MatMul", graph.array(w2))
    graph.add("Add", graph.array(B[None]), first=True).add("Identity").add("Softmax", axis=-1)
    net = load_mlp(graph.save())
    assert (net.sizes, net.activation) == ((3, 2, 2, 2), "relu")
    np.testing.assert_array_equal(net.weights[0], W)
    np.testing.assert_array_equal(net.biases, [B, [0, 0], B])


def test_all_that_a_gemm_can_say(graph):
    graph.add("Gemm", graph.array(W.T), graph.array(B), transB=1, alpha=2.0, beta=0.5)
    net = load_mlp(graph.save())
    np.testing.assert_array_equal(net.weights[0], 2 * W)
    np.testing.assert_array_equal(net.biases[0], B / 2)


def test_constants_and_copies_of_arrays(graph, onnx):
    tensor = onnx.numpy_helper.from_array(B, "b")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    copied = onnx.helper.make_node("Identity", ["c"], ["d"])
    graph.nodes += [constant, copied]
    graph.add("Gemm", graph.array(W), "d")
    np.testing.assert_array_equal(load_mlp(graph.save()).biases[0], B)


def test_one_output_with_a_sigmoid_is_two_classes(graph, rng):
    graph.add("Gemm", graph.array(W[:, :1]), graph.array(B[:1])).add("Sigmoid")
    net, x = load_mlp(graph.save()), rng.random((4, 3), np.float32)
    expected = 1 / (1 + np.exp(-(x @ W[:, 0] + B[0])))
    np.testing.assert_allclose(net.predict_proba(x)[:, 1], expected, rtol=1e-6)


def test_float16_becomes_float32(graph):
    graph.add("Gemm", graph.array(W.astype("f2")), graph.array(B.astype("f2")))
    net = load_mlp(graph.save())
    assert net.dtype == np.float32
    np.testing.assert_array_equal(net.weights[0], W)


BROKEN = {
    "a convolution": (lambda g: g.add("Conv", g.array(W)), r"node 'nt0' is 'Conv', expected Gemm,"),
    "batch normalisation": (
        lambda g: g.add("Gemm", g.array(W)).add("BatchNormalization", *[g.array(B)] * 4),
        r"node 'nt1' is 'BatchNormalization', expected Gemm",
    ),
    "softmax by columns": (
        lambda g: g.add("Gemm", g.array(W)).add("Softmax", axis=0),
        r"node 'nt1' is 'Softmax'",
    ),
    "a reshaping": (lambda g: g.add("Flatten", axis=0), r"node 'nt0' is 'Flatten'"),
    "an input that is transposed": (
        lambda g: g.add("Gemm", g.array(W), transA=1),
        r"node 'nt0' transposes its input",
    ),
    "weights from the left": (
        lambda g: g.add("MatMul", g.array(W), first=True),
        r"node 'nt0' does not multiply by its weights from the right",
    ),
    "a product of inputs": (lambda g: g.add("MatMul", "x"), "takes 'x', which is no array of the"),
    "two activations": (
        lambda g: g.add("Gemm", g.array(W)).add("Relu").add("Tanh").add("Gemm", g.array(W)),
        r"node 'nt0' is followed by relu, tanh, expected one activation",
    ),
    "a branch": (
        lambda g: g.add("Gemm", g.array(W)).nodes.append(g.nodes[0]),
        r"node 'nt0', 'Gemm', does not follow the one before it",
    ),
    "another domain": (
        lambda g: g.add("Gemm", g.array(W), domain="own"),
        r"node 'nt0', 'Gemm', does not follow the one before it",
    ),
    "integers": (
        lambda g: g.add("Gemm", g.array(W.astype(np.int32))),
        "node 'nt0' has weights that are neither float32 nor float64",
    ),
    "weights of three axes": (
        lambda g: g.add("MatMul", g.array(W[None])),
        r"node 'nt0' has weights of shape \(1, 3, 2\), expected a matrix",
    ),
    "a bias of a column": (
        lambda g: g.add("Gemm", g.array(W), g.array(B[:, None])),
        r"node 'nt0' has a bias of shape \(2, 1\), expected \(2,\)",
    ),
    "layers that do not chain": (
        lambda g: g.add("Gemm", g.array(W)).add("Relu").add("Gemm", g.array(W)),
        r"node 'nt2': weight must have 2 rows to follow, got \(3, 2\)",
    ),
    "nothing": (lambda g: g, "there is no dense layer"),
    "NaN": (
        lambda g: g.add("Gemm", g.array(W * np.float32("nan"))),
        r"node 'nt0': weight\[0, 0\] is nan; every entry must be finite",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_other_nodes_are_refused_by_name(graph, case):
    build, message = BROKEN[case]
    build(graph)
    with pytest.raises(ValueError, match=rf"net\.onnx: {message}|{message}") as caught:
        load_mlp(graph.save())
    assert str(caught.value).startswith(str(graph.path))


def test_ports_that_are_no_networks(graph):
    graph.add("Gemm", graph.array(W))
    with pytest.raises(ValueError, match=r"it has 2 inputs and 1 outputs, not one"):
        load_mlp(graph.save(inputs=("x", "y")))
    with pytest.raises(ValueError, match=r"its output is not the result of its last node"):
        load_mlp(graph.save(end="x"))


def test_weights_in_other_files_are_not_read(graph, onnx, tmp_path):
    (tmp_path / "secret").write_bytes(W.tobytes())
    graph.add("Gemm", graph.array(W))
    tensor = graph.arrays[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    with pytest.raises(ValueError, match="node 'nt0' has its weights in another file, which"):
        load_mlp(graph.save())


@pytest.mark.parametrize("dims", [[10**9, 10**3], [-3, -2], [3, 3], [1] * 40])
def test_shapes_that_lie_are_refused(graph, dims):
    graph.add("Gemm", graph.array(W))
    del graph.arrays[0].dims[:]
    graph.arrays[0].dims.extend(dims)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"net\.onnx is truncated or damaged, expected an \.onnx"):
        load_mlp(graph.save())
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_one_array_for_very_many_layers_is_refused(graph):
    name = graph.array(np.eye(100, dtype=np.float32))
    for _ in range(200):
        graph.add("Gemm", name).add("Relu")
    with pytest.raises(ValueError, match=r"has weights that are larger than the file"):
        load_mlp(graph.save())


def field(number, content):
    """Return a field of a protocol buffer with bytes in it."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([8 * number + 2]) + length + bytes([size]) + content


MANY = 700_000  # messages of two bytes, of which the package makes an object each
SMALL = {
    "nodes": field(7, field(1, b"") * MANY),
    "arrays": field(7, field(5, b"") * MANY),
    "attributes": field(7, field(1, field(5, b"") * MANY)),
    "notes": field(14, b"") * MANY,
    "sizes": field(7, field(5, b"\x08\x01" * MANY)),
}


@pytest.mark.parametrize("case", SMALL)
def test_very_many_small_messages_are_refused_before_they_are_parsed(
    onnx, tmp_path, monkeypatch, case
):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08" + SMALL[case])
    monkeypatch.setattr(onnx.ModelProto, "FromString", lambda _: pytest.fail("is parsed"))
    with pytest.raises(
        ValueError, match=r"net\.onnx has more than 1,048,576 bytes beside its arra"
    ):
        load_mlp(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "end", [b"\x0a\x05x", b"\x0a" + b"\xff" * 10, b"\x0a\xff", b"\x0b", b"\x0f"]
)
def test_fields_that_have_no_end_are_refused(onnx, tmp_path, end):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\x00" + end)
    with pytest.raises(ValueError, match=r"net\.onnx is truncated or damaged"):
        load_mlp(tmp_path / "net.onnx")


def test_large_arrays_are_no_description(graph):
    wide = np.eye(3, 200_000, dtype=np.float32)  # 2.4 MB
    narrow = np.ones((200_000, 2), np.float32)
    graph.add("Gemm", graph.array(wide)).add("Relu")
    graph.nodes.append(
        graph.onnx.helper.make_node(
            "Constant", [], ["c"], value=graph.onnx.numpy_helper.from_array(narrow)
        )
    )
    graph.add("Gemm", "c")
    assert load_mlp(graph.save()).sizes == (3, 200_000, 2)


def test_a_copy_of_nothing_is_refused(graph, onnx):
    graph.nodes.append(onnx.helper.make_node("Identity", [], ["a"]))
    with pytest.raises(ValueError, match=r"node 'Identity 0', 'Identity', does not follow"):
        load_mlp(graph.save(end="a"))


def test_a_truncated_file_is_named(onnx, tmp_path):
    content = (DATA / "torch.onnx").read_bytes()
    for size in range(0, len(content) - 1, 97):
        (tmp_path / "net.onnx").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"net\.onnx(:| is truncated or damaged)"):
            load_mlp(tmp_path / "net.onnx")
