"""Fingerprints of arrays: a different one says that an entry has been written to."""

from __future__ import annotations

import numpy as np

from fastnn._kernels.counters import GAMMA, _mixed
from fastnn._kernels.jit import kernel


@kernel
def _fingerprint(words):
    """Return a sum over all words of 64 bits of a hash of the word and its place.

    Another word has another hash, so one change is always seen. Of several changes, the sum misses
    one in 2**64. A sum, not a chain, so that LLVM can take several words at once.
    """
    total = place = np.uint64(0)
    for i in range(len(words)):
        place += GAMMA
        total += _mixed(words[i] ^ place)
    return total
