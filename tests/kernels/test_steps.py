"""The kernels that take steps: along a signed gradient, through a sweep of eps, down the loss."""

import numpy as np
import pytest

from fastnn._kernels import attack_steps, descent

SHAPES = ((0, 5), (1, 1), (1, 7), (5, 16), (3, 17), (61, 10))


@pytest.fixture(autouse=True)
def quiet():
    """Infinite bounds meet arithmetic that warns of it, where the kernels are plain Python."""
    with np.errstate(all="ignore"):
        yield


def some_gradient(rng, shape, dtype):
    """Return entries of either sign and zeros, from the smallest number there is to infinity."""
    tiny = np.finfo(dtype).smallest_subnormal
    values = np.array([0, -0.0, tiny, -tiny, 1e-30, -1e-30, 3, -3, np.inf, -np.inf], dtype)
    return rng.choice(values, shape)


# --- one step


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 1), (-0.5, 0.75), (0, np.inf)])
@pytest.mark.parametrize("eps", [0, 0.1, 5])
def test_signed_step(rng, dtype, shape, bounds, eps):
    lower, upper = dtype(bounds[0]), dtype(bounds[1])
    x = np.clip(rng.normal(0, 2, shape).astype(dtype), lower, upper)
    gradient = some_gradient(rng, shape, dtype)
    found, before = np.empty_like(x), x.copy()
    step(x, x, gradient, eps, eps, bounds, found)
    moved = within(x + dtype(eps) * np.sign(gradient), x, dtype(eps))
    np.testing.assert_array_equal(found, np.clip(moved, lower, upper))
    np.testing.assert_array_equal(x, before)


def within(moved, clean, eps):
    """Return what is no further than eps from `clean`, as the type computes the difference."""
    least, most = clean - eps, clean + eps
    least = np.where(clean - least > eps, np.nextafter(least, least.dtype.type(np.inf)), least)
    most = np.where(most - clean > eps, np.nextafter(most, most.dtype.type(-np.inf)), most)
    return np.clip(moved, least, most)


def step(clean, x, gradient, size, eps, bounds, out):
    """Take a signed step, with numbers of the type of the arrays."""
    kind = x.dtype
    size, eps = (np.broadcast_to(value, len(x)).astype(kind) for value in (size, eps))
    limits = map(kind.type, bounds)
    attack_steps._signed_step(
        clean, x, gradient, size, eps, *limits, attack_steps.ROUNDING[kind], out
    )


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-0.5, 0.75)])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_step_from_elsewhere_stays_within_eps_of_the_clean_input(rng, dtype, bounds, in_place):
    clean = np.clip(rng.normal(0, 1, (31, 17)).astype(dtype), *bounds)
    x = (clean + dtype(0.3) * rng.uniform(-1, 1, clean.shape)).astype(dtype)
    gradient, eps = rng.choice([-1, 0, 1], clean.shape).astype(dtype), dtype(0.3)
    expected = within(x + dtype(0.2) * gradient, clean, eps)
    expected = np.clip(expected, *map(dtype, bounds))
    assert (expected != x + dtype(0.2) * gradient).any()
    out = x if in_place else np.empty_like(x)
    step(clean, x, gradient, 0.2, 0.3, bounds, out)
    np.testing.assert_array_equal(out, expected)


def test_every_row_has_its_own_step_and_eps(rng, dtype):
    x, gradient = rng.normal(size=(9, 700)).astype(dtype), rng.normal(size=(9, 700)).astype(dtype)
    sizes, eps = rng.random(9), rng.random(9)
    step(x, x, gradient, sizes, eps, (-1, 1), out := np.empty_like(x))
    for i in range(9):
        alone = np.empty_like(x[:1])
        step(x[i : i + 1], x[i : i + 1], gradient[i : i + 1], sizes[i], eps[i], (-1, 1), alone)
        np.testing.assert_array_equal(out[i], alone[0])


def test_no_difference_exceeds_eps_over_the_whole_range_of_numbers(rng, dtype):
    """Also where `clean + eps` rounds to `clean`, to a power of two, or overflows."""
    info = np.finfo(dtype)
    powers = np.float64(2) ** rng.integers(info.minexp - 3, info.maxexp, 4000)
    clean = (powers * rng.choice([1, 1 - info.epsneg, 1.3, -1, -1.7], 4000)).astype(dtype)[None]
    for scale in (1e-9, 0.3, 1, 1e5):
        eps = np.clip(np.abs(clean[0]) * dtype(scale), info.smallest_subnormal, info.max)
        x, limit = clean.reshape(-1, 1), eps
        for sign in (-1, 1):
            out = np.empty_like(x)
            step(x, x, np.full_like(x, sign), limit, limit, (-np.inf, np.inf), out)
            there = np.isfinite(out[:, 0])
            assert (np.abs(out - x)[there, 0] <= limit[there]).all()
            # Nothing that is allowed lies further away, but near the smallest numbers.
            there &= np.abs(clean[0]) > info.smallest_normal / info.epsneg * 8
            beyond = np.nextafter(out, dtype(sign * np.inf))[there, 0]
            assert (np.abs(beyond - x[there, 0]) >= limit[there]).all()


