"""Crews stay for the next call, one call at a time has each, and a fork or the exit ends them."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from fastnn import adversarial_accuracy
from fastnn._engine import crews as module
from fastnn._engine import few, narrow

KIND = np.dtype(np.float32)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture
def crews(monkeypatch):
    """Return crews that the test has for itself, on a machine of four processors."""
    own = module.Crews()
    monkeypatch.setattr(module, "_MOST", 4)
    monkeypatch.setattr(few, "crews", own)
    monkeypatch.setattr(narrow, "crews", own)
    monkeypatch.setattr(narrow, "_WORTH_SHARING", 0)
    monkeypatch.setattr(narrow, "_WORTH_A_HELPER", 1)
    yield own
    assert own.at_work == 0
    own.end_all()


def attack(net, threads=2, rows=3):
    x = np.linspace(0, 1, rows * net.sizes[0], dtype=net.dtype).reshape(rows, -1)
    return adversarial_accuracy(net, x, np.zeros(rows, int), 0.1, threads=threads)


def test_the_next_call_has_the_same_threads(crews, make_net):
    net = make_net((20, 300, 4))
    before = threading.active_count()
    for threads in (2, 1, 2, 3, 2):
        attack(net, threads)
    assert (crews.parked, crews.at_work) == (2, 0)
    assert threading.active_count() == before + 2
    attack(make_net((20, 300, 4), dtype=np.float64))
    assert crews.parked == 3


def test_there_are_no_more_helpers_than_processors(crews, make_net):
    attack(make_net((20, 300, 4)), threads=99)
    assert crews.parked == 4


def test_a_call_beside_another_has_helpers_of_its_own_or_none(crews):
    first = crews.ready(KIND, 3)
    assert first.take(3, 0)
    second = crews.ready(KIND, 3)
    assert second is not first
    assert len(second.helpers) == 1
    assert second.take(1, 0)
    assert crews.at_work == 4
    assert crews.ready(KIND, 1) is None
    first.give_back()
    assert crews.ready(KIND, 3) is first
    second.give_back()


def test_a_call_without_a_crew_has_the_same_result(crews, make_net):
    net = make_net((20, 300, 4))
    expected = attack(net, 1).adversarial_prediction
    crew = crews.ready(KIND, 4)
    assert crew.take(4, 0)
    found = attack(net, 3)
    shared = narrow.SharedProducts(net, 3)
    with shared.on(3):
        out = np.empty((3, 300), np.float32)
        shared.multiply(np.ones((3, 20), np.float32), 0, out)
    crew.give_back()
    np.testing.assert_array_equal(found.adversarial_prediction, expected)
    np.testing.assert_allclose(out[0], net.weights[0].sum(axis=0), rtol=1e-4, atol=1e-5)


def test_a_crew_that_is_taken_at_the_last_moment_is_left(crews, make_net, monkeypatch):
    net = make_net((20, 300, 4))
    expected = attack(net, 1).adversarial_prediction
    ready = crews.ready

    def late(*args):
        crew = ready(*args)
        assert crew.take(1, 0)
        return crew

    monkeypatch.setattr(crews, "ready", late)
    np.testing.assert_array_equal(attack(net, 2).adversarial_prediction, expected)
    [crew] = crews._every()
    assert not crew.free  # by the other call
    crew.give_back()


def test_without_memory_the_helpers_are_given_back(crews, make_net, monkeypatch):
    def fail(board, posts, *more):
        assert module.narrow_helpers._take(board, posts, more[-4].ctypes.data, 0)
        raise MemoryError

    monkeypatch.setattr(few.narrow_passes, "_attack_by_sign", fail)
    with pytest.raises(MemoryError):
        attack(make_net((20, 300, 4)))
    assert crews.at_work == 0


def test_another_calls_helpers_are_not_given_back(crews, make_net, monkeypatch):
    def fail(board, posts, *_):
        assert module.narrow_helpers._take(board, posts, 1, 0)
        raise MemoryError

    monkeypatch.setattr(few.narrow_passes, "_attack_by_sign", fail)
    with pytest.raises(MemoryError):
        attack(make_net((20, 300, 4)))
    assert crews.at_work == 1
    crews._every()[0].give_back()


def test_where_no_thread_starts_a_call_works_alone(crews, make_net, monkeypatch):
    def fail():
        raise RuntimeError("can't start new thread")

    net = make_net((20, 300, 4))
    expected = attack(net, 1).adversarial_prediction
    monkeypatch.setattr(module, "Helper", fail)
    np.testing.assert_array_equal(attack(net, 3).adversarial_prediction, expected)
    assert crews.parked == 0
    monkeypatch.undo()


def test_a_system_without_locks_is_an_error(crews, make_net, monkeypatch):
    net = make_net((20, 300, 4))
    monkeypatch.setattr(module.ctypes.pythonapi, "PyThread_allocate_lock", lambda: None)
    with pytest.raises(MemoryError, match="no more locks"):
        attack(net)
    monkeypatch.undo()


def test_after_their_end_no_crew_is_made(crews, make_net):
    attack(make_net((20, 300, 4)))
    threads = [h._thread for crew in crews._every() for h in crew.helpers]
    crews.end_all()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert crews.ready(KIND, 1) is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not on this system")
def test_helpers_follow_the_callers_affinity(crews, make_net):
    net, everywhere = make_net((20, 300, 4)), os.sched_getaffinity(0)
    attack(net)
    [crew] = crews._every()
    thread = crew.helpers[0]._thread.native_id
    assert os.sched_getaffinity(thread) <= everywhere
    one = {min(everywhere)}
    os.sched_setaffinity(0, one)
    try:
        attack(net)
        assert os.sched_getaffinity(thread) == one
    finally:
        os.sched_setaffinity(0, everywhere)


START = """
import os, signal, threading
import numpy as np
import fastnn
from fastnn._engine import fused, narrow
from fastnn._engine.crews import crews
narrow._WORTH_SHARING = fused._WORTH_SHARING = 0
narrow._WORTH_A_HELPER = 1
net = fastnn.MLP.random((20, 300, 4), rng=0)
x = np.random.default_rng(0).random((3, 20), np.float32)
def attack():
    report = fastnn.adversarial_accuracy(net, x, [0, 1, 2], 0.1, threads=2)
    return report.adversarial_prediction.tolist()
def train():
    other = net.astype(np.float32)
    fastnn.train(other, x, [0, 1, 2], epochs=2, batch_size=2, learning_rate=0.001)
expected = attack()
assert crews.parked == 1
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + textwrap.dedent(code) + "\nprint('fine')"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
    assert not done.stderr


def test_python_ends_with_a_parked_crew():
    run("")


@forks
def test_a_process_forks_without_a_parked_crew():
    """From 3.12 on Python warns of a fork beside threads; here warnings are errors."""
    run("""
    for _ in range(3):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            assert (crews.parked, threading.active_count()) == (0, 1)
            assert attack() == expected
            train()
            os._exit(crews.parked != 1)
        assert os.waitpid(child, 0)[1] == 0
        assert crews.parked == 0
        assert attack() == expected
        assert crews.parked == 1
    """)


@forks
def test_a_child_forked_while_others_call_may_call():
    run("""
    import warnings
    warnings.simplefilter("ignore")
    stop = threading.Event()
    def work():
        while not stop.is_set():
            assert attack() == expected
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            for _ in range(3):
                assert attack() == expected
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join()
    """)


def test_python_ends_while_a_daemon_calls():
    run("""
    begun = threading.Event()
    def work():
        while True:
            attack()
            train()
            begun.set()
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    """)
