"""Moved: use `fastnn.datasets.fetch_mnist`. Will be removed in 0.3."""

from fastnn.datasets import MIRRORS, fetch_mnist

__all__ = ["MIRRORS", "fetch_mnist"]
