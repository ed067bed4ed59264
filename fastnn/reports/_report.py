"""The report of an attack: counts, and how to show them."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.reports._counts import Counts
from fastnn.reports._shares import share_text


@dataclass(frozen=True, eq=False, repr=False)
class AdversarialReport(Counts):
    """How many samples a network gets right, as they are and after an attack.

    Attributes
    ----------
    n : int
        Number of samples.
    eps : float or ndarray of float64, shape (K,)
        Attack budgets as they were asked for.
    bounds : tuple (lower, upper) or None
        Range that adversarial inputs were clipped to.
    clean_correct : int
        Samples predicted right without an attack.
    adversarial_correct : int or ndarray of int64, shape (K,)
        Samples predicted right under attack, for every eps.
    clean_prediction : ndarray of int64, shape (n,)
    adversarial_prediction : ndarray of int64, shape (n,) or (K, n)
    zero_gradient_rows : int
        Samples whose gradient at the clean input is all zero; FGSM leaves them as they are.
    saturated_rows : int
        Samples whose true class has a probability that rounds to 1 in the network's type. There
        `p - one_hot` would lose the true class; fastnn's residual keeps it.
    seconds : float
        Wall time of the call.
    labels : ndarray of int64, shape (n,), or None
        True classes.
    targets : ndarray of int64, shape (n,), or None
        Classes that the attack was to reach; None: any other.
    classes : int
        Number of classes, C.
    attack : str
        What the attack is called: its class, with the settings that are not the default ones.
    attacks : tuple of str
        The same for each of several in turn; else one.
    traces : ndarray of int32, shape (n, 3) or (K, n, 3), or None
        What `origins` says, where the attack tells.
    adversarial : ndarray, shape (n, D) or (K, n, D), or None
        The adversarial inputs, where the call was to keep them.
    lattice : int or None
        Number of steps from 0 to 1 that inputs were rounded to.
    diagnostics : tuple of Diagnostic
        Signs that a count may not say what it seems to.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
    >>> report = fastnn.adversarial_accuracy(net, np.array([[0.25], [0.45]]), [1, 1], eps=0.1)
    >>> report.n, report.clean_accuracy, report.adversarial_accuracy
    (2, 1.0, 0.5)
    """

    def to_dict(self) -> dict[str, Any]:
        """Return all but the predictions, ready for `json.dumps`; NaN and infinity become None.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> report = fastnn.adversarial_accuracy(net, np.array([[0.25], [0.45]]), [1, 1], eps=0.1)
        >>> report.to_dict()["adversarial_correct"]
        1
        """

        def plain(value: Any) -> Any:
            if isinstance(value, (np.ndarray, tuple)):
                return [plain(one) for one in value]
            value = value.item() if isinstance(value, np.generic) else value
            return None if isinstance(value, float) and not math.isfinite(value) else value

        names = ["n", "eps", "bounds", "clean_correct", "clean_accuracy", "adversarial_correct"]
        names += ["adversarial_accuracy", "zero_gradient_rows", "saturated_rows", "seconds"]
        return {name: plain(getattr(self, name)) for name in names}

    def rows(self) -> list[tuple[str, str]]:
        """Return the report as pairs of a label and a value, in words.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> report = fastnn.adversarial_accuracy(net, np.array([[0.25], [0.45]]), [1, 1], eps=0.1)
        >>> report.rows()[0]
        ('samples', '2')
        """
        many = [
            (f"adversarial accuracy, eps {eps:g}", share_text(correct, self.n))
            for eps, correct in zip(
                np.atleast_1d(self.eps), np.atleast_1d(self.adversarial_correct), strict=True
            )
        ]
        speed = f"{self.n / self.seconds:,.0f} images a second" if self.seconds > 0 else ""
        clipped = f"[{self.bounds[0]:g}, {self.bounds[1]:g}]" if self.bounds else "not at all"
        return [
            ("samples", f"{self.n:,}"),
            ("clipped to", clipped),
            ("clean accuracy", share_text(self.clean_correct, self.n)),
            *many,
            ("rows with an all-zero gradient", f"{self.zero_gradient_rows:,}"),
            ("rows where p rounds to 1", f"{self.saturated_rows:,}"),
            ("time", f"{self.seconds:.3f} s, {speed}"),
        ]

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)

    def __repr__(self) -> str:
        eps = self.eps if isinstance(self.eps, float) else self.eps.tolist()
        return (
            f"AdversarialReport(n={self.n}, eps={eps}, clean_correct={self.clean_correct}, "
            f"adversarial_correct={np.asarray(self.adversarial_correct).tolist()})"
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for label, value in self.rows()
        )
        return f"<table>{cells}</table>"
