"""Moved: use `fastnn.adversarial_accuracy` and `fastnn.reports`. Will be removed in 0.3."""

from fastnn.attacks.evaluate import adversarial_accuracy
from fastnn.reports import AdversarialReport

__all__ = ["AdversarialReport", "adversarial_accuracy"]
