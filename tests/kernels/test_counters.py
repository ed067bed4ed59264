"""Numbers by a hash of their place, against SplitMix64 with Python's integers."""

import numpy as np
import pytest

from fastnn._kernels import counters

WORD = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


@pytest.fixture(autouse=True)
def quiet():
    """As plain Python, sums and products of 64 bits warn of overflow."""
    with np.errstate(over="ignore"):
        yield


def mixed(z):
    """Return the published hash: Steele, Lea and Flood 2014, figure 17."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def key_of(seed, *numbers):
    """Return the hash of a seed and of numbers, one after the other."""
    key = seed
    for number in numbers:
        key = mixed(mixed((key + GAMMA) & WORD) ^ number)
    return key


@pytest.mark.parametrize("seed", [0, 1, 2**63, WORD])
@pytest.mark.parametrize("places", [(), (0,), (3, WORD)])
def test_keys(seed, places):
    samples = np.array([0, 1, 2**62])
    out = np.zeros(3, np.uint64)
    counters._keys(np.uint64(seed), samples, np.array(places, np.uint64), out)
    assert out.tolist() == [key_of(seed, int(sample), *places) for sample in samples]


def test_uniform_numbers(dtype):
    keys = np.array([0, 1, 1234567, WORD], np.uint64)
    bits = 24 if dtype == np.float32 else 53
    out = np.full((4, 3), np.nan, dtype)
    counters._uniform(keys, bits, out)
    for row, key in zip(out, keys, strict=True):
        states = [(int(key) + j * GAMMA) & WORD for j in (1, 2, 3)]
        expected = [mixed(state) >> (64 - bits) for state in states]
        assert (row.astype(np.float64) * 2.0**bits).tolist() == expected
