"""Adversarial training on the command line: as `fastnn.train` does it from Python."""

import json
from pathlib import Path

import numpy as np
import pytest

from fastnn import MLP, load_mlp, save_mlp, train
from fastnn.attacks import PGD

WIDTH, CLASSES = 66, 3
SETTINGS = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "momentum": 0.5}
WORDS = ("train", "--data", "X.npy", "--sizes", WIDTH, 16, CLASSES, "--out", "new.npz", *(
    word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value)
))  # fmt: skip


@pytest.fixture
def pixels(rng, _small_and_apart):
    """Return 24 images to train on; every fifth of a class of the 30 in X.npy is held out."""
    x, labels = rng.integers(0, 256, (30, WIDTH), dtype=np.uint8), np.arange(30) % CLASSES
    np.save("X.npy", x)
    np.save("Y.npy", labels)
    held_out = np.arange(30) // CLASSES % 5 == 4
    return x[~held_out], labels[~held_out]


def trained(pixels, **adversary):
    net = MLP.random((WIDTH, 16, CLASSES), rng=0)
    train(net, *pixels, **SETTINGS, rng=0, **adversary)
    return net


def assert_same(net, other):
    for one, two in zip(net.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("words", "adversary", "shown"),
    [
        (
            ("--attack", "fgsm"),
            {"attack": "fgsm", "eps": 0.1, "bounds": (0, 1)},
            "fgsm, eps 0.1, clipped to [0, 1]",
        ),
        (
            ("--attack", "pgd(steps=2, momentum=0.9)", "--eps", "8/255", "--bounds", "-1", "2"),
            {"attack": PGD(steps=2, momentum=0.9), "eps": 8 / 255, "bounds": (-1, 2)},
            "pgd(steps=2, momentum=0.9), eps 8/255, clipped to [-1, 2]",
        ),
    ],
    ids=["defaults", "all options"],
)
def test_batches_are_attacked_as_from_python(fastnn, pixels, words, adversary, shown):
    status, out, err = fastnn(*WORDS, *words, "-q", "--json", "r.json")
    assert (status, err) == (0, "")
    assert f"trained against        {shown}\n" in out
    net = load_mlp("new.npz")
    assert_same(net, trained(pixels, **adversary))
    assert (net.weights[0] != trained(pixels).weights[0]).any()
    recipe = json.loads(Path("r.json").read_text(encoding="utf-8"))["recipe"]
    assert recipe["attack"] == shown.split(", eps")[0]
    assert recipe["eps"] == adversary["eps"]
    assert recipe["bounds"] == [*adversary["bounds"]]


def test_without_an_attack_inputs_stay_as_they_are(fastnn, pixels):
    status, out, _ = fastnn(*WORDS, "-q", "--json", "r.json")
    assert status == 0
    assert "trained against" not in out
    assert_same(load_mlp("new.npz"), trained(pixels))
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["recipe"]["attack"] is None


def test_data_beyond_0_and_1_is_not_clipped(fastnn, pixels, rng):
    np.save("X.npy", rng.normal(size=(30, WIDTH)).astype(np.float32))
    _, out, _ = fastnn(*WORDS, "--attack", "fgsm", "-q", "--json", "r.json")
    assert "fgsm, eps 0.1, not clipped\n" in out
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["recipe"]["bounds"] is None


REFUSED = {
    ("--eps", "0.1"): "--eps needs --attack",
    ("--bounds", "0", "1"): "--bounds needs --attack",
    ("--attack", "nothing"): "argument --attack: 'nothing' is none of fgsm, .*",
    ("--attack", "pgd(step=2)"): "--attack: pgd has no setting step; it has .*",
    ("--attack", "fgsm", "--attack", "pgd"): "--attack: a training takes one attack, got 2",
    ("--attack", "fgsm", "--eps=-1"): "eps .*-1.*",
    ("--attack", "fgsm", "--bounds", "1", "0"): "bounds must be .*",
    ("--attack", "fgsm", "--bounds", "0", "0.5"): "x is uint8, so in .0, 1., but bounds are .*",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_refused(fastnn, pixels, words, assert_refused):
    assert_refused(fastnn(*WORDS, *words, "-q"), REFUSED[words])
    assert not Path("new.npz").exists()


def test_floats_of_0_to_255_are_refused_without_bounds(fastnn, pixels, rng, assert_refused):
    np.save("X.npy", rng.integers(0, 256, (30, WIDTH)).astype(np.float32))
    message = r"X.npy, .*: these floats look like pixels of 0 to 255; .*--bounds 0 255.*"
    assert_refused(fastnn(*WORDS, "--attack", "fgsm"), message)


def test_few_test_samples_are_not_called_the_first_thousand(fastnn, pixels):
    out = fastnn(*WORDS, "-q")[1]
    assert "accuracy, all 6 " in out
    assert "first" not in out


# --- how weights lie in a file of a network


@pytest.fixture
def square(make_net, pixels):
    """Return a network whose layers fit both ways, in a file that does not say which."""
    net = make_net((WIDTH, WIDTH))
    np.savez("square.npz", **{"0.weight": net.weights[0], "0.bias": net.biases[0]})
    return net


@pytest.mark.parametrize("command", ["attack", "check-adversarial"])
def test_where_layers_fit_both_ways_an_option_says_which(fastnn, square, command, assert_refused):
    data = ("--data", "X.npy")
    if command == "attack":
        words = ("attack", "square.npz", *data)
    else:
        save_mlp(square, "ours.npz")
        fastnn("attack", "ours.npz", *data, "--save-adversarial", "a.npz")
        words = ("check-adversarial", "a.npz", "--weights", "square.npz", *data)
    assert_refused(fastnn(*words), "square.npz: the layers chain both as .*--layout in a command.*")
    assert_refused(fastnn(*words, "--layout", "rows"), "argument --layout: invalid choice: .*")
    counts = []
    for layout in ("in-out", "out-in"):
        status, _, _ = fastnn(*words, "--layout", layout, "--json", "r.json", "--force")
        assert status == (1 if command != "attack" and layout == "out-in" else 0)
        results = json.loads(Path("r.json").read_text(encoding="utf-8"))
        counts.append(results.get("reports", [results])[0]["clean_correct"])
    x, labels = np.load("X.npy"), np.load("Y.npy")
    turned = MLP([square.weights[0].T], square.biases)
    assert counts == [int((net.predict(x) == labels).sum()) for net in (square, turned)]


def test_an_option_for_a_network_needs_one(fastnn, pixels, assert_refused):
    for words in (("--layout", "in-out"), ("--activation", "relu")):
        assert_refused(fastnn("attack", *words), f"{words[0]} needs --weights")
