"""What reports of several attacks say together, and what ``fastnn attack --json`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.cli._job import Job

if TYPE_CHECKING:
    from fastnn.reports import AdversarialReport


def reached(job: Job, report: AdversarialReport) -> Any:
    """Return how many samples got to their target, for every eps."""
    return (report.adversarial_prediction == job.targets).sum(axis=-1)


def standing(job: Job, reports: list[AdversarialReport]) -> Any:
    """Return how many samples none of these reports has as wrong, for every eps."""
    import numpy as np

    right = [report.adversarial_prediction == job.labels for report in reports]
    return np.logical_and.reduce(right).sum(axis=-1)


def results(
    job: Job, targets: str | int | None, found: dict[str, list[AdversarialReport]]
) -> dict[str, Any]:
    """Return what the JSON file holds."""
    net, reports = job.net, []
    for report in (report for some in found.values() for report in some):
        own: dict[str, Any] = {}
        if job.targets is not None:
            own = {"targets": targets, "reached": reached(job, report).tolist()}
        reports.append(report.to_dict() | own)
    return {
        "digits": job.digits,
        "network": {
            "sizes": list(net.sizes),
            "activation": net.activation,
            "dtype": str(net.dtype),
            "origin": job.origin,
        },
        "attacks": list(found),
        "reports": reports,
    }
