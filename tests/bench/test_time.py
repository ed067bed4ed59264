"""The harness keeps to its time: on planted clocks, with slow processes and with stuck ones."""

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn.bench import harness, session, table
from fastnn.bench.ceilings import Ceilings
from fastnn.bench.harness import Effort, Key, Measurement, Timing
from fastnn.bench.process import Subject

CEILINGS = Ceilings(2, *[100.0] * 8)


def numpy_subject():
    return Subject("numpy", "fastnn.bench.implementations:Numpy", 1)


def slow(impostors, name="Slow"):
    return Subject("slow", f"impostors:{name}", 1, path=impostors)


@pytest.mark.parametrize(("within", "generations"), [(15, 1), (25, 2), (35, 3)])
def test_no_generation_is_begun_that_would_end_too_late(
    setting, tmp_path, monkeypatch, within, generations
):
    """A generation takes ten seconds on the planted clock."""
    now = [0.0]
    monkeypatch.setattr(harness, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def report(_):
        now[0] += 10

    measurement = Measurement(setting, tmp_path)
    effort = Effort(processes=3, rounds=(1, 1))
    measurement.run([numpy_subject()], [("forward", 5)], effort, within=within, report=report)
    assert len(measurement.timings["forward", 5, "numpy", 1].seconds) == generations


def test_after_the_end_nothing_is_begun(setting, tmp_path):
    measurement = Measurement(setting, tmp_path)
    measurement.run([numpy_subject()], [("forward", 5)], Effort(), within=-1, report=pytest.fail)
    assert measurement.timings == {}


def test_a_slow_implementation_has_fewer_rounds_and_the_last_jobs_are_left_out(
    setting, impostors, tmp_path
):
    measurement = Measurement(setting, tmp_path)
    measurement.run([numpy_subject(), slow(impostors)], [("sigmoid", 5)], Effort(1, (1, 1)))
    start = time.perf_counter()
    jobs = [("forward", 5), ("forward", 6), ("forward", 7)]
    measurement.run(
        [numpy_subject(), slow(impostors)], jobs, Effort(3, (50, 50), seconds=9), within=3
    )
    assert time.perf_counter() - start < 3 + 2
    timings = {
        key.asked: t.seconds for key, t in measurement.timings.items() if key.label == "slow"
    }
    assert set(timings) == {5}
    assert len(timings[5]) == 1
    assert 1 <= len(timings[5][0]) < 50
    other = measurement.timings["forward", 5, "numpy", 1].seconds
    assert np.shape(other) == np.shape(timings[5])


def test_a_generation_that_time_cut_short_is_dropped(setting, tmp_path, monkeypatch):
    """The clock jumps past the end in the second generation; its rounds would be too few."""
    measurement = Measurement(setting, tmp_path)
    jumps = iter([0.0] * 2 + [1e6] * 100)
    monkeypatch.setattr(
        Measurement,
        "_rounds",
        lambda self, calls, rounds, seconds: (
            {process: [1.0] * (rounds[0] if next(jumps) == 0 else 1) for process in calls}
        ),
    )
    measurement.run(
        [numpy_subject()], [("forward", 5), ("forward", 6)], Effort(2, (4, 9), seconds=1)
    )
    seconds = [timing.seconds for timing in measurement.timings.values()]
    assert seconds == [[[1.0] * 4]] * 2


def test_a_process_that_hangs_is_killed_and_its_job_dropped(
    setting, impostors, tmp_path, monkeypatch
):
    monkeypatch.setattr(harness, "_GRACE", 0.5)
    measurement = Measurement(setting, tmp_path)
    start = time.perf_counter()
    jobs = [("sigmoid", 5), ("forward", 5)]
    measurement.run([numpy_subject(), slow(impostors, "Stuck")], jobs, Effort(3, (1, 1)), within=3)
    assert time.perf_counter() - start < 3 + 0.5 + 2
    assert {key.job for key in measurement.timings} == {"sigmoid"}


def test_a_subject_that_spins_after_its_turn_is_named(setting, impostors, tmp_path):
    measurement = Measurement(setting, tmp_path)
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("the system does not report the time of threads")
    subjects = [numpy_subject(), slow(impostors, "Spins")]
    measurement.run(subjects, [("forward", 5)], Effort(1, (1, 1)))
    assert measurement.restless == {"slow"}
    assert measurement.again().restless == set()


def test_a_process_that_ends_in_time_is_still_an_error(setting, impostors, tmp_path):
    measurement = Measurement(setting, tmp_path)
    with pytest.raises(ChildProcessError, match="out of order"):
        measurement.run([slow(impostors, "Dies")], [("forward", 5)], Effort(1), within=60)


def test_the_short_run_says_what_it_left_out(setting, monkeypatch):
    stages = [
        session.Stage(
            [numpy_subject()], [("forward", 5), ("fgsm", 5), ("accuracy", 5), ("step", 6)]
        )
    ]
    monkeypatch.setattr(session, "_stages", lambda *_: stages)
    monkeypatch.setattr(session, "measure_ceilings", lambda *_: CEILINGS)
    done = {"forward": 3, "fgsm": 1}

    def run(self, subjects, jobs, effort, *, within, report):
        assert 0 < within <= session._SECONDS
        for job, n in jobs:
            if job in done:
                timing = Timing(job, "numpy", n, 1, "float32", [[1.0]] * done[job])
                self.timings[Key(job, n, "numpy", 1)] = timing

    monkeypatch.setattr(Measurement, "run", run)
    document = session.short_run(setting, 1, progress=False)
    text = table.heading(document)
    assert "left out: accuracy of 5, step of 6, with 1 thread, no time was left" in text
    assert "left out: some of the 3 processes for 1 job, no time was left" in text
    assert "forward of" not in text
