"""Entries that an attack has moved too far."""

import numpy as np
import pytest

from fastnn._kernels import budgets


def beyond(x, clean, eps, lower=-np.inf, upper=np.inf):
    kind = clean.dtype.type
    return budgets._entries_beyond(x, clean, eps, kind(lower), kind(upper))


def test_every_entry_that_is_too_far_or_outside_counts(dtype, rng):
    clean = rng.random((5, 37)).astype(dtype)
    eps = np.array([0, 0.1, 0.2, 0.3, 1], dtype)
    x = clean + (eps[:, None] * rng.choice([-0.9, 0, 0.9], clean.shape)).astype(dtype)
    assert beyond(x, clean, eps) == 0
    places = [(0, 0), (1, 36), (2, 5), (3, 17), (4, 1)]
    for count, (i, j) in enumerate(places, 1):
        x[i, j] = clean[i, j] - 2 * eps[i] - dtype(0.1)
        assert beyond(x, clean, eps) == count
    assert beyond(clean, clean, eps, 0.5) == np.count_nonzero(clean < 0.5)
    assert beyond(clean, clean, eps, -1, 0.5) == np.count_nonzero(clean > 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_beyond(dtype, value):
    clean = np.zeros((2, 3), dtype)
    x = clean.copy()
    x[1, 2] = value
    assert beyond(x, clean, np.full(2, 5, dtype)) == 1
    assert beyond(x, clean, np.full(2, np.inf, dtype)) == (1 if np.isnan(value) else 0)


def test_the_number_next_to_the_limit_is_beyond(dtype):
    clean, eps = np.full((1, 1), 0.5, dtype), np.full(1, 0.25, dtype)
    most = np.full((1, 1), 0.75, dtype)
    assert beyond(most, clean, eps) == 0
    assert beyond(np.nextafter(most, dtype(1)), clean, eps) == 1
    assert beyond(most, clean, eps, 0, 0.75) == 0
    assert beyond(most, clean, eps, 0, np.nextafter(dtype(0.75), dtype(0))) == 1
    assert beyond(np.empty((0, 1), dtype), clean[:0], eps[:0]) == 0
