"""Networks in folders and archives: what is written is read back, and damage is named."""

import itertools
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn.io import _folder, _npz, load_mlp, save_mlp
from fastnn.networks import MLP

SIZES = (7, 6, 5, 4, 3)
PLACES = ["weights", "weights.npz"]


def same(net, other):
    assert net.activation == other.activation
    assert net.sizes == other.sizes
    for a, b in zip(net.weights + net.biases, other.weights + other.biases, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def random_net(rng, sizes=SIZES, activation="relu", dtype=np.float32):
    return MLP(
        [rng.standard_normal((a, b)).astype(dtype) for a, b in itertools.pairwise(sizes)],
        [rng.standard_normal(b).astype(dtype) for b in sizes[1:]],
        activation,
    )


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def net(rng):
    return random_net(rng)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("sizes", [(5, 3), (5, 4, 3), (2,) * 13])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_saved_is_loaded(tmp_path, rng, place, sizes, activation, dtype):
    net = random_net(rng, sizes, activation, dtype)
    save_mlp(net, tmp_path / place)
    same(load_mlp(tmp_path / place), net)
    save_mlp(net, str(tmp_path / place))
    same(load_mlp(str(tmp_path / place)), net)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_loaded_can_be_trained_in_place(tmp_path, net, place):
    save_mlp(net, tmp_path / place)
    for array in load_mlp(tmp_path / place).weights:
        assert array.flags.writeable
        assert array.flags.c_contiguous


def test_the_names_are_those_of_the_assignment(tmp_path, net):
    save_mlp(net, tmp_path / "deep" / "folder")
    assert names(tmp_path / "deep" / "folder") == sorted(
        ["activation.npy"]
        + [f"fc{i}.{part}.npy" for i in (1, 2, 3, 4) for part in ("weight", "bias")]
    )
    save_mlp(net, tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {"activation"} | {
            f"fc{i}.{part}" for i in (1, 2, 3, 4) for part in ("weight", "bias")
        }
        assert archive["activation"] == "relu"


def test_the_loop_of_the_assignment_reads_a_folder(tmp_path, rng, monkeypatch):
    net = random_net(rng, activation="sigmoid")
    save_mlp(net, tmp_path)
    monkeypatch.chdir(tmp_path)
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        np.testing.assert_array_equal(np.load(f"./fc{i}.weight.npy"), weight)
        np.testing.assert_array_equal(np.load(f"./fc{i}.bias.npy"), bias)


@pytest.mark.parametrize("archive", [False, True])
def test_the_other_spelling(tmp_path, net, archive):
    for i, arrays in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        for part, array in zip(("weight", "bias"), arrays, strict=True):
            with (tmp_path / f"fc{i}.{part}.npz").open("wb") as file:
                (np.savez if archive else np.save)(file, array)
    same(load_mlp(tmp_path), net)


def test_npy_is_taken_where_both_spellings_are_there(tmp_path, net):
    save_mlp(net, tmp_path)
    np.savez(tmp_path / "fc1.weight.npz", np.full((7, 6), np.nan))
    same(load_mlp(tmp_path), net)


@pytest.mark.parametrize("place", PLACES)
def test_biases_of_one_row(tmp_path, net, place):
    arrays = {}
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        arrays |= {f"fc{i}.weight": weight, f"fc{i}.bias": bias[None, :]}
    write(tmp_path / place, arrays)
    same(load_mlp(tmp_path / place), net)


# The activation


@pytest.mark.parametrize("place", PLACES)
def test_the_activation_is_kept(tmp_path, rng, place):
    sigmoid = random_net(rng, activation="sigmoid")
    save_mlp(sigmoid, tmp_path / place)
    same(load_mlp(tmp_path / place, activation="sigmoid"), sigmoid)
    with pytest.raises(ValueError, match="was saved with activation 'sigmoid', not 'relu'"):
        load_mlp(tmp_path / place, activation="relu")
    relu = random_net(rng)
    save_mlp(relu, tmp_path / place)
    same(load_mlp(tmp_path / place), relu)


@pytest.mark.parametrize("place", PLACES)
def test_an_activation_that_was_not_kept(tmp_path, net, place):
    write(tmp_path / place, arrays_of(net))
    assert load_mlp(tmp_path / place).activation == "relu"
    assert load_mlp(tmp_path / place, activation="sigmoid").activation == "sigmoid"
    with pytest.raises(ValueError, match=r"activation must be one of .*, got 'softplus'"):
        load_mlp(tmp_path / place, activation="softplus")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array("softplus"), "activation must be one of .*, got 'softplus'"),
        (np.array(3), r"activation must be one word, got int64 \(\)"),
        (np.array(["relu", "relu"]), r"activation must be one word, got <U4 \(2,\)"),
    ],
)
def test_a_kept_activation_that_is_none(tmp_path, net, place, value, message):
    write(tmp_path / place, arrays_of(net) | {"activation": value})
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / place)


