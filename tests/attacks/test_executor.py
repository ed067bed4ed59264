"""Blocks that other processes attack: the counts are those of one process."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from fastnn import _rows, adversarial_accuracy, attacks, save_mlp
from fastnn._rows import _block
from fastnn._runtime import team
from fastnn.attacks import _remote

ROWS, HEIGHT = 601, 100
SETTINGS = {"eps": [0.1, 0.05], "bounds": (0, 1), "attack": ["fgsm", attacks.PGD(steps=3)]}


@pytest.fixture(autouse=True)
def _low_blocks(monkeypatch):
    monkeypatch.setattr(_block, "_MOST_ROWS", HEIGHT)
    monkeypatch.setattr(_remote, "_networks", _remote._Networks())


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


class Here(Executor):
    """Runs tasks at once, notes what was sent, and loses what `loses` names."""

    _max_workers = 2

    def __init__(self, loses=()):
        self.sent, self.loses = [], set(loses)

    def submit(self, function, *values):
        future, number = Future(), len(self.sent)
        self.sent.append(values)
        if number in self.loses:
            future.set_exception(ConnectionError("gone"))
        else:
            future.set_result(function(*values))
        return future


def same(one, other):
    assert one.clean_correct == other.clean_correct
    np.testing.assert_array_equal(one.adversarial_correct, other.adversarial_correct)
    np.testing.assert_array_equal(one.adversarial_prediction, other.adversarial_prediction)
    np.testing.assert_array_equal(one.traces, other.traces)
    signs = [{d.name: (d.text, d.rows.tolist()) for d in r.diagnostics} for r in (one, other)]
    assert signs[0] == signs[1]


def test_a_file_goes_out_as_its_place_and_the_network_once(net, x, labels, outside):
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    here = Here()
    same(adversarial_accuracy(net, outside, labels, executor=here, **SETTINGS), expected)
    assert [isinstance(task.piece.block.x, _rows.InFile) for task, *_ in here.sent] == [True] * 11
    assert all(rows is None for _, rows, _ in here.sent)
    # Four tasks were out before the first one said what it lacks.
    assert sum(sent is not None for *_, sent in here.sent) == 4
    again = Here()
    same(adversarial_accuracy(net, outside, labels, executor=again, **SETTINGS), expected)
    assert len(again.sent) == 7
    assert all(sent is None for *_, sent in again.sent)


def test_a_file_that_a_worker_lacks_is_sent(net, x, labels, outside, monkeypatch):
    monkeypatch.setattr(_rows.InFile, "is_here", lambda self: False)
    here = Here()
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    same(adversarial_accuracy(net, outside, labels, executor=here, **SETTINGS), expected)
    assert sum(rows is not None for _, rows, _ in here.sent) == 7


def test_a_file_with_the_same_name_and_other_content_is_not_used(net, x, labels, outside, tmp_path):
    (block, *_) = _rows.Source(outside).blocks()
    assert block.x.is_here()
    os.utime(tmp_path / "x.npy", ns=(0, 0))
    assert not block.x.is_here()
    assert not block.x._replace(path="/no/where").is_here()


@pytest.mark.parametrize("loses", [{0}, {3, 4, 5}, {0, 2, 4, 6, 9}], ids=str)
def test_lost_blocks_and_arrays_change_nothing(loses, net, x, labels, outside):
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    pairs = iter([(x, labels)])
    for given, truth in ((outside, labels), (x, labels), (pairs, None)):
        report = adversarial_accuracy(net, given, truth, executor=Here(loses), **SETTINGS)
        same(report, expected)


def test_errors_of_the_data_are_raised_at_once_with_their_row(net, x, labels):
    floats = (x / 255).astype(np.float32)
    floats[333, 7] = np.nan
    here = Here()
    with pytest.raises(ValueError, match=r"x\[333, 7\] is nan"):
        adversarial_accuracy(net, floats, labels, executor=here, **SETTINGS)
    assert len(here.sent) < 15


class OddError(Exception):
    """Cannot be made again from its message alone."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def odd(net, x, labels, eps, bounds):
    raise OddError(1, 2)


def test_errors_that_cannot_be_sent_are_told(net, x, labels):
    with pytest.raises(RuntimeError, match="OddError: 1 and 2"):
        adversarial_accuracy(net, x, labels, 0.1, (0, 1), attack=odd, executor=Here())


