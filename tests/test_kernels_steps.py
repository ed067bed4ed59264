"""The kernels that take steps: along a signed gradient, through a sweep of eps, down the loss."""

import numpy as np
import pytest

from fastnn import _kernels

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
    found = x.copy()
    _kernels._signed_step(gradient, dtype(eps), lower, upper, found)
    np.testing.assert_array_equal(found, np.clip(x + dtype(eps) * np.sign(gradient), lower, upper))


def test_signed_step_by_hand(dtype):
    gradient = np.array([[2, -2, 0, -0.0, 1e-30, -1e-30, 1, -1]], dtype)
    x = np.array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0]], dtype)
    _kernels._signed_step(gradient, dtype(0.25), dtype(0), dtype(1), x)
    assert x.tolist() == [[0.75, 0.25, 0.5, 0.5, 0.75, 0.25, 1, 0]]


def room_of(gradient, x):
    limit = x.dtype.type(np.inf)
    return _kernels._direction_and_room(-limit, limit, gradient, x)


def step_of(gradient, x):
    limit = x.dtype.type(np.inf)
    return _kernels._signed_step(gradient, x.dtype.type(0.1), -limit, limit, x)


@pytest.mark.parametrize("function", [step_of, room_of])
@pytest.mark.parametrize("width", [1, 7, 17])
def test_rows_whose_gradient_is_all_zero_are_counted(rng, dtype, function, width):
    gradient = np.zeros((61, width), dtype)
    gradient[::2, -1] = np.finfo(dtype).smallest_subnormal
    gradient[1, 0] = np.nan  # unknown is not zero
    gradient[3] = -0.0
    found = function(gradient, rng.normal(size=gradient.shape).astype(dtype))
    assert found == 29


@pytest.mark.parametrize("broken", ["gradient", "x"])
def test_a_nan_that_comes_in_goes_out_of_the_step(dtype, broken):
    arrays = {"gradient": np.ones((1, 3), dtype), "x": np.full((1, 3), 0.5, dtype)}
    arrays[broken][0, 1] = np.nan
    _kernels._signed_step(arrays["gradient"], dtype(0.1), dtype(0), dtype(1), arrays["x"])
    assert np.isnan(arrays["x"]).tolist() == [[False, True, False]]


# --- many steps at once: inputs that meet a bound stay there


def test_direction_and_room_by_hand(dtype):
    gradient = np.array([[5, -5, 0, 5, -5, 5, -5, 0]], dtype)
    x = np.array([[0.25, 0.25, 0.25, 1, 0, 0, 1, 0]], dtype)
    found = _kernels._direction_and_room(dtype(0), dtype(1), gradient, x)
    assert found == 0
    # The fourth and fifth start at the bound that they are pushed against.
    assert gradient.tolist() == [[1, -1, 0, 0, 0, 1, -1, 0]]
    np.testing.assert_array_equal(x[0, [0, 1, 5, 6]], [0.75, 0.25, 1, 1])


@pytest.mark.parametrize("x", [0, 0.5, 1])
def test_the_direction_of_an_unknown_gradient_is_unknown(dtype, x):
    gradient, room = np.full((1, 1), np.nan, dtype), np.full((1, 1), x, dtype)
    _kernels._direction_and_room(dtype(0), dtype(1), gradient, room)
    assert np.isnan(gradient[0, 0])


@pytest.mark.parametrize("bounds", [(0, 1), (-2, 3), (0, np.inf), (-np.inf, np.inf)])
@pytest.mark.parametrize("shape", [(1, 1, 2), (5, 16, 7), (7, 17, 17)])
def test_the_sweep_is_the_product_of_every_clipped_input(rng, dtype, bounds, shape):
    rows, width, outputs = shape
    x = np.clip(rng.normal(0.5, 1, (rows, width)), *bounds).astype(dtype)
    gradient = rng.integers(-1, 2, x.shape).astype(dtype)
    weights = rng.normal(size=(width, outputs)).astype(dtype)
    direction, room = gradient.copy(), x.copy()
    _kernels._direction_and_room(dtype(bounds[0]), dtype(bounds[1]), direction, room)
    z, slope, out = x @ weights, direction @ weights, np.empty((rows, outputs), dtype)
    stops, reached = np.empty(width, np.int64), dtype(0)
    for eps in np.array([0, 0.05, 0.05, 0.3, 0.9, 4], dtype):
        _kernels._stop_at_bounds(direction, room, reached, eps, weights, stops, z, slope)
        _kernels._shift(z, slope, eps, out)
        moved = np.clip(x + eps * gradient, *bounds).astype(np.float64)
        np.testing.assert_allclose(out, moved @ weights, atol=200 * np.finfo(dtype).eps)
        reached = eps


