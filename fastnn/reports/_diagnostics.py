"""Signs that a count does not say what it seems to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostic:
    """A sign that a count may not say what it seems to.

    Attributes
    ----------
    name : str
        A few words, always the same for the same sign.
    text : str
        A sentence that says what was seen, and what it may mean.
    rows : ndarray of int64, shape (count,)
        The samples that show it, ascending; of several eps, those of any.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
    >>> report = fastnn.adversarial_accuracy(net, np.array([[40.0]]), [0], eps=0.1)
    >>> report.diagnostics
    (Diagnostic('saturated', count=1),)
    >>> report.diagnostics[0].text.split(";")[0]
    'for 1 sample the probability of the true class rounds to 1'
    """

    name: str
    text: str
    rows: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of samples that show it."""
        return len(self.rows)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"

    def __repr__(self) -> str:
        return f"Diagnostic({self.name!r}, count={self.count})"
