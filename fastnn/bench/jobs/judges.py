"""Judges: each compares an implementation's answer with the right one, before anything is timed.

Answer and truth are sequences of arrays with the same shapes; `exact` and `n` are the
implementation's `exact` and the number of samples. A judge raises `WrongAnswerError`, or returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from fastnn.bench.protocol import Array


class WrongAnswerError(ArithmeticError):
    """An implementation's answer is wrong, so that its time means nothing."""


class Judge(Protocol):
    """How an answer is compared with the truth."""

    def __call__(
        self, answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int
    ) -> None:
        """Raise `WrongAnswerError` if the answer is wrong."""


def close(answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int) -> None:
    """Require that every array agrees to 2e-5 of its largest entry."""
    for a, t in zip(answer, truth, strict=True):
        error = float(np.abs(a - t).max() / np.abs(t).max())
        if not error <= 2e-5:
            raise WrongAnswerError(f"relative error {error:.1e}, at most 2e-5 allowed")


def same_steps(answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int) -> None:
    """Require that nearly all entries agree.

    Gradients near 0 may have either sign. A cancelling residual gives wrong signs in whole rows.
    """
    wrong = float((~(np.abs(answer[0] - truth[0]) <= 1e-5)).mean())  # NaN is wrong, too
    allowed = 0.005 if exact else 0.25
    if wrong > allowed:
        raise WrongAnswerError(f"{wrong:.2%} of the entries differ, at most {allowed:.1%} allowed")


def same_counts(answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int) -> None:
    """Require that every count is the truth to 1, or to 2 in 10,000 samples.

    A cancelling residual changes up to 5 % of the samples; a small number of samples may have
    more by chance, so that 1 and three times the square root of the expected number are added.
    """
    expected = n / 20
    allowed = max(1, n // 5000) if exact else 1 + expected + 3 * expected**0.5
    difference = np.abs(answer[0] - truth[0])
    if exact and not difference.max() <= allowed:
        raise WrongAnswerError(f"counts {answer[0]}, float64 has {truth[0]}")
    if not difference.flat[:2].max() <= allowed:  # of a sweep, the smallest eps
        raise WrongAnswerError(f"counts {answer[0]}, float64 has {truth[0]}")


def no_more_standing(
    answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int
) -> None:
    """Require the clean count, and at most as many samples after the attacks as the truth has.

    The truth is a weaker attack, and stronger ones leave up to 5 % of the samples fewer, and as
    many more as `same_counts` allows by chance.
    """
    expected = n / 20
    fewer = 1 + expected + 3 * expected**0.5
    clean, standing = answer[0] - truth[0]
    if not (abs(clean) <= max(1, n // 5000) and -fewer <= standing <= 0):
        raise WrongAnswerError(f"counts {answer[0]}, a weaker attack in float64 has {truth[0]}")


def same_training(answer: Sequence[Array], truth: Sequence[Array], *, exact: bool, n: int) -> None:
    """Require accuracies that agree to 0.01 and, if `exact`, losses that agree to 3 %.

    Rounding errors grow from step to step.
    """
    loss_difference = np.abs(answer[0][::2] / truth[0][::2] - 1).max()
    accuracy_difference = np.abs(answer[0][1::2] - truth[0][1::2]).max()
    if (exact and not loss_difference <= 0.03) or not accuracy_difference <= 0.01:
        raise WrongAnswerError(f"loss and accuracy {answer[0]}, float64 has {truth[0]}")