# Damage


def arrays_of(net):
    arrays = {}
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
        arrays |= {f"fc{i}.weight": weight, f"fc{i}.bias": bias}
    return arrays


def write(place, arrays):
    if place.suffix == ".npz":
        np.savez(place, **arrays)
        return
    place.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)


def altered(array, value):
    array = array.copy()
    array[2, 1] = value
    return array


BAD = {
    "one transposed": (
        lambda a: a | {"fc2.weight": a["fc2.weight"].T},
        r"fc2\.weight must have 6 rows to follow, got \(5, 6\) \(transposed it would\)$",
    ),
    "no chain": (
        lambda a: a | {"fc3.weight": np.zeros((9, 4), np.float32)},
        r"fc3\.weight must have 5 rows to follow, got \(9, 4\)$",
    ),
    "bias too long": (
        lambda a: a | {"fc2.bias": np.zeros(6, np.float32)},
        r"fc2\.bias must have shape \(5,\), got \(6,\)",
    ),
    "bias as a column": (
        lambda a: a | {"fc2.bias": np.zeros((5, 1), np.float32)},
        r"fc2\.bias must have shape \(5,\), got \(5, 1\)",
    ),
    "weight of three axes": (
        lambda a: a | {"fc1.weight": np.zeros((7, 6, 1), np.float32)},
        r"fc1\.weight has shape \(7, 6, 1\) as a convolution has, expected dense layers alone$",
    ),
    "NaN": (
        lambda a: a | {"fc4.weight": altered(a["fc4.weight"], np.nan)},
        r"fc4\.weight\[2, 1\] is nan; every entry must be finite",
    ),
    "infinite": (
        lambda a: a | {"fc3.bias": np.full(4, np.inf, np.float32)},
        r"fc3\.bias\[0\] is inf; every entry must be finite",
    ),
    "mixed types": (
        lambda a: a | {"fc2.bias": a["fc2.bias"].astype(np.float64)},
        r"fc2\.bias is float64 but fc1\.weight is float32; use one type",
    ),
    "integers": (
        lambda a: {n: x.astype(np.int64) for n, x in a.items()},
        r"fc1\.weight must be float32 or float64, got int64",
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("damage", BAD)
def test_parameters_that_make_no_network(tmp_path, net, place, damage):
    change, message = BAD[damage]
    write(tmp_path / place, change(arrays_of(net)))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path / place))}: {message}") as got:
        load_mlp(tmp_path / place)
    assert "\n" not in str(got.value)


MISSING = {
    "the first": (["fc1.weight"], r"fc1\.weight is missing, found fc1\.bias, fc2\.bias, fc2"),
    "a bias": (["fc3.bias"], r"fc3\.bias is missing, found"),
    "a layer": (["fc2.weight", "fc2.bias"], r"fc2\.weight is missing, found"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("gap", MISSING)
def test_missing_parameters(tmp_path, net, place, gap):
    gone, message = MISSING[gap]
    arrays = {name: array for name, array in arrays_of(net).items() if name not in gone}
    write(tmp_path / place, arrays)
    error = ValueError if place.endswith(".npz") else FileNotFoundError
    with pytest.raises(error, match=f"{place}: {message}"):
        load_mlp(tmp_path / place)


def test_places_without_a_network(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: no such file$"):
        load_mlp(tmp_path / "none")
    (tmp_path / "fc1.weights.npy").write_bytes(b"not one of ours")
    with pytest.raises(FileNotFoundError, match=r"fc1\.weight is missing, found no parameters"):
        load_mlp(tmp_path)
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 2)), y=np.zeros(2))
    message = r"other\.npz: fc1\.weight is missing, found no parameters, only x, y$"
    with pytest.raises(ValueError, match=message):
        load_mlp(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"array\.npy is a single array, expected an \.npz"):
        load_mlp(tmp_path / "array.npy")
    (tmp_path / "net.txt").write_bytes(b"PK\x03\x04 of another kind")
    with pytest.raises(ValueError, match=r"net\.txt is no network that can be read, expected \."):
        load_mlp(tmp_path / "net.txt")
    (tmp_path / "net.txt").rename(tmp_path / "net.npz")
    with pytest.raises(ValueError, match=r"net\.npz is truncated or damaged, expected an \.npz"):
        load_mlp(tmp_path / "net.npz")


@pytest.mark.parametrize("place", PLACES)
def test_pickled_parameters_are_refused(tmp_path, net, place):
    write(tmp_path / place, arrays_of(net) | {"fc2.bias": np.array([{}, None], dtype=object)})
    with pytest.raises(ValueError, match=r"np[yz] holds pickled objects, expected"):
        load_mlp(tmp_path / place)


