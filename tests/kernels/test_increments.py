"""Products of inputs that move step by step, against sums in float64."""

import numpy as np
import pytest

from fastnn._kernels import increments


@pytest.fixture
def rounding(dtype):
    return dtype(4 * np.finfo(dtype).eps)


def guessed(x, before, change, rounding):
    """Return whether the change is guessed to come again, and what is left, by definition."""
    x, before, change = (a.astype(np.float64) for a in (x, before, change))
    rests = np.stack([x - before, x - before - change])
    entries = abs(rests) > float(rounding) * (abs(x) + abs(change))
    best = entries.sum(axis=2).argmin(axis=0)  # the first of equals
    rows = np.arange(len(x))
    return best, np.where(entries[best, rows], rests[best, rows], 0)


def test_a_row_takes_the_guess_that_leaves_the_fewest_entries(rng, dtype, rounding):
    x = rng.normal(size=(40, 30)).astype(dtype)
    before, change = x.copy(), np.zeros_like(x)
    seen = []
    for step in range(12):
        if step % 3:
            x = x + change  # the same change again, rounded otherwise
            x[::2, step] += 1
        else:
            x = x.copy()
            x[:, step] += 1
        again, left = np.empty(40, bool), np.full_like(x, np.nan)
        expected, rest = guessed(x, before, change, rounding)
        increments._surprises(x, before, change, rounding, again, left)
        np.testing.assert_array_equal(again, expected == 1)
        np.testing.assert_allclose(left, rest, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(left != 0, rest != 0)
        np.testing.assert_allclose(before, x, rtol=8 * np.finfo(dtype).eps, atol=rounding)
        seen.append(again.mean())
    assert min(seen) == 0
    assert max(seen) == 1


def test_of_equal_guesses_the_row_before_is_taken(dtype, rounding):
    x = np.full((1, 3), 2, dtype)
    again, left = np.ones(1, bool), np.full_like(x, np.nan)
    increments._surprises(x, x.copy(), np.zeros_like(x), rounding, again, left)
    assert not again[0]
    assert not left.any()


def test_numbers_near_the_largest_are_no_noise(dtype, rounding):
    largest = np.finfo(dtype).max
    x = np.array([[largest, 1]], dtype)
    again, left = np.empty(1, bool), np.full_like(x, np.nan)
    increments._surprises(x, x / 2, np.array([[largest / 4, 0]], dtype), rounding, again, left)
    assert left[0, 0] > largest / 8


def test_products_advance_as_their_inputs_do(rng, dtype):
    new, change, products = rng.normal(size=(3, 5, 7)).astype(dtype)
    again = np.array([True, False, False, True, False])
    way = new + np.where(again[:, None], change, 0)
    total = way + products
    increments._advance(again, change, products, new)
    np.testing.assert_allclose(change, way, rtol=1e-6)
    np.testing.assert_allclose(products, total, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(new, products)
