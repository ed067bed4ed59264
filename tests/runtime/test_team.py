"""Threads: the same results for any number of them, and nothing left behind, whoever calls."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import fastnn
from fastnn._engine import narrow, tiles
from fastnn._runtime import blas, processors, team
from fastnn._runtime.helpers import Helper, Helpers, helpers
from fastnn._runtime.processors import available_threads, cores, cpu_quota
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count

THREADS = (1, 2, 3, 5)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def blas_threads():
    """Return on how many threads each BLAS library runs.

    Not SciPy's own, which numba loads at some time where it is installed: numpy does not use it.
    """
    blas = ThreadpoolController().select(user_api="blas").info()
    return [library["num_threads"] for library in blas if "scipy" not in library["filepath"]]


@pytest.fixture
def blas_of_3():
    """Let BLAS have three threads, whatever the machine, so that a change shows."""
    with threadpool_limits(3, user_api="blas"):
        if not blas_threads():
            pytest.skip("this numpy's BLAS has no threads to control")
        yield
        assert set(blas_threads()) == {3}


@pytest.fixture
def samples(rng):
    return rng.random((1203, 20), dtype=np.float32), rng.integers(0, 10, 1203)


# --- the same results


@pytest.fixture(params=["relu", "sigmoid", "tanh"])
def net(request, make_net):
    return make_net((20, 33, 17, 10), request.param)


def attacked(net, x, labels):
    one = fastnn.adversarial_accuracy(net, x, labels, 0.1, bounds=(0, 1))
    many = fastnn.adversarial_accuracy(net, x, labels, [0.1, 0.05, 0.3])
    counts = [one.zero_gradient_rows, one.saturated_rows, many.zero_gradient_rows]
    return [one.clean_prediction, one.adversarial_prediction, many.adversarial_prediction, counts]


def stepped(net, x, labels):
    return [fastnn.fgsm(net, x, labels, 0.1)]


def evaluated(net, x, labels):
    return [net.logits(x), net.predict_proba(x), net.loss(x, labels), net.accuracy(x, labels)]


def differentiated(net, x, labels):
    return [net.input_gradient(x, labels), *sum(net.gradients(x, labels, l2=0.1), ())]


def trained(net, x, labels):
    net = net.astype(np.float32)
    settings = {"epochs": 2, "batch_size": 300, "learning_rate": 0.1, "momentum": 0.9}
    history = fastnn.train(net, x, labels, validation=(x[:500], labels[:500]), **settings)
    return [*net.weights, *net.biases, *vars(history).values()]


@pytest.mark.parametrize("results", [attacked, stepped, evaluated, differentiated, trained])
def test_results_do_not_depend_on_the_number_of_threads(net, samples, results):
    with fastnn.threads(1):
        alone = results(net, *samples)
    for n in THREADS[1:]:
        with fastnn.threads(n):
            for found, expected in zip(results(net, *samples), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_digits_give_the_same_for_any_number_of_threads():
    # Their zeros are left out of the first layer's products.
    digits = fastnn.load_mnist(source="sample")
    net = fastnn.MLP.random((784, 96, 10))
    x, labels = digits.x_test, digits.y_test
    alone, *others = (fastnn.adversarial_accuracy(net, x, labels, 0.1, threads=n) for n in THREADS)
    for report in others:
        np.testing.assert_array_equal(report.adversarial_prediction, alone.adversarial_prediction)
    with fastnn.threads(1):
        alone = trained(net, x, labels)
    with fastnn.threads(3):
        for found, expected in zip(trained(net, x, labels), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


# --- the number of threads


def test_threads_set_the_number_until_they_end():
    outside = thread_count()
    with fastnn.threads(3):
        assert thread_count() == 3
        with fastnn.threads(2):
            assert thread_count() == 2
        assert thread_count() == 3
        assert thread_count(7) == 7
    assert thread_count() == outside == available_threads()


def test_threads_hold_for_one_python_thread():
    inherits = getattr(sys.flags, "thread_inherit_context", 0)  # as free-threaded Python does
    with fastnn.threads(7), ThreadPoolExecutor(1) as pool:
        assert pool.submit(thread_count).result() == (7 if inherits else available_threads())


def test_threads_end_with_an_error(blas_of_3):
    with pytest.raises(KeyError), fastnn.threads(2):
        raise KeyError
    assert thread_count() == available_threads()


@pytest.mark.parametrize(("n", "kind"), [(0, ValueError), (-1, ValueError), (1.0, TypeError)])
def test_threads_refuse(blas_of_3, n, kind):
    with pytest.raises(kind, match=r"^threads must be "), fastnn.threads(n):
        pass
    assert thread_count() == available_threads()


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 6), (2.0, 2), (2.1, 3), (0.2, 1), (64.0, 6)]
)
def test_the_default_is_what_affinity_and_quota_allow(monkeypatch, quota, expected):
    mine = {0: set(range(6))}  # 0 stands for the calling process
    monkeypatch.setattr(os, "sched_getaffinity", mine.__getitem__, raising=False)
    monkeypatch.setattr(processors, "cores", lambda allowed: [{one} for one in allowed])
    monkeypatch.setattr(processors, "cpu_quota", lambda: quota)
    assert available_threads() == expected


@pytest.mark.parametrize(("present", "expected"), [(4, 4), (None, 1)])
def test_the_default_without_affinity_is_all_processors(monkeypatch, present, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: present)
    monkeypatch.setattr(processors, "cpu_quota", lambda: None)
    assert available_threads() == expected


# --- processors that share a core


def machine_of(root, siblings, name="core_cpus_list"):
    """Write a made-up file system with the lists of siblings of every processor."""
    for processor, text in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{processor}/topology"
        folder.mkdir(parents=True)
        if text is not None:
            (folder / name).write_text(text + "\n")


SMT = {0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7", 4: "0,4", 5: "1,5", 6: "2,6", 7: "3,7"}
NEIGHBOURS = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}
HYBRID = {0: "0-1", 1: "0-1", 2: "2", 3: "3"}  # a core of two threads, and two efficiency cores
FOUR_WAY = dict.fromkeys(range(8), "0-3") | dict.fromkeys(range(4, 8), "4,5,6-7")


@pytest.mark.parametrize(
    ("siblings", "allowed", "expected"),
    [
        (SMT, range(8), [{0, 4}, {1, 5}, {2, 6}, {3, 7}]),
        (SMT, [1, 4, 5, 6], [{1, 5}, {4}, {6}]),
        (NEIGHBOURS, range(4), [{0, 1}, {2, 3}]),
        (HYBRID, range(4), [{0, 1}, {2}, {3}]),
        (FOUR_WAY, range(8), [{0, 1, 2, 3}, {4, 5, 6, 7}]),
        (FOUR_WAY, [7, 5], [{5, 7}]),
        ({}, range(3), [{0}, {1}, {2}]),
        ({0: None, 1: "", 2: "much"}, range(3), [{0}, {1}, {2}]),
        ({0: "7", 1: "1"}, range(2), [{0}, {1}]),  # as in a broken container
    ],
)
@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
def test_processors_that_share_a_core_count_once(tmp_path, siblings, allowed, expected, name):
    machine_of(tmp_path, siblings, name)
    assert list(cores(frozenset(allowed), tmp_path)) == expected


def test_the_default_is_one_thread_a_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processors, "cores", lambda allowed: [{k, k + 4} for k in range(4)])
    for quota, expected in ((None, 4), (6.0, 4), (2.5, 3)):
        monkeypatch.setattr(processors, "cpu_quota", lambda quota=quota: quota)
        assert available_threads() == expected


# --- CPU quotas of control groups


V1 = "12:memory:/jobs/mine\n4:cpu,cpuacct:/jobs/mine\n"
V2 = "0::/jobs/mine\n"


def quota_of(root, groups, files):
    """Return the quota read from a made-up file system."""
    for name, text in ({"proc/self/cgroup": groups} | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cpu_quota(root)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"jobs/mine": "150000 100000\n"}, 1.5),
        ({"jobs/mine": "max 100000\n"}, None),
        ({"jobs/mine": "max 100000\n", "jobs": "200000 100000\n"}, 2),
        ({"jobs/mine": "400000 100000\n", "jobs": "200000 100000\n"}, 2),
        ({"jobs/mine": "50000 100000\n", "jobs": "200000 100000\n"}, 0.5),
        ({".": "300000 100000\n"}, 3),  # a container sees its own group as the top
        ({"other": "100000 100000\n"}, None),
        ({"jobs/mine": "150000 100000\n", "..": "100000 100000\n"}, 1.5),  # beyond the mount
        ({}, None),
    ],
)
def test_the_lowest_quota_above_the_process_counts(tmp_path, limits, expected):
    files = {f"sys/fs/cgroup/{folder}/cpu.max": text for folder, text in limits.items()}
    assert quota_of(tmp_path, V2, files) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"jobs/mine": "250000"}, 2.5),
        ({"jobs/mine": "-1"}, None),
        ({"jobs/mine": "-1", "jobs": "100000"}, 1),
        ({".": "300000"}, 3),
        ({}, None),
    ],
)
def test_quotas_of_version_1(tmp_path, limits, expected):
    files = {}
    for folder, quota in limits.items():
        files[f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_quota_us"] = quota + "\n"
        files[f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_period_us"] = "100000\n"
    assert quota_of(tmp_path, V1, files) == expected


def test_a_quota_is_read_once(tmp_path):
    for text in ("150000 100000\n", "300000 100000\n"):
        assert quota_of(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": text}) == 1.5


def test_the_name_of_a_control_group_may_have_colons(tmp_path):
    files = {"sys/fs/cgroup/a:b/cpu.max": "150000 100000\n"}
    assert quota_of(tmp_path, "0::/a:b\n", files) == 1.5


@pytest.mark.parametrize("text", ["", "much", "100000", "much 100000", "1 2 3", "100000 0"])
def test_a_quota_that_cannot_be_read_is_none(tmp_path, text):
    assert quota_of(tmp_path, V2, {"sys/fs/cgroup/jobs/mine/cpu.max": text}) is None


def test_a_quota_of_version_1_without_its_period_is_none(tmp_path):
    files = {"sys/fs/cgroup/cpu/jobs/mine/cpu.cfs_quota_us": "100000\n"}
    assert quota_of(tmp_path, V1, files) is None


def test_no_control_groups_give_no_quota(tmp_path):
    assert cpu_quota(tmp_path) is None


# --- a team


@pytest.mark.parametrize("size", THREADS)
def test_every_item_is_done_once_by_workers_of_the_team(size):
    done, lock = [], threading.Lock()

    def task(worker, item):
        with lock:
            done.append((worker, item))

    with Team(size) as team:
        for start in (0, 100):  # a team serves many runs
            team.run(task, range(start, start + 100))
    assert sorted(item for _, item in done) == list(range(200))
    assert {worker for worker, _ in done} <= set(range(size))
    assert helpers.at_work == 0


def test_a_team_works_at_the_same_time():
    meeting = threading.Barrier(3, timeout=30)
    with Team(3) as team:
        team.run(lambda *_: meeting.wait(), range(3))


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt])
def test_the_first_error_ends_the_run_and_is_raised(worker, kind):
    meeting, begun = threading.Barrier(2, timeout=30), []

    def task(me, item):
        begun.append(item)
        if len(begun) <= 2:
            meeting.wait()  # both have an item
        if me == worker:
            raise kind
        time.sleep(0.01)

    with Team(2) as team, pytest.raises(kind):
        team.run(task, range(1000))
    assert len(begun) < 1000


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    "overflow",
    [lambda: np.float32(1e30) * np.float32(1e30), lambda: np.float32(np.inf) - np.float32(np.inf)],
    ids=["overflow", "invalid"],
)
def test_no_warning_of_what_overflows_comes_out_of_a_team(size, overflow):
    meeting = threading.Barrier(size, timeout=30)  # every thread has an item

    def task(*_):
        meeting.wait()
        assert not np.isfinite(overflow())

    with Team(size) as team:
        team.run(task, range(size))


@pytest.mark.parametrize("rows", [1, 5, 500])
@pytest.mark.parametrize("count", [1, 2])
def test_products_of_infinities_end_in_an_error_alone(rows, count):
    # Both hidden units overflow, and the logits are their difference, inf - inf.
    weights = [np.full((1, 2), 3e38, np.float32), np.array([[1, -1], [-1, 1]], np.float32)]
    net = fastnn.MLP(weights, [np.zeros(2, np.float32)] * 2)
    x = np.full((rows, 1), 2, np.float32)
    for call in (net.logits, lambda x: fastnn.fgsm(net, x, np.zeros(rows, int), 0.1)):
        with fastnn.threads(count), pytest.raises(FloatingPointError, match="logits are not"):
            call(x)


# --- helpers


def fresh(monkeypatch):
    """Give teams helpers of their own for one test, and return these."""
    own = Helpers()
    monkeypatch.setattr(team, "helpers", own)
    return own


@pytest.fixture
def own_helpers(monkeypatch):
    own = fresh(monkeypatch)
    yield own
    own.end_all()


@pytest.fixture
def started(monkeypatch):
    """Return the helpers that are started during the test."""
    threads, start = [], Helper.__init__

    def note(helper):
        start(helper)
        threads.append(helper)

    monkeypatch.setattr(Helper, "__init__", note)
    return threads


def test_the_second_call_starts_no_thread(own_helpers, started, net, samples):
    for _ in range(5):
        with fastnn.threads(3):
            attacked(net, *samples)
        trained(net, *samples)
    assert len(started) == 2
    assert (own_helpers.at_work, own_helpers.parked) == (0, 2)


def test_calls_that_overlap_have_different_helpers(own_helpers):
    meeting = threading.Barrier(4, timeout=30)

    def call(_):
        with Team(2) as mine:
            mine.run(lambda *_: meeting.wait(), range(2))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(call, range(2)))
    assert own_helpers.at_work == 0


def test_a_task_may_have_a_team_of_its_own(own_helpers):
    done = []

    def outer(_, item):
        with Team(2) as inner:
            inner.run(lambda _, other: done.append((item, other)), range(5))

    with Team(2) as mine:
        mine.run(outer, range(5))
    assert sorted(done) == [(a, b) for a in range(5) for b in range(5)]
    assert own_helpers.at_work == 0


def test_no_more_helpers_stay_than_there_are_processors(monkeypatch, own_helpers, started):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with Team(6) as mine:
        mine.run(lambda *_: None, range(6))
        assert own_helpers.at_work == 5
    assert own_helpers.parked == 2
    for helper in started:
        helper.join()
    assert sum(helper._thread.is_alive() for helper in started) == 2


def test_a_parked_helper_holds_nothing_of_the_call(own_helpers):
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    meeting = threading.Barrier(2, timeout=30)
    with Team(2) as mine:
        mine.run(lambda *_, big=big: meeting.wait(), range(2))
    del big
    end = time.monotonic() + 30
    while gone() is not None:  # the helper is on its way back
        assert time.monotonic() < end
        time.sleep(0.001)


def test_beside_every_helper_works_once_at_the_same_time_as_the_block(own_helpers):
    meeting, seen = threading.Barrier(3, timeout=30), []

    def work(worker):
        seen.append(worker)
        meeting.wait()

    with Team(3) as mine:
        for _ in range(3):
            with mine.beside(work):
                meeting.wait()
    assert sorted(seen) == [1, 1, 1, 2, 2, 2]


def test_a_helper_that_has_not_begun_at_the_end_of_the_block_never_begins(own_helpers, monkeypatch):
    begun = []
    with Team(2) as mine:
        monkeypatch.setattr(Helper, "_wake_up", lambda _: None)  # as if it slept for long
        with mine.beside(begun.append):
            pass
        late = mine._helpers[0].job
        monkeypatch.undo()
        late.do()
    assert begun == []


def test_the_end_of_the_block_waits_for_a_helper_that_has_begun(own_helpers):
    begun, ended = threading.Event(), []

    def work(_):
        begun.set()
        time.sleep(0.05)
        ended.append(True)

    with Team(2) as mine, mine.beside(work):
        begun.wait(30)
    assert ended == [True]


@pytest.mark.parametrize("inside", [False, True])
def test_the_error_of_the_block_comes_before_that_of_a_helper(own_helpers, inside):
    begun = threading.Event()

    def work(_):
        begun.set()
        raise KeyError

    def call():
        with Team(2) as mine, mine.beside(work):
            begun.wait(30)
            if inside:
                raise IndexError

    with pytest.raises(IndexError if inside else KeyError):
        call()


def test_a_team_of_one_has_no_helper_beside_it(own_helpers, started):
    with Team(1) as mine:
        with mine.beside(lambda _: None):
            pass
        mine.run(lambda *_: None, range(3))
    assert started == []


@pytest.mark.parametrize("possible", [0, 1])
def test_a_team_that_gets_no_more_threads_does_the_work_with_those_it_has(
    monkeypatch, own_helpers, possible
):
    start, asked = threading.Thread.start, []

    def refuse(thread):
        asked.append(thread)
        if len(asked) > possible:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    with Team(3) as mine:
        mine.run(lambda _, item: done.append(item), range(9))
    assert sorted(done) == list(range(9))
    assert len(asked) == possible + 1


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="not on this system")
def test_helpers_take_no_signals_but_their_own_faults(own_helpers):
    masks, meeting = [], threading.Barrier(2, timeout=30)

    def task(worker, _):
        meeting.wait()
        if worker:
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    with Team(2) as mine:
        mine.run(task, range(2))
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1} < masks[0]
    assert not {signal.SIGSEGV, signal.SIGFPE} & masks[0]


# --- processors of helpers


@pytest.fixture
def affinities(monkeypatch, own_helpers):
    """Return where helpers were told to run, on a machine of processors 3-5; the caller is on 4."""
    asked = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3, 4}, raising=False)
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda _, places: asked.append(places), raising=False
    )
    monkeypatch.setattr(team, "current_processor", lambda: 4)
    monkeypatch.setattr(team, "cores", lambda allowed: [frozenset({k}) for k in sorted(allowed)])
    return asked


def meet(size, runs=1):
    with Team(size) as mine:
        for _ in range(runs):
            mine.run(lambda *_: None, range(size))


def test_a_team_of_all_processors_has_every_helper_on_its_own(affinities):
    meet(3, runs=2)
    meet(3)
    assert affinities == [{3}, {5}]  # and the caller's own stays free


def test_helpers_that_are_fewer_run_anywhere_but_where_the_caller_does(affinities):
    meet(2)
    assert affinities == [{3, 5}]


def test_helpers_that_are_more_run_anywhere_but_where_the_caller_does(affinities):
    meet(4)
    assert affinities == [{3, 5}] * 3


def test_helpers_follow_the_affinity_of_the_caller(monkeypatch, affinities):
    meet(2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5})
    meet(2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4})
    meet(2)
    assert affinities == [{3, 5}, {5}, {4}]


def test_helpers_make_room_for_a_caller_that_was_moved(monkeypatch, affinities):
    meet(3)
    monkeypatch.setattr(team, "current_processor", lambda: 3)
    meet(3)
    assert affinities == [{3}, {5}, {4}]


def test_helpers_leave_the_whole_core_of_the_caller_free(monkeypatch, affinities):
    pairs = [frozenset({k, k + 4}) for k in range(3)]
    monkeypatch.setattr(team, "cores", lambda _: pairs)
    meet(3)
    meet(2)
    assert affinities == [{1, 5}, {2, 6}, {1, 2, 5, 6}]


def test_where_the_system_does_not_say_where_the_caller_is_helpers_run_anywhere(
    monkeypatch, affinities
):
    monkeypatch.setattr(team, "current_processor", lambda: None)
    meet(2)
    assert affinities == [{3, 4, 5}]


def test_a_team_of_one_asks_for_no_processor(affinities):
    meet(1)
    assert affinities == []


def test_a_processor_that_is_taken_away_meanwhile_is_done_without(monkeypatch, affinities):
    def refuse(_, processors):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    done = []
    with Team(3) as mine:
        mine.run(lambda _, item: done.append(item), range(9))
    assert sorted(done) == list(range(9))


def test_a_team_that_cannot_begin_leaves_blas_as_it_was(monkeypatch, own_helpers, blas_of_3):
    def fail(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "sched_getaffinity", fail, raising=False)
    with pytest.raises(KeyboardInterrupt), Team(2) as mine:
        mine.run(lambda *_: None, range(2))
    assert set(blas_threads()) == {3}
    assert own_helpers.at_work == 0


# --- BLAS


def test_blas_has_one_thread_while_a_team_works(blas_of_3):
    seen = []
    with Team(2) as team:
        team.run(lambda *_: seen.extend(blas_threads()), range(4))
    assert set(seen) == {1}
    assert set(blas_threads()) == {3}


def test_blas_gets_its_threads_back_after_an_error(blas_of_3, make_net):
    net = make_net((4, 3))
    net.weights[0][:] = np.finfo(np.float32).max
    x = np.full((1000, 4), 2, np.float32)
    for call in (net.logits, lambda x: fastnn.fgsm(net, x, np.zeros(1000, int), 0.1)):
        with pytest.raises(FloatingPointError):
            call(x)
        assert set(blas_threads()) == {3}


def test_threads_limit_blas_as_well(blas_of_3):
    with fastnn.threads(2):
        assert set(blas_threads()) == {2}
        with fastnn.threads(1):
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {2}
    assert set(blas_threads()) == {3}


@pytest.mark.parametrize("first_out", [0, 1])
def test_callers_that_overlap_leave_blas_as_it_was(blas_of_3, first_out):
    # Two Python threads hold limits of 2 and 1; whichever ends first, the other's stays.
    limits, inside = (2, 1), threading.Barrier(3, timeout=30)
    leave = [threading.Event(), threading.Event()]

    def hold(i):
        with fastnn.threads(limits[i]):
            inside.wait()
            leave[i].wait(30)

    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(hold, i) for i in range(2)]
        inside.wait()
        assert set(blas_threads()) == {1}
        leave[first_out].set()
        held[first_out].result(30)
        assert set(blas_threads()) == {limits[1 - first_out]}
        leave[1 - first_out].set()
    assert set(blas_threads()) == {3}


class FakeController:
    """What threadpoolctl finds: a library whose threads each have a number, as with OpenMP."""

    internal_api, threading_layer = "openblas", "openmp"

    def __init__(self):
        self.numbers = {}

    def get_num_threads(self):
        return self.numbers.get(threading.get_ident(), 3)

    def set_num_threads(self, n):
        self.numbers[threading.get_ident()] = n


def test_every_helper_limits_a_blas_of_openmp_for_itself(monkeypatch, own_helpers):
    fake, seen, meeting = FakeController(), [], threading.Barrier(3, timeout=30)
    monkeypatch.setattr(blas, "_blas_libraries", lambda: [blas._library(fake)])

    def task(*_):
        meeting.wait()
        seen.append(fake.get_num_threads())

    with Team(3) as mine:
        mine.run(task, range(3))
    assert seen == [1, 1, 1]
    assert fake.get_num_threads() == 3


def test_a_library_of_another_name_is_set_by_threadpoolctl():
    fake = FakeController()
    fake.internal_api, fake.threading_layer = "mkl", "intel"
    library = blas._library(fake)
    library.set_num_threads(2)
    assert (library.get_num_threads(), library.for_each_thread) == (2, False)


def test_an_openblas_whose_functions_have_other_names_is_set_by_threadpoolctl():
    fake = FakeController()
    fake.threading_layer, fake.dynlib = "pthreads", object()
    library = blas._library(fake)
    library.set_num_threads(2)
    assert library.get_num_threads() == 2


# --- several callers, each case in a process of its own: a deadlock must not stop the tests


START = """
import multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import fastnn
from fastnn._runtime.helpers import helpers
from threadpoolctl import ThreadpoolController
def blas_threads():
    blas = ThreadpoolController().select(user_api="blas").info()
    return [one["num_threads"] for one in blas if "scipy" not in one["filepath"]]
