"""Products of a few rows, alone and shared by threads, against plain products in float64."""

import contextlib
import inspect
import os
import signal
import threading

import numba
import numpy as np
import pytest

from fastnn._engine.crews import free_lock, new_lock
from fastnn._engine.masked import masks_shape
from fastnn._engine.memory import empty
from fastnn._kernels import (
    atomics,
    narrow_first_layer,
    narrow_helpers,
    narrow_jobs,
    narrow_panels,
    narrow_products,
    narrow_steps,
    packing,
    sign_products,
)
from fastnn._kernels.masked_products import DEPTH, VECTORS
from fastnn._kernels.masked_products import ROWS as GROUP
from fastnn._kernels.narrow_panels import PANELS_FROM
from fastnn._kernels.narrow_products import AHEAD, BLOCK, DOT_COLUMNS, MOST_ROWS, STRIP_VECTORS
from fastnn._kernels.sign_products import DEPTH as SIGN_DEPTH
from fastnn._kernels.sign_products import STRIP_BYTES
from fastnn._kernels.vectors import TARGET, VECTOR_BYTES

COMPILED = not numba.config.DISABLE_JIT
# Below, at and above the most rows of a group and twice as many.
ROWS = sorted({1, 2, MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 1, 2 * MOST_ROWS + 1, 40})


@pytest.fixture
def board():
    made = empty((narrow_jobs.BOARD_SIZE,), np.int64)
    made[:] = 0
    return made


def room(dtype):
    """Return what a thread brings to the jobs below, full of NaN."""
    made = empty((60_000,), dtype)
    made[:] = np.nan
    return made


def masks():
    """Return room for the masks of all jobs below."""
    return np.full(np.prod(masks_shape(60, 800)), 2**64 - 1, np.uint64)


@contextlib.contextmanager
def served(board, like, threads):
    """Let threads help while the block runs."""
    posts = np.zeros((threads, narrow_helpers.POST_SIZE), np.int64)
    for post in posts:
        post[narrow_helpers._LOCK] = new_lock()
    helpers = [
        threading.Thread(
            target=narrow_helpers._attend, args=(board, post, number, like[:0], masks())
        )
        for number, post in enumerate(posts)
    ]
    for helper in helpers:
        helper.start()
    addresses = np.array([post.ctypes.data for post in posts], np.int64)
    assert narrow_helpers._take(board, addresses, 1, room(like.dtype).size)
    try:
        yield
    finally:
        narrow_helpers._give_back(board)
        assert narrow_helpers._end(board, addresses)
        for helper in helpers:
            helper.join(60)
            assert not helper.is_alive()
        for post in posts:
            free_lock(post[narrow_helpers._LOCK])


def no_panels(dtype):
    """Return what a job has that keeps no panels."""
    return np.empty((0, 0, 0), dtype)


def forward(board, a, b, across=0, parts=1, panels=None, filled=False):
    """Return a @ b, in a buffer that was full of NaN."""
    out = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    panels = no_panels(a.dtype) if panels is None else panels
    room_, masks_ = room(a.dtype), masks()
    narrow_jobs._forward(board, a, b, masks_, room_, across, parts, panels, filled, out)
    return out


def backward(board, g, b, h, masked, across=0, parts=1, panels=None, filled=False):
    """Return g @ b.T, in a buffer that was full of NaN."""
    out = np.full((len(g), len(b)), np.nan, g.dtype)
    panels = no_panels(g.dtype) if panels is None else panels
    room_, masks_ = room(g.dtype), masks()
    narrow_jobs._backward(board, g, b, h, masked, masks_, room_, across, parts, panels, filled, out)
    return out


def step(board, g, b, h, out, velocity, settings, across=0):
    """Move `b`, and set `out`."""
    narrow_jobs._backward_and_step(
        board, g, b, h, False, masks(), room(g.dtype), across, out, velocity, settings
    )


