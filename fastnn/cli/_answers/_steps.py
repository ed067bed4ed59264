"""Known answers of kernels that move inputs within eps, and parameters along gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._kernels import attack_steps, balls, budgets, descent, increments, squares
from fastnn.cli._answers._compare import WIDE, Answer, Array, Kind, answer, near
from fastnn.reference.balls import fast_change, project

_ROWS, _WIDTH = 9, 531  # more than the piece of a row that stays in the cache
_LIMITS = (0.0, 1.0)


def _clean(kind: Kind, rng: np.random.Generator, width: int = _WIDTH) -> Array:
    """Return pixels, some of them at a bound."""
    return np.clip(rng.normal(0.5, 0.5, (_ROWS, width)), *_LIMITS).astype(kind)


def of_signed_steps(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for signed steps, their room within bounds, and products for many eps."""
    x, g = _clean(kind, rng), rng.standard_normal((_ROWS, _WIDTH)).astype(kind)
    g[:, ::5], g[4] = 0, 0
    start = np.clip(x + rng.normal(0, 0.1, x.shape), *_LIMITS).astype(kind)
    eps, size = (rng.choice([0.0, 0.01, 0.1, 0.3], _ROWS).astype(kind) for _ in range(2))
    lower, upper = kind.type(0), kind.type(1)
    out = np.empty_like(x)
    attack_steps._signed_step(
        x, start, g, size, eps, lower, upper, attack_steps.ROUNDING[kind], out
    )
    wide, most = x.astype(WIDE), eps.astype(WIDE)[:, None]
    moved = start + size.astype(WIDE)[:, None] * np.sign(g)
    wanted = np.clip(np.clip(moved, wide - most, wide + most), *_LIMITS)
    yield answer("_signed_step", out, wanted, near(wanted, kind, 4, 1.0))
    yield answer("_signed_step, beyond eps", int((np.abs(out - x) > eps[:, None]).sum()), 0)
    yield answer("_zero_rows", attack_steps._zero_rows(g), (g == 0).all(axis=1))
    yield from _of_many_eps(x, g, rng)
    limits = np.full(_ROWS, 0.25, kind)
    beyond = (np.abs(start - x) > limits[:, None]) | (start < lower) | (start > upper)
    start[2, 3], start[5, 7] = np.nan, 2
    beyond[2, 3] = beyond[5, 7] = True
    found = budgets._entries_beyond(start, x, limits, lower, upper)
    yield answer("_entries_beyond", found, np.count_nonzero(beyond))


