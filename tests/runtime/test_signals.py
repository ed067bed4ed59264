"""Handlers of signals wait while the process is half changed, and run as soon as they can."""

# ruff: noqa: PT012 - the blocks that raise must first send the signal

import contextlib
import os
import signal
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import fastnn
from fastnn._runtime import signals
from fastnn._runtime.helpers import helpers
from fastnn._runtime.processors import available_threads
from fastnn._runtime.signals import DeferredSignals, numpy_errors
from fastnn._runtime.team import Team
from fastnn._runtime.threads import thread_count

alarms = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="the system has no alarms")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


class HandlerError(Exception):
    """What the handlers of these tests raise."""


@contextlib.contextmanager
def handled(number, handler):
    """Give a signal a handler for the block."""
    before = signal.signal(number, handler)
    try:
        yield
        assert signal.getsignal(number) == handler
    finally:
        signal.signal(number, before)


def fail(*_):
    raise HandlerError


@pytest.fixture(autouse=True, scope="module")
def _loaded():
    """Make a first call, in which numba loads scipy, and that a second BLAS."""
    fastnn.adversarial_accuracy(fastnn.MLP.random((4, 3)), np.zeros((2, 4), np.float32), [0, 0])


@pytest.fixture
def net(make_net):
    return make_net((20, 33, 10))


@pytest.fixture
def samples(rng):
    return rng.random((1203, 20), dtype=np.float32), rng.integers(0, 10, 1203)


def state():
    """Return what a call must leave as it was."""
    blas = [library["num_threads"] for library in ThreadpoolController().info()]
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    names = sorted(t.name for t in threading.enumerate() if t.name != "fastnn helper")
    return blas, affinity, names, helpers.at_work, thread_count(), signal.getsignal(signal.SIGINT)


# --- the context by itself


def test_a_handler_runs_at_the_end_of_the_context():
    seen = []
    with handled(signal.SIGINT, lambda *_: seen.append("handler")):
        with DeferredSignals():
            signal.raise_signal(signal.SIGINT)
            seen.append("block")
        assert seen == ["block", "handler"]


def test_ctrl_c_is_raised_at_the_end_of_the_context():
    finished = False
    with pytest.raises(KeyboardInterrupt), DeferredSignals():
        signal.raise_signal(signal.SIGINT)
        finished = True
    assert finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_deliver_runs_what_has_arrived_once_and_in_order():
    seen = []
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]
    with contextlib.ExitStack() as stack:
        for number in {signal.SIGINT, signal.SIGTERM}:
            stack.enter_context(handled(number, lambda number, frame: seen.append((number, frame))))
        context = stack.enter_context(DeferredSignals())
        context.deliver()
        for number in numbers:
            signal.raise_signal(number)
        assert seen == []
        context.deliver()
        context.deliver()
        assert [number for number, _ in seen] == numbers
        assert all(
            frame.f_code.co_name == "test_deliver_runs_what_has_arrived_once_and_in_order"
            for _, frame in seen
        )


@alarms
def test_every_handler_runs_though_one_of_them_raises():
    seen = []
    with (
        handled(signal.SIGALRM, fail),
        handled(signal.SIGTERM, lambda *_: seen.append("term")),
        pytest.raises(HandlerError),
        DeferredSignals(),
    ):
        signal.raise_signal(signal.SIGALRM)
        signal.raise_signal(signal.SIGTERM)
    assert seen == ["term"]


@alarms
def test_a_handler_that_raises_while_handlers_are_put_back_costs_no_other_its_place(monkeypatch):
    put, alarmed = signals.set_handler, []

    def put_and_alarm(number, handler):
        result = put(number, handler)
        if handler is fail:
            alarmed.append(number)
            signal.raise_signal(signal.SIGALRM)
        return result

    with handled(signal.SIGALRM, fail), handled(signal.SIGTERM, fail):
        context = DeferredSignals()
        context.__enter__()
        monkeypatch.setattr(signals, "set_handler", put_and_alarm)
        with pytest.raises(HandlerError):
            context.__exit__(None, None, None)
        monkeypatch.undo()
        assert len(alarmed) == 2
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@alarms
@pytest.mark.parametrize("moment", range(8))
def test_a_handler_that_raises_at_any_moment_of_the_end_leaves_no_other_behind(monkeypatch, moment):
    ask, asked = signals.getsignal, 0

    def ask_and_alarm(number):
        nonlocal asked
        asked += 1
        if asked == moment + 1:
            raise HandlerError
        return ask(number)

    with handled(signal.SIGALRM, fail), handled(signal.SIGTERM, fail):
        context = DeferredSignals()
        context.__enter__()
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(signals, "getsignal", ask_and_alarm)
        with pytest.raises((HandlerError, KeyboardInterrupt)):
            context.__exit__(None, None, None)
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_that_could_not_be_put_back_passes_its_signal_on():
    context = DeferredSignals()
    context.__enter__()
    left_behind = signal.getsignal(signal.SIGINT)
    context.__exit__(None, None, None)
    signal.signal(signal.SIGINT, left_behind)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_leaves_numpys_errors_as_they_were():
    before = np.geterr()
    with pytest.raises(KeyboardInterrupt), numpy_errors():
        assert set(np.geterr().values()) == {"ignore"}
        signal.raise_signal(signal.SIGINT)
    assert np.geterr() == before


def test_contexts_may_be_nested():
    with pytest.raises(KeyboardInterrupt), DeferredSignals() as outer:
        with DeferredSignals():
            signal.raise_signal(signal.SIGINT)
        outer.deliver()
        pytest.fail("deliver did not raise")


