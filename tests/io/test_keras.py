"""Keras models: read without Keras, as Keras wrote them, and refused where they could do harm."""

import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn import MLP
from fastnn.io import _hdf5, load_mlp, save_mlp
from tests.data.make import SIZES, parameters

DATA = Path(__file__).parents[1] / "data"
EXPECTED = r", expected a Keras model of Dense layers, model\.save\(path\)$"


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def same(net, activation, dtype="float32"):
    assert (net.sizes, net.activation) == (SIZES, activation)
    weights, biases = parameters(dtype)
    for a, b in zip(net.weights + net.biases, weights + biases, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("kind", "activation"), [("sequential", "relu"), ("functional", "tanh"), ("keras2", "relu")]
)
def test_what_keras_saved_is_read(h5py, tmp_path, kind, activation, suffix):
    same(load_mlp(DATA / f"{kind}{suffix}"), activation)
    (tmp_path / "net").write_bytes((DATA / f"{kind}{suffix}").read_bytes())
    same(load_mlp(tmp_path / "net"), activation)


def test_weights_of_keras_are_never_out_in(h5py):
    with pytest.raises(ValueError, match="weights of this kind of file are in-out, not out-in"):
        load_mlp(DATA / "sequential.keras", layout="out-in")
    with pytest.raises(ValueError, match="was saved with activation 'relu', not 'tanh'"):
        load_mlp(DATA / "sequential.keras", activation="tanh")


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for name in ("sequential.keras", "sequential.h5"):
        with pytest.raises(ImportError, match=r": HDF5 needs a package: pip install fastnn\[keras"):
            load_mlp(DATA / name)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_models_are_read_and_not_written(tmp_path, make_net, suffix):
    with pytest.raises(ValueError, match=rf"net\{suffix}: \{suffix} is read, not written, "):
        save_mlp(make_net(SIZES), tmp_path / f"net{suffix}")
    assert list(tmp_path.iterdir()) == []


# --- with Keras itself


@pytest.fixture
def keras(monkeypatch, h5py):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("jax")
    return pytest.importorskip("keras")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_computes_the_same(keras, tmp_path, rng, suffix):
    from keras import layers

    layer_lists = {
        "softmax": [layers.Dense(6, "sigmoid"), layers.Dense(5), layers.Activation("sigmoid")],
        "apart": [layers.Dense(6), layers.ReLU(), layers.Dropout(0.5), layers.Dense(5, "relu")],
        "no bias": [layers.Dense(6, "tanh", use_bias=False)],
    }
    for name, hidden in layer_lists.items():
        last = [layers.Dense(3), layers.Softmax()]
        if name != "apart":
            last = [layers.Dense(3, "softmax")]
        model = keras.Sequential([keras.Input((7,)), layers.Flatten(), *hidden, *last])
        for layer in model.layers:
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
        model.save(tmp_path / f"net{suffix}")
        net, x = load_mlp(tmp_path / f"net{suffix}"), rng.random((9, 7), np.float32)
        found = net.predict_proba(x)
        np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_binary_model_has_two_classes(keras, tmp_path, rng):
    layers = [keras.layers.Dense(5, "relu"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((7,)), *layers])
    model.save(tmp_path / "net.keras")
    x = rng.random((9, 7), np.float32)
    found = load_mlp(tmp_path / "net.keras").predict_proba(x)
    np.testing.assert_allclose(found[:, 1], model.predict(x, verbose=0)[:, 0], rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_other_layers_are_refused_by_name(keras, tmp_path):
    layers = keras.layers
    built = {
        "BatchNormalization": layers.BatchNormalization(name="bn"),
        "Conv1D": layers.Conv1D(2, 2, name="bn"),
        "LayerNormalization": layers.LayerNormalization(name="bn"),
        "Sequential": keras.Sequential([layers.Dense(4)], name="bn"),
    }
    for kind, layer in built.items():
        shape = (7, 2) if kind == "Conv1D" else (7,)
        model = keras.Sequential([keras.Input(shape), layer, layers.Dense(3)])
        for suffix in (".keras", ".h5"):
            model.save(tmp_path / f"net{suffix}")
            message = rf"net\{suffix} has layer 'bn' of class '{kind}'{EXPECTED}"
            with pytest.raises(ValueError, match=message):
                load_mlp(tmp_path / f"net{suffix}")


@pytest.mark.filterwarnings("ignore")
def test_a_model_with_a_branch_is_refused(keras, tmp_path):
    first = keras.Input((7,))
    hidden = keras.layers.Dense(7, "relu", name="one")(first)
    last = keras.layers.Dense(3, name="two")(keras.layers.Add(name="sum")([first, hidden]))
    model = keras.Model(first, last)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"net{suffix}")
        with pytest.raises(ValueError, match="has layer 'sum' that does not follow the one before"):
            load_mlp(tmp_path / f"net{suffix}")