def _of_many_eps(x: Array, g: Array, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for the first layer's products at several eps, in two calls."""
    kind = x.dtype
    weights = rng.standard_normal((_WIDTH, 37)).astype(kind)
    direction, room = g.copy(), np.empty_like(x)
    attack_steps._direction_and_room(kind.type(0), kind.type(1), x, direction, room)
    space = np.where(g > 0, 1 - x, x)
    yield answer("_direction_and_room", room, space, near(space, kind, 1))
    signs = np.sign(g) * (space > 0)
    yield answer("_direction_and_room, signs", direction, signs)
    z, reached = x @ weights, kind.type(0)
    wide, size = weights.astype(WIDE), np.abs(x).astype(WIDE) @ np.abs(weights.astype(WIDE))
    for eps in (np.array([0, 0.05, 0.2], kind), np.array([0.4, 0.9, 2], kind)):
        moving, slope = np.empty_like(x), np.empty_like(z)
        attack_steps._still_moving(direction, room, eps[-1], moving)
        yield answer("_still_moving", moving, np.where(room > eps[-1], direction, 0))
        np.matmul(moving, weights, out=slope)
        out = np.empty((len(x) * len(eps), weights.shape[1]), kind)
        attack_steps._shift_by_every_eps(direction, room, reached, eps, weights, z, slope, out)
        ways = signs[:, None] * np.minimum(room[:, None], eps[:, None]).astype(WIDE)
        wanted = ((x[:, None] + ways) @ wide).reshape(out.shape)
        allowed = np.repeat(near(size, kind, 4.0 * _WIDTH, 4 * np.abs(wide).sum(axis=0)), 3, 0)
        yield answer("_shift_by_every_eps", out, wanted, allowed)
        reached = eps[-1]


def of_balls(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for steps, gradients and projections in L2 and L1, with and without bounds."""
    for norm in ("l2", "l1"):
        for lower, upper in (_LIMITS, (-np.inf, np.inf)):
            x = _clean(kind, rng, 19)
            start = np.clip(x + rng.normal(0, 0.1, x.shape), lower, upper).astype(kind)
            g = rng.standard_normal(x.shape).astype(kind)
            g[3], g[4, 1:], g[5] = 0, 0, g[5] * kind.type(1e30)
            g[2, :9], x[2, :9] = 50, np.clip(1 - 1e-3, lower, upper)  # meet their bound at once
            eps = np.array([0, 0.05, 0.4, 3, 0.1, 0.05, 30, 0.4, 1e-9])
            size = np.array([0.2, 0.01, 5, 0.2, 0.2, 0.2, 5, 0.2, 0.2])
            yield from _of_ball(x, start, g, eps, size, norm, (lower, upper))


def _of_ball(
    x: Array,
    start: Array,
    g: Array,
    eps: Array,
    size: Array,
    norm: str,
    limits: tuple[float, float],
) -> Iterator[Answer]:
    """Ask for all kernels of one norm within the same bounds."""
    is_l2 = norm == "l2"
    step, fast, into = (np.empty_like(x) for _ in range(3))
    balls._ball_step(x, start, g, size, eps, is_l2, *limits, step)
    balls._fast_gradient(x, g, eps, is_l2, *limits, fast)
    way = _changes(x.shape)
    balls._move(x, way.copy(), eps, is_l2, *limits, into)
    wanted: dict[str, list[Array]] = {"_ball_step": [], "_fast_gradient": [], "_move": []}
    for c, s, slope, w, most, length in zip(
        *(a.astype(np.float64) for a in (x, start, g, way)), eps, size, strict=True
    ):
        least, room = limits[0] - c, limits[1] - c
        unit = slope / (np.abs(slope).max() or 1)
        if is_l2:
            change = length * unit / (np.linalg.norm(unit) or 1)
        else:
            change = fast_change(slope, length, "l1", limits[0] - s, limits[1] - s)
        wanted["_ball_step"].append(project(s + change - c, most, norm, least, room))
        wanted["_fast_gradient"].append(fast_change(slope, most, norm, least, room))
        wanted["_move"].append(project(w, most, norm, least, room))
    rough = 1e-5 if x.dtype == np.float32 else 1e-8
    for found, (name, exact) in zip((step, fast, into), wanted.items(), strict=True):
        change = found.astype(np.float64) - x
        allowed = rough * (np.abs(exact) + 0.03 + np.abs(x))
        yield answer(f"{name}, {norm}", change, np.array(exact), allowed)


def _changes(shape: tuple[int, ...]) -> Array:
    """Return changes of all sizes, the same in every call."""
    return np.sin(np.arange(np.prod(shape), dtype=np.float64) ** 2).reshape(shape)


def of_descent(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for sums of columns and for steps of gradient descent."""
    residual, total = rng.standard_normal((_ROWS, _WIDTH)).astype(kind), np.ones(_WIDTH, kind)
    descent._add_column_sums(residual, total)
    wanted = 1 + residual.astype(WIDE).sum(axis=0)
    yield answer("_add_column_sums", total, wanted, near(wanted, kind, _ROWS, 10.0))
    velocity, w = (rng.standard_normal(_WIDTH).astype(kind) for _ in range(2))
    scale, l2, momentum, rate = (kind.type(v) for v in (0.25, 0.01, 0.9, 0.5))
    step = WIDE(momentum) * velocity + WIDE(scale) * total + WIDE(l2) * w
    wanted = w - WIDE(rate) * step
    descent._sgd_step(scale, l2, momentum, rate, total, velocity, w)
    yield answer("_sgd_step", w, wanted, near(wanted, kind, 8, 10.0))
    yield answer("_sgd_step, velocity", velocity, step, near(step, kind, 8, 10.0))


def of_searches(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for what is new in inputs that move, and for squares of pixels."""
    rounding = kind.type(4 * np.finfo(kind).eps)
    x = rng.standard_normal((_ROWS, 30)).astype(kind)
    before, change = x - kind.type(0.5), np.full_like(x, 0.5)
    x[::2, 3], before[5], change[5] = 7, x[5], 0
    x[5, 2] += 1
    rests = [x.astype(WIDE) - before, x.astype(WIDE) - before - change]
    noise = float(rounding) * (np.abs(x) + np.abs(change))
    count = [(np.abs(rest) > noise).sum(axis=1) for rest in rests]
    guess = count[1] < count[0]
    wanted = np.where(guess[:, None], rests[1], rests[0])
    wanted = np.where(np.abs(wanted) > noise, wanted, 0)
    again, left = np.empty(_ROWS, bool), np.empty_like(x)
    increments._surprises(x, before, change, rounding, again, left)
    yield answer("_surprises, guess", again, guess)
    yield answer("_surprises", left, wanted, near(wanted, kind, 8, 4.0))
    new, way, products = rng.standard_normal((3, _ROWS, 37)).astype(kind)
    total = products.astype(WIDE) + new + np.where(guess[:, None], way, 0)
    increments._advance(guess, way, products, new)
    yield answer("_advance", new, total, near(total, kind, 4, 4.0))
    yield from _of_squares(kind, rng)


def _of_squares(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for images with one square of pixels changed."""
    x = rng.random((3, 28)).astype(kind)
    low, high = x - kind.type(0.25), x + kind.type(0.25)
    places = np.array([[0, 0, 1], [1, 3, 0], [2, 5, 1]])
    out, change, wanted = np.empty_like(x), np.empty_like(x), x.copy()
    squares._with_square(x, low, high, places, 2, 2, 7, out, change)
    for i, (top, left, up) in enumerate(places):
        image, source = wanted[i].reshape(4, 7), (high if up else low)[i].reshape(4, 7)
        square = np.s_[top : top + 2, left : left + 2]
        image[square] = source[square]
    yield answer("_with_square", out, wanted)
    yield answer("_with_square, change", change, wanted - x)
