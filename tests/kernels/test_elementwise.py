"""The kernels that work entry by entry, and a layer's: stated ulps over every exponent.

Compiled they are tested as they are used; under ``NUMBA_DISABLE_JIT=1`` the same tests show that
they enter every branch, on sweeps of fewer values.
"""

import inspect
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from fastnn._kernels import (
    attack_steps,
    descent,
    elementwise,
    exponentials,
    jit,
    masked_products,
)
from fastnn._kernels import logits as logits_kernels

PLAIN = bool(numba.config.DISABLE_JIT)
# Below, at and above the widths of vector registers, and primes, which no unrolling divides.
SIZES = (1, 7, 16, 17, 61, 257)
SHAPES = ((1, 1), (1, 7), (5, 16), (3, 17), (61, 10))
# Around 17, 40, 88 and 700 exponentials vanish beside 1, overflow or underflow.
MAGNITUDES = (0.0, 1e-45, 1e-39, 1e-30, 0.3, 1.0, 17.0, 40.0, 87.0, 88.0, 104.0, 700.0, 746.0, 1e30)
ENTRIES = (*MAGNITUDES, *(-m for m in MAGNITUDES), np.inf, -np.inf)
WIDE = np.longdouble  # where it is no wider than float64, the errors found are at most doubled


@pytest.fixture(autouse=True)
def quiet():
    """As plain Python, the kernels' integer and floating tricks warn of overflow."""
    with np.errstate(all="ignore"):
        yield


