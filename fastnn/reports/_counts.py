"""What a report holds for every sample, and the counts and shares that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.reports import _tables
from fastnn.reports._diagnostics import Diagnostic
from fastnn.reports._shares import share, wilson_interval
from fastnn.reports._sources import Digests, Sources, digest


@dataclass(frozen=True, eq=False, repr=False)
class Counts:
    """The data of an `AdversarialReport`, which has their description."""

    n: int
    eps: float | NDArray[np.float64]
    bounds: tuple[float, float] | None
    clean_correct: int
    adversarial_correct: Any
    clean_prediction: NDArray[np.int64]
    adversarial_prediction: NDArray[np.int64]
    zero_gradient_rows: int
    saturated_rows: int
    seconds: float
    labels: NDArray[np.int64] | None = None
    targets: NDArray[np.int64] | None = None
    classes: int = 0
    attack: str = ""
    attacks: tuple[str, ...] = ()
    traces: NDArray[np.int32] | None = None
    adversarial: NDArray[Any] | None = None
    lattice: int | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    compile_seconds: float = 0.0
    eps_used: Any = None
    norm: str = "linf"
    rng: Any = 0
    sources: Sources | Digests | None = None
    attacker: Any = None

    @property
    def clean_accuracy(self) -> float:
        """Share of samples predicted right without an attack; NaN where there are none."""
        return float(share(self.clean_correct, self.n))

    @property
    def adversarial_accuracy(self) -> Any:
        """Share of samples predicted right under attack: a float, or an array (K,)."""
        return share(self.adversarial_correct, self.n)

    @property
    def adversarial_accuracy_among_correct(self) -> Any:
        """Of the samples right without an attack, the share right under it: a float, or (K,)."""
        return share(*self._kept())

    @property
    def success_rate(self) -> Any:
        """Share of the samples that the attack could fool and does: a float, or an array (K,).

        It could fool those that are right without an attack. With targets, success is to reach the
        target, and it could fool those that are not predicted as their target without an attack.
        """
        return share(*self._successes())

    @property
    def attackable(self) -> NDArray[np.bool_]:
        """The samples that count in `success_rate`, shape (n,)."""
        return ~self._succeeds(self.clean_prediction)

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """The samples that count as successes of the attack, shape (n,) or (K, n)."""
        return self._succeeds(self.adversarial_prediction) & self.attackable

    @property
    def origins(self) -> NDArray[np.int32]:
        """What broke each sample first, shape (n, 3) or (K, n, 3).

        The number of the attack in `attacks`, that of its run or restart, and that of the input in
        the run, where 0 is the start. -1 for samples that still stand, and where an attack does not
        tell.
        """
        if self.traces is not None:
            return self.traces
        broken = self._succeeds(self.adversarial_prediction)
        found = np.full((*broken.shape, 3), -1, np.int32)
        if len(self.attacks) == 1:
            found[broken, 0] = 0
        return found

    @property
    def digests(self) -> Digests | None:
        """SHA-256 of network, data and settings; None where network or data have changed since.

        They are computed when they are first asked for. Until then the report refers to the network
        and to the inputs.
        """
        sources = self.sources
        if isinstance(sources, Sources):
            known = None
            if not sources.have_changed():
                known = Digests(sources.network(), sources.data(self._truth), self._settings())
            object.__setattr__(self, "sources", known)  # which lets go of network and inputs
        return cast(Digests | None, self.sources)

    def intervals(self, confidence: float = 0.95) -> dict[str, tuple[Any, Any]]:
        """Return the Wilson score interval of every share.

        Parameters
        ----------
        confidence : float, optional
            Between 0 and 1.

        Returns
        -------
        dict of str to tuple (lower, upper)
            By the name of the share. Floats, or arrays (K,) where the share is one; NaN where there
            are no samples. For the formula and its source see `fastnn.reports.wilson_interval`.

        Raises
        ------
        TypeError, ValueError
            `confidence` is no number, or not between 0 and 1.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> x = np.linspace(0, 0.49, 50)[:, None]
        >>> report = fastnn.adversarial_accuracy(net, x, np.ones(50, int), eps=0.1)
        >>> report.adversarial_accuracy
        0.8
        >>> lower, upper = report.intervals()["adversarial_accuracy"]
        >>> round(lower, 3), round(upper, 3)
        (0.67, 0.888)
        """
        pairs = {
            "clean_accuracy": (self.clean_correct, self.n),
            "adversarial_accuracy": (self.adversarial_correct, self.n),
        }
        if self.labels is not None:
            pairs["adversarial_accuracy_among_correct"] = self._kept()
            pairs["success_rate"] = self._successes()
        found: dict[str, tuple[Any, Any]] = {}
        for name, (count, n) in pairs.items():
            lower, upper = wilson_interval(count, n, confidence)
            found[name] = (lower, upper) if np.ndim(count) else (float(lower), float(upper))
        return found

    def per_class(self) -> _tables.ClassCounts:
        """Return how many samples of each true class there are and are right.

        Returns
        -------
        ClassCounts
            `samples` and `clean_correct`, shape (C,); `adversarial_correct`, (C,) or (K, C).

        Raises
        ------
        ValueError
            The report has no labels.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> x = np.array([[0.25], [0.45], [0.75]])
        >>> report = fastnn.adversarial_accuracy(net, x, [1, 1, 0], eps=0.1)
        >>> samples, clean_correct, adversarial_correct = report.per_class()
        >>> samples, adversarial_correct
        (array([1, 2]), array([1, 1]))
        """
        attacked = self.adversarial_prediction
        return _tables.per_class(self._truth, self.clean_prediction, attacked, self.classes)

    def confusion(self) -> NDArray[np.int64]:
        """Return how many samples of each true class are predicted as each class under attack.

        Returns
        -------
        ndarray of int64, shape (C, C) or (K, C, C)
            Rows are true classes, columns predictions. The diagonal has the samples that stand.

        Raises
        ------
        ValueError
            The report has no labels.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> x = np.array([[0.25], [0.45], [0.75]])
        >>> fastnn.adversarial_accuracy(net, x, [1, 1, 0], eps=0.1).confusion()
        array([[1, 0],
               [1, 1]])
        """
        found = _tables.confusion(self._truth, self.adversarial_prediction, self.classes)
        return np.asarray(found)

    def attribution(self) -> dict[str, Any]:
        """Return how many samples each attack broke first, of those that it could fool.

        Returns
        -------
        dict of str to int or ndarray of int64, shape (K,)
            By the names in `attacks`. The counts add up to those of `success_rate`; where no
            attack is known for a sample, it counts as "unknown".

        Raises
        ------
        ValueError
            The report has no labels.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net = fastnn.MLP([np.array([[2.0, -2.0]])], [np.array([-1.0, 1.0])])
        >>> x, attacks = np.array([[0.25], [0.45]]), ["fgsm", fastnn.attacks.PGD(steps=20)]
        >>> fastnn.adversarial_accuracy(net, x, [1, 1], eps=0.1, attack=attacks).attribution()
        {'FGSM': 1, 'PGD(steps=20)': 0}
        """
        fooled, by = self.fooled, self.origins[..., 0]
        counts = {
            name: np.count_nonzero(fooled & (by == i), axis=-1)
            for i, name in enumerate(self.attacks)
        }
        unknown = np.count_nonzero(fooled & (by == -1), axis=-1)
        if np.any(unknown):
            counts["unknown"] = unknown
        return {name: int(c) if fooled.ndim == 1 else c for name, c in counts.items()}

    @property
    def _truth(self) -> NDArray[np.int64]:
        """The labels, if there are any."""
        if self.labels is None:
            raise ValueError("the report has no labels")
        return self.labels

    def _settings(self) -> str:
        """Return the digest of the settings."""
        seed, *samples = self.rng if isinstance(self.rng, tuple) else (self.rng,)
        words = [self.attack, list(self.attacks), self.bounds, seed, self.lattice]
        targets = [] if self.targets is None else [self.targets]
        return digest(words, [np.atleast_1d(self.eps), *samples, *targets])

    def _succeeds(self, prediction: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say where an attack that leads to these predictions succeeds."""
        if self.targets is not None:
            return np.asarray(prediction == self.targets)
        return np.asarray(prediction != self._truth)

    def _kept(self) -> tuple[Any, int]:
        """Return how many samples are right with and without an attack, and without one."""
        right = self.clean_prediction == self._truth
        kept = (self.adversarial_prediction == self._truth) & right
        return self._counted(kept), int(np.count_nonzero(right))

    def _successes(self) -> tuple[Any, int]:
        """Return how many samples were fooled, and how many could be."""
        return self._counted(self.fooled), int(np.count_nonzero(self.attackable))

    def _counted(self, some: NDArray[np.bool_]) -> Any:
        """Return how many are true: an int, or an array (K,)."""
        count = np.count_nonzero(some, axis=-1)
        return int(count) if some.ndim == 1 else count
