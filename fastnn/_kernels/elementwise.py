"""Kernels for single entries and for a layer's bias, ReLU and slopes."""

from __future__ import annotations

import math

from fastnn._kernels.jit import kernel

_LEAST = 2.0**-16  # a row of a gradient whose entries are all smaller is scaled


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
def _mask_relu(h, gradient):
    """gradient = 0 where h = max(0, z) is 0."""
    zero = gradient.dtype.type(0)
    source, target = h.ravel(), gradient.ravel()
    for i in range(source.size):
        target[i] = target[i] if source[i] > 0 else zero * source[i]


@kernel
def _apply_slope(slope, gradient):
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
