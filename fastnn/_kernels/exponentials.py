"""Kernels that need e**x: sigmoid, tanh, and the exponentials of rows of logits."""

from __future__ import annotations

import math

import numpy as np

from fastnn._kernels.jit import kernel

# e**x = 2**n * e**r with n = round(x / ln 2), and e**r by its Taylor series. |r| <= ln(2) / 2, so
# the first omitted term is below a tenth of a unit in the last place. Adding 1.5 * 2**(number of
# fraction bits) rounds to an integer, which is then in the low bits. ln 2 is split so that
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

_SATURATED = 64  # beyond, 1 + e**-x is 1 in either type


@kernel
def _parts_32(x):
    """Return q and 2**64 * s with e**x = (1 + q) * s for a float32 x <= 0, s a power of two."""
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
    # 2**(n + 64) is a normal number for every n.
    raised = np.int32((np.float32(shifted).view(np.int32) - _ROUND_BITS_32 + 64 + 127) << 23)
    return p * (r * r) + r, np.int32(raised).view(np.float32)


@kernel
def _parts_64(x):
    """Return q and 2**600 * s with e**x = (1 + q) * s for a float64 x <= 0, s a power of two."""
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
    raised = (np.float64(shifted).view(np.int64) - _ROUND_BITS_64 + 600 + 1023) << 52
    return p * (r * r) + r, np.int64(raised).view(np.float64)


@kernel
def _exp(x):
    """Return e**x for x <= 0, gradual underflow included, in the type of x."""
    # numba drops the branch of the other type. Only the last product may underflow.
    if isinstance(x, np.float32):
        q, raised = _parts_32(x)
        return (q + _TAYLOR_32[0]) * raised * _LOWER_32
    else:  # noqa: RET505 - numba prunes an if/else, not a fall-through
        q, raised = _parts_64(x)
        return (q + _TAYLOR_64[0]) * raised * _LOWER_64


@kernel
def _exp_and_expm1(x):
    """Return e**x, and e**x - 1 without cancellation, for x <= 0."""
    if isinstance(x, np.float32):
        q, raised = _parts_32(x)
        s = raised * _LOWER_32
        return (q + _TAYLOR_32[0]) * raised * _LOWER_32, q * s + (s - _TAYLOR_32[0])
    else:  # noqa: RET505
        q, raised = _parts_64(x)
        s = raised * _LOWER_64
        return (q + _TAYLOR_64[0]) * raised * _LOWER_64, q * s + (s - _TAYLOR_64[0])


# --- sigmoid -----------------------------------------------------------------------------------


@kernel
def _sigmoid(z, out):
    """out = 1 / (1 + e**-z) for z >= 0 and e**z / (e**z + 1) for z < 0, without a branch."""
    one = out.dtype.type(1)
    source, target = z.ravel(), out.ravel()
    for i in range(source.size):
        e = _exp(-abs(source[i]))
        target[i] = (one if source[i] >= 0 else e) / (one + e)


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


# --- tanh --------------------------------------------------------------------------------------


@kernel
def _tanh(z, out):
    """out = (1 - e**-2|z|) / (1 + e**-2|z|) with the sign of z, also that of a zero."""
    two = out.dtype.type(2)
    source, target = z.ravel(), out.ravel()
    for i in range(source.size):
        v = source[i]
        m = _exp_and_expm1(-two * abs(v))[1]
        h = m / (two + m)
        target[i] = -h if v > 0 else (h if v < 0 else v)


@kernel
def _add_bias_tanh(bias, z):
    """z = tanh(z + bias), row by row."""
    two = z.dtype.type(2)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            v = z[i, j] + bias[j]
            m = _exp_and_expm1(-two * abs(v))[1]
            h = m / (two + m)
            z[i, j] = -h if v >= 0 else h


@kernel
def _add_bias_tanh_slope(bias, z, slope):
    """z = h = tanh(z + bias) and slope = 1 - h**2, the latter without cancellation."""
    one, two, four = z.dtype.type(1), z.dtype.type(2), z.dtype.type(4)
    rows, width = z.shape
    for i in range(rows):
        for j in range(width):
            v = z[i, j] + bias[j]
            e, m = _exp_and_expm1(-two * abs(v))
            r = one / (two + m)
            slope[i, j] = four * e * r * r
            z[i, j] = -m * r if v >= 0 else m * r


@kernel
def _add_bias_tanh_direction(bias, z, slope):
    """As `_add_bias_sigmoid_direction`, for tanh: units of a saturated row are 1 or -1."""
    one, two, four = z.dtype.type(1), z.dtype.type(2), z.dtype.type(4)
    rows, width = z.shape
    for i in range(rows):
        least = abs(z[i, 0] + bias[0])
        for j in range(1, width):
            if not two * least > _SATURATED:  # a NaN ends the search, too
                break
            v = z[i, j] + bias[j]
            least = abs(v) if not abs(v) >= least else least
        if _SATURATED < two * least < np.inf:
            for j in range(width):
                v = z[i, j] + bias[j]
                slope[i, j] = _exp(two * (least - abs(v)))
                z[i, j] = one if v >= 0 else -one
        else:
            for j in range(width):
                v = z[i, j] + bias[j]
                e, m = _exp_and_expm1(-two * abs(v))
                r = one / (two + m)
                slope[i, j] = four * e * r * r
                z[i, j] = -m * r if v >= 0 else m * r


# --- rows of logits ----------------------------------------------------------------------------


@kernel
def _exponentials(logits, out):
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
def _exponentials_of_others(logits, labels, out):
    """out = e**(logits - largest of the other classes), and e**-max(lead, 0) for the true class."""
    rows, classes = logits.shape
    zero = out.dtype.type(0)
    for i in range(rows):
        label = labels[i]
        largest = logits[i, 1 if label == 0 else 0]
        for j in range(classes):
            if j != label and logits[i, j] > largest:
                largest = logits[i, j]
        for j in range(classes):
            out[i, j] = logits[i, j] - largest
        lead = out[i, label]
        out[i, label] = -lead if lead > 0 else zero
    flat = out.ravel()
    for i in range(flat.size):
        flat[i] = _exp(flat[i])
