"""A run that was killed goes on where it was, and ends with the counts of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, attacks
from fastnn._rows import _block
from fastnn.attacks import _blocks

ROWS, HEIGHT, KILLS = 1201, 100, 10
PROGRAM = """
import sys, time, numpy as np, fastnn
from fastnn._rows import _block
from fastnn.attacks import _blocks
_block._MOST_ROWS = 10
folder = sys.argv[1]
attack_piece = _blocks.attack_piece
def noted(net, plan, piece, run):
    outcome = attack_piece(net, plan, piece, run)
    with open(folder + "/made", "a") as file:
        file.write(f"{piece.block.number}\\n")
    time.sleep(0.02)
    return outcome
def attack(x, **settings):
    return fastnn.adversarial_accuracy(
        net, x, y[:len(x)], [0.05, 0.1], (0, 1), attack=fastnn.attacks.PGD(steps=5), threads=1,
        **settings)
net, y = fastnn.load_mlp(folder + "/net.npz"), np.load(folder + "/y.npy")
x = np.load(folder + "/x.npy", mmap_mode="r")
attack(np.array(x[:3]))  # loads the kernels
_blocks.attack_piece = noted
print("begun", flush=True)
report = attack(x, checkpoint=folder + "/run.checkpoint", results=folder + "/results")
print(report.clean_correct, report.adversarial_correct.tolist())
"""


@pytest.fixture(autouse=True)
def _low_blocks(monkeypatch):
    monkeypatch.setattr(_block, "_MOST_ROWS", HEIGHT)


@pytest.fixture
def net(make_net):
    return make_net((30, 24, 5))


@pytest.fixture
def x(rng):
    return rng.integers(0, 256, (ROWS, 30)).astype(np.uint8)


@pytest.fixture
def labels(net, x, rng):
    return np.where(rng.random(ROWS) < 0.8, net.predict(x), rng.integers(0, 5, ROWS))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


@pytest.fixture
def made(monkeypatch):
    """Return the numbers of the blocks that were attacked."""
    numbers = []

    def noted(net, plan, piece, run, attack=_blocks.attack_piece):
        numbers.append(piece.block.number)
        return attack(net, plan, piece, run)

    monkeypatch.setattr(_blocks, "attack_piece", noted)
    return numbers


def same(one, other):
    assert one.clean_correct == other.clean_correct
    np.testing.assert_array_equal(one.adversarial_correct, other.adversarial_correct)
    np.testing.assert_array_equal(one.adversarial_prediction, other.adversarial_prediction)
    signs = [{d.name: (d.text, d.rows.tolist()) for d in r.diagnostics} for r in (one, other)]
    assert signs[0] == signs[1]


def test_finished_blocks_are_not_made_again(net, x, labels, path, made):
    settings = {"eps": [0.0, 0.1], "bounds": (0, 1), "attack": ["fgsm", attacks.PGD(steps=3)]}
    expected = adversarial_accuracy(net, x, labels, **settings)
    stopped = iter([(x[:550], labels[:550])])

    def pairs(stop):
        yield x[:650], labels[:650]
        if stop:
            raise KeyboardInterrupt
        yield x[650:], labels[650:]

    with pytest.raises(KeyboardInterrupt):
        adversarial_accuracy(net, pairs(True), checkpoint=path, **settings)
    assert made == [0, 1, 2, 3, 4, 5][: len(made)]
    assert len(made) >= 5
    same(adversarial_accuracy(net, pairs(False), checkpoint=path, **settings), expected)
    assert made == list(range(13))
    same(adversarial_accuracy(net, pairs(False), checkpoint=path, **settings), expected)
    assert made == list(range(13))  # all are there
    with pytest.raises(ValueError, match=r"run\.checkpoint is .* other data, which has more rows"):
        adversarial_accuracy(net, iter([(x[:600], labels[:600])]), checkpoint=path, **settings)
    assert len(list(stopped)) == 1


def test_another_run_is_refused_by_name(net, x, labels, path):
    attack = attacks.PGD(steps=3)
    settings = {"eps": 0.1, "bounds": (0, 1), "attack": attack, "rng": 3, "lattice": 255}
    adversarial_accuracy(net, x, labels, checkpoint=path, **settings)
    before = path.read_bytes()
    targets = (labels + 1) % 5
    others = [{"eps": 0.2}, {"bounds": (0, 2)}, {"attack": attacks.PGD(steps=4)}, {"rng": 4}]
    others += [{"rng": (3, np.arange(ROWS)[::-1])}, {"lattice": None}, {"targets": targets}]
    others += [{"keep_adversarial": True}, {"attack": "fgsm"}, {"eps": [0.1]}]
    for other in others[:-1]:
        with pytest.raises(ValueError, match=r"run\.checkpoint is .* another run: its settings"):
            adversarial_accuracy(net, x, labels, checkpoint=path, **settings | other)
    wider = MLP([w * np.float32(1.001) for w in net.weights], net.biases)
    with pytest.raises(ValueError, match=r"run\.checkpoint is .* another run: its network"):
        adversarial_accuracy(wider, x, labels, checkpoint=path, **settings)
    for fewer in (x[1:], x.astype(np.float32) / 255):
        with pytest.raises(ValueError, match=r"run\.checkpoint is .* another run: its data"):
            adversarial_accuracy(net, fewer, labels[: len(fewer)], checkpoint=path, **settings)
    changed, wrong = x.copy(), labels.copy()
    changed[777, 3] ^= 1
    wrong[888] = (wrong[888] + 1) % 5
    for given, rows in (((changed, labels), "700 to 799"), ((x, wrong), "800 to 899")):
        with pytest.raises(ValueError, match=rf"run\.checkpoint is .* rows {rows} have changed"):
            adversarial_accuracy(net, *given, checkpoint=path, **settings)
    assert path.read_bytes() == before


def test_an_array_and_a_file_have_the_same_checkpoint(net, x, labels, path, made, tmp_path):
    report = adversarial_accuracy(net, x, labels, 0.1, (0, 1), checkpoint=path)
    np.save(tmp_path / "x.npy", x)
    outside = np.load(tmp_path / "x.npy", mmap_mode="r")
    same(adversarial_accuracy(net, outside, labels, 0.1, (0, 1), checkpoint=path), report)
    assert len(made) == 13


def test_a_network_that_is_trained_on_is_another(net, x, labels, path):
    adversarial_accuracy(net, x, labels, 0.1, (0, 1), checkpoint=path)
    net.weights[0][0, 0] += 1
    with pytest.raises(ValueError, match="its network"):
        adversarial_accuracy(net, x, labels, 0.1, (0, 1), checkpoint=path)


def killed_again_and_again(folder, kills, seed=0):
    """Run the program, kill it at random points, and return what it says in the end.

    The run takes about three seconds, and most of the kills come before its end.
    """
    chance = random.Random(seed)
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begun\n"
        time.sleep(chance.uniform(0, 6 / kills))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return subprocess.check_output(command, text=True, timeout=120).splitlines()[1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_killed_at_random_points(net, x, labels, tmp_path):
    import fastnn

    kills = int(os.environ.get("FASTNN_KILLS", KILLS))
    fastnn.save_mlp(net, tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", labels)
    said = killed_again_and_again(tmp_path, kills)
    attack = attacks.PGD(steps=5)
    expected = adversarial_accuracy(net, x, labels, [0.05, 0.1], (0, 1), attack=attack)
    assert said == f"{expected.clean_correct} {expected.adversarial_correct.tolist()}"
    kept = np.load(tmp_path / "results" / "adversarial_prediction.npy")
    np.testing.assert_array_equal(kept, expected.adversarial_prediction)
    times = np.bincount([int(n) for n in (tmp_path / "made").read_text().split()])
    assert len(times) == -(-ROWS // 10)
    # A block that was made, but not written yet, is made again; at most one for each kill.
    assert times.min() >= 1
    assert times.sum() <= len(times) + kills
    assert not [path for path in (tmp_path / "results").iterdir() if path.suffix == ".tmp"]
