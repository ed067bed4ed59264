"""A job: what to compute, how many operations it has, and how its answer is judged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.bench.implementations import Truth
from fastnn.bench.jobs.judges import Judge, WrongAnswerError
from fastnn.bench.protocol import Array, Implementation, Method, Network


@dataclass(frozen=True, kw_only=True)
class Job:
    """The same task for every implementation.

    Attributes
    ----------
    name, title : str
        For commands and files; for tables and figures.
    method : str
        The method of the implementation that is called.
    network : Network
        What the implementation is built from.
    arguments : tuple
        For the method; arrays are converted by the implementation's `array` first.
    n : int
        Number of samples.
    flops, bytes : float
        Operations, and bytes that must move at least, counted as in `fastnn.bench.jobs`.
    judge : Judge
        Compares the answer with the truth.
    """

    name: str
    title: str
    method: Method
    network: Network
    arguments: tuple[Any, ...]
    n: int
    flops: float
    bytes: float
    judge: Judge

    def solve(self, implementation: type[Implementation]) -> Callable[[], Any]:
        """Build an implementation and return a function of no arguments that computes its answer.

        Raises
        ------
        AttributeError
            The implementation does not offer the method.
        NotImplementedError
            It cannot be built from this network.
        """
        made = implementation(*self.network)
        arguments = [made.array(a) if isinstance(a, np.ndarray) else a for a in self.arguments]
        return functools.partial(getattr(made, self.method), *arguments)

    def truth(self, folder: Path | None = None) -> list[Array]:
        """Return the answer in float64; with a folder, read it from there or keep it there."""
        kept = None if folder is None else folder / f"truth-{self.name}-{self.n}.npz"
        if kept is not None and kept.exists():
            with np.load(kept) as stored:
                return [stored[name] for name in stored.files]
        answer = _as_arrays(self.solve(Truth)())
        if kept is not None:
            np.savez(kept, *answer)
        return answer

    def check(self, answer: Any, truth: Sequence[Array], *, exact: bool) -> list[Array]:
        """Return `answer` as numpy arrays.

        Raises
        ------
        WrongAnswerError
            It differs from the truth. The message begins with the name of the job.
        """
        arrays = _as_arrays(answer)
        shapes, right_shapes = [a.shape for a in arrays], [t.shape for t in truth]
        if shapes != right_shapes:
            raise WrongAnswerError(f"{self.name}: shapes {shapes}, not {right_shapes}")
        try:
            self.judge(arrays, truth, exact=exact, n=self.n)
        except WrongAnswerError as error:
            raise WrongAnswerError(f"{self.name}: {error}") from None
        return arrays


def _as_arrays(answer: Any) -> list[Array]:
    """Return an answer of one array or several as a list of numpy arrays."""
    arrays = answer if isinstance(answer, tuple) else (answer,)
    return [np.asarray(array) for array in arrays]
