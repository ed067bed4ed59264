"""Balls of three norms that bounds cut: projections, fast gradients, steps and starts."""

import numpy as np
import pytest

from fastnn import reference
from fastnn.attacks import _random

NORMS = ("linf", "l2", "l1")


def length(change, norm):
    change = np.abs(np.asarray(change, np.float64))
    return {"linf": change.max(axis=-1), "l1": change.sum(axis=-1)}.get(
        norm, np.sqrt((change**2).sum(axis=-1))
    )


# --- the reference itself: nothing within the ball and the bounds is nearer, or gains more


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_allowed_is_nearer_or_gains_more(rng, norm):
    for _ in range(60):
        width = int(rng.integers(1, 6))
        far, eps = rng.normal(0, 2, width), float(rng.choice([0, 0.3, 1, 50]))
        least, most = (
            -rng.choice([0, 0.2, 1, np.inf], width),
            rng.choice([0, 0.2, 1, np.inf], width),
        )
        nearest = reference.project(far, eps, norm, least, most)
        fastest = reference.fast_change(far, eps, norm, least, most)
        for found in (nearest, fastest):
            assert length(found, norm) <= eps * (1 + 1e-12)
            assert (found >= least).all()
            assert (found <= most).all()
        others = np.clip(rng.normal(0, 1, (3000, width)), least, most)
        others *= np.minimum(1, eps / np.maximum(length(others, norm), 1e-300))[:, None]
        others = np.concatenate([others, nearest + 1e-4 * rng.normal(size=(300, width))])
        inside = (length(others, norm) <= eps) & ((others >= least) & (others <= most)).all(axis=1)
        others = others[inside]
        if len(others):
            near = np.linalg.norm(others - far, axis=1).min()
            assert np.linalg.norm(nearest - far) <= near + 1e-9
            assert fastest @ far >= (others @ far).max() - 1e-9


# --- random numbers: from their place alone


def splitmix(state, count):
    """Return numbers of SplitMix64 as it is published, in Python's integers."""
    word, found = 2**64 - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & word
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
        found.append(z ^ (z >> 31))
    return found


def test_numbers_are_those_of_splitmix(dtype):
    key = np.array([0, 1, 2**64 - 1], np.uint64)
    bits = 24 if dtype == np.float32 else 53
    found = _random.uniform(key, 5, dtype)
    assert found.dtype == dtype
    for row, state in zip(found, key, strict=True):
        expected = [z >> (64 - bits) for z in splitmix(int(state), 5)]
        assert (row.astype(np.float64) * 2.0**bits).tolist() == expected
    # The first numbers of seed 1234567, as they are published with the algorithm.
    assert splitmix(1234567, 2) == [6457827717110365317, 3203168211198807973]


def test_keys_differ_by_every_place_and_do_not_depend_on_the_others():
    samples = np.arange(50)
    every = [
        _random.keys(seed, samples, *places)
        for seed in (0, 1, -1, 2**64 - 2)
        for places in [(0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    assert len(np.unique(np.concatenate(every))) == 50 * len(every)
    np.testing.assert_array_equal(
        _random.keys(3, samples[20:30], 2), _random.keys(3, samples, 2)[20:30]
    )


def test_uniform_and_normal_numbers_have_their_moments():
    key = _random.keys(7, np.arange(2000))
    uniform, normal = _random.uniform(key, 25, np.float64), _random.normal(key, 25)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.006)
    assert uniform.var() == pytest.approx(1 / 12, abs=0.002)
    assert normal.mean() == pytest.approx(0, abs=0.02)
    assert normal.var() == pytest.approx(1, abs=0.03)
    assert (normal**4).mean() == pytest.approx(3, abs=0.15)
    for numbers in (uniform, normal):  # neither neighbours nor rows follow each other
        rows = np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]
        columns = np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]
        assert abs(rows) < 0.02
        assert abs(columns) < 0.02
