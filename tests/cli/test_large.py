"""``fastnn attack`` with files that are mapped, checkpoints, and a Dask cluster."""

import json
import sys

import numpy as np
import pytest

from fastnn import load_data
from fastnn.attacks import _blocks
from fastnn.datasets import _sources


@pytest.fixture
def counts(fastnn, weights, tmp_path):
    """Return a function that attacks, and returns the counts of every way to clip."""

    def run(*words):
        file = tmp_path / "report.json"
        status, _, errors = fastnn("attack", weights, "--json", file, "--force", *words)
        assert status == 0, errors
        found = json.loads(file.read_text())["reports"]
        return [(one["clean_correct"], one["adversarial_correct"]) for one in found]

    return run


@pytest.fixture
def large(tmp_path, rng, monkeypatch):
    """Return an .npy file that counts as large, with labels beside it."""
    monkeypatch.setattr(_sources, "_LARGE", 10_000)
    np.save(tmp_path / "X.npy", rng.integers(0, 256, (40, 28, 28), dtype=np.uint8))
    np.save(tmp_path / "Y.npy", rng.integers(0, 10, 40))
    return tmp_path / "X.npy"


def test_a_large_file_is_mapped_with_the_same_counts(counts, large, monkeypatch):
    samples = load_data(large)
    assert isinstance(samples.x, np.memmap)
    assert samples.x.shape == (40, 784)
    assert not isinstance(samples.labels, np.memmap)
    found = counts("--data", large)
    monkeypatch.undo()
    assert not isinstance(load_data(large).x, np.memmap)
    assert counts("--data", large) == found


def test_other_types_are_read(large, rng):
    np.save(large, rng.random((40, 784)).astype(np.float16))
    assert load_data(large).x.dtype == np.float32


def test_each_run_has_a_checkpoint_and_is_not_made_again(counts, digits, tmp_path, monkeypatch):
    words = ["--data", digits, "--checkpoint", tmp_path / "run"]
    found = counts(*words)
    assert {path.name for path in tmp_path.glob("run*")} == {"run.1", "run.2"}
    assert counts("--data", digits) == found

    def refused(*_):
        raise AssertionError("a finished block was attacked")

    monkeypatch.setattr(_blocks, "attack_piece", refused)
    assert counts(*words) == found
    with pytest.raises(AssertionError):
        counts("--data", digits, "--checkpoint", tmp_path / "other")


def test_another_checkpoint_is_refused(fastnn, weights, digits, tmp_path):
    words = ["attack", weights, "--data", digits, "--checkpoint", tmp_path / "run"]
    words += ["--bounds", 0, 1]
    assert fastnn(*words)[0] == 0
    assert (tmp_path / "run").exists()
    status, _, errors = fastnn(*words, "--eps", 0.2)
    assert status == 2
    assert "run is the checkpoint of another run: its settings" in errors


def test_a_cluster_attacks(counts, digits):
    distributed = pytest.importorskip("distributed")
    expected = counts("--data", digits)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        assert counts("--data", digits, "--dask", cluster.scheduler_address) == expected


def test_without_dask_there_is_a_word(fastnn, weights, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, errors = fastnn("attack", weights, "--data", digits, "--dask", "tcp://nowhere:1")
    assert status in (1, 2)
    assert "--dask needs Dask, which is not installed: pip install fastnn[dask]" in errors
