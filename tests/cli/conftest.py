"""What the tests of the command line share."""

import re

import numpy as np
import pytest

from fastnn import _recipe, save_mlp
from fastnn._recipe import Recipe
from fastnn.cli import main

SIZES = (784, 128, 10)  # wide enough for the sparse kernels
TINY = Recipe(sizes=SIZES, epochs=2, batch_size=50, learning_rate=0.05)


@pytest.fixture
def _small_and_apart(tmp_path, monkeypatch):
    """Let the recipe take a moment, and let nothing of this machine be found."""
    monkeypatch.setattr(_recipe, "SAMPLE", TINY)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fastnn(capsys, _small_and_apart):
    """Return a function that runs a command: exit status, standard output, standard error."""

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def no_training(monkeypatch):
    def train(*_arguments, **_options):
        pytest.fail("a network is trained")

    monkeypatch.setattr(_recipe, "train", train)


@pytest.fixture
def weights(tmp_path, make_net):
    """Return a folder with a network that nobody trained."""
    save_mlp(make_net(SIZES), tmp_path / "given")
    return tmp_path / "given"


@pytest.fixture
def digits(tmp_path, rng):
    """Return a folder with thirty images of noise, and their labels."""
    folder = tmp_path / "digits"
    folder.mkdir()
    np.save(folder / "images_test.npy", rng.integers(0, 256, (30, 784), dtype=np.uint8))
    np.save(folder / "labels_test.npy", np.arange(30) % 10)
    return folder


@pytest.fixture
def assert_refused():
    """Return a function that checks for one line on standard error and nothing on the other."""

    def check(result, message, status=2):
        assert result[:2] == (status, "")
        assert re.fullmatch(f"fastnn ?[a-z-]*: {message}\n", result[2]), result[2]

    return check