def test_inputs_stop_once_by_hand(dtype):
    # Rooms of 1, 2 and 4 in steps from 1 to 4: the first was there before, the last still moves.
    direction = np.array([[1, -1, 0, 1, 1]], dtype)
    room = np.array([[2, 1, 2, 4, 0.5]], dtype)
    weights = np.array([[1, 10], [1, 20], [1, 40], [1, 80], [1, 160]], dtype)
    z, slope = np.zeros((1, 2), dtype), np.zeros((1, 2), dtype)
    stops = np.empty(5, np.int64)
    _kernels._stop_at_bounds(direction, room, dtype(1), dtype(4), weights, stops, z, slope)
    assert z.tolist() == [[2 - 1, 20 - 20]]
    assert slope.tolist() == [[-1 + 1, -10 + 20]]


@pytest.mark.parametrize("broken", ["direction", "weights"])
def test_a_nan_that_comes_in_goes_out_of_the_sweep(dtype, broken):
    arrays = {"direction": np.ones((1, 1), dtype), "weights": np.ones((1, 7), dtype)}
    arrays[broken][:] = np.nan
    z, slope = np.zeros((2, 1, 7), dtype)
    room = np.full((1, 1), 0.5, dtype)
    _kernels._stop_at_bounds(
        arrays["direction"],
        room,
        dtype(0),
        dtype(1),
        arrays["weights"],
        np.empty(1, np.int64),
        z,
        slope,
    )
    assert np.isnan(z).all()
    assert np.isnan(slope).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shift(rng, dtype, shape):
    # Small integers, so that nothing is rounded, with or without fused multiply-add.
    z, slope = rng.integers(-9, 10, (2, *shape)).astype(dtype)
    out = np.empty_like(z)
    _kernels._shift(z, slope, dtype(0.25), out)
    np.testing.assert_array_equal(out, z + dtype(0.25) * slope)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_nan_that_comes_in_goes_out_of_the_shift(dtype, broken):
    arrays = np.ones((2, 1, 7), dtype)
    arrays[broken, 0, 3] = np.nan
    out = np.empty((1, 7), dtype)
    _kernels._shift(arrays[0], arrays[1], dtype(0.1), out)
    assert np.flatnonzero(np.isnan(out)).tolist() == [3]


# --- training


@pytest.mark.parametrize("shape", SHAPES)
def test_column_sums_are_added_in_the_order_of_the_rows(rng, dtype, shape):
    residual = rng.normal(size=shape).astype(dtype)
    residual[::3] *= 1e6  # the order shows in the last bits
    found = np.ones(shape[1], dtype)
    expected = found.copy()
    for row in residual:
        expected += row
    _kernels._add_column_sums(residual, found)
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
    _kernels._sgd_step(*numbers, total, velocity, parameter)
    np.testing.assert_array_equal(velocity, step)
    np.testing.assert_array_equal(parameter, expected)


@pytest.mark.parametrize("broken", ["total", "velocity", "parameter"])
def test_a_nan_that_comes_in_goes_out_of_the_training_step(dtype, broken):
    arrays = {name: np.ones(7, dtype) for name in ("total", "velocity", "parameter")}
    arrays[broken][3] = np.nan
    numbers = [dtype(n) for n in (0.25, 0.5, 0.5, 0.125)]
    _kernels._sgd_step(*numbers, *arrays.values())
    assert np.flatnonzero(np.isnan(arrays["parameter"])).tolist() == [3]


def test_a_nan_that_comes_in_goes_out_of_the_column_sums(dtype):
    residual, out = np.ones((5, 7), dtype), np.zeros(7, dtype)
    residual[2, 3] = np.nan
    _kernels._add_column_sums(residual, out)
    assert np.flatnonzero(np.isnan(out)).tolist() == [3]
