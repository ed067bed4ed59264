"""A small report, its page, and a real browser where one is found."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.attacks import FGSM, PGD
from fastnn.bench import results

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def attacked():
    """Return a network of 8 x 8 images, images, labels and two reports at two eps."""
    rng = np.random.default_rng(3)
    x = rng.random((60, 64)).astype(np.float32)
    labels = (x[:, :32].sum(axis=1) > 16).astype(np.int64) + (x[:, 40] > 0.7)
    net = fastnn.MLP.random((64, 24, 3), rng=0)
    fastnn.train(net, x, labels, epochs=60, batch_size=10, learning_rate=0.1)
    reports = {
        "both": fastnn.adversarial_accuracy(
            net, x, labels, [0.1, 4 / 255], (0, 1), attack=[FGSM(), PGD(5)]
        ),
        "fgsm, not clipped": fastnn.adversarial_accuracy(net, x, labels, [0.05, 0.1]),
    }
    return net, x, labels, reports


@pytest.fixture(scope="session")
def browser():
    """Start a headless Chromium; what needs it is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    place = next(filter(None, map(shutil.which, BROWSERS)), None)
    if place is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(playwright.sync_playwright())
        # Chromium's sandbox does not start for root, who runs tests in containers.
        yield running.chromium.launch(executable_path=place, args=["--no-sandbox"])


@pytest.fixture
def document():
    """Return the results of an earlier benchmark."""
    return results.read(Path(__file__).parents[1] / "bench" / "results_1.json")
