"""The mark of the short run."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark: ``pytest -m "not hostile"`` leaves the short run out."""
    config.addinivalue_line("markers", "hostile: attackers that start processes of their own")
