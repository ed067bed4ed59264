"""Which arrays are layers, in which order, and which way their weights lie."""

import re
import subprocess
import sys

import numpy as np
import pytest

from fastnn.io import load_mlp, save_mlp
from fastnn.io._names import layer_and_part

SIZES = (7, 6, 5, 3)
PLACES = ["weights", "net.npz"]


@pytest.fixture
def net(make_net):
    return make_net(SIZES)


def write(place, arrays):
    if place.suffix == ".npz":
        np.savez(place, **arrays)
        return
    place.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)


def named(net, names, *, turned=False):
    """Return the parameters under other names, a pair of names for each layer."""
    arrays = {}
    for (weight, bias), w, b in zip(names, net.weights, net.biases, strict=True):
        arrays |= {weight: w.T if turned else w, bias: b}
    return arrays


def pairs(pattern, numbers):
    return [(pattern.format(i, "weight"), pattern.format(i, "bias")) for i in numbers]


def same(net, other):
    assert net.sizes == other.sizes
    for a, b in zip(net.weights + net.biases, other.weights + other.biases, strict=True):
        np.testing.assert_array_equal(a, b)


NAMES = {
    "the assignment's": pairs("fc{}.{}", (1, 2, 3)),
    "from 0": pairs("fc{}.{}", (0, 1, 2)),
    "a Sequential": pairs("{}.{}", (0, 2, 4)),
    "a Sequential in a module": pairs("net.{}.{}", (0, 2, 10)),
    "of several GPUs": pairs("module.fc{}.{}", (1, 2, 3)),
    "two numbers": [("a.0.9.weight", "a.0.9.bias"), *pairs("a.{}.0.{}", (1, 2))],
    "keywords": pairs("layer{}_{}", (1, 2, 3)),
    "kernels": [(f"dense_{i}.kernel:0", f"dense_{i}.bias:0") for i in (4, 5, 11)],
    "brief": [(f"W{i}", f"b{i}") for i in (1, 2, 3)],
    "brief, with a line": [(f"w_{i}", f"b_{i}") for i in (8, 9, 10)],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", NAMES)
def test_names_of_many_kinds(tmp_path, net, place, kind):
    arrays = named(net, NAMES[kind])
    write(tmp_path / place, dict(reversed(arrays.items())))
    same(load_mlp(tmp_path / place), net)


def test_names_with_slashes(tmp_path, net):
    names = [(f"params/Dense_{i}/kernel", f"params/Dense_{i}/bias") for i in (0, 1, 2)]
    write(tmp_path / "net.npz", named(net, names))
    same(load_mlp(tmp_path / "net.npz"), net)


def test_names_without_numbers_are_in_the_order_of_an_archive(tmp_path, make_net):
    net = make_net((4, 4, 4, 3))
    names = [(f"{word}.weight", f"{word}.bias") for word in ("inner", "hidden", "a_last")]
    write(tmp_path / "net.npz", named(net, names))
    same(load_mlp(tmp_path / "net.npz"), net)


def test_names_without_numbers_in_a_folder_are_in_the_order_of_the_shapes(tmp_path, net, make_net):
    names = [(f"{word}.weight", f"{word}.bias") for word in ("inner", "hidden", "a_last")]
    write(tmp_path / "weights", named(net, names))
    same(load_mlp(tmp_path / "weights"), net)
    write(tmp_path / "square", named(make_net((4, 4, 4, 3)), names))
    message = r"neither names nor shapes tell the order of a_last\.weight, hidden\.weight, inner"
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / "square")


def test_one_layer_without_a_name(tmp_path, make_net):
    net = make_net((4, 3))
    write(tmp_path / "net.npz", {"weight": net.weights[0], "bias": net.biases[0]})
    same(load_mlp(tmp_path / "net.npz"), net)


