"""Whole passes of a few rows in one kernel, against the reference, and its own parts."""

from itertools import pairwise

import numba
import numpy as np
import pytest

from fastnn import reference
from fastnn._engine.crews import Crew
from fastnn._kernels import attack_steps, narrow_jobs, narrow_panels, narrow_passes, packing
from fastnn._kernels import narrow_first_layer as first_layer
from fastnn._kernels.attack_steps import ROUNDING
from fastnn._kernels.masked_products import VECTORS
from fastnn._kernels.narrow_first_layer import MOST_INPUTS
from fastnn._kernels.narrow_products import AHEAD, MOST_ROWS
from fastnn._kernels.vectors import LINE_BYTES, VECTOR_BYTES

COMPILED = not numba.config.DISABLE_JIT
ROWS = [1, 3, MOST_ROWS + 1, narrow_passes.READ_ONCE_TO, narrow_passes.READ_ONCE_TO + 1]
SIZES = (12, 270, 130, 4) if COMPILED else (6, 262, 3)  # the plain functions take long
IN_PARTS, OF_ONE_LAYER = (MOST_INPUTS + 8, 262, 3), (15, 300)


def table_of(weights, biases):
    table = np.zeros((len(weights) + 1, narrow_passes.COLUMNS), np.int64)
    for i, layer in enumerate(zip(weights, biases, strict=True)):
        narrow_passes._enter_layer(table, i, *layer)
    return table


def network(rng, sizes, dtype):
    weights = [rng.normal(0, a**-0.5, (a, b)).astype(dtype) for a, b in pairwise(sizes)]
    return weights, [rng.normal(0, 0.1, b).astype(dtype) for b in sizes[1:]]


def attack(weights, biases, x, labels, eps, bounds=(-np.inf, np.inf), crew=None):
    """Return the state, adversarial inputs, classes, and the rows that are saturated or still."""
    rows, kind = len(x), x.dtype
    moved, classes = np.full_like(x, np.nan), np.full((2, rows), -1)
    saturated, still = np.zeros(rows, bool), np.zeros(rows, bool)
    board, posts = np.zeros(narrow_jobs.BOARD_SIZE, np.int64), np.empty(0, np.int64)
    if crew is not None:
        board, posts = crew.board, crew.posts
    settings = np.array([eps, *bounds, *ROUNDING[kind]], kind)
    table, found = table_of(weights, biases), (moved, classes, saturated, still)
    state = narrow_passes._attack_by_sign(board, posts, table, x, labels, settings, *found)
    return state, *found


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 1)])
@pytest.mark.parametrize("sizes", [SIZES, IN_PARTS, OF_ONE_LAYER])
def test_fgsm_and_predictions_are_the_references(rng, dtype, rows, bounds, sizes):
    dtype = np.dtype(dtype)
    parameters = network(rng, sizes, dtype)
    x = (rng.random((rows, sizes[0])) * (rng.random((rows, sizes[0])) < 0.7)).astype(dtype)
    labels = rng.integers(0, sizes[-1], rows)
    state, moved, classes, saturated, still = attack(*parameters, x, labels, 0.1, bounds)
    assert state == narrow_passes.DONE
    assert not saturated.any()
    assert not still.any()
    for i in range(rows):
        slope = reference.input_gradient(*parameters, x[i], labels[i])
        sure = np.abs(slope) > 1e-3 * np.abs(slope).max()
        expected = np.clip(reference.fgsm(*parameters, x[i], labels[i], 0.1), *bounds)
        np.testing.assert_allclose(moved[i][sure], expected[sure], rtol=1e-6, atol=1e-7)
        for found, at in zip(classes[:, i], (x[i], moved[i]), strict=True):
            logits = reference.logits(*parameters, at)
            assert logits[found] >= logits.max() - 1e-5


def test_an_input_without_a_derivative_stays_where_it_is(rng, dtype):
    """Not all inputs have moved then: tables of sums would make its unit active, and class 1."""
    weights, biases = network(rng, (6, 262, 3), np.dtype(dtype))
    weights[0][2] = weights[0][:, 0] = 0
    weights[0][2, 0], biases[0][0] = -100, -1
    weights[1][0], biases[1][1] = [0, 50, 0], -20
    rows = narrow_passes.READ_ONCE_TO + 1
    x, labels = rng.random((rows, 6)).astype(dtype), np.zeros(rows, np.int64)
    x[:, 2] = 0
    _, moved, classes, *_ = attack(weights, biases, x, labels, 0.1)
    np.testing.assert_array_equal(moved[:, 2], x[:, 2])
    for i in range(rows):
        logits = reference.logits(weights, biases, moved[i])
        assert logits[classes[1, i]] >= logits.max() - 1e-5


TABLES_USED = [  # width, more rows than are read once, bounds, whether all inputs move, how often
    (262, 1, (-np.inf, np.inf), True, 1),
    (262, 0, (-np.inf, np.inf), True, 0),
    (8, 1, (-np.inf, np.inf), True, 0),
    (262, 1, (-np.inf, 9), True, 0),
    (262, 1, (-9, np.inf), True, 0),
    (262, 1, (-np.inf, np.inf), False, 0),
]