def test_a_truncated_file_is_named(tmp_path, net):
    save_mlp(net, tmp_path / "net.npz")
    save_mlp(net, tmp_path)
    for name in ("fc3.weight.npy", "net.npz"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-40])
    with pytest.raises(ValueError, match=r"fc3\.weight\.npy is truncated or damaged"):
        load_mlp(tmp_path)
    with pytest.raises(ValueError, match=r"net\.npz is truncated or damaged"):
        load_mlp(tmp_path / "net.npz")


# Writing


@pytest.mark.parametrize("suffix", [".npy", ".txt"])
def test_unknown_types_of_file(tmp_path, net, suffix):
    with pytest.raises(ValueError, match=rf"net\{suffix}: unknown file type \{suffix}, expected"):
        save_mlp(net, tmp_path / f"net{suffix}")
    assert names(tmp_path) == []


def test_a_folder_may_have_any_name_where_it_exists(tmp_path, net):
    for name in ("v1.2", "net.npz"):
        (tmp_path / name).mkdir()
        save_mlp(net, tmp_path / name)
        same(load_mlp(tmp_path / name), net)


def test_a_shallower_network_replaces_a_deeper_one_and_nothing_else(tmp_path, rng, net):
    save_mlp(random_net(rng, activation="sigmoid"), tmp_path)
    np.savez(tmp_path / "fc1.weight.npz", np.zeros((2, 2)))
    (tmp_path / "notes.txt").write_text("mine")
    np.save(tmp_path / "X_test.npy", np.zeros(3))
    shallow = random_net(rng, (7, 3))
    save_mlp(shallow, tmp_path)
    assert names(tmp_path) == [
        "X_test.npy",
        "activation.npy",
        "fc1.bias.npy",
        "fc1.weight.npy",
        "notes.txt",
    ]
    same(load_mlp(tmp_path), shallow)


def loads_old_or_nothing(place, old):
    """Return whether the old network is there; any error is one that says what is missing."""
    try:
        same(load_mlp(place), old)
    except FileNotFoundError as error:
        assert re.search(r"fc1\.weight is missing", str(error))  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("step", range(27))
def test_a_save_cut_short_never_leaves_a_mixture(tmp_path, rng, monkeypatch, step):
    """Fail at each operation on files in turn: 9 saves, 9 removals, 9 renamings."""
    old, new = random_net(rng), random_net(rng)
    save_mlp(old, tmp_path)
    done = 0

    def cut(original):
        def limited(*arguments, **options):
            nonlocal done
            done += 1
            if done == step + 1:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        return limited

    with monkeypatch.context() as patch:
        patch.setattr(_folder, "save_npy", cut(_folder.save_npy))
        patch.setattr(Path, "unlink", cut(Path.unlink))
        patch.setattr(Path, "replace", cut(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            save_mlp(new, tmp_path)
    assert loads_old_or_nothing(tmp_path, old) == (step <= 9)
    assert not any(name.endswith(".tmp") for name in names(tmp_path))
    save_mlp(new, tmp_path)
    same(load_mlp(tmp_path), new)


@pytest.mark.parametrize("step", [3, 12, 20])
def test_a_killed_save_never_leaves_a_mixture(tmp_path, rng, step):
    old = random_net(rng)
    save_mlp(old, tmp_path)
    script = f"""
import os, sys, numpy as np
from pathlib import Path
from fastnn import MLP, save_mlp
from fastnn.io import _folder
done = 0
def cut(original):
    def limited(*arguments, **options):
        global done
        done += 1
        if done == {step}:
            os._exit(9)
        return original(*arguments, **options)
    return limited
_folder.save_npy = cut(_folder.save_npy)
Path.unlink, Path.replace = cut(Path.unlink), cut(Path.replace)
save_mlp(MLP.random({SIZES}), sys.argv[1])
"""
    run = subprocess.run([sys.executable, "-c", script, tmp_path], timeout=120, check=False)
    assert run.returncode == 9
    assert loads_old_or_nothing(tmp_path, old) == (step <= 8)


def test_an_archive_cut_short_leaves_the_old_one(tmp_path, rng, monkeypatch):
    old, new = random_net(rng), random_net(rng)
    save_mlp(old, tmp_path / "net.npz")

    def half(file, **_arrays):
        file.write(b"PK half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_npz.np, "savez", half)
        with pytest.raises(KeyboardInterrupt):
            save_mlp(new, tmp_path / "net.npz")
    same(load_mlp(tmp_path / "net.npz"), old)
    assert names(tmp_path) == ["net.npz"]


# --- files that were made to do harm


FEW = {"fc1.weight": np.ones((3, 2), np.float32), "fc1.bias": np.zeros(2, np.float32)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["fc60000000.weight", "fc2.bias", f"fc1{'0' * 200}.bias"])
def test_loading_stops_at_the_first_gap(tmp_path, place, name):
    write(tmp_path / place, FEW | {name: np.zeros(2, np.float32)})
    start = time.perf_counter()
    with pytest.raises((ValueError, FileNotFoundError), match=r"fc2\.weight is missing, found fc1"):
        load_mlp(tmp_path / place)
    assert time.perf_counter() - start < 5


def test_members_that_no_layer_names_are_not_read(tmp_path):
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **FEW, foreign=np.zeros(200_000_000, np.uint8))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "mine")
        archive.writestr("../fc2.weight.npy", "of nobody")
    tracemalloc.start()
    assert load_mlp(path).sizes == (3, 2)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["fc1.weight.npy", "fc1.weight"])
