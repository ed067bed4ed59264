"""Which rows of a tile become neighbours, against a plain search."""

import numpy as np
import pytest

from fastnn._engine import masked
from fastnn._kernels import pairing
from fastnn._kernels.masked_products import DEPTH, ROWS


def paired(x):
    order = np.full(len(x), -1)
    places = np.full((-(-x.shape[1] // DEPTH), len(x)), 2**64 - 1, np.uint64)
    pairing._pair_alike(x, places, np.full(len(x), -1), order)
    return order.tolist()


def searched(x):
    """Return the same order from the rule: the fullest row takes the row that is most alike."""
    there = x != 0
    left = sorted(range(len(x)), key=lambda r: (-np.count_nonzero(there[r]), r))
    order = []
    while left:
        first = left.pop(0)
        order.append(first)
        if left:
            alike = min(left, key=lambda r: (np.count_nonzero(there[r] ^ there[first]), r))
            left.remove(alike)
            order.append(alike)
    return order


@pytest.mark.parametrize("rows", [1, 2, 3, 20, 31])
@pytest.mark.parametrize("columns", [1, DEPTH, DEPTH + 1, 3 * DEPTH - 5])
def test_rows_are_paired_as_the_rule_says(rng, rows, columns, dtype):
    for share in (0, 0.2, 0.7, 1):
        x = np.where(rng.random((rows, columns)) < share, rng.normal(size=(rows, columns)), 0)
        assert paired(x.astype(dtype)) == searched(x)


def test_an_odd_row_comes_last_and_a_nan_is_no_zero(dtype):
    x = np.array([[0, 0, np.nan], [1, 1, 0], [0, 0, 5], [0, 0, 0], [1, -1, 0]], dtype)
    assert paired(x) == [1, 4, 0, 2, 3]


def test_copies_of_rows_find_each_other(rng):
    x = np.where(rng.random((40, 200)) < 0.3, 1, 0).astype(np.float32)
    order = rng.permutation(80)
    found = np.array(paired(np.repeat(x, 2, axis=0)[order]))
    origins = order[found] // 2
    assert (origins[::2] == origins[1::2]).all()


def test_only_groups_of_two_rows_are_looked_for(rng, monkeypatch):
    x = rng.random((6, 10), np.float32)
    assert (masked.alike(x) is None) == (ROWS != 2)
    monkeypatch.setattr(masked, "ROWS", 2)
    assert sorted(masked.alike(x)) == list(range(6))
    assert masked.alike(x[:2]) is None
    monkeypatch.setattr(masked, "ROWS", 1)
    assert masked.alike(x) is None