@pytest.mark.skipif(COMPILED, reason="a compiled kernel keeps the functions that it has")
@pytest.mark.parametrize(("width", "more", "bounds", "all_move", "times"), TABLES_USED)
def test_when_tables_of_sums_are_used(monkeypatch, rng, width, more, bounds, all_move, times):
    calls, right = [], narrow_passes._forward_moved
    monkeypatch.setattr(narrow_passes, "_forward_moved", lambda *a: calls.append(right(*a)))
    weights, biases = network(rng, (6, width, 3), np.float32)
    biases[0] += 5  # all units are active
    weights[0][2] *= all_move
    rows = narrow_passes.READ_ONCE_TO + more
    x, labels = rng.random((rows, 6)).astype(np.float32), np.zeros(rows, np.int64)
    assert attack(weights, biases, x, labels, 0.1, bounds)[0] == narrow_passes.DONE
    assert len(calls) == times


@pytest.mark.parametrize("rows", [3, narrow_passes.READ_ONCE_TO + 1])
def test_with_helpers_it_is_the_same(rng, dtype, rows):
    dtype = np.dtype(dtype)
    parameters = network(rng, IN_PARTS, dtype)
    x, labels = rng.random((rows, IN_PARTS[0])).astype(dtype), np.zeros(rows, np.int64)
    alone = attack(*parameters, x, labels, 0.1)
    crew = Crew(dtype)
    crew.grow(2)
    for taken in (False, True):
        assert not taken or crew.take(2, 0)
        found = attack(*parameters, x, labels, 0.1, crew=crew)
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one, other)
        assert crew.free is not taken  # another call keeps its helpers
    crew.give_back()
    assert crew.end()


def test_rows_without_a_gradient_and_saturated_ones_are_marked(dtype):
    weights = [np.ones((1, 1), dtype), np.array([[0, 1]], dtype)]
    biases = [np.array([-0.5], dtype), np.zeros(2, dtype)]
    x = np.array([[0.25], [0.75], [200], [0.125]], dtype)
    _, moved, classes, saturated, still = attack(weights, biases, x, np.array([0, 1, 1, 0]), 0.5)
    assert still.tolist() == [True, False, False, True]
    assert saturated.tolist() == [False, False, True, False]
    assert moved[:, 0].tolist() == [0.25, 0.25, 199.5, 0.125]
    assert classes.tolist() == [[0, 1, 1, 0], [0, 0, 1, 0]]


def test_logits_that_look_like_probabilities_are_noticed(dtype):
    weights, x, labels = [np.zeros((3, 2), dtype)], np.ones((4, 3), dtype), np.ones(4, np.int64)
    for bias, expected in (
        ([0.25, 0.75], narrow_passes.PROBABILITIES),
        ([0.25, 0.76], narrow_passes.DONE),
        ([-0.25, 1.25], narrow_passes.DONE),
    ):
        assert attack(weights, [np.array(bias, dtype)], x, labels, 0.1)[0] == expected


LARGE = [
    ("clean logits", [np.full((2, 2), 1e38), np.full((2, 2), 1e38)], [[1, 1]], 1),
    ("derivatives", [np.full((2, 2), 1e38), [[-1e38, 1e38]] * 2], [[1e-38, 1e-38]], 0),
    ("logits under attack", [[[-1e38, 1e38], [1e38, -1e38]]], [[0.5, -0.5]], 1e3),
]


@pytest.mark.parametrize(("what", "weights", "x", "eps"), LARGE)
def test_what_is_not_finite_is_unusual(what, weights, x, eps):
    weights = [np.array(w, np.float32) for w in weights]
    biases = [np.zeros(w.shape[1], np.float32) for w in weights]
    with np.errstate(all="ignore"):
        found = attack(weights, biases, np.array(x, np.float32), np.array([1]), eps)
    assert found[0] == narrow_passes.UNUSUAL
    finite = np.isfinite(found[1]).all()
    assert finite == (what == "logits under attack")


@pytest.mark.skipif(COMPILED, reason="a compiled kernel keeps the functions that it has")
@pytest.mark.parametrize(("module", "sizes"), [(attack_steps, (5, 4)), (first_layer, (5, 300))])
def test_an_entry_that_is_too_far_is_unusual(monkeypatch, rng, dtype, module, sizes):
    """Planted: a step that is too long."""
    right = module._stepped

    def wrong(clean, x, g, length, most_change, *more):
        return right(clean, x, g, 2 * length, 2 * most_change, *more)

    x, labels = rng.random((3, 5)).astype(dtype), np.zeros(3, np.int64)
    parameters = network(rng, sizes, np.dtype(dtype))
    assert attack(*parameters, x, labels, 0.1)[0] == narrow_passes.DONE
    monkeypatch.setattr(module, "_stepped", wrong)
    assert attack(*parameters, x, labels, 0.1)[0] == narrow_passes.UNUSUAL


