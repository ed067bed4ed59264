"""The time in which kernels are compiled is not that of the work."""

import time

from numba.core import event

from fastnn._kernels.timing import Clock


def hold(seconds):
    """Hold numba's lock for compiling, as numba itself says that it does."""
    event.start_event("numba:compiler_lock")
    time.sleep(seconds)
    event.end_event("numba:compiler_lock")


def test_time_of_compiling_is_kept_apart():
    with Clock() as found:
        assert (found.working, found.compiling) == (0, 0)
        time.sleep(0.02)
        hold(0.05)
        hold(0.05)
    assert 0.1 <= found.compiling < 0.2
    assert 0.02 <= found.working < 0.1


def test_a_block_that_compiles_nothing_has_worked_all_the_time():
    with Clock() as found:
        time.sleep(0.02)
    assert found.compiling == 0
    assert found.working >= 0.02


def test_nested_and_earlier_compilations_count_once():
    event.start_event("numba:compiler_lock")
    time.sleep(0.05)
    with Clock() as found:
        event.end_event("numba:compiler_lock")
        time.sleep(0.01)
    assert 0.01 <= found.working + found.compiling < 0.05
    assert found.working >= 0
    with Clock() as found:
        event.start_event("numba:compiler_lock")
        hold(0.03)
        event.end_event("numba:compiler_lock")
    assert 0.03 <= found.compiling < 0.06
    assert found.working < 0.02
