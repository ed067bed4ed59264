"""The report of an attack: counts, and how to show them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fastnn.reports import _words
from fastnn.reports._counts import Counts


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
        Wall time of the attack, without `compile_seconds`.
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
    compile_seconds : float
        Time in which a thread compiled kernels or loaded them, in the first calls of a process.
    eps_used : float or ndarray of float64, shape (K,)
        What the attack was given: `eps`, in L-infinity rounded down to the lattice.
    norm : str
        Norm of the change that eps limits; several names, with commas, for attacks of several.
    rng : int or pair of int and ndarray
        Seed of random numbers, and the samples' numbers where they were given.
    sources : object
        What `digests` are made from.
    attacker : Attack or None
        The attack itself, with which `to_html` makes pictures; None in a report from a file.

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
        if self.labels is not None:
            names += ["adversarial_accuracy_among_correct", "success_rate", "attack", "attacks"]
            names += ["lattice", "eps_used", "compile_seconds"]
        found = {name: plain(getattr(self, name)) for name in names}
        if self.labels is not None:
            found["diagnostics"] = {one.name: one.count for one in self.diagnostics}
        return found

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
        return _words.rows(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file that `load` reads.

        Parameters
        ----------
        path : path-like
            An ``.npz`` archive of arrays, with a summary in JSON. An old file is replaced when the
            new one is complete.

        Raises
        ------
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import fastnn
        >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
        >>> report = fastnn.adversarial_accuracy(net, x, [0], eps=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report.save(os.path.join(folder, "report.npz"))
        ...     again = fastnn.AdversarialReport.load(os.path.join(folder, "report.npz"))
        >>> again.digests == report.digests
        True
        """
        from fastnn.reports import _files

        _files.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a report that `save` has written.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        AdversarialReport

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            The file holds something else than a report, was written by a later version, or is
            damaged.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.AdversarialReport.load("report.npz")
        Traceback (most recent call last):
        FileNotFoundError: report.npz: no such file
        """
        from fastnn.reports import _files

        return cls(**_files.read(Path(path)))

    def plot(self, ax: Any = None) -> Any:
        """Draw accuracy against eps or, for one eps, bars; with 95 % Wilson intervals.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            The report has no samples.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
        >>> report = fastnn.adversarial_accuracy(net, x, [0], eps=[0.1, 0.2])
        >>> report.plot().get_ylabel()
        'Accuracy'
        """
        from fastnn.reports import _figure

        if isinstance(self.eps, float):
            return _figure.bars(self, ax)
        return _figure.curve(self, ax, "")

    def to_html(self, path: str | os.PathLike[str] | None = None, **settings: Any) -> str | None:
        """Show the report on a page of HTML: one file, which needs nothing from elsewhere.

        Parameters
        ----------
        path : path-like, optional
            Where to write. Default: nowhere; the page is returned.
        **settings
            As for `fastnn.reports.to_html`: `x`, `net`, `image_shape`, `class_names`, `title` and
            `about`. With `x` and `net` there are pictures of what fell first and last.

        Returns
        -------
        str or None
            The page, if there is no `path`.

        Raises
        ------
        TypeError, ValueError, OSError
            As `fastnn.reports.to_html`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
        >>> report = fastnn.adversarial_accuracy(net, x, [0], eps=0.1)
        >>> "Accuracy with 95 % Wilson intervals." in report.to_html(x=x, net=net)
        True
        """
        from fastnn.reports._page import to_html

        return to_html(self, path, **settings)

    def to_pandas(self) -> Any:
        """Return a DataFrame with a row for each eps and sample.

        Returns
        -------
        pandas.DataFrame
            With the columns eps, sample, label, target (where there are targets), clean_prediction,
            adversarial_prediction, fooled, attack, run and step; the last three are those of
            `origins`.

        Raises
        ------
        ImportError
            pandas is not installed.
        ValueError
            The report has no labels.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> net, x = fastnn.MLP.random((2, 8, 3)), np.full((1, 2), 0.5, np.float32)
        >>> report = fastnn.adversarial_accuracy(net, x, [0], eps=[0.1, 0.2])
        >>> report.to_pandas().groupby("eps").fooled.mean()  # doctest: +SKIP
        """
        from fastnn.reports import _frame

        return _frame.data_frame(self)

    def __str__(self) -> str:
        return _words.text(self)

    def __repr__(self) -> str:
        eps = self.eps if isinstance(self.eps, float) else self.eps.tolist()
        return (
            f"AdversarialReport(n={self.n}, eps={eps}, clean_correct={self.clean_correct}, "
            f"adversarial_correct={np.asarray(self.adversarial_correct).tolist()})"
        )

    def _repr_html_(self) -> str:
        return _words.as_html(self)