@pytest.mark.parametrize("rows", [1, MOST_ROWS, MOST_ROWS + 1])
def test_products_with_a_narrow_matrix(rng, dtype, rows):
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    for width in (1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3):
        for depth in (1, 23):
            a, b = (rng.standard_normal(s).astype(dtype) for s in ((rows, depth), (depth, width)))
            out = np.full((rows, width), np.nan, dtype)
            narrow_passes._narrow_product(a, b, out)
            np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-5)


def test_a_panel_is_as_wide_as_costs_least():
    for itemsize in (4, 8):
        lanes = VECTOR_BYTES // itemsize
        widths = [count * lanes for count in VECTORS]
        assert packing._panel_width(min(widths) - 1, itemsize) == 0
        for width in range(min(widths), 4 * max(widths), 7):
            costs = {w: -(-width // w) * (w + lanes) for w in widths if w <= width}
            assert packing._panel_width(width, itemsize) in costs
            assert costs[packing._panel_width(width, itemsize)] == min(costs.values())


def test_all_threads_have_some_of_the_panels():
    wide = max(VECTORS) * VECTOR_BYTES // 4
    assert narrow_passes._panels(narrow_panels.PANELS_FROM - 1, wide, 4, 8) == (0, 1)
    assert narrow_passes._panels(narrow_panels.PANELS_FROM, 5, 4, 8) == (0, 1)
    across, parts = narrow_passes._panels(narrow_panels.PANELS_FROM, wide, 4, 8)
    assert (across, parts) == (wide, 8)


@pytest.mark.parametrize("rows", [1, 7])
def test_the_layers_have_places_of_their_own(rows, dtype):
    dtype = np.dtype(dtype)
    weights = [np.zeros(shape, dtype) for shape in ((5, 33), (33, 64), (64, 3))]
    table = table_of(weights, [np.zeros(w.shape[1], dtype) for w in weights])
    block = np.empty(narrow_passes._numbers_needed(table, rows, dtype.itemsize), dtype)
    narrow_passes._lay_out(table, rows, block)
    begin = block.ctypes.data
    places = sorted(
        (int(place), int(place) + rows * int(line[0]) * dtype.itemsize)
        for i, line in enumerate(table)
        for place in line[-2 + (i == 0) :]  # the inputs have an array of their own
    )
    assert len(places) == 7
    assert begin <= places[0][0]
    assert places[-1][1] <= begin + block.nbytes
    for (start, stop), (later, _) in zip(
        places, [*places[1:], (begin + block.nbytes, 0)], strict=True
    ):
        assert start % LINE_BYTES == 0
        assert stop <= later


def test_parts_are_small_and_as_many_for_every_thread():
    for depth, width in ((1, 1), (784, 128), (784, 2048), (3072, 4096), (40_000, 300)):
        for itemsize in (4, 8):
            parts = first_layer._part_count(depth, width, itemsize)
            most = -(-depth // parts)
            assert most <= MOST_INPUTS
            assert most * width * itemsize <= first_layer._PART_BYTES + width * itemsize
            assert parts == 1 or parts % 4 == 0
    assert first_layer._part_count(784, 2048, 4) == 12
    assert first_layer._part_count(3, 10**6, 8) == 1  # not fewer than a block of dots


@pytest.mark.parametrize("rows", [1, MOST_ROWS + 1])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_parts_are_added(rng, dtype, rows, parts):
    sums, out = rng.random((parts, rows, 9)).astype(dtype), np.full((rows, 9), np.nan, dtype)
    first_layer._add_parts(sums, out)
    np.testing.assert_allclose(out, sums.sum(axis=0), rtol=1e-6)


def test_a_part_says_nothing_of_other_inputs(rng, dtype):
    """Inputs beside a part are as they were, and only those of it are in its product."""
    dtype = np.dtype(dtype)
    b, g = rng.standard_normal((50, 270)).astype(dtype), rng.standard_normal((2, 270)).astype(dtype)
    x = rng.random((2, 50)).astype(dtype)
    slopes, moved, sums = (np.full(s, np.nan, dtype) for s in (x.shape, x.shape, g.shape))
    settings = np.array([0.25, 0, 1, *ROUNDING[dtype]], dtype)
    ks = np.zeros(50 + AHEAD, np.int64)
    first_layer._attack_part(10, 35, g, b, x, settings, ks, slopes, moved, sums)
    expected = np.clip(x + 0.25 * np.sign(g.astype(np.float64) @ b.T), 0, 1)
    np.testing.assert_allclose(moved[:, 10:35], expected[:, 10:35], rtol=1e-6)
    np.testing.assert_allclose(sums, expected[:, 10:35] @ b[10:35], rtol=1e-4, atol=1e-4)
    for array in (slopes, moved):
        assert np.isnan(array[:, :10]).all()
        assert np.isnan(array[:, 35:]).all()
