"""Inputs in whole steps of a grid, as images of 8 bits are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import _checks
from fastnn._errors import row_error

Array = NDArray[Any]

_BLOCK = 512
_ROUNDINGS = 4  # of the type, by which an input may differ from its place on the grid


@dataclass(frozen=True)
class Lattice:
    """The numbers ``k / steps``.

    Attributes
    ----------
    steps : int
    eps : ndarray of float64, shape (K,)
        What attacks are given: in L-infinity rounded down to the grid.
    nearest : bool
        Round adversarial inputs to the nearest place within eps and bounds; else towards the clean
        input, so that no norm of the change grows.
    bounds : Bounds
    """

    steps: int
    eps: NDArray[np.float64]
    nearest: bool
    bounds: _checks.Bounds

    @classmethod
    def of(
        cls,
        steps: Any,
        eps: NDArray[np.float64],
        norms: tuple[str, ...],
        bounds: _checks.Bounds,
    ) -> Lattice:
        """Return the lattice of a call, after checks."""
        count = _checks.positive_integer(steps, "lattice")
        if "linf" in norms:
            eps = _whole(eps * count) / count
        return cls(count, eps, norms == ("linf",), bounds)

    def require(self, x: Array) -> None:
        """Raise for the first input that is not on the grid, up to rounding of its type.

        Pixels of uint8 are 255ths.

        Raises
        ------
        ValueError
            The message names row, column and value.
        """
        pixels = x.dtype == np.uint8
        unit = float(np.finfo(np.float32 if pixels else x.dtype).eps)
        for start in range(0, len(x), _BLOCK):
            block = x[start : start + _BLOCK]
            places = block * (self.steps / 255 if pixels else np.float64(self.steps))
            spared = _ROUNDINGS * unit * np.maximum(np.abs(places), 1)
            wrong = np.abs(places - np.rint(places)) > spared
            if wrong.any():
                row, column = (int(i) for i in np.argwhere(wrong)[0])
                what = (
                    f", {column}] is {block[row, column]!s}, which is no multiple of "
                    f"1/{self.steps}, as lattice={self.steps} requires"
                )
                raise row_error(ValueError, "x[", start + row, what)

    def rounded(self, x: Array, clean: Array) -> Array:
        """Return adversarial inputs rounded to the grid.

        Their differences from the clean ones are whole numbers of steps. Where eps is such a
        number, too, none is larger than eps if that holds for `x`.
        """
        before = np.rint(clean.astype(np.float64) * self.steps)
        change = x.astype(np.float64) * self.steps - before
        if self.nearest:
            lowest = np.ceil(self.bounds.lower * self.steps - _ROUNDINGS * 1e-7)
            highest = np.floor(self.bounds.upper * self.steps + _ROUNDINGS * 1e-7)
            change = np.clip(np.rint(before + change), lowest, highest) - before
        else:
            spared = _ROUNDINGS * np.finfo(x.dtype).eps * np.maximum(np.abs(before), 1)
            change = np.trunc(change + np.copysign(spared, change))
        out = ((before + change) / self.steps).astype(clean.dtype)
        return np.where(change == 0, clean, out)


def _whole(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole numbers below, or above where only the rounding of float32 is between."""
    return np.floor(values * (1 + 2 * float(np.finfo(np.float32).eps)))
