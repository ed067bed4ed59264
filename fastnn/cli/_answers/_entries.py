"""Known answers of kernels for single entries, e**x, rows of logits, and random numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastnn._engine import losses
from fastnn._kernels import counters, elementwise, exponentials, fingerprints
from fastnn.cli._answers._compare import WIDE, Answer, Array, Kind, answer, near, special

_GAMMA = 0x9E3779B97F4A7C15  # of SplitMix64
_ROWS, _WIDTH = 7, 131  # more than a vector of any width, and some that are left over


def of_entries(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for ReLU, biases, masks, slopes, pixels, random numbers and fingerprints."""
    z, out = special(kind, _ROWS, _WIDTH, rng), np.empty((_ROWS, _WIDTH), kind)
    bias, g = (rng.standard_normal(shape).astype(kind) for shape in (_WIDTH, z.shape))
    positive = np.where(z <= 0, 0, z)
    elementwise._relu(z, out)
    yield answer("_relu", out, positive)
    elementwise._relu_grad(z, out)
    yield answer("_relu_grad", out, np.where(z > 0, 1, np.where(z <= 0, 0, z)))
    pixels = np.resize(np.arange(256, dtype=np.uint8), z.shape)
    elementwise._scale_pixels(pixels, out)
    wanted = pixels / WIDE(255)
    yield answer("_scale_pixels", out, wanted, near(wanted, kind, 1))
    total = z + bias
    for name, wanted in (("_add_bias", total), ("_add_bias_relu", np.where(total <= 0, 0, total))):
        moved = z.copy()
        getattr(elementwise, name)(bias, moved)
        yield answer(name, moved, wanted)
    masked = g.copy()
    elementwise._mask_relu(positive.astype(kind), masked)
    yield answer("_mask_relu", masked, np.where(positive > 0, g, 0 * positive))
    scaled = g.copy()
    elementwise._apply_slope(z, scaled)
    yield answer("_apply_slope", scaled, z * g)
    yield _of_rows(g)
    yield from _of_random_numbers(kind, rng)
    yield _of_fingerprint(rng)


def _of_rows(g: Array) -> Answer:
    """Ask for rows of a gradient that are brought to about 1."""
    tiny = np.finfo(g.dtype).smallest_subnormal
    rows = g * np.array([1, 1e-3, 1e-20, 1e-30, 0, 1, 1e-30])[:, None].astype(g.dtype)
    rows[3, 5:9] = tiny
    rows[5, 0], rows[6, :] = np.nan, 3 * tiny
    largest = np.abs(rows).max(axis=1)
    exponents = np.where((largest > 0) & (largest < 2.0**-16), np.frexp(largest)[1], 0)
    wanted = np.ldexp(rows.astype(WIDE), -exponents[:, None])
    elementwise._scale_rows(rows)
    return answer("_scale_rows", rows, wanted)


