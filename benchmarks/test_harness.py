"""The harness finds a planted slow-down, and no other. Needs a quiet machine."""

import dataclasses
from pathlib import Path

import pytest

from fastnn.bench.comparison import compare
from fastnn.bench.harness import Effort, Measurement
from fastnn.bench.jobs import WrongAnswerError
from fastnn.bench.results import control_of, to_document
from fastnn.bench.session import subjects

HERE = str(Path(__file__).parent)


def measured(world, tmp_path, job, n, planted=None, processes=3, seconds=4):
    """Return a measurement of the short run's subjects, fastnn float32 replaced by `planted`."""
    chosen = subjects(world.threads)[:3]
    if planted:
        change = {"implementation": f"peers.planted:{planted}", "path": HERE}
        chosen = [s if s.label == "numpy" else dataclasses.replace(s, **change) for s in chosen]
    measurement = Measurement(world.setting, tmp_path)
    measurement.run(chosen, [(job, n)], Effort(processes, (3, 60), seconds))
    return measurement


def test_a_against_a_has_its_median_within_three_percent(world, tmp_path):
    measurement = measured(world, tmp_path, "accuracy", 1000, processes=5, seconds=12)
    control = control_of(measurement, "accuracy", 1000, world.threads)
    assert 1 / 1.03 < control.median < 1.03, f"A against A is {control}"


def test_a_planted_slow_down_is_caught_and_no_other(world, tmp_path):
    runs = []
    for i, planted in enumerate((None, None, "Slow")):
        folder = tmp_path / str(i)
        folder.mkdir()
        measurement = measured(world, folder, "sigmoid", 1000, planted)
        runs.append(to_document(measurement, world.ceilings))
    old, same, slow = runs
    found = compare(old, slow)
    assert found.slower, str(found)
    found = compare(old, same)
    assert not found.slower, str(found)


def test_a_planted_wrong_answer_stops_its_benchmark(world, tmp_path):
    with pytest.raises(WrongAnswerError, match="fastnn float32: forward: relative error"):
        measured(world, tmp_path, "forward", 1000, "Wrong")
