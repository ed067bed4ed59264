"""Tasks in other processes: bounded, sent again when lost, in whatever order they come."""

import random
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor

import pytest

from fastnn._runtime.executors import Pool, completed


class Lossy(Executor):
    """Runs a task only when its result is waited for, and loses each of them some times first."""

    _max_workers = 2

    def __init__(self, losses=0, error=None):
        self.losses, self.error = losses, error or ConnectionError("gone")
        self.tries, self.out, self.most = {}, 0, 0

    def submit(self, function, *values):
        future = Future()
        self.out += 1
        self.most = max(self.most, self.out)
        tries = self.tries[values] = self.tries.get(values, 0) + 1
        future.add_done_callback(lambda _: setattr(self, "out", self.out - 1))
        if tries <= self.losses:
            future.set_exception(self.error)
        else:
            future.set_result(function(*values))
        return future


def square(number):
    return number * number


def ran(executor, numbers, again=lambda job, result: None):
    pool = Pool(executor)
    send = lambda job: pool.submit(square, job)  # noqa: E731
    return list(completed(pool, iter(numbers), send, again, lambda job: f"number {job}"))


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_lost_tasks_are_sent_again(losses):
    executor = Lossy(losses)
    assert sorted(ran(executor, range(20))) == [(k, k * k) for k in range(20)]
    assert set(executor.tries.values()) == {losses + 1}


def test_a_task_that_is_always_lost_is_an_error_that_names_it():
    with pytest.raises(RuntimeError, match=r"number \d: lost 4 times by the executor, last by"):
        ran(Lossy(4), range(20))


def test_few_tasks_are_out_at_a_time():
    taken = []

    def numbers():
        for k in range(50):
            taken.append(k)
            yield k

    with ThreadPoolExecutor(3) as executor:
        pool = Pool(executor)
        assert (pool.most, pool.share) == (6, 3)
        found = completed(
            pool, numbers(), lambda job: pool.submit(square, job), lambda job, _: None, str
        )
        next(found)
        assert len(taken) == 6
        assert len(list(found)) == 49


def test_what_a_task_lacks_goes_with_it_then():
    asked = []

    def again(job, result):
        asked.append(job)
        return job + 100 if job < 100 else None

    assert sorted(ran(Lossy(), range(3), again)) == [(100 + k, (100 + k) ** 2) for k in range(3)]
    assert sorted(asked) == [0, 1, 2, 100, 101, 102]


def test_a_broken_executor_is_an_error_at_once():
    executor = Lossy(1, BrokenExecutor("a process died"))
    with pytest.raises(RuntimeError, match=r"the executor is broken .*a process died.*checkpoint="):
        ran(executor, range(20))
    assert max(executor.tries.values()) == 1
    done = ThreadPoolExecutor(1)
    done.shutdown()
    with pytest.raises(RuntimeError, match=r"the executor is broken .*after shutdown"):
        ran(done, range(3))


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"must be a concurrent\.futures.Executor or a Dask client"):
        Pool(3)


def test_tasks_that_wait_are_cancelled_after_an_error():
    waiting = []

    class Stuck(Executor):
        def submit(self, function, *values):
            future = Future()
            waiting.append(future)
            if len(waiting) == 2:
                future.set_exception(BrokenExecutor())
            return future

    with pytest.raises(RuntimeError, match="broken"):
        ran(Stuck(), range(100))
    assert all(future.cancelled() for k, future in enumerate(waiting) if k != 1)


def test_the_order_of_completion_is_of_no_account():
    chance = random.Random(0)
    numbers = list(range(200))
    chance.shuffle(numbers)
    with ThreadPoolExecutor(8) as executor:
        assert sorted(ran(executor, numbers)) == [(k, k * k) for k in range(200)]