REFUSED = {
    "a batch normalisation": (
        {"bn.weight": np.ones(6, "f4"), "bn.bias": np.ones(6, "f4")},
        r"bn\.weight has shape \(6,\) as a normalisation has, expected dense layers alone",
    ),
    "a convolution": (
        {"conv.weight": np.ones((6, 1, 3, 3), "f4"), "conv.bias": np.ones(6, "f4")},
        r"conv\.weight has shape \(6, 1, 3, 3\) as a convolution has, expected dense layers alone",
    ),
    "a buffer": (
        {"bn.running_mean": np.ones(6, "f4")},
        r"bn\.running_mean is no weight or bias of a dense layer",
    ),
    "two weights of a layer": (
        {"fc1.kernel": np.ones((7, 6), "f4")},
        r"fc1\.weight, fc1\.kernel are both weight",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_arrays_of_other_layers_are_refused_by_name(tmp_path, net, kind):
    more, message = REFUSED[kind]
    path = tmp_path / "net.npz"
    write(path, named(net, NAMES["the assignment's"]) | more)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: {message}$"):
        load_mlp(path)


MISSING = {
    "a bias": (pairs("net.{}.{}", (0, 2, 4)), "net.2.bias", r"net\.2\.bias is missing, found net"),
    "a weight": (NAMES["brief"], "W2", "W2 is missing, found W1, W3, b1, b2, b3$"),
    "a brief bias": (NAMES["brief"], "b2", "b2 is missing, found W1, W2, W3, b1, b3$"),
    "a kernel": (NAMES["kernels"], "dense_5.bias:0", r"dense_5\.bias:0 is missing, found dense_11"),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_is_named_as_the_file_names_it(tmp_path, net, kind):
    names, gone, message = MISSING[kind]
    arrays = named(net, names)
    del arrays[gone]
    write(tmp_path / "net.npz", arrays)
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / "net.npz")


def test_what_is_there_is_listed_in_one_line(tmp_path):
    write(tmp_path / "net.npz", {f"a\n{'b' * 90}{i}": np.zeros(1) for i in range(9)})
    with pytest.raises(ValueError, match=r"found no parameters, only (a\\nb{36,38}, ){6}\.\.\.$"):
        load_mlp(tmp_path / "net.npz")


@pytest.mark.parametrize("name", ["../fc1.weight", "/weight", "fc1..bias", "x", "a b.weight", "W"])
def test_names_of_other_things(name):
    assert layer_and_part(name) is None
    assert layer_and_part("a" * 2000 + ".weight") is None


# --- layouts


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("rows", [False, True])
def test_weights_of_pytorch_are_turned(tmp_path, net, place, rows):
    arrays = named(net, NAMES["a Sequential"], turned=True)
    if rows:
        arrays = {name: a[None, :] if a.ndim == 1 else a for name, a in arrays.items()}
    write(tmp_path / place, arrays)
    same(load_mlp(tmp_path / place), net)
    same(load_mlp(tmp_path / place, layout="out-in"), net)
    with pytest.raises(ValueError, match=r"0\.bias must have shape \(7,\), got \("):
        load_mlp(tmp_path / place, layout="in-out")


@pytest.mark.parametrize("place", PLACES)
def test_where_layers_chain_both_ways_the_user_says_which(tmp_path, make_net, place):
    net = make_net((4, 4, 4))
    write(tmp_path / place, named(net, NAMES["brief"][:2]))
    with pytest.raises(ValueError, match=r"the layers chain both as \(in, out\) and as \(out"):
        load_mlp(tmp_path / place)
    same(load_mlp(tmp_path / place, layout="in-out"), net)
    turned = load_mlp(tmp_path / place, layout="out-in")
    np.testing.assert_array_equal(turned.weights[1], net.weights[1].T)
    with pytest.raises(ValueError, match=r"layout must be one of .* or None, got 'rows'"):
        load_mlp(tmp_path / place, layout="rows")
    other = tmp_path / f"ours-{place}"
    save_mlp(net, other)
    same(load_mlp(other), net)


def test_errors_of_turned_weights_have_the_places_of_the_file(tmp_path, net):
    arrays = named(net, NAMES["a Sequential"], turned=True)
    arrays["2.weight"] = arrays["2.weight"].copy()
    arrays["2.weight"][4, 1] = np.nan
    write(tmp_path / "net.npz", arrays)
    with pytest.raises(ValueError, match=r"net\.npz: 2\.weight\[4, 1\] is nan; every entry must"):
        load_mlp(tmp_path / "net.npz")
    arrays["2.weight"] = np.zeros((6, 5), np.float32)
    write(tmp_path / "net.npz", arrays)
    message = r"2\.weight must have 6 columns to follow, got \(6, 5\) \(transposed it would\)$"
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / "net.npz")


def test_float16_becomes_float32(tmp_path, net):
    arrays = {name: a.astype("f2") for name, a in named(net, NAMES["brief"]).items()}
    write(tmp_path / "net.npz", arrays)
    found = load_mlp(tmp_path / "net.npz")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.weights[0], net.weights[0].astype("f2"))


# --- saving


def test_a_folder_with_layers_of_other_names_is_not_written(tmp_path, net):
    write(tmp_path, named(net, NAMES["a Sequential"]))
    with pytest.raises(ValueError, match=r"has layers with other names, 0\.bias, 0\.weight, 2\.bi"):
        save_mlp(net, tmp_path)
    same(load_mlp(tmp_path), net)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "net.npz",
            r"got str; to use a file, load_mlp\(path\); are the arguments in the",
        ),
        (np.zeros(3), r"got numpy\.ndarray; are the arguments in the order \(net, \.\.\.\)\?"),
        (3, r"got int"),
    ],
)
def test_what_is_no_network_is_not_saved(tmp_path, net, what, message):
    with pytest.raises(TypeError, match=rf"^net must be an MLP, {message}"):
        save_mlp(what, net)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attributes", "module", "message"),
    [
        ({"state_dict": None}, "torch.nn", r"MLP\.from_torch\(module\)"),
        ({}, "sklearn.neural_network", r"MLP\.from_sklearn\(classifier\)"),
        ({}, "keras.src", r"model\.save\(\"model\.keras\"\) and load_mlp\(\"model\.keras\"\)"),
    ],
)
def test_networks_of_other_libraries_are_told_the_way_in(tmp_path, attributes, module, message):
    model = type("Model", (), {"__module__": module, **attributes})()
    with pytest.raises(TypeError, match=rf"got {module.split('.')[0]}\.Model; for .*{message}"):
        save_mlp(model, tmp_path / "net.npz")


# --- what reading costs


def test_other_libraries_are_imported_only_for_their_files(tmp_path, net):
    for name in ("net.npz", "net.pth", "net.safetensors"):
        save_mlp(net, tmp_path / name)
    code = (
        "import sys, fastnn\n"
        "for name in ('net.npz', 'net.pth', 'net.safetensors'):\n"
        "    fastnn.load_mlp(name)\n"
        "print(*{'h5py', 'onnx', 'safetensors', 'sklearn', 'torch'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.check_output(command, text=True, timeout=60, cwd=tmp_path)
    assert found.strip() == ""