def panel_widths(dtype):
    """Return the columns of a panel of every number of vectors."""
    return [vectors * VECTOR_BYTES // np.dtype(dtype).itemsize for vectors in VECTORS]


def strip(rows, dtype):
    """Return how many columns a strip has for so many rows."""
    height = narrow_products._group_height(rows)
    return narrow_products._strip_width(height, np.dtype(dtype).itemsize)


def sparse(rng, shape, dtype, share=0.5):
    return np.where(rng.random(shape) < share, rng.standard_normal(shape), 0).astype(dtype)


def close(found, exact, dtype):
    tolerance = 60 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance * abs(exact).max())


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", ROWS)
def test_products_forward(board, rng, rows, threads, dtype):
    across = strip(rows, dtype)
    for depth, width in ((1, across), (7, across + 1), (130, 2 * across), (33, 3 * across - 1)):
        a = sparse(rng, (rows, depth), dtype)
        b = rng.standard_normal((depth, width)).astype(dtype)
        with served(board, a, threads):
            found = forward(board, a, b)
        board[:] = 0
        close(found, a.astype(np.float64) @ b, dtype)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("masked", [False, True])
def test_products_backward(board, rng, rows, threads, masked, dtype):
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    for depth, width in ((1, 1), (narrow_jobs.BLOCK + 1, lanes), (40, 5 * lanes + 3)):
        g = rng.standard_normal((rows, width)).astype(dtype)
        b = rng.standard_normal((depth, width)).astype(dtype)
        h = sparse(rng, (rows, depth), dtype, 0.2)
        with served(board, g, threads):
            out = backward(board, g, b, h, masked)
        board[:] = 0
        exact = g.astype(np.float64) @ b.T
        if masked:
            assert (out[:, (h == 0).all(axis=0)] == 0).all()
            out, exact = np.where(h != 0, out, 0), np.where(h != 0, exact, 0)
        close(out, exact, dtype)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("momentum", "l2"), [(0, 0), (0, 0.1), (0.9, 0), (0.9, 0.1)])
@pytest.mark.parametrize("wanted", [False, True])
def test_steps(board, rng, rows, threads, momentum, l2, wanted, dtype):
    for depth, width in ((5, strip(rows, dtype)), (130, strip(1, dtype) + 5)):
        g = rng.standard_normal((rows, width)).astype(dtype)
        b = rng.standard_normal((depth, width)).astype(dtype)
        h = sparse(rng, (rows, depth), dtype, 0.1)  # many columns are all zero
        h[:, 0] = 0
        velocity = rng.standard_normal((depth if momentum else 0, width)).astype(dtype)
        out = np.full((rows if wanted else 0, depth), np.nan, dtype)
        settings = np.array([1 / rows, l2, momentum, 0.1], dtype)
        before, speed = b.astype(np.float64), velocity.astype(np.float64)
        with served(board, g, threads):
            step(board, g, b, h, out, velocity, settings)
        board[:] = 0
        if wanted:  # by the weights before the step
            close(out, g.astype(np.float64) @ before.T, dtype)
        total = h.T.astype(np.float64) @ g / rows + l2 * before
        if momentum:
            total += momentum * speed
            close(velocity, total, dtype)
        close(b, before - 0.1 * total, dtype)


def test_a_step_where_fewer_rows_enter_than_a_narrow_strip_allows(board, rng, dtype):
    """A group of one row has strips of several hundred columns, wider than the matrix."""
    rows = 2 * MOST_ROWS
    width = strip(rows, dtype)
    g = rng.standard_normal((rows, width)).astype(dtype)
    b, h = rng.standard_normal((30, width)).astype(dtype), np.zeros((rows, 30), dtype)
    h[3, 17] = 1
    before = b.copy()
    settings = np.array([1, 0, 0, 1], dtype)
    step(board, g, b, h, g[:0], b[:0], settings)
    before[17] -= g[3]
    np.testing.assert_array_equal(b, before)


def test_rows_do_not_depend_on_the_threads_or_on_the_order_of_tasks(board, rng, dtype):
    a, b = sparse(rng, (19, 300), dtype), rng.standard_normal((300, 700)).astype(dtype)
    alone = forward(board, a, b)
    for threads in (1, 3):
        with served(board, a, threads):
            for _ in range(20):
                np.testing.assert_array_equal(forward(board, a, b), alone)
        board[:] = 0


