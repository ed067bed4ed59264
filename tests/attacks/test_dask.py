"""Blocks that a Dask cluster attacks, in two real processes, one of which is killed."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from fastnn import adversarial_accuracy, attacks
from fastnn._rows import _block

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

pytestmark = pytest.mark.filterwarnings("default")  # those of Dask itself
ROWS, HEIGHT = 1201, 100
SETTINGS = {"eps": [0.1, 0.05], "bounds": (0, 1), "attack": attacks.PGD(steps=3)}


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


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
def outside(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def same(one, other):
    assert one.clean_correct == other.clean_correct
    np.testing.assert_array_equal(one.adversarial_correct, other.adversarial_correct)
    np.testing.assert_array_equal(one.adversarial_prediction, other.adversarial_prediction)


def test_counts_of_two_processes_are_those_of_one(client, net, x, labels, outside):
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    for executor in (client, client.get_executor(pure=False)):
        for given, truth in ((outside, labels), (x, labels), (iter([(x, labels)]), None)):
            same(adversarial_accuracy(net, given, truth, executor=executor, **SETTINGS), expected)


def test_chunks_are_attacked_where_they_are(client, net, x, labels, monkeypatch):
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    chunked = da.from_array(x, chunks=(170, 11)).persist()

    def refused(self):
        assert not hasattr(self.array, "dask"), "a chunk came to the caller"
        return np.asarray(self.array[self.first : self.stop])

    monkeypatch.setattr(_block.Later, "read", refused)
    same(adversarial_accuracy(net, chunked, labels, executor=client, **SETTINGS), expected)


def test_a_local_computation_takes_chunks_too(net, x, labels):
    chunked = da.from_array(x, chunks=(170, 11))
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    same(adversarial_accuracy(net, chunked, da.from_array(labels), **SETTINGS), expected)


def test_errors_of_the_data_name_the_row(client, net, x, labels):
    floats = da.from_array((x / 255).astype(np.float32), chunks=(170, 30))
    floats[333, 7] = np.nan
    with pytest.raises(ValueError, match=r"x\[333, 7\] is nan"):
        adversarial_accuracy(net, floats, labels, executor=client, **SETTINGS)
    with pytest.raises(ValueError, match="chunks of unknown size"):
        adversarial_accuracy(net, floats[floats[:, 0] > 0.5], labels, executor=client, **SETTINGS)


@pytest.mark.parametrize("form", ["file", "dask"])
def test_a_worker_that_is_killed_in_the_middle(form, client, net, x, labels, outside, tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()

    def slow(net, x, labels, eps, bounds):
        with (folder / str(os.getpid())).open("a") as file:
            file.write(f"{len(x)}\n")
        time.sleep(0.2)
        return np.clip(x + np.float32(eps), 0, 1)

    def made():
        return {path.name: len(path.read_text().split()) for path in folder.iterdir()}

    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            killed.extend(int(name) for name, blocks in made().items() if blocks >= 2)
            time.sleep(0.01)
        os.kill(killed[0], signal.SIGKILL)  # in the middle of its second block

    expected = adversarial_accuracy(net, x, labels, 0.1, (0, 1), attack=slow)
    (folder / str(os.getpid())).unlink()
    given = outside if form == "file" else da.from_array(x, chunks=(100, 30))
    killer = threading.Thread(target=kill)
    killer.start()
    settings = {"attack": slow, "checkpoint": tmp_path / "run.checkpoint"}
    report = adversarial_accuracy(net, given, labels, 0.1, (0, 1), executor=client, **settings)
    killer.join()
    assert killed
    assert sum(made().values()) > 13  # the block that was lost was attacked again
    assert report.adversarial_correct == expected.adversarial_correct
    np.testing.assert_array_equal(report.adversarial_prediction, expected.adversarial_prediction)
