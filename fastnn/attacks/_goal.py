"""What an attack of a batch is to reach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Goal(NamedTuple):
    """What an attack of a batch is to reach, and where its random numbers come from.

    Attributes
    ----------
    targets : ndarray of int64, shape (N,), or None
        A class for each sample; None: any class but the true one.
    seed : int
    samples : ndarray of int64, shape (N,), or None
        The number of each sample as random numbers count them; None: its position in the batch.
    """

    targets: NDArray[np.int64] | None = None
    seed: int = 0
    samples: NDArray[np.int64] | None = None