# --- made by hand


def dense(name, activation="relu", **changes):
    config = {"name": name, "activation": activation, "use_bias": True}
    return {"class_name": "Dense", "config": config} | changes


def sequential(*layers):
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


UNBIASED = {"config": {"name": "a", "activation": "relu", "use_bias": False}}
GOOD = sequential(dense("a"), dense("b", "linear"))
W, B = np.ones((4, 3), "f4"), np.zeros(3, "f4")


def write_h5(path, config=GOOD, arrays=None, h5py=None):
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if type(config) is str else json.dumps(config)
        given = {"a": (W, B), "b": (W[:3, :2], B[:2])} if arrays is None else arrays
        for name, (kernel, bias) in given.items():
            group = file.create_group(f"model_weights/{name}")
            group.attrs["weight_names"] = ["kernel", "bias"]
            group["kernel"], group["bias"] = kernel, bias
    return path


def changed(change):
    """Return a function that writes a model and then changes its file."""

    def write(path, h5py):
        write_h5(path, h5py=h5py)
        with h5py.File(path, "r+") as file:
            change(h5py, file["model_weights/a"])

    return write


def replaced(name, **options):
    def change(h5py, group):
        del group[name]
        group.create_dataset(name, **options)

    return changed(change)


def linked(kind, *place):
    def change(h5py, group):
        del group["kernel"]
        group["kernel"] = getattr(h5py, kind)(*place)

    return changed(change)


def emptied(h5py, group):
    del group["kernel"]
    group.create_group("kernel")


def virtual(h5py, group):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", (4, 3))
    del group["kernel"]
    group.create_virtual_dataset("kernel", layout)


def config(change):
    return lambda path, h5py: write_h5(path, change, h5py=h5py)


def attribute(name, value):
    return changed(lambda _, group: group.attrs.create(name, value))


EXTERNAL = [("secret", 0, 48)]
KERNEL = "model_weights/a/kernel"
BAD = {
    "another file": (replaced("kernel", shape=(4, 3), dtype="f4", external=EXTERNAL), "in another"),
    "a link elsewhere": (linked("ExternalLink", "other.h5", KERNEL), f"has no array '{KERNEL}'"),
    "a soft link": (linked("SoftLink", "/model_weights/b/kernel"), f"has no array '{KERNEL}'"),
    "a virtual array": (changed(virtual), f"has '{KERNEL}' in another file, which is not read"),
    "an array without bytes": (
        replaced("kernel", shape=(10**6, 10**6), dtype="f4"),
        f"has '{KERNEL}' that is not all there",
    ),
    "a bomb": (
        replaced("kernel", shape=(10**5, 10**3), dtype="f4", chunks=(10, 10), compression="gzip"),
        f"has '{KERNEL}' compressed",
    ),
    "pieces that are not there": (
        replaced("kernel", shape=(10**5, 10**3), dtype="f4", chunks=(10, 10)),
        f"has '{KERNEL}' that is not all there",
    ),
    "integers": (replaced("kernel", data=np.ones((4, 3), int)), "of another type than floats"),
    "a group for an array": (changed(emptied), f"has no array '{KERNEL}'"),
    "three arrays": (attribute("weight_names", ["kernel", "bias", "bias"]), "has 3 arrays for"),
    "no arrays": (attribute("weight_names", np.zeros(0)), "has 0 arrays for layer 'a'"),
    "a path up": (attribute("weight_names", ["../b/kernel", "bias"]), "has no array 'model_wei"),
    "an absolute path": (attribute("weight_names", ["/model_weights", "bias"]), "has no array"),
    "numbers for names": (attribute("weight_names", [1, 2]), "has no array 'model_weights/a/1'"),
    "very many names": (attribute("weight_names", ["kernel"] * 2000), "has 2000 arrays"),
    "no configuration": (config(None), "has no model_config"),
    "no JSON": (config("{"), "truncated"),
    "deeper than Python goes": (config("[" * 100_000), "truncated"),
    "another class": (config({"class_name": "Own", "config": {}}), "is of class 'Own'"),
    "no layers": (config({"class_name": "Sequential", "config": {}}), "truncated"),
    "a missing layer": (
        config(sequential(dense("a"), dense("x"))),
        "has no weight_names of 'model_w",
    ),
    "a layer elsewhere": (config(sequential(dense("a"), dense("../a"))), "has no weight_names of"),
    "another activation": (config(sequential(dense("a", "gelu"))), "activation 'gelu'"),
    "an activation of its own": (config(sequential(dense("a", {"f": 1}))), "has layer 'a' with"),
    "a layer of its own": (config(sequential(dense("a", module="mine"))), "a class of its own"),
    "no bias where one is": (config(sequential(dense("a", **UNBIASED))), "truncated"),
}