def test_a_handler_that_was_set_meanwhile_stays():
    def another(*_):
        pass

    before = signal.getsignal(signal.SIGTERM)
    with handled(signal.SIGTERM, fail):
        with DeferredSignals():
            signal.signal(signal.SIGTERM, another)
        assert signal.getsignal(signal.SIGTERM) is another
        signal.signal(signal.SIGTERM, fail)
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_and_default_actions_are_left_alone():
    def work():
        with DeferredSignals() as context:
            seen.append(signal.getsignal(signal.SIGINT))
            context.deliver()

    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
    with handled(signal.SIGTERM, signal.SIG_DFL), DeferredSignals():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_failure_to_begin_leaves_the_handlers(monkeypatch):
    put = signals.set_handler

    def fail_at_second(number, handler):
        if number == signal.SIGTERM and handler is not fail:
            raise HandlerError
        return put(number, handler)

    with handled(signal.SIGTERM, fail):
        monkeypatch.setattr(signals, "set_handler", fail_at_second)
        with pytest.raises(HandlerError), DeferredSignals():
            pass
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@forks
def test_a_child_of_another_thread_gets_its_handlers_back():
    def fork():
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os._exit(0 if signal.getsignal(signal.SIGINT) is signal.default_int_handler else 1)
        statuses.append(os.waitpid(child, 0)[1])

    statuses = []
    with DeferredSignals(), DeferredSignals():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert statuses == [0]


# --- calls


def test_ctrl_c_during_a_call_ends_it_and_leaves_everything_as_it_was():
    before, done = state(), []

    def task(worker, item):
        done.append(item)
        if item == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), Team(available_threads()) as team:
        team.run(task, range(10**6))
    assert 10 <= max(done) < 10**6
    assert state() == before


@alarms
def test_a_time_out_during_a_call_ends_it_and_leaves_everything_as_it_was(net, samples):
    before = state()
    with handled(signal.SIGALRM, fail):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(HandlerError):
            for _ in range(10**4):
                fastnn.adversarial_accuracy(net, *samples, [0.1, 0.2])
    assert state() == before


def test_a_handler_may_call_fastnn(net, samples):
    def call(*_):
        found.append(fastnn.adversarial_accuracy(net, *samples).adversarial_correct)

    def task(worker, item):
        if item == 3:
            signal.raise_signal(signal.SIGINT)

    expected = fastnn.adversarial_accuracy(net, *samples).adversarial_correct
    before, found = state(), []
    with handled(signal.SIGINT, call):
        with Team(available_threads()) as team:
            team.run(task, range(8))
        with fastnn.threads(1):
            signal.raise_signal(signal.SIGINT)
    assert found == [expected, expected]
    assert state() == before


def test_ctrl_c_while_an_epoch_is_taken_over_leaves_a_whole_one(net, samples, monkeypatch):
    settings = {"batch_size": 100, "learning_rate": 0.1}
    one_epoch = net.astype(np.float32)
    fastnn.train(one_epoch, *samples, epochs=1, **settings)

    class Interrupting(np.ndarray):
        """An array that is interrupted while it is written to."""

        def __setitem__(self, place, values):
            signal.raise_signal(signal.SIGINT)
            super().__setitem__(place, values)

    first = net.weights[0].view(Interrupting)
    object.__setattr__(net, "weights", (first, *net.weights[1:]))
    with pytest.raises(KeyboardInterrupt):
        fastnn.train(net, *samples, epochs=5, **settings)
    for found, expected in zip(
        net.weights + net.biases, one_epoch.weights + one_epoch.biases, strict=True
    ):
        np.testing.assert_array_equal(found, expected)


# --- fastnn.threads


def test_ctrl_c_on_the_way_into_threads_sets_no_limit(monkeypatch):
    before, enter = state(), DeferredSignals.__enter__

    def interrupted(context):
        result = enter(context)
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(DeferredSignals, "__enter__", interrupted)
    block = fastnn.threads(1)
    with pytest.raises(KeyboardInterrupt):
        block.__enter__()
    monkeypatch.undo()
    assert state() == before


def test_an_error_before_threads_are_set_is_the_one_that_is_raised(monkeypatch):
    def fails(context):
        monkeypatch.undo()  # the first time alone
        raise HandlerError("before anything was set")

    block = fastnn.threads(1)
    monkeypatch.setattr(DeferredSignals, "__enter__", fails)
    with pytest.raises(HandlerError, match="before anything was set"):
        block.__enter__()


def test_threads_that_are_never_left_end_with_their_object():
    before, block = state(), fastnn.threads(1)
    block.__enter__()
    assert thread_count() == 1
    del block
    assert state() == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_that_raise_while_threads_end_with_their_object_leave_no_limit(monkeypatch):
    before, block, right, raised = state(), fastnn.threads(1), fastnn.threads._leave, []

    def leave(self):
        if len(raised) < 3:
            raised.append(1)
            raise HandlerError("another signal")
        right(self)

    block.__enter__()
    monkeypatch.setattr(fastnn.threads, "_leave", leave)
    del block
    assert len(raised) == 3
    assert state() == before


def test_one_object_may_be_entered_twice_and_used_as_a_decorator():
    before, block = state(), fastnn.threads(1)
    with block, block:
        assert thread_count() == 1
    assert state() == before
    assert fastnn.threads(1)(thread_count)() == 1
    assert state() == before
