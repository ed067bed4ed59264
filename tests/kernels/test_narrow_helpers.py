"""Helpers sleep without the GIL, and one call at a time has them."""

import threading
import time

import numba
import numpy as np
import pytest

from fastnn._engine.crews import Crew, free_lock, new_board, new_lock
from fastnn._kernels import atomics, narrow_helpers, narrow_jobs
from fastnn._kernels.vectors import LINE_BYTES

COMPILED = not numba.config.DISABLE_JIT


@pytest.fixture
def crew(dtype):
    made = Crew(np.dtype(dtype))
    yield made
    made.give_back()
    assert made.end()
    for helper in made.helpers:
        helper._thread.join(60)
        assert not helper._thread.is_alive()


def product(board, a, b):
    """Return a @ b, in a job on the board."""
    out = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    nothing, masks = np.empty((0, 0, 0), a.dtype), np.empty(0, np.uint64)
    narrow_jobs._forward(board, a, b, masks, nothing.ravel(), 0, 1, nothing, False, out)
    return out


def until(condition):
    """Wait until a condition holds; return whether it does within a minute."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def test_one_call_at_a_time_has_a_board(crew):
    crew.grow(1)
    assert crew.take(1, 0)
    assert not crew.free
    assert not crew.take(1, 0)
    assert not crew.end()
    crew.give_back()
    assert crew.free
    assert crew.take(1, 0)


@pytest.mark.skipif(not COMPILED, reason="without the compiler a lock does it")
def test_one_of_many_threads_gets_a_board():
    @numba.njit(nogil=True)
    def claim(numbers, owner, times):
        won = 0
        for _ in range(times):
            if atomics.claim(numbers, 0, owner):
                won += 1
                numbers[8] += 1  # not atomic: wrong if two threads are here
                atomics.store(numbers, 0, 0)
        return won

    board, won = new_board(), []
    claim(board, 1, 0)
    threads = [
        threading.Thread(target=lambda k=k: won.append(claim(board, k, 100_000)))
        for k in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 4
    assert board[8] == sum(won)


def test_helpers_do_tasks_and_sleep_afterwards(crew, rng, dtype):
    a, b = rng.random((1, 40)).astype(dtype), rng.random((40, 900)).astype(dtype)
    expected = product(new_board(), a, b)
    crew.grow(2)
    for _ in range(20):
        assert crew.take(2, 0)
        np.testing.assert_array_equal(product(crew.board, a, b), expected)
        crew.give_back()
    assert crew.take(2, 0)
    crew.board[narrow_jobs._NEXT] = 10**6  # a job without a task
    crew.board[narrow_jobs._ROOM] = 0
    crew.board[narrow_jobs._OPEN] = 1
    assert until(lambda: crew.board[narrow_jobs._NEXT] > 10**6)  # a helper has asked for one
    crew.board[narrow_jobs._OPEN] = 0
    assert until(lambda: crew.board[narrow_jobs._INSIDE] == 0)
    crew.give_back()
    posts = crew._own_posts
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1  # no thread looks at the board
    assert all(post[narrow_helpers._WOKEN] == 0 for post in posts)


def test_no_more_helpers_look_than_are_wanted(crew):
    crew.grow(3)
    assert crew.take(0, 0)
    narrow_helpers._wake(crew.board, crew.posts)  # as if they had been late before
    assert until(lambda: not any(post[narrow_helpers._WOKEN] for post in crew._own_posts))
    crew.board[narrow_jobs._NEXT] = 10**6
    crew.board[narrow_jobs._OPEN] = 1
    time.sleep(0.05)
    crew.board[narrow_jobs._OPEN] = 0
    assert crew.board[narrow_jobs._NEXT] == 10**6  # nobody has asked for a task


def test_a_helper_makes_room_before_it_takes_a_task(crew, rng, dtype):
    a, b = rng.random((1, 40)).astype(dtype), rng.random((40, 900)).astype(dtype)
    crew.grow(1)
    for room in (0, 100, 7, 10_000):
        assert crew.take(1, room)
        np.testing.assert_allclose(product(crew.board, a, b), a @ b, rtol=1e-5)
        crew.give_back()


def test_room_begins_at_a_cache_line(dtype):
    like = np.empty((0, 0), dtype)
    for size in (0, 1, 1000):
        room = narrow_helpers._new_room(size, like)
        assert room.size == size
        assert room.ctypes.data % LINE_BYTES == 0 or not size


@pytest.mark.skipif(COMPILED, reason="only other kernels can call what is compiled")
def test_a_thread_that_waits_for_a_lock_lets_others_run():
    address, ran = new_lock(), []

    def sleep():
        atomics.acquire(address)
        ran.append(True)

    thread = threading.Thread(target=sleep)
    thread.start()
    time.sleep(0.05)
    assert not ran  # and this thread has the GIL
    atomics.release(address)
    thread.join(60)
    assert ran
    free_lock(address)
