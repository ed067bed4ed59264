"""First products of inputs that have moved by one length, against plain ones in float64."""

import numpy as np
import pytest

from fastnn._engine import masked
from fastnn._engine.moved import moved_product
from fastnn._engine.workspace import Workspace
from fastnn._kernels import attack_steps, sign_products
from fastnn._kernels.masked_products import VECTORS
from fastnn._kernels.sign_products import DEPTH, FOUR, LINES, STRIP_BYTES, TABLES
from fastnn._kernels.vectors import VECTOR_BYTES
from fastnn.networks import MLP

SIZE = 0.1
TYPES = [np.float32, np.float64]
DEPTHS = [1, FOUR - 1, FOUR, DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + FOUR + 1]


def workspace(weights, rows):
    """Return a workspace for a network of one layer, with its weights in panels."""
    net = MLP([weights], [np.zeros(weights.shape[1], weights.dtype)])
    panels = np.full(masked.panels_shape(*weights.shape, weights.dtype), np.nan, weights.dtype)
    masked.pack(weights, panels)
    return Workspace(net, rows, 0, {(0, False): panels})


def width_of(dtype, vectors=VECTORS[0], more=0):
    return vectors * VECTOR_BYTES // np.dtype(dtype).itemsize + more


def inputs(rng, rows, depth, dtype):
    """Return inputs, and where they are after a step."""
    before = rng.standard_normal((rows, depth)).astype(dtype)
    before[:, ::3] = 0
    return before, stepped(rng, before)


def stepped(rng, before):
    """Return where FGSM takes inputs, for a random gradient."""
    kind, slope = before.dtype, rng.standard_normal(before.shape).astype(before.dtype)
    sizes, limit, x = np.full(len(before), SIZE, kind), kind.type(np.inf), np.empty_like(before)
    rounding = attack_steps.ROUNDING[kind]
    attack_steps._signed_step(before, before, slope, sizes, sizes, -limit, limit, rounding, x)
    return x


def product(x, before, weights, size=SIZE):
    """Return what `moved_product` makes of a buffer that was full of NaN, None if it refuses."""
    out = np.full((len(x), weights.shape[1]), np.nan, weights.dtype)
    z = (before.astype(np.float64) @ weights).astype(weights.dtype)
    if moved_product(workspace(weights, len(x)), x, before, size, z, out):
        return out
    assert np.isnan(out).all()
    return None


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_products_agree_with_those_of_the_inputs_themselves(rng, dtype, depth, rows):
    for vectors in VECTORS:
        for more in (0, 1, width_of(dtype)):
            weights = rng.standard_normal((depth, width_of(dtype, vectors, more))).astype(dtype)
            before, x = inputs(rng, rows, depth, dtype)
            exact = x.astype(np.float64) @ weights.astype(np.float64)
            allowed = 8 * np.finfo(dtype).eps * ((abs(x) + abs(before)) @ abs(weights))
            assert np.all(abs(product(x, before, weights) - exact) <= allowed)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_line_of_every_table_is_the_sum_with_its_signs(rng, dtype):
    strip = STRIP_BYTES // np.dtype(dtype).itemsize
    panel = rng.standard_normal((DEPTH, strip)).astype(dtype)
    tables = np.full((TABLES * LINES, strip), np.nan, dtype)
    last = np.empty((DEPTH, strip), dtype)
    sign_products._set_tables(panel, 0, 0, dtype(SIZE), last, tables)
    for t in range(TABLES):
        rows = panel[t * FOUR : (t + 1) * FOUR].astype(np.float64)
        for line in range(LINES):
            signs = [1 if line >> bit & 1 else -1 for bit in range(FOUR)]
            np.testing.assert_allclose(
                tables[t * LINES + line], SIZE * (signs @ rows), atol=8 * np.finfo(dtype).eps
            )


@pytest.mark.parametrize("dtype", TYPES)
def test_each_entry_that_moved_up_has_its_own_bit(dtype):
    depth = DEPTH + 5
    before = np.zeros((depth, depth), dtype)
    x = np.where(np.eye(depth, dtype=bool), 0.5, -0.5).astype(dtype)
    masks = np.empty((2, depth), np.uint64)
    assert sign_products._mark_steps(x, before, dtype(0.5), masks)
    for i in range(depth):
        chunk, bit = divmod(i, DEPTH)
        assert masks[chunk, i] == 1 << bit
        assert masks[1 - chunk, i] == 0


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("entry", [0, 1, DEPTH - 1, DEPTH + 2])
@pytest.mark.parametrize("change", [0.0, 0.26, -0.5, np.nan, np.inf], ids=str)
def test_one_entry_that_moved_otherwise_is_enough_to_refuse(rng, dtype, entry, change):
    before = np.full((3, DEPTH + 3), 0.5, dtype)
    x = before + rng.choice([-0.25, 0.25], before.shape).astype(dtype)
    weights = rng.standard_normal((DEPTH + 3, width_of(dtype))).astype(dtype)
    assert product(x, before, weights, 0.25) is not None
    x[1, entry] = before[1, entry] + dtype(change)
    assert product(x, before, weights, 0.25) is None


@pytest.mark.parametrize("dtype", TYPES)
def test_inputs_that_have_not_moved_keep_their_products(rng, dtype):
    weights = rng.standard_normal((DEPTH, width_of(dtype))).astype(dtype)
    before = rng.standard_normal((4, DEPTH)).astype(dtype)
    z = (before.astype(np.float64) @ weights).astype(dtype)
    np.testing.assert_array_equal(product(before, before, weights, 0.0), z)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("large", "accepted"), [(1, True), (4, True), (100, False), (1e4, False)])
def test_steps_that_rounding_has_changed_much_are_refused(rng, dtype, large, accepted):
    """In float32, a step of 0.1 from 10,000 can be 0.0996; 0.1 would be 0.4 % too long."""
    before = (large * rng.random((5, 70))).astype(dtype)
    x = stepped(rng, before)
    weights = rng.standard_normal((70, width_of(dtype))).astype(dtype)
    assert (product(x, before, weights) is not None) == accepted


def test_an_entry_that_stays_is_refused_however_small_the_step_is(rng):
    before = np.full((2, 40), 1e5, np.float32)
    weights = rng.standard_normal((40, width_of(np.float32))).astype(np.float32)
    assert product(before, before, weights, 1e-4) is None


def test_a_row_does_not_depend_on_its_neighbours(rng):
    weights = rng.standard_normal((50, width_of(np.float32))).astype(np.float32)
    before, x = inputs(rng, 9, 50, np.float32)
    whole, order = product(x, before, weights), rng.permutation(9)
    np.testing.assert_array_equal(product(x[order], before[order], weights), whole[order])
    for i in range(9):
        alone = product(x[i : i + 1], before[i : i + 1], weights)
        np.testing.assert_allclose(alone[0], whole[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [0.0, SIZE])
def test_signs_whose_own_product_overflows_have_the_right_one(rng, dtype, size):
    weights = np.full((70, width_of(dtype)), np.finfo(dtype).max / 64, dtype)
    before = np.zeros((2, 70), dtype)
    x = before + dtype(size)
    exact = x.astype(np.longdouble) @ weights.astype(np.longdouble)
    found = product(x, before, weights, size)
    np.testing.assert_allclose(
        found, exact.astype(dtype), rtol=1e-5 if dtype is np.float32 else 1e-14
    )