def test_a_nan_or_an_infinity_comes_out_where_it_belongs(board, rng, dtype):
    a, b = sparse(rng, (9, 40), dtype), rng.standard_normal((40, 300)).astype(dtype)
    a[4, 7], a[6, 3] = np.nan, np.inf
    found = forward(board, a, b)
    assert np.isnan(found[4]).all()
    assert np.isinf(found[6]).all()
    assert np.isfinite(np.delete(found, [4, 6], axis=0)).all()


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", [1, GROUP + 1, 24, 33])
@pytest.mark.parametrize("parts", [1, 3])
def test_panels_forward_and_backward(board, rng, rows, threads, parts, dtype):
    for across in panel_widths(dtype):
        lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
        # Panels and chunks that are whole, cut off, and cut off within a vector.
        for depth, width in (
            (DEPTH, across),
            (2 * DEPTH + lanes + 1, 2 * across + 3),
            (3, across - 1),
        ):
            a = sparse(rng, (rows, depth), dtype)
            b = rng.standard_normal((depth, width)).astype(dtype)
            turned = np.ascontiguousarray(b.T)
            exact = a.astype(np.float64) @ b
            with served(board, a, threads):
                found = forward(board, a, b, across, parts)
                back = backward(board, a, turned, found, False, across, parts)
            board[:] = 0
            close(found, exact, dtype)
            np.testing.assert_array_equal(back, found)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", [GROUP, 33])