def every_exponent(dtype):
    """Return floats of evenly spaced bit patterns, so of every exponent and both signs; no NaN."""
    count = 10_000 if PLAIN else 2_000_000
    unsigned, bits = (np.uint32, 32) if dtype == np.float32 else (np.uint64, 64)
    step = (2**bits // count) | 1  # odd, so that the lowest bits vary too
    patterns = np.arange(count, dtype=unsigned) * unsigned(step)
    # Most exponents of float64 are far from where a sigmoid changes.
    near = np.linspace(-760, 760, count // 2)
    values = np.concatenate([patterns.view(dtype), near.astype(dtype), np.array(ENTRIES, dtype)])
    return values[~np.isnan(values)]


def ulps(found, exact):
    """Return the error in units in the last place of the exact value, subnormal ones included."""
    unit = np.spacing(np.abs(exact).astype(found.dtype))
    return (np.abs(found.astype(WIDE) - exact) / unit).max()


def exact_sigmoid(z):
    e = np.exp(-np.abs(z.astype(WIDE)))
    return np.where(z >= 0, 1, e) / (1 + e)


def exact_sigmoid_slope(z):
    e = np.exp(-np.abs(z.astype(WIDE)))
    return e / (1 + e) ** 2


def exact_tanh_slope(z):
    return 4 * exact_sigmoid_slope(2 * z.astype(WIDE))


class Saturating(NamedTuple):
    """The kernels of sigmoid or tanh, and what they compute."""

    alone: Any
    biased: Any
    with_slope: Any
    with_direction: Any
    exact: Any
    exact_slope: Any
    steepness: int  # slopes of saturated units go with e**-(steepness * |z|)
    limits: tuple[int, int]  # for +infinity and -infinity


SIGMOID = Saturating(
    exponentials._sigmoid,
    exponentials._add_bias_sigmoid,
    exponentials._add_bias_sigmoid_slope,
    exponentials._add_bias_sigmoid_direction,
    exact_sigmoid,
    exact_sigmoid_slope,
    1,
    (1, 0),
)
TANH = Saturating(
    exponentials._tanh,
    exponentials._add_bias_tanh,
    exponentials._add_bias_tanh_slope,
    exponentials._add_bias_tanh_direction,
    lambda z: np.tanh(z.astype(WIDE)),
    exact_tanh_slope,
    2,
    (1, -1),
)


@pytest.fixture(params=[SIGMOID, TANH], ids=["sigmoid", "tanh"])
def saturating(request):
    return request.param


def some_entries(rng, shape, dtype):
    """Return ordinary numbers and the special ones, shuffled."""
    values = np.concatenate([np.array(ENTRIES), rng.normal(0, 3, 40)]).astype(dtype)
    return np.resize(rng.permutation(values), shape)


# --- the decorator


def test_a_kernel_is_compiled_without_a_cache_where_no_folder_can_be_written(monkeypatch):
    asked = []

    def njit(**options):
        asked.append(options.pop("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(jit.numba, "njit", njit)
    assert jit.kernel(len) is len
    assert asked == [True, False]


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("module", "plain"),
    [
        (attack_steps, set()),
        (descent, set()),
        (elementwise, set()),
        (exponentials, set()),
        (logits_kernels, set()),
        (
            masked_products,
            {
                "_emit_add_products",
                "_emit_bit_count",
                "_emit_not_zero",
                "_emit_sums",
                "_emit_sums_before",
                "shape_for",
            },
        ),
    ],
)
def test_every_kernel_is_compiled_and_releases_the_gil(module, plain):
    own = {
        name: function
        for name, function in vars(module).items()
        if getattr(function, "__module__", "") == module.__name__ and callable(function)
    }
    assert {name for name, function in own.items() if inspect.isfunction(function)} == plain
    kernels = [function for function in own.values() if hasattr(function, "targetoptions")]
    assert len(kernels) > 1
    assert all(kernel.targetoptions["nogil"] for kernel in kernels)


# --- within stated ulps, whatever the input


def test_the_sweep_meets_every_exponent_and_both_signs(dtype):
    values = every_exponent(dtype)
    exponents = np.unique(np.frexp(np.abs(values[np.isfinite(values)]))[1])
    info = np.finfo(dtype)
    assert set(range(info.minexp + 1, info.maxexp + 1)) <= set(exponents.tolist())
    for side in (values, -values):
        assert ((side > 0) & (side < info.smallest_normal)).any()


def test_sigmoid_and_tanh_are_within_3_ulps(dtype, saturating):
    z = every_exponent(dtype)
    out = np.empty_like(z)
    saturating.alone(z, out)
    assert ulps(out, saturating.exact(z)) <= 3


def test_exp_is_within_2_ulps(dtype):
    # The kernel that calls it subtracts the largest of a row: from 0, nothing is rounded.
    z = -np.abs(every_exponent(dtype))
    logits = np.stack([np.zeros_like(z), z], axis=1)
    out = np.empty_like(logits)
    exponentials._exponentials(logits, out)
    exact = np.exp(z.astype(WIDE))
    assert (out[:, 0] == 1).all()
    assert ulps(out[:, 1], exact) <= 2
    vanishing = exact < 0.49 * np.finfo(dtype).smallest_subnormal.astype(WIDE)
    assert vanishing.any()
    assert not out[vanishing, 1].any()


def test_after_a_bias_they_are_within_3_ulps_and_their_slopes_within_5(dtype, saturating):
    z = every_exponent(dtype)
    z = z[np.isfinite(z)].reshape(-1, 1)
    h, slope = z.copy(), np.empty_like(z)
    saturating.with_slope(np.zeros(1, dtype), h, slope)
    assert ulps(h, saturating.exact(z)) <= 3
    alone = z.copy()
    saturating.biased(np.zeros(1, dtype), alone)
    assert ulps(alone, saturating.exact(z)) <= 3
    assert ulps(slope, saturating.exact_slope(z)) <= 5


def test_the_measure_of_ulps_finds_an_error():
    exact = np.array([1.0, 2.0], WIDE)
    found = np.array([1.0, 2 + 4 * 2.0**-22], np.float32)
    assert ulps(found, exact) == 4


# --- entry by entry


@pytest.mark.parametrize("size", SIZES)
def test_relu(rng, dtype, size):
    z = some_entries(rng, size, dtype)
    out = np.empty_like(z)
    elementwise._relu(z, out)
    np.testing.assert_array_equal(out, np.maximum(z, 0))


@pytest.mark.parametrize("size", SIZES)
def test_relu_grad_is_0_at_0(rng, dtype, size):
    z = some_entries(rng, size, dtype)
    out = np.empty_like(z)
    elementwise._relu_grad(z, out)
    np.testing.assert_array_equal(out, z > 0)


@pytest.mark.parametrize("size", SIZES)
def test_sigmoid_of_any_size(rng, dtype, size):
    z = some_entries(rng, size, dtype)
    out = np.empty_like(z)
    exponentials._sigmoid(z, out)
    assert ulps(out, exact_sigmoid(z)) <= 3


def test_scaled_pixels_are_the_nearest_floats(dtype):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 256)
    out = np.empty(pixels.shape, dtype)
    elementwise._scale_pixels(pixels, out)
    np.testing.assert_array_equal(out, pixels.astype(dtype) / dtype(255))
    assert out[0, 0] == 0
    assert out[0, 255] == 1


# --- a layer


@pytest.mark.parametrize("shape", SHAPES)
def test_bias(rng, dtype, shape):
    z, bias = some_entries(rng, shape, dtype), rng.normal(size=shape[1]).astype(dtype)
    found = z.copy()
    elementwise._add_bias(bias, found)
    np.testing.assert_array_equal(found, z + bias)


@pytest.mark.parametrize("shape", SHAPES)
def test_bias_and_relu(rng, dtype, shape):
    z, bias = some_entries(rng, shape, dtype), rng.normal(size=shape[1]).astype(dtype)
    z[0, 0] = -bias[0]  # the sum is 0
    found = z.copy()
    elementwise._add_bias_relu(bias, found)
    np.testing.assert_array_equal(found, np.maximum(z + bias, 0))
    assert found[0, 0] == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_bias_and_a_saturating_function(rng, dtype, saturating, shape):
    z, bias = some_entries(rng, shape, dtype), rng.normal(size=shape[1]).astype(dtype)
    h, slope = z.copy(), np.empty_like(z)
    saturating.with_slope(bias, h, slope)
    alone, v = z.copy(), z + bias
    saturating.biased(bias, alone)
    assert ulps(alone, saturating.exact(v)) <= 3
    assert ulps(h, saturating.exact(v)) <= 3
    assert ulps(slope, saturating.exact_slope(v)) <= 5


@pytest.mark.parametrize("shape", SHAPES)
def test_slopes_for_a_direction_are_the_slopes_where_a_unit_is_not_saturated(
    rng, dtype, saturating, shape
):
    z, bias = rng.normal(0, 30, shape).astype(dtype), rng.normal(size=shape[1]).astype(dtype)
    z[:, 0] = rng.uniform(-60, 60, shape[0])
    h, slope, found = z.copy(), np.empty_like(z), np.empty_like(z)
    saturating.with_slope(bias, h, slope)
    saturating.with_direction(bias, z, found)
    assert ulps(found, slope.astype(WIDE)) <= 5
    assert ulps(z, h.astype(WIDE)) <= 3


@pytest.mark.parametrize("far", [32.5, 64.5, 105, 800, 1e30])
def test_slopes_for_a_direction_stand_in_the_right_ratio_where_all_units_are_saturated(
    dtype, saturating, far
):
    # From the nearest unit on, in either direction, the exact ratio is e**-(steepness * distance).
    if far * saturating.steepness < 64:
        pytest.skip("not saturated yet")
    distance = np.array([[3, 0, 40, 0.5, 90, np.inf, 60]])
    v = ((far + distance) * [[1, -1, -1, 1, 1, -1, 1]]).astype(dtype)
    bias = np.full(7, 0.5, dtype)
    z, slope = v - bias, np.empty_like(v)
    distance = np.abs((z + bias).astype(WIDE)) - np.abs(z + bias).min().astype(WIDE)
    saturating.with_direction(bias, z, slope)
    assert ulps(slope, np.exp(-saturating.steepness * distance)) <= 5
    assert ulps(z, saturating.exact(v)) <= 3
    assert slope[0, 1] == 1


def test_slopes_for_a_direction_are_zero_where_all_units_are_infinite(dtype, saturating):
    z, slope = np.array([[np.inf, -np.inf]], dtype), np.ones((1, 2), dtype)
    saturating.with_direction(np.zeros(2, dtype), z, slope)
    assert (z.tolist(), slope.tolist()) == ([[*saturating.limits]], [[0, 0]])


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_scaled_by_powers_of_two(rng, dtype, shape):
    kind = np.finfo(dtype)
    gradient = rng.normal(size=shape).astype(dtype)
    least, most = kind.minexp + 6, kind.maxexp - 3
    exponents = np.resize([0, -18, 18, -40, -15, least, most], shape[0])
    found = np.ldexp(gradient, exponents[:, None]).astype(dtype)
    before = found.copy()
    elementwise._scale_rows(found)
    largest, before_it = (np.abs(rows).max(axis=1) for rows in (found, before))
    tiny = before_it < 2.0**-16
    assert ((largest >= 0.5) & (largest < 1))[tiny].all()
    factors = np.abs(found).max(axis=1, keepdims=True) / np.abs(before).max(axis=1, keepdims=True)
    assert (np.frexp(factors)[0] == 0.5).all()
    np.testing.assert_array_equal(np.sign(found), np.sign(before))
    wide = before.astype(WIDE) * factors.astype(WIDE)
    np.testing.assert_array_equal(found, wide.astype(dtype))
    np.testing.assert_array_equal(found[~tiny], before[~tiny])


def test_rows_are_scaled_by_hand(dtype):
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    rows = [[tiny, -3 * tiny], [huge, -huge / 4], [0, -0.0], [2.0**-16, tiny], [tiny, 2.0**-16]]
    rows = np.array([*rows, [0, -(2.0**-17)], [np.inf, tiny]], dtype)
    kept = rows.copy()
    elementwise._scale_rows(rows)
    assert rows[0].tolist() == [0.25, -0.75]
    np.testing.assert_array_equal(rows[[1, 2, 3, 4, 6]], kept[[1, 2, 3, 4, 6]])
    assert rows[5].tolist() == [0, -0.5]


@pytest.mark.parametrize("shape", SHAPES)
def test_relu_lets_a_gradient_through_where_it_was_active(rng, dtype, shape):
    h = np.maximum(some_entries(rng, shape, dtype), 0)
    gradient = rng.normal(size=shape).astype(dtype)
    found = gradient.copy()
    elementwise._mask_relu(h, found)
    np.testing.assert_array_equal(found, np.where(h > 0, gradient, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_multiply(rng, dtype, shape):
    slope, gradient = rng.normal(size=(2, *shape)).astype(dtype)
    found = gradient.copy()
    elementwise._apply_slope(slope, found)
    np.testing.assert_array_equal(found, gradient * slope)


# --- NaN


def relu_of(z, out):
    elementwise._add_bias_relu(np.zeros_like(z[0]), z)
    out[:] = z


def sigmoid_of(z, out):
    exponentials._add_bias_sigmoid(np.zeros_like(z[0]), z)
    out[:] = z


def tanh_of(z, out):
    exponentials._add_bias_tanh(np.zeros_like(z[0]), z)
    out[:] = z


def slope_of(z, out):
    exponentials._add_bias_sigmoid_slope(np.zeros_like(z[0]), z, out)


def direction_of(z, out):
    exponentials._add_bias_sigmoid_direction(np.zeros_like(z[0]), z, out)


def saturated(z, out):
    exponentials._add_bias_sigmoid_direction(np.full_like(z[0], 1e4), z, out)


def tanh_slope_of(z, out):
    exponentials._add_bias_tanh_slope(np.zeros_like(z[0]), z, out)


def tanh_direction_of(z, out):
    exponentials._add_bias_tanh_direction(np.zeros_like(z[0]), z, out)


def saturated_tanh(z, out):
    exponentials._add_bias_tanh_direction(np.full_like(z[0], 1e4), z, out)


def scaled(z, out):
    out[:] = z * z.dtype.type(1e-30)
    elementwise._scale_rows(out)


def biased(z, out):
    out[:] = 0
    elementwise._add_bias(z[0], out)


def masked(z, out):
    out[:] = 1
    elementwise._mask_relu(z, out)


def masking(z, out):
    out[:] = z
    elementwise._mask_relu(np.ones_like(z), out)


def multiplied(z, out):
    out[:] = 1
    elementwise._apply_slope(z, out)


TAKE_NAN = [
    exponentials._sigmoid,
    exponentials._tanh,
    elementwise._relu,
    elementwise._relu_grad,
    relu_of,
    sigmoid_of,
    tanh_of,
    slope_of,
    direction_of,
    saturated,
    tanh_slope_of,
    tanh_direction_of,
    saturated_tanh,
    scaled,
    biased,
    masked,
    masking,
    multiplied,
]


@pytest.mark.parametrize("function", TAKE_NAN, ids=lambda f: f.__name__)
@pytest.mark.parametrize("width", [1, 17])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_nan_that_comes_in_goes_out(dtype, function, width, sign):
    z = np.ones((1, width), dtype)
    z[0, -1] = np.copysign(np.nan, sign)
    out = np.empty_like(z)
    function(z, out)
    assert np.isnan(out[0, -1])
    assert not np.isnan(out[0, :-1]).any()
