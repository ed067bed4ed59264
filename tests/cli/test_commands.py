"""The command line: what it prints where, its exit status, and what it checks before it works."""

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from fastnn import MLP, AdversarialReport, adversarial_accuracy, load_mlp, save_mlp
from fastnn._engine import masked
from fastnn.attacks import _few, evaluate
from fastnn.cli import _table
from fastnn.datasets import DATA_SETS, load_split
from fastnn.datasets import _download as fetch

SIZES = (784, 128, 10)  # wide enough for the sparse kernels
EPOCHS = 2  # of the recipe in conftest.py
pytestmark = pytest.mark.usefixtures("_small_and_apart")


def own_lines(err):
    """Return the lines that are no progress bars."""
    return [line for line in err.splitlines() if line.startswith("fastnn")]


def cached_file(tmp_path):
    (file,) = (tmp_path / "cache" / "networks").iterdir()
    return file


def in_a_process(*words, **environment):
    command = [sys.executable, "-m", "fastnn", *map(str, words)]
    env = {
        name: value for name, value in os.environ.items() if name not in {"DISPLAY", "MPLBACKEND"}
    }
    return subprocess.run(
        command, env=env | environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_table_has_the_library_s_numbers(fastnn, tmp_path):
    status, out, err = fastnn("attack")
    assert status == 0
    rows = [re.split(r" {3,}", line.strip()) for line in out.splitlines()]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    net = load_mlp(cached_file(tmp_path))
    x, labels, _ = load_split("test", source="sample")
    plain, clipped = (adversarial_accuracy(net, x, labels, 0.1, way) for way in (None, (0, 1)))

    def share(count):
        return f"{count / 1000:.2%}  ({count} of 1,000)"

    assert plain.clean_correct > 500
    assert plain.adversarial_correct < plain.clean_correct
    assert table["data"] == ["bundled sample, 1,000 held-out digits"]
    assert table["network"] == ["784-128-10, relu, float32 (trained now, kept for the next run)"]
    assert table["fgsm"] == ["not clipped", "clipped to [0, 1]"]
    assert table["clean accuracy"] == [share(plain.clean_correct)]
    assert table["accuracy at eps 0.1"] == [
        share(plain.adversarial_correct),
        share(clipped.adversarial_correct),
    ]
    assert table["rows without a gradient"] == ["0"]
    assert table["rows where p rounds to 1"] == ["0"]
    (seconds,), (speed,) = table["seconds"], table["images a second"]
    assert float(seconds.removesuffix(", all columns together")) > 0
    assert int(speed.removesuffix(", each in all columns").replace(",", "")) > 0
    assert max(map(len, out.splitlines())) <= 100
    assert own_lines(err) == []


def test_the_table_says_what_its_rows_are():
    report = AdversarialReport(
        n=2, eps=0.1, bounds=None, clean_correct=1, adversarial_correct=0,
        clean_prediction=np.zeros(2, int), adversarial_prediction=np.zeros(2, int),
        zero_gradient_rows=3, saturated_rows=1234, seconds=1.0,
    )  # fmt: skip
    net = MLP([np.eye(2)], [np.zeros(2)])
    text = _table.heading("two", net, "made", None, report)
    assert re.search(r"\nrows without a gradient +3\n", text)
    assert re.search(r"\nrows where p rounds to 1 +1,234 \(p, the probability of the true", text)


def counts(out):
    return re.findall(r"\((.*? of 1,000)\)", out)


def test_the_second_run_does_not_train(fastnn, request):
    _, first, _ = fastnn("attack")
    request.getfixturevalue("no_training")
    status, second, _ = fastnn("attack")
    assert status == 0
    assert "(kept from an earlier run)" in second
    assert counts(second) == counts(first)
    assert len(counts(first)) == 3


def test_json_is_whole_and_strict(fastnn, tmp_path):
    fastnn("attack")
    status, out, _ = fastnn("attack", "--eps", 0, 0.1, 0.05, "--json", "out.json", "--threads", 2)

    def never(constant):
        pytest.fail(f"{constant} in JSON")

    text = (tmp_path / "out.json").read_text(encoding="utf-8")
    results = json.loads(text, parse_constant=never)
    assert status == 0
    assert results["digits"] == "bundled sample, 1,000 held-out digits"
    assert results["network"] == {
        "sizes": list(SIZES),
        "activation": "relu",
        "dtype": "float32",
        "origin": "kept from an earlier run",
    }
    x, labels, _ = load_split("test")
    net = load_mlp(cached_file(tmp_path))
    for found, bounds in zip(results["reports"], (None, (0, 1)), strict=True):
        expected = adversarial_accuracy(net, x, labels, [0, 0.1, 0.05], bounds).to_dict()
        assert found.pop("seconds") > 0
        del expected["seconds"]
        assert found == json.loads(json.dumps(expected))
    for eps in ("0", "0.1", "0.05"):
        assert f"accuracy at eps {eps} " in out


def test_what_train_writes_attack_reads(fastnn, tmp_path):
    status, out, _ = fastnn(
        "train", "--out", "new/net", "--sizes", *SIZES, "--seed", 3, "--activation", "sigmoid",
        "--learning-rate", 1, "--json", "train.json", "--plot", "curves.png",
    )  # fmt: skip
    assert status == 0
    trained = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    accuracy = trained["accuracy, all 1,000"]
    assert accuracy > 0.5
    assert f"accuracy, all 1,000    {accuracy:.2%}" in out
    assert trained["recipe"]["seed"] == 3
    assert trained["recipe"]["epochs"] == EPOCHS == len(trained["history"]["val_loss"])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "new" / "net" / "fc1.weight.npy").is_file()
    status, out, _ = fastnn("attack", "--weights", "new/net", "--json", "attack.json")
    attacked = json.loads((tmp_path / "attack.json").read_text(encoding="utf-8"))
    assert status == 0
    assert attacked["network"]["origin"] == "new/net"
    assert attacked["network"]["activation"] == "sigmoid"
    assert attacked["reports"][0]["clean_accuracy"] == accuracy
    assert "784-128-10, sigmoid, float32 (new/net)" in out
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("stored", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_take_the_type_of_the_network(fastnn, tmp_path, make_net, rng, stored, dtype):
    pixels = rng.integers(0, 256, (30, 784), dtype=np.uint8)
    images = pixels if stored == np.uint8 else (pixels / 255).astype(stored)
    labels = rng.integers(0, 10, 30)
    np.save(tmp_path / "images_test.npy", images)
    np.save(tmp_path / "labels_test.npy", labels)
    net = make_net(SIZES, dtype=dtype)
    save_mlp(net, tmp_path / "net.npz")
    status, _, err = fastnn(
        "attack", "--data", ".", "--weights", "net.npz", "--json", "out.json", "--eps", 0.01
    )
    assert status == 0, err
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    x = images if stored == np.uint8 else images.astype(dtype)
    expected = adversarial_accuracy(net, x, labels, 0.01)
    assert results["network"]["dtype"] == np.dtype(dtype).name
    assert results["reports"][0]["clean_correct"] == expected.clean_correct
    assert results["reports"][0]["adversarial_correct"] == expected.adversarial_correct


def test_the_warm_up_takes_the_way_of_the_work(fastnn, weights, monkeypatch):
    products, real = [], masked.masked_product
    monkeypatch.setattr(masked, "masked_product", lambda *a: products.append(len(a[0])) or real(*a))
    assert fastnn("attack", "--weights", weights)[0] == 0
    tiles = {_few.MOST_ROWS // 2, _few.MOST_ROWS // 2 + 1}  # of the warm-up alone
    assert products[0] in tiles
    assert tiles <= set(products)


WRONG_OPTIONS = {
    (
        "attack",
        "--eps",
        "abc",
    ): "argument --eps: 'abc' is no number, expected one such as 0.1 or 8/255 .see .*",
    ("attack", "--eps"): "argument --eps: expected at least one argument .*",
    ("attack", "--nothing=a\nb"): "unrecognized arguments: --nothing=a b .see fastnn --help.",
    ("attack", "--source", "mars"): "argument --source: invalid choice: 'mars'.*",
    ("nothing",): "argument COMMAND: invalid choice: 'nothing'.*",
    (): "a command is missing .see fastnn --help.",
    ("attack", "--eps", "-0.1"): "eps.* -0.1.*",
    ("attack", "--eps", "0.1", "nan"): "eps.* nan.*",
    ("attack", "--threads", "0"): "threads must .*0",
    ("attack", "--activation", "relu"): "--activation needs --weights",
    ("attack", "--source", "mnist"): "no MNIST files in .*: run `fastnn fetch`, or .*",
    ("attack", "--data", "nowhere"): "nowhere: no such file or folder, .*: mnist, .*",
    (
        "attack",
        "--data",
        ".",
        "--source",
        "sample",
    ): "--source sample .* takes no --data .",
    ("attack", "--weights", "nowhere"): "nowhere: no such file",
    ("attack", "--plot", "x.xyz"): ".*xyz.*",
    ("attack", "--plot", "nowhere/x.png"): "nowhere: no such folder, cannot write x.png there",
    ("attack", "--json", "nowhere/x.json"): "nowhere: no such folder, cannot write x.json there",
    ("attack", "--json", "."): ". is a folder, expected the name of a file",
    ("train", "--out", "x.h5"): "x.h5: .h5 is read, not written, expected .* or a folder",
    ("train", "--out", "nowhere/x.npz"): "nowhere: no such folder, cannot write x.npz there",
    ("train", "--out", "file"): "file is a file, expected a folder",
    ("train", "--out", "file/net"): "file is a file, expected a folder",
    ("train", "--plot", "x.xyz"): ".*xyz.*",
    ("fetch", "--out", "file"): "file is a file, expected a folder",
    ("fetch", "--out", "file/mnist"): "file is a file, expected a folder",
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("words", WRONG_OPTIONS, ids=" ".join)
def test_wrong_options_are_refused_before_any_work(
    fastnn, tmp_path, monkeypatch, words, assert_refused
):
    monkeypatch.setattr(fetch, "urlopen", lambda *_, **__: pytest.fail("downloads"))
    (tmp_path / "file").write_bytes(b"old")
    before = list(tmp_path.iterdir())
    assert_refused(fastnn(*words), WRONG_OPTIONS[words])
    assert list(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("words", [("train", "--epochs", 0), ("train", "--sizes", 100, 10)])
def test_settings_that_no_training_takes(fastnn, tmp_path, words):
    status, out, err = fastnn(*words)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "weights").exists()


BAD_NETWORKS = {
    "nan": ("fc1.weight", np.full((784, 128), np.nan, np.float32), ".*fc1.weight.*nan.*finite"),
    "shape": ("fc2.weight", np.zeros((127, 10), np.float32), ".*fc2.weight must have 128 rows.*"),
    "type": ("fc2.bias", np.zeros(10, np.int64), ".*fc2.bias must be float32 or float64.*int64"),
    "pickle": ("fc2.bias", np.array([{}], object), ".*fc2.bias.npy holds pickled objects.*"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_networks_that_are_refused(fastnn, weights, case, assert_refused):
    name, array, message = BAD_NETWORKS[case]
    np.save(weights / f"{name}.npy", array, allow_pickle=True)
    assert_refused(fastnn("attack", "--weights", weights), message)


def test_networks_that_do_not_fit_the_digits(fastnn, tmp_path, make_net, weights, assert_refused):
    save_mlp(make_net((100, 64, 10)), tmp_path / "narrow")
    save_mlp(make_net((784, 64, 5)), tmp_path / "few")
    assert_refused(fastnn("attack", "--weights", "narrow"), ".*784.*")
    assert_refused(fastnn("attack", "--weights", "few"), "few: the network has 5 classes, .*")
    (weights / "fc2.bias.npy").unlink()
    assert_refused(fastnn("attack", "--weights", weights), ".*fc2.bias is missing, found .*")


def test_digits_that_are_refused(fastnn, tmp_path, weights, assert_refused):
    np.save(tmp_path / "labels_test.npy", np.arange(3))
    np.save(tmp_path / "images_test.npy", np.full((3, 784), 255.0))
    attack = ("attack", "--weights", weights, "--data", ".")
    assert_refused(fastnn(*attack), "images_test.npy, 3 samples: .* pixels of 0 to 255; .*")
    np.save(tmp_path / "images_test.npy", np.zeros((2, 784)))
    assert_refused(fastnn(*attack), ".*: labels must have one entry a row: 2 rows, 3 labels")


@pytest.mark.parametrize("command", ["attack", "train"])
def test_without_training_digits(fastnn, tmp_path, command, assert_refused):
    np.save(tmp_path / "labels_test.npy", np.arange(3))
    np.save(tmp_path / "images_test.npy", np.zeros((3, 784), np.uint8))
    message = {"attack": ".*no training digits.*", "train": ".*no files .* for train"}[command]
    assert_refused(fastnn(command, "--data", "."), message)


def test_a_broken_cache_costs_a_training_and_a_line(fastnn, tmp_path):
    _, first, _ = fastnn("attack")
    file = cached_file(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    status, out, err = fastnn("attack")
    assert status == 0
    (line,) = own_lines(err)
    assert re.fullmatch(r"fastnn: training again: .*\.npz is truncated or damaged, .*", line)
    assert counts(out) == counts(first)
    assert load_mlp(file).sizes == SIZES


def test_a_cache_that_cannot_be_written_costs_a_line(fastnn, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    status, out, err = fastnn("attack")
    assert status == 0
    (line,) = own_lines(err)
    assert line.startswith("fastnn: the network could not be kept: ")
    assert "(trained now)" in out


def test_a_package_that_is_not_installed_costs_a_line(fastnn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\x00")
    status, _, err = fastnn("attack", "--weights", "net.onnx", "--source", "sample")
    assert status == 1
    line = "fastnn attack: net.onnx: ONNX needs a package: pip install fastnn[onnx]"
    assert own_lines(err) == [line]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_disk_that_is_full(fastnn, weights):
    status, out, err = fastnn("attack", "--weights", weights, "--json", "/dev/full")
    assert status == 1
    assert "clean accuracy" in out
    assert own_lines(err) == ["fastnn attack: /dev/full: no space left on device"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("no\nthreads"), "no threads"),
        (FloatingPointError("row 3: overflow"), "row 3: overflow"),
        (MemoryError(), "MemoryError"),
        (PermissionError(13, "Permission denied", "net"), "net: permission denied"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_fails_on_the_way_ends_with_1(
    fastnn, weights, monkeypatch, error, line, assert_refused
):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(evaluate, "adversarial_accuracy", fail)
    assert_refused(fastnn("attack", "--weights", weights), line, status=1)


def test_fetch_without_a_network(fastnn, tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(fetch, "urlopen", fail)
    status, out, err = fastnn("fetch", "--out", "mnist")
    assert (status, out) == (1, "")
    (line,) = own_lines(err)
    assert line.startswith("fastnn fetch: could not download ")
    assert "put them in mnist" in line


def test_fetch_says_where_the_files_are(fastnn, tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS, "mnist", replace(DATA_SETS["mnist"], files={}))
    status, out, _ = fastnn("fetch", "--json", "out.json")
    folder = str(tmp_path / "cache" / "mnist")
    assert (status, out) == (0, f"MNIST is in {folder}; licence: CC BY-SA 3.0\n")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found == {"folder": folder, "licence": "CC BY-SA 3.0"}


def test_help_and_version(fastnn):
    for words in (("--help",), ("attack", "--help"), ("train", "-h"), ("fetch", "--help")):
        status, out, err = fastnn(*words)
        assert (status, err) == (0, "")
        assert out.startswith("usage: fastnn")
        assert out.count("\n") > 5
    assert re.fullmatch(r"fastnn \d+\.\d+\.\d+\n", fastnn("--version")[1])


def test_a_process_of_its_own(tmp_path, weights):
    done = in_a_process(
        "attack", "--weights", weights, "--plot", "digits.png", FASTNN_DATA=str(tmp_path / "typo")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("data ")
    assert "attack: " not in done.stdout  # the progress bar
    (warning,) = own_lines(done.stderr)
    assert re.fullmatch("fastnn: FASTNN_DATA is ignored: .*typo: no such folder", warning)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("words", [("attack", "--eps", "abc"), ("attack", "--weights", "nowhere")])
def test_a_process_that_is_refused(words):
    done = in_a_process(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


TWO_ATTACKS = textwrap.dedent(
    """
    import json, sys
    from fastnn import _recipe
    from fastnn._kernels import attack_steps, descent, elementwise, exponentials, logits
    from fastnn._kernels import masked_products
    from fastnn.attacks import evaluate
    from fastnn import cli

    modules = attack_steps, descent, elementwise, exponentials, logits, masked_products
    names = {k: v for module in modules for k, v in vars(module).items()}
    kernels = [value for value in names.values() if hasattr(value, "stats")]
    compiled = []  # kernels in use after every call

    def counted(work):
        def count(*arguments, **options):
            found = work(*arguments, **options)
            compiled.append(sum(len(kernel.signatures) for kernel in kernels))
            return found

        return count

    evaluate.warm_up, evaluate.in_ways = counted(evaluate.warm_up), counted(evaluate.in_ways)
    _recipe.SAMPLE = _recipe.Recipe(sizes=(784, 128, 10), epochs=1)
    for eps in (["0.1"], ["0.1", "0.2"]):
        assert cli.main(["attack", "--eps", *eps]) == 0
    hits, misses = (sum(sum(getattr(k.stats, name).values()) for k in kernels)
                    for name in ("cache_hits", "cache_misses"))
    print(json.dumps({"hits": hits, "misses": misses, "compiled": compiled}))
    """
)


def test_the_second_process_compiles_nothing(tmp_path):
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", TWO_ATTACKS],
            env=env, capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        found.append(json.loads(done.stdout.splitlines()[-1]))
    first, second = found
    assert first["misses"] > 10
    assert second["misses"] == 0
    assert second["hits"] > 10
    for process in found:  # each run warms up, then attacks
        single, several = process["compiled"][:2], process["compiled"][2:]
        assert single == [single[0]] * 2
        assert several == [several[0]] * 2