rng = np.random.default_rng(0)
net = fastnn.MLP.random((20, 33, 10))
x, labels = rng.random((1203, 20), np.float32), rng.integers(0, 10, 1203)
before = blas_threads()
def attack(*_):
    with fastnn.threads(3):
        return fastnn.adversarial_accuracy(net, x, labels, [0.1, 0.2]).adversarial_correct.tolist()
expected = attack()
def in_child(work):
    "Fork; the child works for at most a minute, and fails or hangs alone."
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the child failed or was stopped"
"""


def run(code, end="fine\n"):
    """Run `code` after START, in a new process; it prints "fine" at its end."""
    done = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(code) + "\nprint('fine')"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, end), done.stderr


def test_several_python_threads_may_call_at_once():
    run("""
        def train(_):
            mine = net.astype(np.float32)
            fastnn.train(mine, x, labels, epochs=1, batch_size=300, learning_rate=0.1)
            return mine.weights[0].tobytes()
        alone = train(0)
        with ThreadPoolExecutor(4) as pool:
            attacks, trainings = pool.map(attack, range(12)), pool.map(train, range(12))
            assert all(found == expected for found in attacks)
            assert all(found == alone for found in trainings)
        assert blas_threads() == before
        assert helpers.at_work == 0
        end = time.monotonic() + 30  # threads that are not parked were told to end
        while threading.active_count() > 1 + helpers.parked and time.monotonic() < end:
            time.sleep(0.01)
        assert threading.active_count() == 1 + helpers.parked <= 1 + os.cpu_count()
    """)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not on this system")
def test_callers_may_run_anywhere_afterwards():
    run("""
        everywhere = os.sched_getaffinity(0)
        def attack_on_all(_):
            fastnn.adversarial_accuracy(net, x, labels)
            return os.sched_getaffinity(0)
        assert attack_on_all(0) == everywhere
        with ThreadPoolExecutor(3) as pool:
            assert all(found == everywhere for found in pool.map(attack_on_all, range(9)))
    """)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc alone")
def test_memory_that_was_freed_is_there_for_the_next_call():
    run("""
        import resource
        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for buffer in [np.empty(10**7, np.uint8) for _ in range(3)]:
                buffer.fill(1)
            del buffer
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        faults()
        assert faults() < 10
    """)


@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=forks)])
def test_processes_of_multiprocessing_may_call(method):
    run(f"""
        jobs = [(net, x, labels, [0.1, 0.2], None, 2)] * 4
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            for report in pool.starmap_async(fastnn.adversarial_accuracy, jobs).get(100):
                assert report.adversarial_correct.tolist() == expected
        assert blas_threads() == before
    """)


@forks
def test_a_child_forked_while_a_team_is_at_work_may_call():
    run("""
        stop = threading.Event()
        def keep_working():
            while not stop.is_set():
                assert attack() == expected
        def work(generations=2):
            assert attack() == expected
            assert blas_threads() == before
            if generations > 1:
                in_child(lambda: work(generations - 1))
        with ThreadPoolExecutor(2) as pool:
            busy = [pool.submit(keep_working) for _ in range(2)]
            for _ in range(5):
                in_child(work)
            stop.set()
            for one in busy:
                one.result()
        assert blas_threads() == before
    """)


@forks
def test_a_process_forks_without_parked_helpers_and_starts_new_ones():
    run("""
        def work():
            assert (helpers.parked, helpers.at_work, threading.active_count()) == (0, 0, 1)
            assert attack() == expected
            assert helpers.parked
        assert helpers.parked
        in_child(work)
        assert helpers.parked == 0
        assert attack() == expected
        assert helpers.parked
    """)


@forks
def test_a_child_forked_in_a_task_raises_where_the_helpers_work_would_be_missing():
    run("""
        from fastnn._runtime.team import Team
        parent, meeting, forked = os.getpid(), threading.Barrier(2), threading.Event()
        def task(worker, _):
            meeting.wait()
            if worker:
                forked.wait(60)
                return
            child = os.fork()
            if child == 0:
                signal.alarm(60)
            else:
                forked.set()
                assert os.waitpid(child, 0)[1] == 0
        try:
            with Team(2) as team:
                team.run(task, range(2))
        except RuntimeError as error:
            from fastnn._runtime.helpers import helpers
            told = "forked in the middle" in str(error)
            os._exit(os.getpid() == parent or not told or helpers.parked)  # none is alive here
        assert os.getpid() == parent
    """)


@pytest.mark.parametrize("daemon", [False, True])
def test_python_ends_while_another_thread_calls(daemon):
    # A daemon is stopped where it is; of another thread, all calls come first.
    run(f"""
        import time
        begun = threading.Event()
        def call(times):
            while times:
                assert attack() == expected
                begun.set()
                times -= 1
        other = threading.Thread(target=call, args=[{-1 if daemon else 50}], daemon={daemon})
        other.start()
        begun.wait(60)
    """)


def test_a_call_after_the_end_of_the_helpers_works_alone():
    run("""
        helpers.end_all()
        count = threading.active_count()
        assert attack() == expected
        assert (helpers.parked, threading.active_count()) == (0, count)
    """)


def test_a_collector_that_calls_fastnn_in_the_middle_of_a_change_does_no_harm(monkeypatch):
    """Python collects garbage between any two operations, and runs `__del__` methods there."""
    limits, number, depth = blas.BlasLimits(), [3], []

    def collected():
        if not depth:
            depth.append(1)
            limits.leave(limits.enter(1))
            depth.pop()

    def get():
        found = number[0]
        collected()
        return found

    def set_number(n):
        collected()
        number[0] = n
        collected()

    libraries = [blas.Library(get, set_number)]
    monkeypatch.setattr(blas, "_blas_libraries", lambda: libraries)
    done = []

    def work():
        for n in (1, 2):
            first = limits.enter(n)
            second = limits.enter(1)
            limits.leave(first)
            limits.leave(second)
            done.append(number[0])

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(20)
    assert done == [3, 3]  # neither a deadlock nor a limit that is left


@pytest.mark.parametrize("other", [-1, 1])
def test_a_child_drops_the_limits_of_every_other_thread(blas_of_3, other):
    limits, mine = blas.BlasLimits(), threading.get_ident()
    kept = limits.enter(2)
    limits._asked[object()] = mine + other, 1
    limits.before_fork()
    limits.after_fork_in_child()
    assert limits._asked == {kept: (mine, 2)}
    limits.leave(kept)


@forks
def test_a_child_forked_inside_the_limit_keeps_it_and_may_leave_it():
    run("""
        def work():
            assert blas_threads() == [1] * len(before)
            assert attack() == expected
            limit.__exit__(None, None, None)
            assert blas_threads() == before
            assert attack() == expected
        limit = fastnn.threads(1)
        limit.__enter__()
        in_child(work)
        limit.__exit__(None, None, None)
        assert blas_threads() == before
    """)


def test_a_call_works_while_the_interpreter_shuts_down():
    run(
        """
        import atexit
        def at_the_end():
            assert attack() == expected
            assert np.array_equal(net.predict(x), predicted)
            print("late")
        predicted = net.predict(x)
        atexit.register(at_the_end)
    """,
        end="fine\nlate\n",
    )


def test_the_callers_errstate_does_not_reach_inside():
    run("""
        from fastnn.comp7015 import MultiLayerPerceptron
        tiny = fastnn.MLP.random((20, 33, 10), "sigmoid")
        tiny.weights[0][:] *= 1e-30
        tiny.weights[1][:] *= 1e-30
        x[::2] *= 1e-20
        x[0] = 1e-45
        def results():
            mine = tiny.astype(np.float32)
            history = fastnn.train(mine, x, labels, epochs=2, batch_size=301, learning_rate=1e-20,
                                   momentum=0.5, l2=1e-40, validation=(x, labels))
            logits = tiny.logits(x) * 1000 - 1e30
            out = [logits, tiny.predict(x), tiny.predict_proba(x), tiny.loss(x, labels),
                   tiny.accuracy(x, labels), tiny.input_gradient(x, labels), vars(history),
                   *tiny.gradients(x, labels, l2=1e-40).weights, mine.weights]
            for eps in (1e-50, [1e-50, 0.1, 1e30]):
                for bounds in (None, (0, 1), (-1e-60, 1e60)):
                    report = fastnn.adversarial_accuracy(tiny, x, labels, eps, bounds)
                    out += [report.to_dict() | {"seconds": 0, "compile_seconds": 0},
                            str(report.adversarial_prediction)]
            out += [fastnn.fgsm(tiny, x, labels, eps) for eps in (0, 1e-50)]
            for name in ("softmax", "log_softmax", "sigmoid", "tanh", "relu", "relu_grad"):
                values = np.array([[-1e30, 0, 1e-45], [1e-40, -100, 700]], np.float32)
                out.append(getattr(fastnn, name)(values))
            out.append(fastnn.cross_entropy(values, [0, 1]))
            out.append(tiny.astype(np.float64).astype(np.float32).weights)
            out.append(fastnn.MLP.random((5, 3)).weights)
            return out
        usual = results()
        with np.errstate(all="raise"):
            strict = results()
        for one, other in zip(usual, strict, strict=True):
            assert repr(one) == repr(other), (one, other)
    """)


def test_threads_may_be_left_by_another_python_thread():
    before = blas_threads()
    block = fastnn.threads(1)
    block.__enter__()
    assert set(blas_threads()) <= {1}
    with ThreadPoolExecutor(1) as pool, contextlib.suppress(ValueError):
        # Python's own context variable cannot be reset from there; BLAS can.
        pool.submit(block.__exit__, None, None, None).result()
    assert blas_threads() == before


def test_the_innermost_threads_count_for_blas_too():
    with fastnn.threads(1), fastnn.threads(2):
        assert set(blas_threads()) <= {2}


@pytest.mark.parametrize("rows", [0, 1, 127, 160, 161, 500, 1000, 4000, 4001, 10_000, 60_001])
def test_tiles_are_all_rows_in_order_and_of_one_height(rows):
    cut = tiles.tiles(rows)
    assert [row for tile in cut for row in range(tile.start, tile.stop)] == list(range(rows))
    heights = {tile.stop - tile.start for tile in cut}
    assert max(heights) <= tiles.MOST_ROWS
    assert max(heights) - min(heights) <= 1
    assert len(cut) % 2 == 0 or rows <= narrow.MOST_ROWS  # two threads have as much to do
