"""Steps in balls that bounds cut, against the closed forms of the reference."""

import numpy as np
import pytest

from fastnn import reference
from fastnn._kernels import balls


@pytest.fixture(autouse=True)
def quiet():
    """Infinite bounds meet arithmetic that warns of it, where the kernels are plain Python."""
    with np.errstate(all="ignore"):
        yield


def length(change, norm):
    change = np.abs(np.asarray(change, np.float64))
    return {"linf": change.max(axis=-1), "l1": change.sum(axis=-1)}.get(
        norm, np.sqrt((change**2).sum(axis=-1))
    )


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 1), (-0.5, np.inf)])
def test_steps_are_the_references(rng, dtype, norm, bounds):
    lower, upper = bounds
    rows, width = 40, 7
    clean = np.clip(rng.normal(0.5, 0.5, (rows, width)), *bounds).astype(dtype)
    x = np.clip(clean + rng.normal(0, 0.1, clean.shape), *bounds).astype(dtype)
    gradient = rng.normal(0, 1, clean.shape).astype(dtype)
    gradient[3], gradient[4, 1:], gradient[5] = 0, 0, gradient[5] * dtype(1e30)
    gradient[6] *= dtype(1e-30)
    eps = rng.choice([0, 0.05, 0.4, 3], rows)
    size = rng.choice([0.01, 0.2, 5], rows)
    out, fast = np.empty_like(clean), np.empty_like(clean)
    limits = float(lower), float(upper)
    balls._ball_step(clean, x, gradient, size, eps, norm == "l2", *limits, out)
    balls._fast_gradient(clean, gradient, eps, norm == "l2", *limits, fast)
    for i in range(rows):
        c, start, g = (array[i].astype(np.float64) for array in (clean, x, gradient))
        unit = g / (np.abs(g).max() or 1)
        if norm == "l2":
            way = size[i] * unit / (np.linalg.norm(unit) or 1)
        else:
            way = reference.fast_change(g, size[i], "l1", lower - start, upper - start)
        wanted = reference.project(start + way - c, eps[i], norm, lower - c, upper - c)
        close = (
            {"rtol": 1e-5, "atol": 3e-7} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
        )
        np.testing.assert_allclose(out[i] - c, wanted, **close)
        gain = reference.fast_change(g, eps[i], norm, lower - c, upper - c)
        np.testing.assert_allclose(fast[i] - c, gain, **close)
    for found in (out, fast):
        # But for the order of the sum.
        assert (length(found.astype(np.float64) - clean, norm) <= eps * (1 + 1e-15)).all()
        assert found.min() >= lower
        assert found.max() <= upper


def test_a_ball_smaller_than_the_spacing_of_numbers_is_one_point(dtype):
    clean = np.full((1, 3), 0.5, dtype)
    tiny = np.array([float(np.finfo(dtype).eps) / 100])
    for is_l2 in (True, False):
        out = np.empty_like(clean)
        balls._fast_gradient(clean, np.ones_like(clean), tiny, is_l2, -np.inf, np.inf, out)
        np.testing.assert_array_equal(out, clean)


@pytest.mark.parametrize("norm", ["l2", "l1"])
@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, 1)])
def test_moves_are_projections(rng, dtype, norm, bounds):
    clean = np.clip(rng.normal(0.5, 0.4, (30, 6)), *bounds).astype(dtype)
    way, eps = rng.normal(0, 1, clean.shape), rng.choice([0, 0.1, 0.7, 20], 30)
    wanted = [
        reference.project(w, e, norm, bounds[0] - c, bounds[1] - c)
        for w, e, c in zip(way, eps, clean.astype(np.float64), strict=True)
    ]
    out = np.empty_like(clean)
    balls._move(clean, way, eps, norm == "l2", *map(float, bounds), out)
    close = {"rtol": 1e-5, "atol": 3e-7} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(out.astype(np.float64) - clean, wanted, **close)
