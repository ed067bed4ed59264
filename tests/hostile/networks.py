"""Random networks against float64 with a rounding bound, and against themselves.

A prediction is wrong when another class leads by more than rounding can explain; a sign of the
gradient when the entry is larger than rounding can explain. What rounding can explain is worked out
in `_exact`, which shares no code with the library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.hostile._exact import Bounded, log_softmax
from tests.hostile._frame import BrokeError, run_checks
from tests.hostile._judge import (
    Truth,
    agree,
    answer_of,
    attempt,
    outcome,
    require_counts,
    require_possible,
    same,
    same_bits,
    trained,
    within,
)
from tests.hostile._problems import Problem, make

WIDE = 1000
SECONDS = 120.0
LIFE = 200

Array = NDArray[Any]


def prepare(folder: Path) -> None:
    """Compile what most cases need."""
    for seed in range(5):
        case(seed, folder)


def case(seed: int, folder: Path) -> list[str]:
    """Run every check on one random problem."""
    checks = Checks(make(seed))
    names = [name for name in dir(Checks) if name.startswith("check_")]
    return run_checks({name[6:]: getattr(checks, name) for name in names})


class Checks:
    """Everything that has to hold for one problem."""

    def __init__(self, problem: Problem) -> None:
        self.p = problem
        self.truth = Truth(problem)
        self.arguments = (problem.net, problem.x, problem.labels)
        self.doubtful = self.truth.run.may_overflow(self.truth.arithmetic)
        self.broken = self.truth.run.must_overflow(self.truth.arithmetic)

    def check_logits(self) -> None:
        """Judge logits, predictions and probabilities: they are within the bound."""
        net, x = self.p.net, self.p.x
        logits = attempt(lambda: net.logits(x), self.doubtful, self.broken)
        if logits is None:
            return
        within(logits, self.truth.run.logits, "logits")
        require_possible(net.predict(x), self.truth.run, "predict")
        proba = net.predict_proba(x)
        if not np.allclose(proba.sum(axis=1), 1, atol=1e-4) or not (proba >= 0).all():
            raise BrokeError(f"probabilities do not add up: {proba.sum(axis=1)}")

    def check_loss(self) -> None:
        """Judge the mean loss: it is within the bound."""
        net, x, labels = self.arguments
        loss = attempt(lambda: net.loss(x, labels), self.doubtful, self.broken)
        if loss is None:
            return
        value, error = self.truth.run.logits
        logs = log_softmax(value, self.truth.arithmetic)[1]
        true = np.arange(len(labels)), labels
        expected = -logs.value[true].mean()
        doubt = (2 * error.max(axis=1) + logs.error[true]).mean()
        if abs(loss - expected) > doubt:
            raise BrokeError(f"loss {loss}, expected {expected} within {doubt:.2g}")

    def check_input_gradient(self) -> None:
        """Judge derivatives by the inputs: they are within the bound."""
        net, x, labels = self.arguments
        may = self.truth.gradient_may_overflow()
        found = attempt(lambda: net.input_gradient(x, labels), may, self.broken)
        if found is not None:
            within(found, self.truth.real[0][0], "input gradient")

    def check_gradients(self) -> None:
        """Judge derivatives by the parameters: they are within the bound."""
        net, x, labels = self.arguments
        may = self.truth.gradient_may_overflow()
        found = attempt(lambda: net.gradients(x, labels), may, self.broken, names_row=False)
        if found is None:
            return
        unit, eta = self.truth.arithmetic.unit, self.truth.arithmetic.eta
        for i, g in enumerate(self.truth.real[0][1:]):
            h = self.truth.run.h[i]
            n = len(labels)
            with np.errstate(all="ignore"):
                size = np.abs(g.value) + g.error
                most = (np.abs(h.value) + h.error).T @ size
                error = h.error.T @ size + np.abs(h.value).T @ g.error + 4 * n * (unit * most + eta)
                bias = g.error.sum(axis=0) + 4 * n * (unit * size.sum(axis=0) + eta)
            mean = h.value.T @ g.value / n
            within(found.weights[i], Bounded(mean, error / n + eta), f"weights[{i}]")
            mean = g.value.mean(axis=0)
            within(found.biases[i], Bounded(mean, bias / n + eta), f"biases[{i}]")

    def check_fgsm(self) -> None:
        """Every sure entry goes exactly one step, in the direction of its gradient."""
        from fastnn import fgsm

        eps = self.p.eps[0]
        may = self.truth.gradient_may_overflow()
        call = lambda: fgsm(*self.arguments, eps, self.p.bounds)  # noqa: E731
        found = attempt(call, may, self.broken)
        if found is None:
            return
        kind, x = self.truth.kind, self.p.numbers
        sign, sure = self.truth.sign
        wanted = x + kind(eps) * sign.astype(x.dtype)
        # No difference exceeds eps: where the sum was rounded up, it is the number before.
        nearer = np.nextafter(wanted, x)
        wanted = np.where(np.abs(wanted - x) > kind(eps), nearer, wanted)
        wanted = np.clip(wanted, kind(self.truth.lower), None)
        wanted = np.minimum(wanted, kind(self.truth.upper))
        near = 4 * self.truth.x.error
        wrong = sure & ~(np.abs(found.astype(np.float64) - wanted) <= near)
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise BrokeError(
                f"eps {eps:g}: {wrong.sum()} of {sure.sum()} sure entries; first x[{i}, {j}] = "
                f"{x[i, j]!r} became {found[i, j]!r}, expected {wanted[i, j]!r}"
            )
        again = fgsm(*self.arguments, eps, self.p.bounds)
        if not np.array_equal(found, again):
            raise BrokeError("fgsm called twice gives two results")

    def check_single_eps(self) -> None:
        """Judge a call with one eps: it predicts what the attacked network would."""
        for eps in dict.fromkeys(self.p.eps[:3]):
            report = self._report(eps)
            if report is None:
                continue
            require_possible(report.clean_prediction, self.truth.run, "clean")
            require_possible(
                report.adversarial_prediction, self.truth.attacked(eps), f"eps {eps:g}"
            )
            require_counts(report, self.truth)
            if eps == 0 and (report.adversarial_prediction != report.clean_prediction).any():
                raise BrokeError("eps 0 changes predictions")

    def check_sweep(self) -> None:
        """Judge a call with many eps: it predicts for each what the attacked network would."""
        for budgets in (self.p.eps, self._safe_eps()):
            report = self._report(budgets) if budgets else None
            if report is None:
                continue
            require_counts(report, self.truth)
            require_possible(report.clean_prediction, self.truth.run, "clean, of a sweep")
            for eps, prediction in zip(budgets, report.adversarial_prediction, strict=True):
                what = f"eps {eps:g} of {budgets} in {self.p.bounds}"
                require_possible(prediction, self.truth.attacked(eps), what)

    def check_metamorphic(self) -> None:
        """Order, repetition and needless length of the eps change nothing."""
        budgets = self._safe_eps()
        report = self._report(budgets) if len(budgets) > 1 else None
        if report is None:
            return
        found = report.adversarial_prediction
        order = self.p.rng.permutation(len(budgets))
        turned = self._report([budgets[k] for k in order]).adversarial_prediction
        attacked = [self.truth.attacked(eps) for eps in budgets]
        for k, one in zip(order, turned, strict=True):
            agree(one, found[k], attacked[k], f"eps {budgets[k]:g} in another order")
        for k, eps in enumerate(budgets):
            agree(found[k], found[budgets.index(eps)], attacked[k], f"eps {eps:g} asked for twice")
            if eps == 0:
                agree(found[k], report.clean_prediction, attacked[k], "eps 0 of a sweep")
        whole = [k for k, eps in enumerate(budgets) if eps >= self.truth.upper - self.truth.lower]
        for k in whole[1:]:
            agree(found[k], found[whole[0]], attacked[k], f"{budgets} beyond {self.p.bounds}")

    def check_threads(self) -> None:
        """No result depends on the number of threads, nor on numpy's error state."""
        import fastnn

        net, x, labels = self.arguments
        budgets = self._safe_eps()[:3]
        for what, call in self._calls(net, x, labels, budgets).items():
            expected = outcome(call)
            for n in (1, 2, 3):
                with fastnn.threads(n):
                    same(outcome(call), expected, f"{what} on {n} threads")

    def check_error_state(self) -> None:
        """``np.errstate(all="raise")`` around a call changes nothing."""
        net, x, labels = self.arguments
        for what, call in self._calls(net, x, labels, self._safe_eps()[:3]).items():
            expected = outcome(call)
            with np.errstate(all="raise"):
                found = outcome(call)
            same(found, expected, f"{what} where numpy raises")

    def check_rows(self) -> None:
        """Rows in another order, twice, or alone are predicted alike, but for near ties."""
        import fastnn

        net, x, labels = self.arguments
        if self.doubtful.any():
            return
        order = self.p.rng.permutation(len(x))
        single = np.atleast_1d(net.predict(x[order[0]]))
        require_possible(single, self.truth.run, "a single sample", order[:1])
        for what, rows in {
            "in another order": order,
            "twice": np.repeat(order, 2),
            "alone": order[:1],
            "without the last": np.arange(len(x))[: max(1, len(x) - 1)],
        }.items():
            clean = net.predict(x[rows])
            require_possible(clean, self.truth.run, f"rows {what}", rows)
            for budgets in (self._safe_eps()[:1], self._safe_eps()[:2]):
                if not budgets:
                    continue
                report = fastnn.adversarial_accuracy(
                    net, x[rows], labels[rows], budgets, self.p.bounds
                )
                for eps, prediction in zip(budgets, report.adversarial_prediction, strict=True):
                    text = f"rows {what}, eps {eps:g}"
                    require_possible(prediction, self.truth.attacked(eps), text, rows)

    def check_functions(self) -> None:
        """Judge softmax, its logarithm and the loss of random rows: they are float64's."""
        import fastnn

        scale = float(self.p.rng.choice([1e-3, 1.0, 30.0, 200.0, 1e4, 1e30]))
        z = self.p.rng.standard_normal((len(self.p.labels), self.p.net.sizes[-1])) * scale
        z = z.astype(self.p.net.dtype)
        probs, logs = log_softmax(z.astype(np.float64), self.truth.arithmetic)
        within(fastnn.softmax(z), probs, "softmax")
        within(fastnn.log_softmax(z), logs, "log_softmax")
        true = np.arange(len(z)), self.p.labels
        losses = Bounded(-logs.value[true], logs.error[true])
        within(fastnn.cross_entropy(z, self.p.labels), losses, "cross_entropy")

    def check_unchanged(self) -> None:
        """No argument is modified."""
        net, x, labels = self.arguments
        eps = np.array(self.p.eps)
        given = [x, labels, eps, *net.weights, *net.biases]
        before = [array.copy() for array in given]
        for call in self._calls(net, x, labels, eps).values():
            outcome(call)
        for array, old in zip(given, before, strict=True):
            same_bits(array, old, "an argument")

    def _calls(self, net: Any, x: Array, labels: Array, eps: Any) -> dict[str, Callable[[], Any]]:
        """Return public calls on this problem, by name."""
        import fastnn

        bounds = self.p.bounds
        return {
            "logits": lambda: net.logits(x),
            "predict_proba": lambda: net.predict_proba(x),
            "loss": lambda: net.loss(x, labels),
            "input_gradient": lambda: net.input_gradient(x, labels),
            "gradients": lambda: net.gradients(x, labels),
            "fgsm": lambda: fastnn.fgsm(net, x, labels, self.p.eps[0], bounds),
            "train": lambda: trained(net, x, labels),
            "one eps": lambda: answer_of(net, x, labels, self.p.eps[0], bounds),
        } | ({"sweep": lambda: answer_of(net, x, labels, eps, bounds)} if len(eps) > 1 else {})

    def _safe_eps(self) -> list[float]:
        """Return the eps under which no row may overflow."""
        if self.truth.gradient_may_overflow().any():
            return []
        arithmetic = self.truth.arithmetic
        return [e for e in self.p.eps if not self.truth.attacked(e).may_overflow(arithmetic).any()]

    def _report(self, eps: Any) -> Any:
        """Return the report of an attack, None where an overflow is allowed and happened."""
        import fastnn

        arithmetic = self.truth.arithmetic
        may, must = self.truth.gradient_may_overflow(), self.broken
        for one in np.atleast_1d(eps):
            attacked = self.truth.attacked(one)
            may = may | attacked.may_overflow(arithmetic)
            must = must | attacked.must_overflow(arithmetic)
        return attempt(
            lambda: fastnn.adversarial_accuracy(*self.arguments, eps, self.p.bounds), may, must
        )
