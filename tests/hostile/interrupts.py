"""Interrupts at random moments of short calls: Ctrl-C, and time-outs as test runners set them.

After each one either the interruption came out or a right result, and the process is as it was:
BLAS's threads, the processors that threads may run on, no thread left at work, and the next call
gives the right result.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile._frame import BrokeError, run_checks

WIDE = 2000
SECONDS = 30.0
LIFE = 100

_LATEST = 1.2  # times as long as the call takes
_GRACE = 2.0  # seconds for helper threads to end
_INTERRUPTED = object()
_INTERRUPTS = (KeyboardInterrupt, TimeoutError)

Call = Callable[[], Any]


def prepare(folder: Path) -> None:
    """Compile what the calls need."""
    prepared_calls()


def case(seed: int, folder: Path) -> list[str]:
    """Interrupt one call at a random moment, and look at what is left."""
    if not hasattr(signal, "setitimer"):  # Windows
        return []
    rng = np.random.default_rng(seed)
    calls = prepared_calls()
    name = str(rng.choice(list(calls)))
    call, expected, seconds = calls[name]
    way = str(rng.choice(list(WAYS)))
    delay = float(rng.uniform(1e-5, _LATEST * seconds))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a shell may ignore it
    before = state()
    result = interrupted(call, WAYS[way], delay)

    def right() -> None:
        if result is not _INTERRUPTED:
            require_expected(result, expected, "the call that was not interrupted")

    found = run_checks(
        {
            "result": right,
            "threads": no_thread_left,
            "state": lambda: require_state(before),
            "next call": lambda: require_expected(call(), expected, "the next call"),
            "state after it": lambda: require_state(before),
        }
    )
    return [f"{name}, {way} after {1e3 * delay:.2f} ms: {text}" for text in found]


@functools.cache
def prepared_calls() -> dict[str, tuple[Call, Any, float]]:
    """Return public calls by name, with what they may return and how long they take."""
    prepared = {}
    for name, (call, expected) in make_calls().items():
        call()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            require_expected(call(), expected, name)
            times.append(time.perf_counter() - start)
        prepared[name] = call, expected, sorted(times)[2]
    return prepared


def make_calls() -> dict[str, tuple[Call, Any]]:
    """Return public calls by name, with what they return."""
    import fastnn

    rng = np.random.default_rng(0)
    net = fastnn.MLP.random((60, 80, 40, 5), rng=0)
    x = rng.random((300, 60), np.float32)
    labels = rng.integers(0, 5, 300)

    def limited() -> Any:
        with fastnn.threads(1):
            return net.predict(x)

    def attacked() -> Any:
        report = fastnn.adversarial_accuracy(net, x, labels, [0.0, 0.1, 0.2], (0, 1))
        return [report.clean_prediction, report.adversarial_prediction]

    calls: dict[str, Call] = {
        "predict": lambda: net.predict(x),
        "loss": lambda: net.loss(x, labels),
        "fgsm": lambda: fastnn.fgsm(net, x, labels, 0.1, (0, 1)),
        "gradients": lambda: [*net.gradients(x, labels).weights],
        "adversarial_accuracy": attacked,
        "threads": limited,
    }
    return {name: (call, call()) for name, call in calls.items()} | training(x, labels)


def training(x: np.ndarray, labels: np.ndarray) -> dict[str, tuple[Call, Any]]:
    """Return a training that leaves the network of a whole epoch whenever it ends."""
    import fastnn

    start = fastnn.MLP.random((60, 40, 5), rng=1)
    settings: dict[str, Any] = {"batch_size": 100, "learning_rate": 0.1, "momentum": 0.5}

    def after(epochs: int) -> Any:
        net = fastnn.MLP(start.weights, start.biases)
        if epochs:
            fastnn.train(net, x, labels, epochs=epochs, **settings)
        return net

    whole = [[*net.weights, *net.biases] for net in map(after, range(3))]

    def call() -> Any:
        net = fastnn.MLP(start.weights, start.biases)
        try:
            fastnn.train(net, x, labels, epochs=2, **settings)
        except _INTERRUPTS:
            found = [*net.weights, *net.biases]
            if not any(equal(found, one) for one in whole):
                raise BrokeError("the network is not that of a whole epoch") from None
            raise
        return [*net.weights, *net.biases]

    return {"train": (call, whole[2])}


def equal(found: Any, expected: Any) -> bool:
    """Say whether two results are the same bit by bit."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(equal, found, expected))
    return bool(np.array_equal(found, expected))