def test_panels_that_are_kept_give_the_same_products(board, rng, rows, threads, dtype):
    for across in panel_widths(dtype):
        for depth, width in ((DEPTH, across), (3 * DEPTH + 1, 2 * across + 3), (3, across - 1)):
            a = sparse(rng, (rows, depth), dtype)
            b = rng.standard_normal((depth, width)).astype(dtype)
            turned = np.ascontiguousarray(b.T)
            for run, matrix in ((forward, [b]), (backward, [turned, a, False])):
                panels = empty((-(-width // across), depth, across), dtype)
                panels[:] = np.nan
                with served(board, a, threads):
                    once = run(board, a, *matrix, across)
                    fills = run(board, a, *matrix, across, 3, panels)
                    matrix[0] = np.full_like(matrix[0], np.nan)  # is not read again
                    again = [
                        run(board, a, *matrix, across, parts, panels, True) for parts in (1, 3)
                    ]
                board[:] = 0
                close(once, a.astype(np.float64) @ b, dtype)
                for found in (fills, *again):
                    np.testing.assert_array_equal(found, once)


def test_chunks_without_an_entry_leave_sums_as_they_are(board, rng, dtype):
    across = panel_widths(dtype)[0]
    b = rng.standard_normal((5 * DEPTH, across)).astype(dtype)
    for chunk in range(5):
        a = np.zeros((GROUP, 5 * DEPTH), dtype)
        a[:, chunk * DEPTH : (chunk + 1) * DEPTH] = rng.standard_normal((GROUP, DEPTH))
        close(forward(board, a, b, across), a.astype(np.float64) @ b, dtype)
    assert not forward(board, np.zeros_like(a), b, across).any()


@pytest.mark.parametrize("threads", [0, 2])
def test_a_step_follows_the_product_of_its_panel(board, rng, threads, dtype):
    """A panel whose rows had moved already would give other products."""
    rows, width = 24, strip(1, dtype) + 5
    for across in panel_widths(dtype):
        depth = 2 * across + BLOCK + 1
        g = rng.standard_normal((rows, width)).astype(dtype)
        b = rng.standard_normal((depth, width)).astype(dtype)
        h, velocity = sparse(rng, (rows, depth), dtype), np.zeros((depth, width), dtype)
        out, settings = np.full((rows, depth), np.nan, dtype), np.array([1, 0, 0.5, 0.1], dtype)
        before = b.copy()
        with served(board, g, threads):
            step(board, g, b, h, out, velocity, settings, across)
        board[:] = 0
        close(out, g.astype(np.float64) @ before.T, dtype)
        close(b, before - 0.1 * (h.T.astype(np.float64) @ g), dtype)


def test_a_row_of_a_panel_does_not_depend_on_its_neighbours(board, rng, dtype):
    a, b = sparse(rng, (30, 100), dtype), rng.standard_normal((100, 300)).astype(dtype)
    across, order = panel_widths(dtype)[0], rng.permutation(30)
    expected = forward(board, a, b, across)
    if COMPILED:  # a stand-in is a product of numpy's
        np.testing.assert_array_equal(forward(board, a[order], b, across), expected[order])
        np.testing.assert_array_equal(forward(board, a, b, across, 5), expected)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("rows", [PANELS_FROM, 40])
@pytest.mark.parametrize("depth", [1, 32, 77])
@pytest.mark.parametrize("more", [0, 1, 45])
def test_inputs_that_have_moved_have_the_products_of_their_own(
    board, rng, dtype, threads, rows, depth, more
):
    width = STRIP_BYTES // np.dtype(dtype).itemsize + more
    b = rng.standard_normal((depth, width)).astype(dtype)
    x, settings = rng.standard_normal((rows, depth)).astype(dtype), np.full(5, 0.25, dtype)
    moved = x + rng.choice([-0.25, 0.25], x.shape).astype(dtype)
    signs = np.zeros((-(-depth // SIGN_DEPTH), rows), np.uint64)
    assert sign_products._mark_steps(moved, x, settings[0], signs)
    z, out = x @ b, np.full((rows, width), np.nan, dtype)
    block, size = room(dtype), narrow_jobs._room_size(rows, out.itemsize)
    with served(board, out, threads):
        narrow_jobs._forward_moved(board, signs, b, z, settings, masks(), block[:size], out)
    assert np.isnan(block[size:]).all()
    close(out, moved.astype(np.float64) @ b, dtype)


def test_tasks_allocate_nothing():
    def uses_numpy(kernel):
        return "np" in getattr(kernel, "py_func", kernel).__code__.co_names

    every = [
        narrow_first_layer,
        narrow_helpers,
        narrow_jobs,
        narrow_panels,
        narrow_products,
        narrow_steps,
        packing,
        sign_products,
    ]
    outside = {
        "_attend",
        "_new_room",
        "_forward",
        "_backward",
        "_backward_and_step",
        "_attack_first_layer",
        "_forward_moved",
        "_mark_steps",
    }
    kernels = {
        name: function
        for module in every
        for name, function in vars(module).items()
        if hasattr(function, "py_func") or inspect.isfunction(function)
        if function.__module__ == module.__name__
    }
    assert {name for name, kernel in kernels.items() if uses_numpy(kernel)} <= outside
    assert outside < set(kernels)
    assert uses_numpy(narrow_helpers._attend)  # as it would be found


@pytest.mark.parametrize("height", range(1, MOST_ROWS + 1))
def test_columns_that_enter(rng, height, dtype):
    for share in (0, 0.1, 1):
        a = sparse(rng, (height + 2, 50), dtype, share)
        ks = np.full(60 + AHEAD, -1)
        count = narrow_products._entering(a, 1, height, 3, 49, ks)
        expected = 3 + np.flatnonzero(a[1 : 1 + height, 3:49].any(axis=0))
        assert ks[:count].tolist() == expected.tolist()
        assert set(ks[count : count + AHEAD]) <= set(expected[-1:]) or not count


def test_blocks_fit_into_the_registers():
    registers = TARGET.vector_registers
    for rows in range(1, MOST_ROWS + 1):
        assert rows * STRIP_VECTORS[rows] + 1 < registers
        assert rows * DOT_COLUMNS[rows] + 1 < registers
    strips = STRIP_VECTORS[1:]
    assert list(strips) == sorted(strips, reverse=True)  # `_step_task` counts on it


@pytest.mark.skipif(not COMPILED, reason="without the compiler a lock does it")
def test_no_addition_is_lost(board):
    @numba.njit(nogil=True)
    def count(numbers, times):
        for _ in range(times):
            atomics.add(numbers, 0, 1)

    count(board, 0)
    workers = [threading.Thread(target=count, args=(board, 200_000)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert board[0] == 800_000


@pytest.mark.skipif(COMPILED, reason="the compiler's operations have no lock")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_holds(board):
    held, over = threading.Event(), threading.Event()

    def hold():
        with atomics._lock:
            held.set()
            over.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(atomics.add(board, 0, 1))
    status = os.waitpid(child, 0)[1]
    over.set()
    holder.join(60)
    assert status == 0