def test_signed_step_by_hand(dtype):
    gradient = np.array([[2, -2, 0, -0.0, 1e-30, -1e-30, 1, -1]], dtype)
    x = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0]], dtype)
    step(x, x, gradient, 0.25, 0.25, (0, 1), out := np.empty_like(x))
    assert out.tolist() == [[0.75, 0.25, 0.5, 0.5, 0.75, 0.25, 1, 0]]


@pytest.mark.parametrize("width", [1, 7, 17])
def test_rows_whose_gradient_is_all_zero_are_found(dtype, width):
    gradient = np.zeros((61, width), dtype)
    gradient[::2, -1] = np.finfo(dtype).smallest_subnormal
    gradient[1, 0] = np.nan  # unknown is not zero
    gradient[3] = -0.0
    assert np.flatnonzero(attack_steps._zero_rows(gradient)).tolist() == list(range(3, 61, 2))


@pytest.mark.parametrize("broken", ["gradient", "x"])
def test_a_nan_that_comes_in_goes_out_of_the_step(dtype, broken):
    arrays = {"gradient": np.ones((1, 3), dtype), "x": np.full((1, 3), 0.5, dtype)}
    arrays[broken][0, 1] = np.nan
    step(
        arrays["x"],
        arrays["x"],
        arrays["gradient"],
        0.1,
        0.1,
        (0, 1),
        out := np.zeros((1, 3), dtype),
    )
    assert np.isnan(out).tolist() == [[False, True, False]]


# --- many steps at once: inputs that meet a bound stay there


def test_direction_and_room_by_hand(dtype):
    gradient = np.array([[5, -5, 0, 5, -5, 5, -5, 0]], dtype)
    x = np.array([[0.25, 0.25, 0.25, 1, 0, 0, 1, 0]], dtype)
    room = np.empty_like(x)
    attack_steps._direction_and_room(dtype(0), dtype(1), x, gradient, room)
    # The fourth and fifth start at the bound that they are pushed against.
    assert gradient.tolist() == [[1, -1, 0, 0, 0, 1, -1, 0]]
    np.testing.assert_array_equal(room[0, [0, 1, 5, 6]], [0.75, 0.25, 1, 1])


@pytest.mark.parametrize("x", [0, 0.5, 1])
def test_the_direction_of_an_unknown_gradient_is_unknown(dtype, x):
    gradient, x = np.full((1, 1), np.nan, dtype), np.full((1, 1), x, dtype)
    attack_steps._direction_and_room(dtype(0), dtype(1), x, gradient, np.empty_like(x))
    assert np.isnan(gradient[0, 0])


# Ascending, twice the same, nothing, and more than there is room for.
SWEEP = (0, 0.05, 0.05, 0.3, 0.9, 4)


