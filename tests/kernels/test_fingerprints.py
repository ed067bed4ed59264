"""Fingerprints, against sums of SplitMix64's hash with Python's integers."""

import numpy as np
import pytest

from fastnn._kernels import fingerprints

WORD = 2**64 - 1


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


def fingerprint(words):
    return int(fingerprints._fingerprint(words))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 31, 100])
def test_every_word_is_hashed_with_its_place(rng, count):
    words = rng.integers(2**64, size=count, dtype=np.uint64)
    places = [(i + 1) * 0x9E3779B97F4A7C15 & WORD for i in range(count)]
    hashes = [mixed(word ^ place) for word, place in zip(words.tolist(), places, strict=True)]
    assert fingerprint(words) == sum(hashes) & WORD


def test_every_bit_counts(rng):
    words = rng.integers(2**64, size=33, dtype=np.uint64)
    seen = {fingerprint(words)}
    for i in range(len(words)):
        for bit in range(64):
            changed = words.copy()
            changed[i] ^= np.uint64(1) << np.uint64(bit)
            seen.add(fingerprint(changed))
    assert len(seen) == 1 + 33 * 64


def test_what_people_do_to_weights_is_seen(rng):
    """Changes of several words do not cancel each other."""
    weights = rng.standard_normal((16, 64)).astype(np.float32)
    two_signs = weights.copy()
    two_signs[[3, 4], 1] *= -1
    swapped = weights.copy()
    swapped[:, [0, 2]] = swapped[:, [2, 0]]
    every = [weights, two_signs, swapped, weights[::-1].copy(), -weights, 2 * weights, 0 * weights]
    every += [np.roll(weights, shift, axis) for shift in (1, 2, -1) for axis in (0, 1)]
    assert len({fingerprint(w.reshape(-1).view(np.uint64)) for w in every}) == len(every)