def of_exponentials(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for sigmoid and tanh, with biases, slopes and directions."""
    z = special(kind, _ROWS, _WIDTH, rng)
    z[np.isinf(z)] = 900
    z[3] = rng.choice([-1, 1], _WIDTH) * rng.uniform(110, 150, _WIDTH)  # saturated as a whole
    bias = rng.standard_normal(_WIDTH).astype(kind)
    for name, steepness in (("sigmoid", 1), ("tanh", 2)):
        out = np.empty_like(z)
        getattr(exponentials, f"_{name}")(z, out)
        value, _ = _exact(name, z.astype(WIDE))
        yield answer(f"_{name}", out, value, near(value, kind))
        moved = (z + bias).astype(kind)
        value, slope = _exact(name, moved.astype(WIDE))
        allowed = near(value, kind)
        plain, slopes = z.copy(), np.empty_like(z)
        getattr(exponentials, f"_add_bias_{name}")(bias, plain)
        yield answer(f"_add_bias_{name}", plain, value, allowed)
        for suffix in ("slope", "direction"):
            h, function = z.copy(), f"_add_bias_{name}_{suffix}"
            getattr(exponentials, function)(bias, h, slopes)
            yield answer(function, h, value, allowed)
            wanted = slope.copy()
            if suffix == "direction":
                size = steepness * np.abs(moved[3].astype(WIDE))
                wanted[3] = np.exp(size.min() - size)
            yield answer(f"{function}, slopes", slopes, wanted, near(wanted, kind, 16 + 200))


def _exact(name: str, z: Array) -> tuple[Array, Array]:
    """Return an activation and its derivative, in the type of z."""
    e = np.exp(-np.abs(z) * (1 if name == "sigmoid" else 2))
    r = 1 / (1 + e)
    if name == "sigmoid":
        return np.where(z >= 0, r, e * r), np.where(np.isnan(z), z, e * r * r)
    return np.copysign(-np.expm1(-2 * np.abs(z)) * r, z), 4 * e * r * r


def of_logits(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for probabilities, losses, residuals and predictions."""
    for classes in (2, 10):
        z = (rng.standard_normal((40, classes)) * 10.0 ** rng.uniform(-2, 2, (40, 1))).astype(kind)
        z[0], z[1], z[2] = 0, np.linspace(1000, 0, classes), np.linspace(-88, 40, classes)
        labels = rng.integers(0, classes, 40)
        labels[:3] = classes - 1
        labels[3:12] = z[3:12].argmax(axis=1)
        yield from _of_rows_of_logits(z, labels)
    broken = z.copy()
    broken[17, 3] = np.inf
    broken[23, 0] = np.nan
    yield answer("_first_not_finite", losses.first_not_finite(broken), 17)
    yield answer("_first_not_finite", losses.first_not_finite(broken[18:]), 5)
    yield answer("_first_not_finite", losses.first_not_finite(z) is None, True)


def _of_rows_of_logits(z: Array, labels: Array) -> Iterator[Answer]:
    """Ask for all that follows from logits of so many classes."""
    kind, rows, wide, out = z.dtype, np.arange(len(z)), z.astype(WIDE), np.empty_like(z)
    units = 8.0 + z.shape[1]
    leads = wide - wide.max(axis=1, keepdims=True)
    powers = np.exp(leads)
    probs = powers / powers.sum(axis=1, keepdims=True)
    # A difference of logits is rounded, and e**x takes over its error.
    spread = units * np.finfo(kind).eps * (1 + np.abs(leads)) * probs + near(probs, kind)
    losses.softmax(z, out)
    yield answer("softmax", out, probs, spread)
    log_total = np.log1p(_without(powers, leads.argmax(axis=1)).sum(axis=1))[:, None]
    losses.log_softmax(z, out)
    exact = leads - log_total
    allowed = near(exact, kind, units) + _without(spread, leads.argmax(axis=1)).sum(axis=1)[:, None]
    yield answer("log_softmax", out, exact, allowed)
    each, residual = np.empty(len(z), kind), np.empty_like(z)
    right = losses.loss_residual(z, labels, each, residual)
    yield answer("loss_residual, rows", right, np.count_nonzero(z.argmax(axis=1) == labels))
    lost = -exact[rows, labels]
    yield answer("loss_residual, losses", each, lost, allowed[rows, labels])
    wanted = probs.copy()
    wanted[rows, labels] = -_without(probs, labels).sum(axis=1)
    allowed = spread.copy()
    allowed[rows, labels] = spread.sum(axis=1)
    yield answer("loss_residual", residual, wanted, allowed)
    others = _without(np.exp(wide - _largest_of_others(wide, labels)), labels)
    wanted = others / others.sum(axis=1, keepdims=True)
    wanted[rows, labels] = -1
    saturated = losses.attack_residual(z, labels, residual)
    rest = _without(np.exp(wide - wide[rows, labels][:, None]), labels).sum(axis=1)
    clear = np.abs(np.log2(rest / np.finfo(kind).eps) + 1) > 1  # elsewhere rounding decides
    gaps = 1 + np.abs(wide - _largest_of_others(wide, labels))
    yield answer("attack_residual", residual, wanted, near(wanted, kind) * gaps * units)
    yield answer(
        "attack_residual, saturated", saturated[clear], (rest * 2 < np.finfo(kind).eps)[clear]
    )
    found = losses.predictions(z, np.empty(len(z), np.int64))
    yield answer("_argmax", found, z.argmax(axis=1))
    lead = z[rows, labels] - _largest_of_others(z, labels)[:, 0]
    yield answer("_margins", losses.margins(z, labels), lead)


def _without(values: Array, columns: Array) -> Array:
    """Return values with 0 in one column of every row."""
    out = values.copy()
    out[np.arange(len(out)), columns] = 0
    return out


def _largest_of_others(z: Array, labels: Array) -> Array:
    """Return the largest logit but the label's, shape (n, 1)."""
    out = z.copy()
    out[np.arange(len(out)), labels] = -np.inf
    return np.asarray(out.max(axis=1, keepdims=True))


def _of_random_numbers(kind: Kind, rng: np.random.Generator) -> Iterator[Answer]:
    """Ask for numbers that follow from their place; Python's integers have no limit."""
    seed, places = int(rng.integers(2**62)), (3, 2**64 - 1)
    keys, wanted = np.empty(_ROWS, np.uint64), []
    for sample in range(_ROWS):
        key = seed
        for number in (sample, *places):
            key = _hash(_hash(key + _GAMMA) ^ number)
        wanted.append(key)
    of_samples = np.arange(_ROWS)
    counters._keys(np.uint64(seed), of_samples, np.array(places, np.uint64), keys)
    yield answer("_keys", keys, np.array(wanted, np.uint64))
    bits, out = (24 if kind.itemsize == 4 else 53), np.empty((_ROWS, 3), kind)
    counters._uniform(keys, bits, out)
    exact = [[_hash(key + j * _GAMMA) >> (64 - bits) for j in (1, 2, 3)] for key in wanted]
    yield answer("_uniform", out, np.ldexp(np.array(exact, WIDE), -bits))


def _of_fingerprint(rng: np.random.Generator) -> Answer:
    """Ask for the fingerprint of words that fill vectors, and some that are left over."""
    words = rng.integers(2**64, size=_WIDTH, dtype=np.uint64)
    hashes = [_hash(word ^ (i + 1) * _GAMMA % 2**64) for i, word in enumerate(words.tolist())]
    found = fingerprints._fingerprint(words)
    return answer("_fingerprint", np.uint64(found), np.uint64(sum(hashes) % 2**64))


def _hash(value: int) -> int:
    """Return SplitMix64's hash of the last 64 bits."""
    value %= 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)