def swept(gradient, x, weights, eps, bounds, at_once=99):
    """Return the first layer's products for every eps, shape (rows, eps, outputs)."""
    dtype, rows = x.dtype.type, len(x)
    direction, room = gradient.copy(), np.empty_like(x)
    attack_steps._direction_and_room(dtype(bounds[0]), dtype(bounds[1]), x, direction, room)
    z, eps = x @ weights, np.array(eps, dtype)
    reached, found = dtype(0), []
    for start in range(0, len(eps), at_once):
        some, moving = eps[start : start + at_once], np.empty_like(direction)
        attack_steps._still_moving(direction, room, some[-1], moving)
        slope, out = moving @ weights, np.empty((rows * len(some), weights.shape[1]), dtype)
        attack_steps._shift_by_every_eps(direction, room, reached, some, weights, z, slope, out)
        found.append(out.reshape(rows, len(some), -1))
        reached = some[-1]
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("bounds", [(0, 1), (-2, 3), (0, np.inf), (-np.inf, np.inf)])
@pytest.mark.parametrize("shape", [(1, 1, 2), (5, 16, 7), (7, 17, 17)])
@pytest.mark.parametrize("at_once", [1, 2, 6])
def test_the_sweep_is_the_product_of_every_clipped_input(rng, dtype, bounds, shape, at_once):
    rows, width, outputs = shape
    x = np.clip(rng.normal(0.5, 1, (rows, width)), *bounds).astype(dtype)
    gradient = rng.integers(-1, 2, x.shape).astype(dtype)
    weights = rng.normal(size=(width, outputs)).astype(dtype)
    found = swept(gradient, x, weights, SWEEP, bounds, at_once)
    for k, eps in enumerate(np.array(SWEEP, dtype)):
        moved = np.clip(x + eps * gradient, *bounds).astype(np.float64)
        np.testing.assert_allclose(found[:, k], moved @ weights, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_nothing_changes_above_the_largest_room(rng, dtype, at_once):
    # Sums of these round, so that a slope made by taking away would not end at zero.
    x = rng.random((5, 61)).astype(dtype)
    weights = rng.normal(size=(61, 17)).astype(dtype)
    gradient = rng.choice([-1, 1], x.shape).astype(dtype)
    found = swept(gradient, x, weights, (0.5, 1, 2, 1e8, 1e30), (0, 1), at_once)
    assert (found[:, 0] != found[:, 1]).all()
    for k in (2, 3, 4):
        np.testing.assert_array_equal(found[:, k], found[:, 1])


def test_inputs_stop_once_by_hand(dtype):
    # Rooms of 1, 2, 4 and 0.5 between 0.5 and 3: the last was there before, the third still moves.
    direction, room = np.array([[-1, 1, 0, 1, 1]], dtype), np.array([[1, 2, 2, 4, 0.5]], dtype)
    weights = np.array([[1, 10], [1, 20], [1, 40], [1, 80], [1, 160]], dtype)
    z, slope, out = np.zeros((1, 2), dtype), np.zeros((1, 2), dtype), np.zeros((3, 2), dtype)
    moving = np.empty_like(direction)
    attack_steps._still_moving(direction, room, dtype(3), moving)
    assert moving.tolist() == [[0, 0, 0, 1, 0]]
    eps = np.array([1, 1.5, 3], dtype)
    slope[:] = moving @ weights
    attack_steps._shift_by_every_eps(direction, room, dtype(0.5), eps, weights, z, slope, out)
    # The first meets its bound at 1 exactly, and counts as stopped there.
    expected = [[-1 + 1 + 1, -10 + 20 + 80], [-1 + 1.5 * 2, -10 + 1.5 * 100]]
    assert out.tolist() == [*expected, [-1 + 2 + 3, -10 + 40 + 240]]
    assert z.tolist() == [[-1 + 2, -10 + 40]]


@pytest.mark.parametrize("broken", ["direction", "weights", "z", "slope"])
def test_a_nan_that_comes_in_goes_out_of_the_sweep(dtype, broken):
    arrays = {name: np.ones((1, 1), dtype) for name in ("direction", "weights", "z", "slope")}
    arrays[broken][:] = np.nan
    out, room, eps = np.zeros((2, 1), dtype), np.full((1, 1), 0.5, dtype), np.array([0.25, 1])
    attack_steps._shift_by_every_eps(
        arrays["direction"],
        room,
        dtype(0),
        eps.astype(dtype),
        arrays["weights"],
        arrays["z"],
        arrays["slope"],
        out,
    )
    assert np.isnan(out).all()


def test_a_direction_that_is_unknown_stays_unknown(dtype):
    direction, out = np.full((1, 2), np.nan, dtype), np.zeros((1, 2), dtype)
    attack_steps._still_moving(direction, np.array([[0.5, 2]], dtype), dtype(1), out)
    assert np.isnan(out).all()


# --- training


@pytest.mark.parametrize("shape", SHAPES)
def test_column_sums_are_added_in_the_order_of_the_rows(rng, dtype, shape):
    residual = rng.normal(size=shape).astype(dtype)
    residual[::3] *= 1e6  # the order shows in the last bits
    found = np.ones(shape[1], dtype)
    expected = found.copy()
    for row in residual:
        expected += row
    descent._add_column_sums(residual, found)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [1, 7, 16, 17, 61])
@pytest.mark.parametrize("momentum", [0, 0.75])
@pytest.mark.parametrize("l2", [0, 0.5])
def test_sgd_step(rng, dtype, size, momentum, l2):
    # Multiples of powers of two, so that nothing is rounded.
    total, velocity, parameter = rng.integers(-9, 10, (3, size)).astype(dtype)
    step = momentum * velocity + 0.25 * total + l2 * parameter
    expected = parameter - 0.125 * step
    numbers = [dtype(n) for n in (0.25, l2, momentum, 0.125)]
    descent._sgd_step(*numbers, total, velocity, parameter)
    np.testing.assert_array_equal(velocity, step)
    np.testing.assert_array_equal(parameter, expected)


@pytest.mark.parametrize("broken", ["total", "velocity", "parameter"])
def test_a_nan_that_comes_in_goes_out_of_the_training_step(dtype, broken):
    arrays = {name: np.ones(7, dtype) for name in ("total", "velocity", "parameter")}
    arrays[broken][3] = np.nan
    numbers = [dtype(n) for n in (0.25, 0.5, 0.5, 0.125)]
    descent._sgd_step(*numbers, *arrays.values())
    assert np.flatnonzero(np.isnan(arrays["parameter"])).tolist() == [3]


def test_a_nan_that_comes_in_goes_out_of_the_column_sums(dtype):
    residual, out = np.ones((5, 7), dtype), np.zeros(7, dtype)
    residual[2, 3] = np.nan
    descent._add_column_sums(residual, out)
    assert np.flatnonzero(np.isnan(out)).tolist() == [3]
