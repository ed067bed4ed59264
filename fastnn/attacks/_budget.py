"""The check that adversarial inputs are within eps of the clean ones, and within the bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._errors import row_error
from fastnn._kernels import budgets
from fastnn.attacks import _norms as norms

Array = NDArray[Any]

_ROUNDINGS = 8  # as many roundings of a whole row are forgiven in L2 and L1, whose sums are rounded


class Budget(NamedTuple):
    """What limits adversarial inputs.

    Attributes
    ----------
    norms : tuple of str
        The change has to be within eps in one of them.
    bounds : Bounds
    """

    norms: tuple[str, ...]
    bounds: _checks.Bounds

    def require(self, found: Array, clean: Array, eps: Any, numbers: NDArray[np.int64]) -> None:
        """Raise for the first entry of `found` that is too far from `clean` or outside the bounds.

        In L-infinity, an entry is near enough if its difference is at most eps as its type computes
        the difference, or if it is between ``clean - eps`` and ``clean + eps`` as the type rounds
        these. In L2 and L1, a few roundings of the row are forgiven.

        Parameters
        ----------
        found, clean : ndarray, shape (n, D), float32 or float64
        eps : number of the same type
        numbers : ndarray of int64, shape (n,)
            What the message calls the rows.

        Raises
        ------
        ValueError
            An entry is too far, outside the bounds, or NaN. The message names row and value.
        """
        lower, upper = _checks.bounds_in(clean.dtype, self.bounds)
        everywhere = "linf" in self.norms
        most = np.full(len(clean), eps if everywhere else np.inf, clean.dtype)
        beyond = budgets._entries_beyond(found, clean, most, lower, upper)
        if everywhere and not beyond:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            self._require_inside(found, (lower, upper), numbers)
            far = np.logical_and.reduce([_too_far(found, clean, eps, norm) for norm in self.norms])
        if far.any():
            row = int(np.argmax(far))
            words = _words(found[row], clean[row], eps, self.norms)
            raise row_error(ValueError, words[0], int(numbers[row]), words[1])

    def _require_inside(
        self, found: Array, bounds: tuple[Any, Any], numbers: NDArray[np.int64]
    ) -> None:
        """Raise for the first entry outside the bounds."""
        outside = ~((found >= bounds[0]) & (found <= bounds[1]))
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            before = f"the attack returned {found[row, column]!s} at ["
            after = f", {column}], outside the bounds {tuple(self.bounds)}"
            raise row_error(ValueError, before, numbers[row], after)


def _too_far(found: Array, clean: Array, eps: Any, norm: str) -> NDArray[np.bool_]:
    """Say which rows changed by more than eps in a norm."""
    if norm == "linf":
        return np.asarray(_entries_too_far(found, clean, eps).any(axis=1))
    nothing = np.zeros_like(clean)
    spared = _ROUNDINGS * float(np.finfo(clean.dtype).eps)
    allowed = float(eps) + spared * (float(eps) + norms.length(found, nothing, norm))
    return np.asarray(~(norms.length(found, clean, norm) <= allowed))


def _entries_too_far(found: Array, clean: Array, eps: Any) -> NDArray[np.bool_]:
    """Say which entries changed by more than eps."""
    near = np.abs(found - clean) <= eps
    between = (found >= clean - eps) & (found <= clean + eps)
    return np.asarray(~(near | between))


def _words(found: Array, clean: Array, eps: Any, every: tuple[str, ...]) -> tuple[str, str]:
    """Return the message about a row that is too far, before and after the row's number."""
    if every == ("linf",):
        column = int(np.argmax(_entries_too_far(found, clean, eps)))
        return (
            f"the attack returned {found[column]!s} at [",
            f", {column}], further than eps {eps!s} from {clean[column]!s}",
        )
    sizes = [f"{norms.length(found[None], clean[None], norm)[0]:.9g} in {norm}" for norm in every]
    moved = " and ".join(sizes)
    return "the attack moved row ", f" by {moved}, further than eps {eps!s}"