def test_a_file_made_by_hand_is_read(h5py, tmp_path):
    assert load_mlp(write_h5(tmp_path / "net.h5", h5py=h5py)).sizes == (4, 3, 2)


@pytest.mark.parametrize("case", BAD)
def test_files_that_were_made_to_do_harm(h5py, tmp_path, case):
    write, message = BAD[case]
    (tmp_path / "secret").write_bytes(W.tobytes())
    write_h5(tmp_path / "other.h5", h5py=h5py)
    write(tmp_path / "net.h5", h5py)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"net\.h5 .*({message}).*{EXPECTED}"):
        load_mlp(tmp_path / "net.h5")
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def test_a_last_layer_that_is_no_classifiers(h5py, tmp_path):
    model = sequential(dense("a"), dense("b", "relu"))
    path = write_h5(tmp_path / "net.h5", model, h5py=h5py)
    with pytest.raises(ValueError, match=r"net\.h5: layer 'b', the last layer, with 2 outputs is"):
        load_mlp(path)


def test_one_array_for_very_many_layers_is_refused(h5py, tmp_path):
    square = np.eye(200, dtype="f4")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(*[dense(str(i)) for i in range(20)]))
        file["kernel"], file["bias"] = square, square[0]
        for i in range(20):
            group = file.create_group(f"model_weights/{i}")
            group.attrs["weight_names"] = ["kernel", "bias"]
            group["kernel"], group["bias"] = file["kernel"], file["bias"]
    with pytest.raises(ValueError, match=r"among arrays that are larger than the file"):
        load_mlp(tmp_path / "net.h5")


def repacked(change, packing=zipfile.ZIP_STORED):
    """Return the bytes of a .keras file with some members replaced."""
    out = io.BytesIO()
    old = zipfile.ZipFile(DATA / "sequential.keras")
    with old, zipfile.ZipFile(out, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, change.get(name, old.read(name)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: repacked({}, zipfile.ZIP_DEFLATED), "has a compressed member 'config.json'"),
        (
            lambda: repacked({"config.json": b" " * 2**21}),
            "has more than 1,048,576 bytes in",
        ),
        (lambda: repacked({"config.json": b"[]"}), "is truncated or damaged"),
        (lambda: repacked({"model.weights.h5": b""}), "is truncated or damaged"),
        (lambda: repacked({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}), "is truncated or damaged"),
        (lambda: (DATA / "sequential.keras").read_bytes()[:-30], "is truncated or damaged"),
    ],
)
def test_archives_that_are_damaged(h5py, tmp_path, content, message):
    (tmp_path / "net.keras").write_bytes(content())
    with pytest.raises(ValueError, match=rf"net\.keras {message}.*{EXPECTED}"):
        load_mlp(tmp_path / "net.keras")


def test_weights_of_layers_in_another_order_are_refused(h5py, tmp_path):
    with zipfile.ZipFile(DATA / "sequential.keras") as archive:
        model = json.loads(archive.read("config.json"))
    model["config"]["layers"][1:3] = model["config"]["layers"][2:0:-1]
    (tmp_path / "net.keras").write_bytes(repacked({"config.json": json.dumps(model)}))
    with pytest.raises(ValueError, match=r"net\.keras has the weights of another layer for 'dense"):
        load_mlp(tmp_path / "net.keras")


def test_a_truncated_file_is_named(h5py, tmp_path):
    for name in ("sequential.h5", "sequential.keras"):
        content = (DATA / name).read_bytes()
        path = tmp_path / name
        for size in range(0, len(content), len(content) // 9):
            path.write_bytes(content[:size])
            with pytest.raises(ValueError, match=rf"{name} is truncated or damaged{EXPECTED}"):
                load_mlp(path)


def test_a_file_that_libhdf5_never_finishes_is_refused(h5py, tmp_path, monkeypatch):
    content = bytearray((DATA / "sequential.h5").read_bytes())
    size = content.index(b"GCOL") + 24  # of the first text in the file
    content[size : size + 8] = (2**64 - 16).to_bytes(8, "little")
    (tmp_path / "net.h5").write_bytes(content)
    monkeypatch.setattr(_hdf5, "_SECONDS", 2)
    with pytest.raises(ValueError, match=rf"net\.h5 is truncated or damaged{EXPECTED}") as caught:
        load_mlp(tmp_path / "net.h5")
    assert isinstance(caught.value.__cause__, subprocess.TimeoutExpired)


def test_float64_stays(h5py, tmp_path):
    arrays = {"a": (W.astype("f8"), B.astype("f8")), "b": (W[:3].astype("f8"), B.astype("f8"))}
    net = load_mlp(write_h5(tmp_path / "net.h5", arrays=arrays, h5py=h5py))
    assert net.dtype == np.float64
    assert isinstance(net, MLP)
