"""At which eps each sample fell, and in which order samples fell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.reports._counts import Counts

Whole = NDArray[np.int64]


class Falls(NamedTuple):
    """When samples fell, of a report with labels.

    Attributes
    ----------
    eps : ndarray of float64, shape (K,)
        The budgets of the report, ascending.
    positions : ndarray of int64, shape (K,)
        Where these stand in the report.
    level : ndarray of int64, shape (n,)
        The first of these at which the sample is fooled; K: it stands at all of them. -1: the
        attack cannot fool it, since it is wrong without one.
    order : ndarray of int64
        The samples that the attack could fool, those that fell first in front.
    """

    eps: NDArray[np.float64]
    positions: Whole
    level: Whole
    order: Whole

    @property
    def fallen(self) -> Whole:
        """The samples that fell, in order."""
        return np.asarray(self.order[self.level[self.order] < len(self.eps)])

    @property
    def standing(self) -> Whole:
        """The samples that stand at every eps, the surest last."""
        return np.asarray(self.order[self.level[self.order] == len(self.eps)])


def falls_of(report: Counts, lead: NDArray[Any] | None = None) -> Falls:
    """Return when samples fell.

    Those that fell at the same eps are in the order of the attack, run and step that broke them,
    then of `lead`: by how much the clean logit of the true class is above all others.
    """
    eps = np.atleast_1d(np.asarray(report.eps, np.float64))
    positions = np.argsort(eps, kind="stable")
    fooled = np.atleast_2d(report.fooled)[positions]
    level = np.where(fooled.any(axis=0), fooled.argmax(axis=0), len(eps))
    level[~report.attackable] = -1
    origins = report.origins.reshape(len(eps), report.n, 3)[positions]
    by = origins[np.clip(level, 0, len(eps) - 1), np.arange(report.n)]
    sure = np.zeros(report.n) if lead is None else lead
    order = np.lexsort((sure, by[:, 2], by[:, 1], by[:, 0], level))
    return Falls(eps[positions], positions, level, order[level[order] >= 0])