def test_members_of_the_same_name_are_refused(tmp_path, twin):
    path = tmp_path / "net.npz"
    np.savez(path, **FEW)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(twin, archive.read("fc1.weight.npy"))
    with pytest.raises(ValueError, match=r"net\.npz holds 'fc1\.weight' twice, expected an \.npz"):
        load_mlp(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), "u1"), "must be float32 or float64, got uint8"),
        (np.zeros((3, 2), "U100000"), "must be float32 or float64, got <U100000"),
    ],
)
def test_arrays_of_another_type_are_refused_by_their_header(tmp_path, place, array, message):
    write(tmp_path / place, FEW | {"fc1.weight": array})
    with pytest.raises(ValueError, match=rf"fc1\.weight {message}"):
        load_mlp(tmp_path / place)


@pytest.mark.parametrize("place", PLACES)
def test_a_huge_activation_is_refused_by_its_header(tmp_path, place):
    write(tmp_path / place, FEW | {"activation": np.array("relu", "U10000000")})
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"activation must be one word, got <U10000000 \(\)"):
        load_mlp(tmp_path / place)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_folder_in_place_of_a_file_is_no_parameter(tmp_path):
    write(tmp_path / "net", {"fc1.weight": FEW["fc1.weight"]})
    (tmp_path / "net" / "fc1.bias.npy").mkdir()
    with pytest.raises(FileNotFoundError, match=r"fc1\.bias is missing, found fc1\.weight"):
        load_mlp(tmp_path / "net")


# --- the disk


@pytest.mark.parametrize("place", PLACES)
def test_what_killed_saves_left_is_removed_by_the_next(tmp_path, rng, place):
    net, archive = random_net(rng), place.endswith(".npz")
    folder = tmp_path if archive else tmp_path / place
    folder.mkdir(exist_ok=True)
    stale = [f".{place}.0123abcd.tmp" if archive else ".fc9.weight.npy.0123abcd.tmp"]
    others = [".notes.txt.0123abcd.tmp", ".fc1.weight.npy.tmp", "fc1.weight.npy.0123abcd.tmp"]
    for name in stale + others:
        (folder / name).write_bytes(b"half")
    save_mlp(net, tmp_path / place)
    same(load_mlp(tmp_path / place), net)
    left = {name for name in names(folder) if name.endswith(".tmp")}
    assert left == set(others)


def test_the_first_weight_goes_first_and_comes_last_on_the_disk_too(tmp_path, rng, monkeypatch):
    save_mlp(random_net(rng), tmp_path)
    done = []

    def noted(name, original):
        def call(path, *arguments):
            done.append((name, Path(arguments[0] if arguments else path).name))
            return original(path, *arguments)

        return call

    monkeypatch.setattr(Path, "unlink", noted("unlink", Path.unlink))
    monkeypatch.setattr(Path, "replace", noted("name", Path.replace))
    monkeypatch.setattr(_folder, "sync_folder", lambda _: done.append(("sync", "")))
    save_mlp(random_net(rng), tmp_path)
    assert [step for step in done if step[0] == "sync" or "fc1.weight" in step[1]] == [
        ("unlink", "fc1.weight.npy"),
        ("sync", ""),
        ("sync", ""),
        ("name", "fc1.weight.npy"),
        ("sync", ""),
    ]
    others = [
        i for i, (what, name) in enumerate(done) if what != "sync" and "fc1.weight" not in name
    ]
    assert all(1 < i < len(done) - 3 for i in others)
    assert len(others) == 16


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="the system has no limit of file sizes")
@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_fills_is_named_with_the_file(tmp_path, place):
    script = """
import resource, signal, sys, fastnn
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    fastnn.save_mlp(fastnn.MLP.random((700, 300, 10)), sys.argv[1])
except OSError as error:
    print(error)
"""
    command = [sys.executable, "-B", "-c", script, tmp_path / place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    file = place if place.endswith(".npz") else "fc1.weight.npy"
    assert re.fullmatch(rf"\[Errno 27\] File too large: '.*{re.escape(file)}'\n", done.stdout)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
