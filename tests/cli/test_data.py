"""Data of every kind on the command line, of any number of inputs."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnn import MLP, adversarial_accuracy, load_mlp, load_mnist, save_mlp, train
from fastnn.datasets import DATA_SETS

WIDTH = 66  # of images of 6 x 11
CLASSES = 3


@pytest.fixture
def net(make_net, tmp_path):
    net = make_net((WIDTH, 16, CLASSES))
    save_mlp(net, tmp_path / "net.npz")
    return net


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (30, 6, 11), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.arange(30) % CLASSES


def as_npy(pixels, labels):
    np.save("X.npy", pixels)
    np.save("Y.npy", labels)
    return "X.npy", "--labels", "Y.npy"


def as_partners(pixels, labels):
    np.save("my-images.npy", pixels)
    np.save("my-labels.npy", np.eye(CLASSES)[labels])
    return ("my-images.npy",)


def as_npz(pixels, labels):
    np.savez("a.npz", x=pixels, truth=labels)
    return "a.npz", "--labels", "truth"


def as_table(pixels, labels):
    rows = np.column_stack([labels, pixels.reshape(30, -1)])
    names = ",".join(["label", *(f"p{k}" for k in range(WIDTH))])
    np.savetxt("a.csv", rows, "%d", ",", header=names, comments="")
    return ("a.csv",)


def as_pictures(pixels, labels):
    for k, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        Path(f"pictures/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(f"pictures/{label}/{k:03}.png")
    return ("pictures",)


def as_floats(pixels, labels):
    np.save("x.npy", (pixels / 255).astype(np.float64))
    np.save("y.npy", labels.astype(np.float32))
    return ("x.npy",)


KINDS = (as_npy, as_partners, as_npz, as_table, as_pictures, as_floats)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_attacked(fastnn, net, pixels, labels, kind):
    words = kind(pixels, labels)
    status, out, err = fastnn("attack", "net.npz", "--data", *words, "-q", "--json", "r.json")
    assert (status, err) == (0, "")
    assert f"{words[0]}, 30 samples" in out
    reports = json.loads(Path("r.json").read_text(encoding="utf-8"))["reports"]
    for found, bounds in zip(reports, (None, (0, 1)), strict=True):
        report = adversarial_accuracy(net, pixels.reshape(30, -1), labels, 0.1, bounds)
        assert found["clean_correct"] == report.clean_correct
        assert found["adversarial_correct"] == report.adversarial_correct


@pytest.mark.parametrize("kind", [as_npy, as_table, as_pictures])
def test_every_kind_is_trained_on(fastnn, pixels, labels, kind):
    words = kind(pixels, labels)
    status, out, _ = fastnn(
        "train", "--data", *words, "--epochs", 1, "--out", "new.npz", "--learning-rate", 1e-3
    )
    assert status == 0
    assert "30 samples, 6 of them held out; trained on 24" in out
    assert load_mlp("new.npz").sizes == (WIDTH, 128, CLASSES)


def test_pictures_for_training_and_test_are_kept_apart(fastnn, pixels, labels):
    as_pictures(pixels, labels)
    Path("pictures").rename("train")
    as_pictures(pixels[:6], labels[:6])
    Path("pictures").rename("test")
    words = ("--epochs", 1, "--out", "new.npz", "--learning-rate", 1e-3)
    status, out, _ = fastnn("train", "--data", ".", *words)
    assert status == 0
    assert "6 samples; trained on 30" in out


def test_features_of_a_table_are_attacked_without_clipping(fastnn, make_net, rng):
    x, names = rng.normal(300, 20, (40, 4)), np.array(["cat", "dog"])
    rows = [",".join([*map(str, row), names[k % 2]]) for k, row in enumerate(x)]
    Path("a.csv").write_text("a,b,c,d,kind\n" + "\n".join(rows), encoding="utf-8")
    net = make_net((4, 8, 2)).with_input(mean=300, std=20)
    save_mlp(net, "net.npz")
    words = ("attack", "net.npz", "--data", "a.csv", "-q", "--json", "r.json", "--force")
    status, out, err = fastnn(*words, "--eps", 5)
    assert (status, err) == (0, "")
    assert "not clipped" in out
    assert "clipped to" not in out
    (found,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["reports"]
    report = adversarial_accuracy(net, x, np.arange(40) % 2, 5)
    assert found["adversarial_correct"] == report.adversarial_correct
    status, out, _ = fastnn(*words, "--eps", 5, "--bounds", 200, 400)
    assert status == 0
    assert "clipped to [200, 400]" in out
    assert "not clipped" not in out
    (found,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["reports"]
    assert found["bounds"] == [200, 400]


def test_floats_of_0_to_255_are_refused_without_bounds(fastnn, net, pixels, labels, assert_refused):
    np.save("x.npy", pixels.astype(np.float32))
    np.save("y.npy", labels)
    words = ("attack", "net.npz", "--data", "x.npy")
    message = r"x.npy, 30 samples: these floats look like pixels of 0 to 255; .*--bounds 0 255.*"
    assert_refused(fastnn(*words), message)
    status, out, err = fastnn(*words, "--bounds", 0, 255, "--eps", 8, "-q", "--json", "r.json")
    assert status == 0, err
    assert "clipped to [0, 255]" in out
    (found,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["reports"]
    x = pixels.reshape(30, -1).astype(np.float32)
    report = adversarial_accuracy(net, x, labels, 8, (0, 255))
    assert found["adversarial_correct"] == report.adversarial_correct


def test_adversarial_images_of_any_data_are_checked(fastnn, net, pixels, labels):
    words = as_table(pixels, labels)
    attack = ("attack", "net.npz", "--data", *words, "--save-adversarial", "a.npz")
    assert fastnn(*attack)[0] == 0
    check = ("check-adversarial", "a.npz", "--weights", "net.npz", "--data", *words)
    status, out, _ = fastnn(*check)
    assert status == 0, out
    np.savez("other.npz", x=255 - pixels, y=labels)
    status, out, _ = fastnn(*check[:-1], "other.npz")
    assert status == 1
    assert "not those that the file was made from" in out


REFUSED = {
    ("attack", "--data", "X.npy"): "no network was given, and fastnn trains one by itself .*",
    ("attack", "--data", "digits"): "no network was given, .*`fastnn train --data digits --out .*",
    ("attack", "wide.npz", "--data", "X.npy"): "wide.npz: the network takes 784 .* has 66.*",
    ("attack", "few.npz", "--data", "X.npy"): "few.npz: the network has 2 classes, .* label 2: .*",
    ("attack", "net.npz", "--labels", "Y.npy"): "--labels needs --data",
    ("train", "--labels", "Y.npy"): "--labels needs --data",
    ("attack", "net.npz", "--data", "kmnist"): ".*KMNIST is not there: run `fastnn fetch kmnist`",
    ("attack", "net.npz", "--data", "X.npy", "--bounds", "1", "0"): "bounds must be .*",
    ("attack", "net.npz", "--data", "X.npy", "--plot", "a.png"): "--plot draws square images, .*",
    ("train", "--data", "two.csv"): "two.csv: too few samples to hold some out for a test",
    ("fetch", "cifar"): "no data set is named 'cifar', expected one of mnist, .*",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_refused(fastnn, net, make_net, pixels, labels, words, assert_refused):
    as_npy(pixels, labels)
    save_mlp(make_net((784, 8, 3)), "wide.npz")
    save_mlp(make_net((WIDTH, 8, 2)), "few.npz")
    Path("digits/0").mkdir(parents=True)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save("digits/0/a.png")
    Path("two.csv").write_text("1.5,0\n2.5,1\n", encoding="utf-8")
    assert_refused(fastnn(*words), REFUSED[words])


def test_a_data_set_by_its_name_trains_its_own_network(fastnn, tmp_path, rng):
    folder = tmp_path / "cache" / "fashion-mnist"
    folder.mkdir(parents=True)
    for split, n in (("train", 100), ("test", 20)):
        np.save(folder / f"images_{split}.npy", rng.integers(0, 256, (n, 784), dtype=np.uint8))
        np.save(folder / f"labels_{split}.npy", np.arange(n) % 10)
    status, out, _ = fastnn("attack", "--data", "fashion-mnist")
    assert status == 0
    assert "Fashion-MNIST test set, 20 samples" in out
    assert "trained now" in out
    assert "kept from an earlier run" in fastnn("attack", "--data", "fashion-mnist")[1]


def test_the_help_names_all_data_sets(fastnn):
    for command in ("attack", "fetch"):
        text = " ".join(fastnn(command, "--help")[1].split())
        assert all(name in text for name in DATA_SETS)


def test_a_training_that_diverges_says_so(fastnn, pixels, labels):
    words = as_npy(pixels, labels)
    settings = ("--epochs", 1, "--learning-rate", 1e6, "--out", "n.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, _, err = fastnn("train", "--data", *words, *settings, "-q")
    assert status == 0
    assert err.startswith("fastnn: the training diverged: the last loss is ")
    assert err.count("\n") == 1


def test_a_network_for_0_to_255_is_warned_of_once(fastnn):
    data = load_mnist(source="sample", dtype="uint8")
    net = MLP.random((784, 32, 10))
    train(net, data.x_train, data.y_train, epochs=3, batch_size=50, learning_rate=0.1)
    save_mlp(net.with_input(scale=1 / 255), "bytes.npz")
    words = ("attack", "bytes.npz", "--source", "sample", "--attack", "fgsm", "-q")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, _, err = fastnn(*words, "--attack", "pgd(steps=2)")
    assert status == 0
    assert err.startswith("fastnn: the network is right about ")
    assert err.count("\n") == 1


def test_a_float64_network_is_attacked_in_its_type(fastnn, pixels, labels, make_net):
    save_mlp(make_net((WIDTH, 16, CLASSES), dtype=np.float64), "net.npz")
    as_floats(pixels, labels)
    status, out, _ = fastnn("attack", "net.npz", "--data", "x.npy", "-q")
    assert status == 0
    assert "float64" in out
