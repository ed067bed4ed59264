"""Numba functions, compiled the same way.

A kernel takes contiguous arrays of one floating type, checks nothing, and writes into its last
argument or, where it has none to spare, in place. Each works on rows alone, releases the GIL and
runs on one thread: `fastnn._parallel` deals rows to threads. Those that call each other are in one
file, since numba's cache does not notice a change made in another; `_sparse_kernels` stands alone.

A NaN that comes in goes out: comparisons are written so that a NaN fails them, and no flag lets
LLVM assume that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from fastnn._kernel_cache import use_sealed_cache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile `function` lazily, without the GIL, cached on disk where a folder can be written.

    `error_model="numpy"` lets LLVM vectorise loops that divide. Of the fast-math flags only those
    that keep NaN and infinity are on: fused multiply-add, reordered sums, and sign-free zeros.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "nsz"},
    }
    try:
        dispatcher = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no folder that it may write its cache to
        return cast(_Function, numba.njit(**options)(function))
    use_sealed_cache(dispatcher, options)
    return cast(_Function, dispatcher)


# e**x = 2**n * e**r with n = round(x / ln 2), and e**r by its Taylor series: |r| <= ln(2) / 2 makes
# the first term left out smaller than a tenth of a unit in the last place. Adding 1.5 * 2**(number
# of fraction bits) rounds to an integer and leaves it in the low bits. ln 2 is split so that
# n * LN2_HIGH is exact.
_LOG2E_32 = np.float32(1.4426950408889634)
_ROUND_32 = np.float32(1.5 * 2**23)
_ROUND_BITS_32 = np.int32(_ROUND_32.view(np.int32))
_LN2_HIGH_32 = np.float32(0.693359375)
_LN2_LOW_32 = np.float32(math.log(2) - 0.693359375)
_TAYLOR_32 = tuple(np.float32(1 / math.factorial(k)) for k in range(8))
_LOWER_32 = np.float32(2.0**-64)
_LOWEST_32 = np.float32(-104.0)  # e**-104 rounds to 0 in float32

_LOG2E_64 = np.float64(1.4426950408889634)
_ROUND_64 = np.float64(1.5 * 2**52)
_ROUND_BITS_64 = np.int64(_ROUND_64.view(np.int64))
_LN2_HIGH_64 = np.float64.fromhex("0x1.62e42fee00000p-1")
_LN2_LOW_64 = np.float64.fromhex("0x1.a39ef35793c76p-33")
_TAYLOR_64 = tuple(np.float64(1 / math.factorial(k)) for k in range(14))
_LOWER_64 = np.float64(2.0**-600)
_LOWEST_64 = np.float64(-746.0)  # e**-746 rounds to 0 in float64

_LEAST = 2.0**-16  # a row of a gradient whose entries are all smaller is scaled
_SATURATED = 64  # of |z|: beyond, 1 + e**-|z| is 1 in either type


@kernel
def _exp_32(x):
    """Return e**x for a float32 x <= 0, gradual underflow included."""
    x = _LOWEST_32 if x < _LOWEST_32 else x
    shifted = x * _LOG2E_32 + _ROUND_32
    n = shifted - _ROUND_32
    r = x - n * _LN2_HIGH_32
    r = r - n * _LN2_LOW_32
    t = _TAYLOR_32
    p = t[7] * r + t[6]
    p = p * r + t[5]
    p = p * r + t[4]
    p = p * r + t[3]
    p = p * r + t[2]
    p = p * (r * r) + r + t[0]
    # 2**(n + 64) is a normal number for every n, and taking 2**64 away again may underflow.
    raised = np.int32((np.float32(shifted).view(np.int32) - _ROUND_BITS_32 + 64 + 127) << 23)
    return p * np.int32(raised).view(np.float32) * _LOWER_32


@kernel
def _exp_64(x):
    """Return e**x for a float64 x <= 0, gradual underflow included."""
    x = _LOWEST_64 if x < _LOWEST_64 else x
    shifted = x * _LOG2E_64 + _ROUND_64
    n = shifted - _ROUND_64
    r = x - n * _LN2_HIGH_64
    r = r - n * _LN2_LOW_64
    t = _TAYLOR_64
    p = t[13] * r + t[12]
    p = p * r + t[11]
    p = p * r + t[10]
    p = p * r + t[9]
    p = p * r + t[8]
    p = p * r + t[7]
    p = p * r + t[6]
    p = p * r + t[5]
    p = p * r + t[4]
    p = p * r + t[3]
    p = p * r + t[2]
    p = p * (r * r) + r + t[0]
    raised = (np.float64(shifted).view(np.int64) - _ROUND_BITS_64 + 600 + 1023) << 52
    return p * np.int64(raised).view(np.float64) * _LOWER_64


@kernel
def _exp(x):
    """Return e**x for x <= 0, in the type of x: numba drops the branch of the other type."""
    if isinstance(x, np.float32):
        return _exp_32(x)
    else:  # noqa: RET505 - numba prunes an if/else, not a fall-through
        return _exp_64(x)


# --- elementwise functions ---------------------------------------------------------------------


@kernel
def _sigmoid(z, out):
    """out = 1 / (1 + e**-z) for z >= 0 and e**z / (e**z + 1) for z < 0, without a branch."""
    one = out.dtype.type(1)
    source, target = z.ravel(), out.ravel()
    for i in range(source.size):
        e = _exp(-abs(source[i]))
        target[i] = (one if source[i] >= 0 else e) / (one + e)


@kernel
def _relu(z, out):
    """out = max(0, z)."""
    zero = out.dtype.type(0)
    source, target = z.ravel(), out.ravel()
    for i in range(source.size):
        target[i] = zero if source[i] <= 0 else source[i]


@kernel
def _relu_grad(z, out):
    """out = 1 where z > 0, 0 elsewhere, NaN where z is NaN."""
    zero, one = out.dtype.type(0), out.dtype.type(1)
    source, target = z.ravel(), out.ravel()
    for i in range(source.size):
        step = zero if source[i] <= 0 else source[i]
        target[i] = one if step > 0 else step


@kernel
def _scale_pixels(pixels, out):
    """out = pixels / 255, for pixels of uint8."""
    most = out.dtype.type(255)
    source, target = pixels.ravel(), out.ravel()
    for i in range(source.size):
        target[i] = out.dtype.type(source[i]) / most


# --- a layer: bias and activation in place, and their derivative -------------------------------


@kernel
def _add_bias(bias, z):
    """z += bias, row by row."""
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            z[i, j] += bias[j]


@kernel
def _add_bias_relu(bias, z):
    """z = max(0, z + bias), row by row."""
    zero = z.dtype.type(0)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            v = z[i, j] + bias[j]
            z[i, j] = zero if v <= 0 else v


@kernel
def _add_bias_sigmoid(bias, z):
    """z = sigmoid(z + bias), row by row."""
    one = z.dtype.type(1)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            v = z[i, j] + bias[j]
            e = _exp(-abs(v))
            z[i, j] = (one if v >= 0 else e) / (one + e)


@kernel
def _add_bias_sigmoid_slope(bias, z, slope):
    """z = h = sigmoid(z + bias) and slope = h * (1 - h), the latter without cancellation."""
    one = z.dtype.type(1)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            v = z[i, j] + bias[j]
            e = _exp(-abs(v))
            r = one / (one + e)
            slope[i, j] = e * r * r
            z[i, j] = r if v >= 0 else e * r


@kernel
def _add_bias_sigmoid_direction(bias, z, slope):
    """As `_add_bias_sigmoid_slope`, but a row of `slope` is known up to a positive factor.

    Where every unit of a row is saturated, all slopes are divided by the largest of them. Without
    that they underflow once every |z + bias| is above 104 in float32, and the gradient is lost.
    """
    one = z.dtype.type(1)
    rows, width = z.shape
    for i in range(rows):
        least = abs(z[i, 0] + bias[0])
        for j in range(1, width):
            if not least > _SATURATED:  # a NaN ends the search, too
                break
            v = z[i, j] + bias[j]
            least = abs(v) if not abs(v) >= least else least
        if _SATURATED < least < np.inf:
            for j in range(width):
                v = z[i, j] + bias[j]
                slope[i, j] = _exp(least - abs(v))
                z[i, j] = one if v >= 0 else _exp(-abs(v))
        else:
            for j in range(width):
                v = z[i, j] + bias[j]
                e = _exp(-abs(v))
                r = one / (one + e)
                slope[i, j] = e * r * r
                z[i, j] = r if v >= 0 else e * r


@kernel
def _mask_relu(h, gradient):
    """gradient = 0 where h = max(0, z) is 0."""
    zero = gradient.dtype.type(0)
    source, target = h.ravel(), gradient.ravel()
    for i in range(source.size):
        target[i] = target[i] if source[i] > 0 else zero * source[i]


@kernel
def _multiply(slope, gradient):
    """gradient *= slope."""
    source, target = slope.ravel(), gradient.ravel()
    for i in range(source.size):
        target[i] *= source[i]


@kernel
def _scale_rows(gradient):
    """Multiply rows of tiny entries by the power of two that brings the largest to about 1.

    Signs and ratios stay exactly as they are. A row that has an entry of at least _LEAST is left
    alone; one of the first few entries usually decides that.
    """
    rows, width = gradient.shape
    for i in range(rows):
        largest = abs(gradient[i, 0])
        for j in range(1, width):
            if not largest < _LEAST:  # a NaN ends the search, too
                break
            largest = max(largest, abs(gradient[i, j]))
        if 0 < largest < _LEAST:
            exponent = math.frexp(largest)[1]
            # In two steps, since the factor itself may be beyond the type: 2**149 for the smallest.
            half = exponent // 2
            first = gradient.dtype.type(math.ldexp(1.0, -half))
            second = gradient.dtype.type(math.ldexp(1.0, half - exponent))
            for j in range(width):
                gradient[i, j] = gradient[i, j] * first * second


# --- from logits: probabilities, losses, residuals, predictions --------------------------------


@kernel
def _exp_below_maximum(logits, out):
    """out = e**(logits - maximum of the row): flat, as rows are too short to vectorise."""
    rows, classes = logits.shape
    for i in range(rows):
        largest = logits[i, 0]
        for j in range(1, classes):
            largest = logits[i, j] if logits[i, j] > largest else largest
        for j in range(classes):
            out[i, j] = logits[i, j] - largest
    flat = out.ravel()
    for i in range(flat.size):
        flat[i] = _exp(flat[i])


@kernel
def _softmax(logits, out):
    """out = e**(z_k - max z) / sum_j e**(z_j - max z), row by row."""
    rows, classes = logits.shape
    _exp_below_maximum(logits, out)
    for i in range(rows):
        total = out[i, 0]
        for j in range(1, classes):
            total += out[i, j]
        for j in range(classes):
            out[i, j] /= total


@kernel
def _log_softmax(logits, out):
    """out = z_k - max z - log(sum_j e**(z_j - max z)), row by row."""
    rows, classes = logits.shape
    _exp_below_maximum(logits, out)
    for i in range(rows):
        largest = 0
        rest = out.dtype.type(0)
        for j in range(1, classes):
            largest = j if logits[i, j] > logits[i, largest] else largest
        for j in range(classes):
            rest += out[i, j] if j != largest else out.dtype.type(0)
        # log1p of the sum without its largest term, which is 1, keeps a small sum's digits.
        log_total = math.log1p(rest)
        for j in range(classes):
            out[i, j] = (logits[i, j] - logits[i, largest]) - log_total


@kernel
def _first_not_finite(values):
    """Return the first row with a NaN or an infinity, or -1."""
    rows, width = values.shape
    for i in range(rows):
        finite = True
        for j in range(width):
            finite &= abs(values[i, j]) < np.inf
        if not finite:
            return i
    return -1


@kernel
def _argmax(logits, out):
    """out = the column of the first largest entry, row by row."""
    rows, classes = logits.shape
    for i in range(rows):
        best = 0
        for j in range(1, classes):
            best = j if logits[i, j] > logits[i, best] else best
        out[i] = best


@kernel
def _loss_residual(logits, labels, losses, out):
    """out = softmax - one_hot and losses = -log softmax[label]; returns the rows that are right.

    For the true class the residual is minus the sum of the other probabilities: `p - 1` would
    cancel. The loss is log1p(sum without the largest term) + (largest logit - true logit): both
    terms are >= 0, so nothing cancels there either.
    """
    rows, classes = logits.shape
    zero, one = out.dtype.type(0), out.dtype.type(1)
    hits = 0
    _exp_below_maximum(logits, out)
    for i in range(rows):
        label = labels[i]
        best = 0
        for j in range(1, classes):
            best = j if logits[i, j] > logits[i, best] else best
        hits += best == label
        rest = zero
        others = zero
        for j in range(classes):
            rest += out[i, j] if j != best else zero
            others += out[i, j] if j != label else zero
        losses[i] = out.dtype.type(math.log1p(rest)) + (logits[i, best] - logits[i, label])
        scale = one / (one + rest)
        for j in range(classes):
            out[i, j] *= scale
        out[i, label] = -others * scale
    return hits


@kernel
def _attack_residual(logits, labels, out):
    """out = a positive multiple of softmax - one_hot that never underflows, row by row.

    It is the softmax over the other classes, and -1 for the true one. Returns the number of rows
    whose true probability rounds to 1, where `p - one_hot` would lose the true class.
    """
    rows, classes = logits.shape
    zero, one = out.dtype.type(0), out.dtype.type(1)
    saturated = 0
    for i in range(rows):
        label = labels[i]
        largest = logits[i, 1 if label == 0 else 0]
        for j in range(classes):
            if j != label and logits[i, j] > largest:
                largest = logits[i, j]
        lead = logits[i, label] - largest
        total = zero
        for j in range(classes):
            if j != label:
                out[i, j] = _exp(logits[i, j] - largest)
                total += out[i, j]
        for j in range(classes):
            out[i, j] /= total
        out[i, label] = -one
        if lead > 0:
            saturated += one / (one + total * _exp(-lead)) == one
    return saturated


# --- the signed step ---------------------------------------------------------------------------


@kernel
def _signed_step(gradient, eps, lower, upper, x):
    """x = clip(x + eps * sign(gradient)); returns the number of rows with an all-zero gradient."""
    rows, width = x.shape
    still = 0
    for i in range(rows):
        moves = 0
        for j in range(width):
            g = gradient[i, j]
            v = x[i, j] + (eps if g > 0 else (-eps if g < 0 else g))
            v = lower if v < lower else v
            x[i, j] = upper if v > upper else v
            moves |= g != 0
        still += moves == 0
    return still


@kernel
def _direction_and_room(lower, upper, gradient, x):
    """gradient becomes its sign, 0 where a bound is in the way; x the distance to that bound.

    Returns the number of rows with an all-zero gradient.
    """
    zero, one = x.dtype.type(0), x.dtype.type(1)
    rows, width = x.shape
    still = 0
    for i in range(rows):
        moves = 0
        for j in range(width):
            g = gradient[i, j]
            moves |= g != 0
            sign = one if g > 0 else (-one if g < 0 else g)
            room = upper - x[i, j] if g > 0 else x[i, j] - lower
            gradient[i, j] = sign if room > 0 else zero * sign
            x[i, j] = room
        still += moves == 0
    return still


@kernel
def _still_moving(direction, room, most, out):
    """out = direction where the room is beyond a step of `most`, 0 where a bound stops it."""
    source, space, target = direction.ravel(), room.ravel(), out.ravel()
    zero = out.dtype.type(0)
    for i in range(source.size):
        target[i] = source[i] if space[i] > most else zero * source[i]


@kernel
def _shift_by_every_eps(direction, room, reached, eps, weights, stops, stopping, z, slope, out):
    """out[i * K + k] = the first layer's products for row i, moved by eps[k] within its bounds.

    `eps` ascends from `reached`, the largest eps of the call before, 0 in the first. On entry, z is
    the product of the inputs, with direction * room added for those that have met their bound;
    slope is the product of the directions that `_still_moving` leaves at the last eps. An input
    that meets its bound on the way adds its row of the weights to the slopes of all eps before
    that, and direction * room of it to z. Nothing is ever subtracted: the rounding that a
    difference leaves behind would be multiplied by eps. On exit z belongs to the last eps, and
    slope is used up. `stops` has place for the columns of a row, `stopping` for K rows.
    """
    rows, width = direction.shape
    count = eps.size
    for i in range(rows):
        base, change = z[i], slope[i]
        previous = reached
        for k in range(count):
            found = 0
            for j in range(width):
                stops[found] = j
                found += (room[i, j] > previous) & (room[i, j] <= eps[k]) & (direction[i, j] != 0)
            stopped = stopping[k]
            stopped[:] = 0
            for p in range(found):
                sign = direction[i, stops[p]]
                way = sign * room[i, stops[p]]
                row = weights[stops[p]]
                for c in range(row.size):
                    stopped[c] += sign * row[c]
                    base[c] += way * row[c]
            out[i * count + k] = base
            previous = eps[k]
        for k in range(count - 1, -1, -1):
            target, stopped = out[i * count + k], stopping[k]
            for c in range(change.size):
                target[c] += eps[k] * change[c]
                change[c] += stopped[c]


# --- training ----------------------------------------------------------------------------------


@kernel
def _add_column_sums(residual, out):
    """out += the sums of the columns, rows added in order."""
    rows, width = residual.shape
    for i in range(rows):
        for j in range(width):
            out[j] += residual[i, j]


@kernel
def _sgd_step(scale, l2, momentum, rate, total, velocity, parameter):
    """velocity = momentum * velocity + scale * total + l2 * w; w -= rate * velocity."""
    for i in range(parameter.size):
        step = momentum * velocity[i] + scale * total[i] + l2 * parameter[i]
        velocity[i] = step
        parameter[i] -= rate * step
