"""What all tests share."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that starts from the same seed in every test."""
    return np.random.default_rng(20150)