def require_expected(found: Any, expected: Any, what: str) -> None:
    """Raise where a result is another one."""
    if not equal(found, expected):
        raise BrokeError(f"{what} gives another result")


# --- ways to interrupt --------------------------------------------------------------------------


def _raise_timeout(*_: object) -> None:
    raise TimeoutError("too late")


@contextlib.contextmanager
def alarm(delay: float, handler: Any) -> Iterator[None]:
    """Call `handler` in the main thread after `delay` seconds."""
    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # the handler may have raised in the line above
            signal.signal(signal.SIGALRM, old)


@contextlib.contextmanager
def signal_from_thread(delay: float) -> Iterator[None]:
    """Send SIGINT to this process after `delay` seconds."""

    def send() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send, name="sender")
    sender.start()
    try:
        yield
    finally:
        while sender.is_alive():
            sender.join()


WAYS: dict[str, Callable[[float], Any]] = {
    "SIGINT": signal_from_thread,
    "KeyboardInterrupt": lambda delay: alarm(delay, signal.default_int_handler),
    "TimeoutError": lambda delay: alarm(delay, _raise_timeout),
}


def interrupted(call: Call, way: Callable[[float], Any], delay: float) -> Any:
    """Return what `call` gives, or a mark where the interruption came out of it."""
    result: Any = _INTERRUPTED
    with contextlib.suppress(*_INTERRUPTS):
        with way(delay):
            result = call()
        for _ in range(1000):  # a signal that is noted by now is delivered here
            pass
    return result


# --- what has to be as it was -------------------------------------------------------------------


@functools.cache
def controller() -> Any:
    """Return threadpoolctl's handles of the BLAS libraries."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def state() -> dict[str, Any]:
    """Return what a call may not change."""
    from fastnn._runtime.threads import thread_count

    found = {
        "BLAS threads": [one.get_num_threads() for one in controller().lib_controllers],
        "thread_count()": thread_count(),
        "signal handlers": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGALRM)],
        "numpy's error state": np.geterr(),
    }
    return found | {"affinity": affinity()}


def affinity() -> dict[int, set[int]]:
    """Return the processors that every thread of this process may run on, without helpers."""
    tasks = Path("/proc/self/task")
    parked = {t.native_id for t in threading.enumerate() if t.name == "fastnn helper"}
    found = {}
    if tasks.is_dir():
        for task in tasks.iterdir():
            if int(task.name) in parked:
                continue
            with contextlib.suppress(OSError):  # it ended meanwhile
                found[int(task.name)] = os.sched_getaffinity(int(task.name))
    return found


def no_thread_left() -> None:
    """Raise where a helper is still at work, or a thread of a call lives on that is not parked."""
    from fastnn._engine.crews import crews
    from fastnn._runtime.helpers import helpers

    if helpers.at_work or crews.at_work:
        raise BrokeError(f"{helpers.at_work + crews.at_work} helpers are still at work")
    end = time.monotonic() + _GRACE
    while True:
        names = [t.name for t in threading.enumerate() if t.name.startswith("fastnn")]
        parked = helpers.parked + crews.parked
        if len(names) <= parked:
            return
        if time.monotonic() > end:
            raise BrokeError(f"threads are left: {names}, parked: {parked}")
        time.sleep(0.001)


def require_state(before: dict[str, Any]) -> None:
    """Raise where something is not as it was."""
    now = state()
    for name, old in before.items():
        new = now[name]
        if name == "affinity":  # of the threads that were there
            new = {task: new[task] for task in old if task in new}
            old = {task: old[task] for task in new}  # noqa: PLW2901
        if new != old:
            raise BrokeError(f"{name}: {new}, before the call {old}")