def test_threads_are_the_share_of_the_worker_and_are_not_pinned(net, x, labels, monkeypatch):
    seen = []

    def noted(net, plan, piece, run, attack=_remote.attack_piece):
        seen.append((run.threads, team._pinning.get()))
        return attack(net, plan, piece, run)

    monkeypatch.setattr(_remote, "attack_piece", noted)
    monkeypatch.setattr(_remote, "available_threads", lambda: 8)
    executor = Here()
    for workers, asked, expected in ((2, None, 4), (3, None, 2), (16, None, 1), (2, 7, 7)):
        executor._max_workers = workers
        adversarial_accuracy(net, x, labels, 0.1, (0, 1), threads=asked, executor=executor)
        assert set(seen) == {(expected, False)}
        seen.clear()
    executor._max_workers = None  # not known, as of mpi4py
    adversarial_accuracy(net, x, labels, 0.1, (0, 1), executor=executor)
    assert set(seen) == {(1, False)}
    assert team._pinning.get()


def test_a_pool_of_threads_keeps_a_copy_of_the_network(net, x, labels):
    first = adversarial_accuracy(net, x, labels, **SETTINGS)
    with ThreadPoolExecutor(2) as executor:
        same(adversarial_accuracy(net, x, labels, executor=executor, **SETTINGS), first)
        before = net.weights[0].copy()
        net.weights[0][:] = 0
        other = adversarial_accuracy(net, x, labels, executor=executor, **SETTINGS)
        assert other.clean_correct == adversarial_accuracy(net, x, labels).clean_correct
        net.weights[0][:] = before
        same(adversarial_accuracy(net, x, labels, executor=executor, **SETTINGS), first)


@pytest.mark.parametrize("make", ["spawn", "loky"])
def test_real_processes(make, net, x, labels, outside, tmp_path):
    expected = adversarial_accuracy(net, x, labels, **SETTINGS)
    if make == "loky":
        loky = pytest.importorskip("loky")
        executor = loky.get_reusable_executor(2, context="loky")
    else:
        executor = ProcessPoolExecutor(2, mp_context=get_context(make))
    with executor:
        for given in (outside, x):
            report = adversarial_accuracy(
                net, given, labels, executor=executor, results=tmp_path / "r", **SETTINGS
            )
            same(report, expected)


WITH_MPI = """
import sys
import numpy as np
from mpi4py.futures import MPIPoolExecutor
from fastnn import adversarial_accuracy, attacks, load_mlp

if __name__ == "__main__":
    net, labels = load_mlp("net.npz"), np.load("labels.npy")
    settings = {"eps": [0.1, 0.05], "bounds": (0, 1), "attack": ["fgsm", attacks.PGD(steps=3)]}
    with MPIPoolExecutor() as executor:
        for given in (np.load("x.npy", mmap_mode="r"), np.load("x.npy")):
            report = adversarial_accuracy(net, given, labels, executor=executor, **settings)
            print(executor.num_workers, report.adversarial_correct.tolist())
"""


def test_processes_of_mpi(net, labels, outside, tmp_path):
    pytest.importorskip("mpi4py")
    start = which("mpiexec", path=str(Path(sys.executable).parent)) or which("mpiexec")
    if start is None:
        pytest.skip("there is no mpiexec")
    expected = adversarial_accuracy(net, outside, labels, **SETTINGS)
    save_mlp(net, tmp_path / "net.npz")
    np.save(tmp_path / "labels.npy", labels)
    (tmp_path / "work.py").write_text(WITH_MPI)
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = [start, "-n", "3", "--oversubscribe", sys.executable, "-m", "mpi4py.futures"]
    done = subprocess.run(
        [*command, "work.py"], cwd=tmp_path, env=os.environ | root, check=False, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == 2 * [f"2 {expected.adversarial_correct.tolist()}"]


def kill_once(net, x, labels, eps, bounds):
    """End the worker that gets the first block, once: a file says that it was done."""
    flag = os.environ.get("FASTNN_TEST_FLAG", "")
    if flag and labels[0] == 4:
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return np.clip(x + np.float32(eps), 0, 1)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_a_pool_that_broke_is_told_and_another_goes_on(
    net, x, labels, outside, tmp_path, monkeypatch
):
    labels[200], labels[:200:HEIGHT] = 4, 0  # the third block
    settings = {"attack": kill_once, "checkpoint": tmp_path / "run.checkpoint"}
    expected = adversarial_accuracy(net, x, labels, 0.1, (0, 1), attack=kill_once)
    monkeypatch.setenv("FASTNN_TEST_FLAG", str(tmp_path / "killed"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # where a child finds this module
    executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    with executor, pytest.raises(RuntimeError, match=r"the executor is broken .*checkpoint="):
        adversarial_accuracy(net, outside, labels, 0.1, (0, 1), executor=executor, **settings)
    assert (tmp_path / "killed").exists()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        report = adversarial_accuracy(
            net, outside, labels, 0.1, (0, 1), executor=executor, **settings
        )
    assert report.adversarial_correct == expected.adversarial_correct
    np.testing.assert_array_equal(report.adversarial_prediction, expected.adversarial_prediction)
