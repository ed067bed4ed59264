"""Trainings in a file, and on samples outside of memory: the bits of undisturbed ones."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastnn
from fastnn import MLP, _shuffled, attacks, threads, train

ROWS, KILLS = 1501, 5
SETTINGS = {"batch_size": 50, "learning_rate": 0.05, "momentum": 0.9, "l2": 1e-4}
PROGRAM = """
import sys, time, numpy as np, fastnn
from fastnn._kept import Kept
folder = sys.argv[1]
x, y = np.load(folder + "/x.npy", mmap_mode=sys.argv[2] or None), np.load(folder + "/y.npy")
settings = {"batch_size": 50, "learning_rate": 0.05, "momentum": 0.9}
fastnn.train(fastnn.MLP.random((20, 16, 3)), x, y, epochs=1, **settings)  # loads the kernels
keep = Kept.keep
def slow(self, descent):
    keep(self, descent)
    time.sleep(0.05)
Kept.keep = slow
net = fastnn.MLP.random((20, 16, 3))
print("begun", flush=True)
fastnn.train(net, x, y, epochs=30, checkpoint=folder + "/training", **settings)
fastnn.save_mlp(net, folder + "/trained.npz")
"""


@pytest.fixture
def x(rng):
    return rng.integers(0, 256, (ROWS, 20)).astype(np.uint8)


@pytest.fixture
def labels(x):
    return (x[:, 0] > 128).astype(int) + (x[:, 1] > 128)


@pytest.fixture
def outside(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "training"


def new():
    return MLP.random((20, 16, 3))


def bits(net):
    return [p.tobytes() for p in (*net.weights, *net.biases)]


def interrupted(net, x, labels, epochs, **settings):
    """Train, but stop in the middle of the epoch after so many."""

    class Stops(np.random.Generator):
        calls = 0

        def permutation(self, x):
            self.calls += 1
            if self.calls > epochs:
                raise KeyboardInterrupt
            return super().permutation(x)

    rng = Stops(np.random.PCG64(7))
    with pytest.raises(KeyboardInterrupt):
        train(net, x, labels, epochs=99, rng=rng, **settings)


@pytest.mark.parametrize(
    "some",
    [
        {},
        {"batch_size": 400},  # another way to take steps
        {"momentum": 0.0},
        {"momentum": 0.0, "batch_size": 400},
        {"attack": attacks.PGD(steps=2), "eps": 0.1, "bounds": (0, 1)},
        {"validate": True},
    ],
    ids=str,
)
def test_it_goes_on_bit_for_bit(some, x, labels, path):
    settings = SETTINGS | some
    if settings.pop("validate", False):
        settings["validation"] = (x[:200], labels[:200])
    undisturbed, net = new(), new()
    rng = lambda: np.random.Generator(np.random.PCG64(7))  # noqa: E731
    expected = train(undisturbed, x, labels, epochs=5, rng=rng(), **settings)
    interrupted(net, x, labels, 2, checkpoint=path, **settings)
    for start in (new(), net):  # the network of the start, or that of the file
        content = path.read_bytes()
        history = train(start, x, labels, epochs=5, rng=rng(), checkpoint=path, **settings)
        assert bits(start) == bits(undisturbed)
        assert history == expected
        path.write_bytes(content)


def test_more_epochs_go_on_and_fewer_are_an_error(x, labels, path):
    expected, net = new(), new()
    train(expected, x, labels, epochs=4, **SETTINGS)
    for epochs in (1, 3, 3, 4):
        net = new()
        history = train(net, x, labels, epochs=epochs, checkpoint=path, **SETTINGS)
        assert len(history.train_loss) == epochs
    assert bits(net) == bits(expected)
    with pytest.raises(ValueError, match=r"training has 4 epochs, more than epochs=2"):
        train(new(), x, labels, epochs=2, checkpoint=path, **SETTINGS)


@pytest.mark.parametrize("source", [3, None, np.random.MT19937], ids=str)
def test_every_source_of_random_numbers(source, x, labels, path):
    make = (lambda: np.random.Generator(source(5))) if callable(source) else lambda: source
    expected, net = new(), new()
    train(net, x, labels, epochs=2, rng=make(), checkpoint=path, **SETTINGS)
    train(net, x, labels, epochs=4, rng=make(), checkpoint=path, **SETTINGS)
    if source is not None:  # of which there is no second time
        train(expected, x, labels, epochs=4, rng=make(), **SETTINGS)
        assert bits(net) == bits(expected)


def test_another_training_is_refused_by_name(x, labels, path):
    train(new(), x, labels, epochs=1, checkpoint=path, **SETTINGS)
    before = path.read_bytes()
    wrong = labels.copy()
    wrong[1400] = (wrong[1400] + 1) % 3
    for name, given in {
        "settings": {"batch_size": 51},
        "rng": {"rng": 4},
        "data": {"labels": wrong},
        "network": {"net": MLP.random((20, 16, 3), rng=1)},
    }.items():
        call = {"net": new(), "x": x, "labels": labels, "epochs": 2, **SETTINGS} | given
        with pytest.raises(ValueError, match=rf"training is .* another training: its {name} is"):
            train(checkpoint=path, **call)
    with pytest.raises(ValueError, match="its settings is"):
        train(new(), x, labels, epochs=2, checkpoint=path, attack="fgsm", eps=0.1, **SETTINGS)
    judged = (x[:9], labels[:9])
    with pytest.raises(ValueError, match="its data is"):
        train(new(), x, labels, epochs=2, checkpoint=path, validation=judged, **SETTINGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"no archive", 200, -1])
def test_a_damaged_file_is_refused(damage, x, labels, path):
    train(new(), x, labels, epochs=1, checkpoint=path, **SETTINGS)
    content = bytearray(path.read_bytes())
    if isinstance(damage, bytes):
        content = damage
    elif damage < 0:
        content = content[: len(content) // 2]
    else:
        content[damage] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"training is no checkpoint of a training, or is damaged"):
        train(new(), x, labels, epochs=2, checkpoint=path, **SETTINGS)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        train(new(), x, labels, epochs=2, checkpoint=path / "a" / "b", **SETTINGS)


def killed_again_and_again(folder, mode, kills, seed=0):
    """Run the program and kill it at random points, then let it end."""
    chance = random.Random(seed)
    command = [sys.executable, "-c", PROGRAM, str(folder), mode]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0, 4 / kills))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("mode", ["", "r"], ids=["array", "memmap"])
def test_killed_at_random_points(mode, x, labels, outside, tmp_path):
    np.save(tmp_path / "y.npy", labels)
    killed_again_and_again(tmp_path, mode, int(os.environ.get("FASTNN_KILLS", KILLS)))
    net = new()
    settings = {"batch_size": 50, "learning_rate": 0.05, "momentum": 0.9}
    train(net, outside if mode else x, labels, epochs=30, **settings)
    assert bits(fastnn.load_mlp(tmp_path / "trained.npz")) == bits(net)


# --- samples outside of memory


def test_all_samples_take_part_once_in_an_epoch(outside, labels, monkeypatch):
    monkeypatch.setattr(_shuffled, "_RUN", 64)
    for group in (64, 200, 20_480):
        monkeypatch.setattr(_shuffled, "_GROUP", group)
        samples = _shuffled.taken(outside, labels, new(), "x")
        for batch in (1, 50, ROWS):
            numbers, sizes = [], []
            for part in samples.parts(np.random.default_rng(0), batch):
                np.testing.assert_array_equal(part.x, outside[part.numbers])
                np.testing.assert_array_equal(part.labels, labels[part.numbers])
                numbers += part.numbers[part.order].tolist()
                sizes.append(len(part.order))
            assert sorted(numbers) == list(range(ROWS))
            assert numbers != sorted(numbers)
            assert not any(size % batch for size in sizes[:-1])  # whole batches


def test_it_learns_the_same_for_any_number_of_threads(outside, labels, monkeypatch):
    monkeypatch.setattr(_shuffled, "_RUN", 64)
    monkeypatch.setattr(_shuffled, "_GROUP", 300)
    found = set()
    for count in (1, 2, 4):
        net = new()
        with threads(count):
            history = train(net, outside, labels, epochs=12, **SETTINGS | {"batch_size": 200})
        found.add((*bits(net), history.train_loss[-1]))
    assert len(found) == 1
    assert history.train_accuracy[-1] > 0.7
    assert history.train_accuracy[-1] == net.accuracy(outside, labels)
    assert history.train_loss[-1] == pytest.approx(net.loss(outside, labels), rel=1e-6)


def test_validation_and_adversarial_training_outside_of_memory(x, outside, labels):
    net = new()
    settings = SETTINGS | {"attack": "fgsm", "eps": 0.05, "bounds": (0, 1)}
    judged = (outside[:300], labels[:300])
    history = train(net, outside, labels, epochs=2, validation=judged, **settings)
    assert history.val_accuracy[-1] == net.accuracy(x[:300], labels[:300])
    other = new()
    train(other, outside, labels, epochs=2, **SETTINGS)
    assert bits(net) != bits(other)


def test_random_starts_are_those_of_the_sample(outside, labels, monkeypatch):
    """The rows that an attack gets have the numbers that they have in the file."""
    seen = {}

    def noted(self, net, x, labels, eps, bounds, *, rng):
        seen.update(zip(rng[1].tolist(), x, strict=True))
        return (x / 255).astype(np.float32)

    monkeypatch.setattr(attacks.FGSM, "perturb", noted)
    train(new(), outside, labels, epochs=1, attack="fgsm", eps=0.1, bounds=(0, 1), **SETTINGS)
    assert len(seen) == ROWS
    assert all((row == outside[number]).all() for number, row in seen.items())


def test_errors_outside_of_memory(outside, x, labels, tmp_path):
    wrong = labels.copy()
    wrong[1400] = 3
    with pytest.raises(ValueError, match=r"labels\[1400\] is 3"):
        train(new(), outside, wrong, epochs=1, **SETTINGS)
    np.save(tmp_path / "f.npy", np.where(np.arange(ROWS)[:, None] == 1234, np.inf, x / 255.0))
    floats = np.load(tmp_path / "f.npy", mmap_mode="r")
    with pytest.raises(ValueError, match=r"x\[1234, 0\] is inf"):
        train(new(), floats, labels, epochs=1, **SETTINGS)
    with pytest.raises(ValueError, match=r"validation x\[1234, 0\] is inf"):
        train(new(), x, labels, epochs=1, validation=(floats, labels), **SETTINGS)
    with pytest.raises(TypeError, match="x is an iterator, which can be read once"):
        train(new(), iter([x]), labels, epochs=1, **SETTINGS)
