"""SplitMix64: numbers by a hash of their place, which `fastnn.attacks._random` describes."""

from __future__ import annotations

import numpy as np

from fastnn._kernels.jit import kernel

GAMMA = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, made odd
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


@kernel
def _mixed(value):
    """Return a hash of a number of 64 bits."""
    value = (value ^ (value >> _SHIFTS[0])) * _FIRST
    value = (value ^ (value >> _SHIFTS[1])) * _SECOND
    return value ^ (value >> _SHIFTS[2])


@kernel
def _keys(seed, samples, places, out):
    """out = for each sample a hash of the seed, the sample's number and the places."""
    begin = _mixed(seed + GAMMA)
    for i in range(len(samples)):
        key = _mixed(begin ^ np.uint64(samples[i]))
        for place in places:
            key = _mixed(_mixed(key + GAMMA) ^ place)
        out[i] = key


@kernel
def _uniform(keys, bits, out):
    """out = numbers from 0 to below 1, multiples of 2**-bits: entry j is hashed from key and j."""
    scale = out.dtype.type(0.5) ** bits
    for i in range(len(keys)):
        state = keys[i]
        for j in range(out.shape[1]):
            state += GAMMA
            out[i, j] = out.dtype.type(_mixed(state) >> np.uint64(64 - bits)) * scale
