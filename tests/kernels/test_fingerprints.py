"""Fingerprints, against sums of SplitMix64's hash with Python's integers."""

import numpy as np
import pytest

from fastnn._kernels import fingerprints
from tests.kernels.test_counters import GAMMA, WORD, mixed, quiet  # noqa: F401 - a fixture


def fingerprint(words):
    return int(fingerprints._fingerprint(words))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 31, 100])
def test_every_word_is_hashed_with_its_place(rng, count):
    words = rng.integers(2**64, size=count, dtype=np.uint64)
    places = [(i + 1) * GAMMA & WORD for i in range(count)]
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
