"""The harness with real processes, and the results that are made of their times."""

import argparse
import itertools
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from fastnn._runtime.processors import available_threads
from fastnn.bench import comparison, figures, results, session, table
from fastnn.bench.ceilings import Ceilings, measure_ceilings
from fastnn.bench.figures._roofline import rate_text
from fastnn.bench.harness import Effort, Measurement
from fastnn.bench.jobs import WrongAnswerError
from fastnn.bench.machine import machine_info, peak_memory, reset_peak_memory
from fastnn.bench.process import TWIN, Subject
from fastnn.bench.results import Case, Document, Speedup
from fastnn.bench.statistics import Ratio
from fastnn.cli import bench as cli
from fastnn.cli.options import Parser, add_output_arguments
from fastnn.io import save_mlp
from fastnn.networks import MLP

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="measures compiled kernels"
)
CEILINGS = Ceilings(
    threads=2,
    fma_float32=400.0,
    fma_float64=200.0,
    fma_float32_one_thread=200.0,
    sgemm=350.0,
    peak_float32=400.0,
    peak_float64=200.0,
    triad_memory=40.0,
    triad_cache=300.0,
)
EARLIER = Path(__file__).with_name("results_1.json")


def numpy_subject(label="numpy"):
    return Subject(label, "fastnn.bench.implementations:Numpy", 1)


@compiled
def test_processes_take_turns_and_absent_implementations_are_named(setting, impostors, tmp_path):
    ours = Subject("fastnn float32", "fastnn.bench.ours:Fastnn32", 1)
    absent = Subject("absent", "absentee:Nobody", 1, path=impostors)
    few = Subject("reference", "fastnn.bench.reference:Reference", 1, rows=5)
    measurement = Measurement(setting, tmp_path)
    reports = []
    measurement.run(
        [numpy_subject(), ours, ours.twin(), few, absent],
        [("forward", 30), ("sweep", 10)],
        Effort(processes=2, rounds=(2, 2)),
        report=reports.append,
    )
    assert measurement.skipped == {"absent": "No module named 'no_such_library'"}
    assert reports[-1] == "sweep, process 2 of 2"
    times = {key: np.shape(t.seconds) for key, t in measurement.timings.items()}
    assert times["forward", 30, "numpy", 1] == (2, 2)
    assert times["forward", 30, "reference", 1] == (2, 2)
    assert ("sweep", 10, "reference", 1) not in times  # it has no sweep
    assert measurement.timings["forward", 30, "reference", 1].n == 5

    document = results.to_document(measurement, CEILINGS)
    written = json.dumps(results.to_json(document), allow_nan=False)
    assert results.document_from(json.loads(written)) == document
    labels = {case.implementation for case in document.cases}
    assert labels == {"numpy", "fastnn float32", "reference"}
    case = next(c for c in document.cases if c.implementation == "fastnn float32")
    assert case.speedup.base == "numpy"
    assert case.speedup.control is not None
    # A peak of 400 GFLOP/s is that of two threads; this ran on one.
    assert case.share_of_peak == pytest.approx(case.gflops / 200)
    text = table.heading(document) + table.table(document)
    assert "reference (on 5)" in text
    assert "left out: absent, No module named 'no_such_library'" in text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Wrong", WrongAnswerError, "impostor: forward: relative error"),
        ("Dies", ChildProcessError, "impostor ended: RuntimeError: out of order"),
        ("Swapped", ChildProcessError, r"impostor ended: TypeError: .*accuracy\(self, labels, x"),
    ],
)
def test_an_impostor_stops_the_run(setting, impostors, tmp_path, name, error, message):
    measurement = Measurement(setting, tmp_path)
    impostor = Subject("impostor", f"impostors:{name}", 1, path=impostors)
    with pytest.raises(error, match=message):
        measurement.run([numpy_subject(), impostor], [("forward", 20)], Effort(processes=1))
    assert not any(t.seconds[-1] for t in measurement.timings.values())


def a_case(ours=2.0, control=1.02):
    """Return the row of an implementation, `ours` times as fast as numpy, within 3 %."""
    return Case(
        job="sigmoid",
        title="sigmoid(z + bias), 1,000 x 300",
        implementation="fastnn float32",
        asked=1000,
        n=1000,
        threads=2,
        seconds=1e-3 / ours,
        samples_per_second=1e6 * ours,
        flops=1.2e6,
        bytes=2.4e6,
        gflops=1.2 * ours,
        share_of_peak=0.003 * ours,
        answer=None,
        peak_memory=None,
        speedup=Speedup(
            median=ours,
            low=0.97 * ours,
            high=1.03 * ours,
            base="numpy",
            control=Ratio(1.0, 1 / control, control),
            resolved=True,
        ),
        times=((1e-3 / ours,),),
    )


def a_document(ours=2.0, control=1.02, **changes):
    """Return a result of that case and of numpy's; `changes` are those of the machine."""
    case = a_case(ours, control)
    base = replace(case, implementation="numpy", speedup=None, gflops=1.2)
    return Document(
        schema=results.SCHEMA,
        machine=replace(machine_info(), **changes),
        ceilings=CEILINGS,
        source="noise",
        skipped={},
        cases=(base, case),
    )


def as_json(document):
    return json.loads(json.dumps(results.to_json(document)))


def test_a_planted_slow_down_is_caught():
    found = comparison.compare(a_document(2.0), a_document(2.0 / 1.3))
    assert found.slower
    (change,) = found.changes
    assert change.verdict == "SLOWER"
    assert "1.30 [" in str(change)


@pytest.mark.parametrize(
    ("now", "control", "tolerance", "word"),
    [
        (2.0, 1.02, 0.1, "the same within tolerance"),  # 1.00 [0.96, 1.04]
        (2.0, 1.02, 0.03, "not resolved"),
        (2.0, 1.2, 0.1, "not resolved"),  # a twin differs by more than the tolerance
        (2.6, 1.02, 0.1, "faster"),
        (2.0 / 1.08, 1.02, 0.1, "the same within tolerance"),
        (2.0 / 1.08, 1.02, 0.05, "SLOWER"),
        (2.0 / 1.3, 1.4, 0.1, "not resolved"),
    ],
)
def test_what_a_comparison_says(now, control, tolerance, word):
    new = a_document(now, control)
    found = comparison.compare(a_document(), new, tolerance=tolerance)
    *_, change, summary = str(found).splitlines()
    assert change.endswith(word)
    begins = {"SLOWER": "1 of 1 slower than before by more than ", "not resolved": "could not tell"}
    assert summary.startswith(begins.get(word, "nothing has become slower by more than "))
    assert found.status == {"SLOWER": 1, "not resolved": 3}.get(word, 0)


@pytest.mark.parametrize(
    ("slower", "unknown", "same", "status", "summary"),
    [
        (
            0,
            6,
            0,
            3,
            "could not tell whether anything has become slower {by}: all were not resolved",
        ),
        (0, 2, 4, 3, "could not tell for 2 of 6; nothing else has become slower {by}"),
        (1, 2, 3, 1, "1 of 6 slower than before {by}; could not tell for 2 of 6"),
        (2, 0, 4, 1, "2 of 6 slower than before {by}"),
        (0, 0, 6, 0, "nothing has become slower {by}"),
    ],
)
def test_a_comparison_says_for_how_many_it_could_not_tell(slower, unknown, same, status, summary):
    kinds = [(1.3, 1.02)] * slower + [(1.0, 1.5)] * unknown + [(1.0, 1.02)] * same
    ours = [replace(a_case(2.0 / f, c), job=f"job {i}") for i, (f, c) in enumerate(kinds)]
    before = [replace(a_case(), job=case.job) for case in ours]
    document = a_document()
    old, new = (replace(document, cases=tuple(cases)) for cases in (before, ours))
    found = comparison.compare(old, new)
    by = "by more than 10%, measured by numpy"
    assert str(found).splitlines()[-1] == summary.format(by=by)
    assert found.status == status


def test_another_machine_is_named():
    old = a_document(processor="another one")
    found = comparison.compare(old, a_document())
    assert str(found).startswith("not the same processor: another one then, ")


def test_nothing_in_common():
    document = a_document()
    old = replace(document, cases=tuple(replace(case, asked=7) for case in document.cases))
    found = comparison.compare(old, document)
    assert str(found) == "could not tell: no case in common with the older run"
    assert found.status == 3


def test_files_that_are_no_results(tmp_path):
    file = tmp_path / "old.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"old\.json: not a JSON file"):
        results.read(file)
    for text, found in (("[]", "None"), ('{"schema": "fastnn-bench/0"}', "'fastnn-bench/0'")):
        file.write_text(text)
        with pytest.raises(ValueError, match=f"expected .* schema fastnn-bench/1, found {found}"):
            results.read(file)
    for text in ("[" * 100_000, "9" * 5000):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"old\.json: not a JSON file") as caught:
            results.read(file)
        assert "\n" not in str(caught.value)
    document = a_document()
    file.write_text(json.dumps(as_json(document)))
    assert results.read(file) == document
    for text in ("\x1b[2J", "numpy\nfastnn float32   0.001"):  # printed as if it were a result
        changed = as_json(document)
        changed["source"] = text
        file.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=r"old\.json: damaged, .*no line of text: '") as caught:
            results.read(file)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_device_without_an_end_is_no_result():
    with pytest.raises(ValueError, match="/dev/zero is no file"):
        results.read(Path("/dev/zero"))


def changed(document, places, value):
    """Return a document with another value at one place, or without it."""
    document = as_json(document)
    *way, last = places
    inner = document
    for place in way:
        inner = inner[place]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return document


def test_results_of_the_first_version_are_read_and_written_with_the_same_keys():
    document = results.read(EARLIER)
    assert as_json(document) == json.loads(EARLIER.read_text())
    assert document.cases[1].speedup.control == Ratio(
        1.1385773839167634, 0.9139353393785822, 1.4184356412437031
    )
    faster = replace(document.cases[1].speedup, median=1e3, low=999.0, high=1001.0)
    now = replace(document, cases=(document.cases[0], replace(document.cases[1], speedup=faster)))
    assert comparison.compare(document, now).changes[0].verdict == "faster"
    assert comparison.compare(now, document).slower


SPEEDUP = ("cases", 1, "speedup")


@pytest.mark.parametrize(
    ("places", "value"),
    [
        (["machine"], None),
        (["machine"], []),
        (["machine", "blas"], 3),
        (["machine", "blas", "kernels"], ["Zen"]),
        (["machine", "processor"], "two\nlines"),
        (["source"], None),
        (["machine", "usable_processors"], 2.5),
        (["ceilings", "sgemm"], None),
        (["ceilings", "sgemm"], 10**400),
        (["skipped"], {"two\nlines": ""}),
        (["cases"], {}),
        (["cases", 0], "sigmoid"),
        (["cases", 1, "job"], None),
        (["cases", 1, "title"], "two\nlines"),
        (["cases", 1, "asked"], "many"),
        (["cases", 1, "threads"], True),
        (["cases", 1, "times", 0], 0.1),
        (["cases", 1, "times", 0, 0], "0.1"),
        (SPEEDUP, 3),
        ((*SPEEDUP, "median"), 0),
        ((*SPEEDUP, "low"), -1),
        ((*SPEEDUP, "high"), float("inf")),
        ((*SPEEDUP, "high"), float("nan")),
        ((*SPEEDUP, "low"), True),
        # The ratio of two of these, or the interval of that ratio, is beyond float64.
        ((*SPEEDUP, "median"), 1e308),
        ((*SPEEDUP, "low"), 1e-308),
        ((*SPEEDUP, "high"), 10**400),
        ((*SPEEDUP, "control"), {"median": 1, "low": 5e-324, "high": 1}),
        ((*SPEEDUP, "control"), []),
        ((*SPEEDUP, "control"), {"median": 1}),
    ],
)
def test_results_that_cannot_be_compared_are_called_damaged(tmp_path, places, value):
    file = tmp_path / "old.json"
    file.write_text(json.dumps(changed(a_document(), places, value)))
    with pytest.raises(
        ValueError, match=r"old\.json: damaged, expected the JSON that `fastnn bench --json`"
    ) as caught:
        results.read(file)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("median", [1e-30, 1, 1e30])
@pytest.mark.parametrize("low", [1e-30, 1e30])
@pytest.mark.parametrize("high", [1e-30, 1e30])
def test_the_largest_ratios_that_are_read_can_be_compared(tmp_path, median, low, high):
    file, values = tmp_path / "old.json", as_json(a_document())
    ratio = {"median": median, "low": low, "high": high}
    values["cases"][1]["speedup"] |= ratio | {"control": ratio}
    file.write_text(json.dumps(values))
    document = results.read(file)
    for pair in ((document, a_document()), (a_document(), document)):
        line = str(comparison.compare(*pair)).splitlines()[-2]
        assert "nan" not in line
        assert "inf" not in line


def test_figures_of_one_case_and_of_none(tmp_path):
    document = a_document()
    assert {path.name for path in figures.draw_all(document, tmp_path)} == {
        "speedups.png",
        "roofline.png",
    }
    assert figures.draw_all(replace(document, cases=()), tmp_path) == []


def test_the_roofline_shows_and_numbers_all_jobs_however_fast():
    document = a_document()
    above = 4 * CEILINGS.peak_float32
    more = [
        replace(document.cases[1], job=job, title=job, gflops=gflops)
        for job, gflops in (("fast", above), ("as fast", 1.1 * above))  # their marks touch
    ]
    figure = figures.roofline(replace(document, cases=(*document.cases, *more)))
    ax = figure.axes[0]
    low, high = ax.get_ylim()
    rates = [float(y) for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert len(rates) == 3
    assert all(low < rate < high for rate in rates)
    numbers = [text for text in ax.texts if text.get_text().isdigit()]
    assert sorted(text.get_text() for text in numbers) == ["1", "2", "3"]
    assert overlapping(figure, numbers) == []
    for text in numbers:  # points between the number and its mark
        assert np.hypot(*text.get_position()) < 45
    on_each_other = Figure().subplots()
    twice = [on_each_other.text(0.5, 0.5, "1"), on_each_other.text(0.5, 0.5, "2")]
    assert overlapping(on_each_other.figure, twice) == [("1", "2")]


def overlapping(figure, texts):
    """Return the pairs of texts that cover each other."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts]
    return [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]


def test_small_rates_are_not_rounded_to_nothing():
    assert [rate_text(rate) for rate in (0.0042, 0.24, 9.6, 31.4, 1234.5)] == [
        "0.0042 GFLOP/s",
        "0.24 GFLOP/s",
        "9.6 GFLOP/s",
        "31 GFLOP/s",
        "1,234 GFLOP/s",
    ]


def test_numbers_of_speedups_are_inside_of_the_frame():
    document = a_document()
    base, ours = document.cases[:2]
    wide = Speedup(1.2, 0.004, 90.0, base="numpy", control=Ratio(1, 0.5, 2), resolved=False)
    slow = Speedup(0.002, 0.001, 0.003, base="numpy", control=Ratio(1, 0.9, 1.1), resolved=True)
    cases = (base, replace(ours, speedup=wide), replace(ours, job="b", speedup=slow))
    figure = figures.speedups(replace(document, cases=cases))
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    texts = figure.axes[0].texts
    assert len(texts) == 2
    for text in texts:
        extent = text.get_window_extent()
        assert box.x0 < extent.x0 < extent.x1 < box.x1
    for label in figure.axes[0].get_yticklabels():
        assert label.get_window_extent().x0 > 5  # pixels from the edge of the figure
    assert "two runs of the same program" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize(("median", "least"), [(2.5, 2), (5.6, 3), (0.004, 3), (3000.0, 3)])
def test_the_axis_of_speedups_has_numbers_beside_each_other(median, least):
    document = a_document()
    base, ours = document.cases[:2]
    interval = {"low": 0.9 * median, "median": median, "high": 1.1 * median}
    found = Speedup(**interval, base="numpy", control=Ratio(1, 0.9, 1.1), resolved=True)
    figure = figures.speedups(replace(document, cases=(base, replace(ours, speedup=found))))
    figure.draw_without_rendering()
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    labels = [
        label.get_window_extent()
        for at, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        if low <= at <= high and label.get_text()
    ]
    assert len(labels) >= least
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(labels))


def test_throughput_has_axes_for_threads():
    document = a_document()
    more = [
        replace(base, job="accuracy", threads=threads, asked=n, n=n)
        for threads, n in ((1, 1000), (2, 1), (2, 1000))
        for base in document.cases
    ]
    axes = figures.throughput(replace(document, cases=(*document.cases, *more))).axes
    assert [len(ax.lines) for ax in axes] == [2, 2]
    assert axes[1].get_xlabel() == "threads, 1,000 images"


@compiled
def test_the_peak_is_the_highest_of_what_was_measured():
    found = measure_ceilings(1, seconds=0.01)
    assert min(asdict(found).values()) > 0
    assert found.peak_float32 == max(found.fma_float32, found.sgemm)


def test_of_two_measurements_of_the_ceilings_the_higher_rates_count():
    other = replace(CEILINGS, sgemm=500.0, triad_cache=1.0)
    assert CEILINGS.highest(other) == replace(CEILINGS, sgemm=500.0)
    assert (CEILINGS.peak("float32"), CEILINGS.peak("float64")) == (400.0, 200.0)


def test_peak_memory_starts_anew():
    reset_peak_memory()
    before = peak_memory()
    if before is None:
        pytest.skip("the system does not report it")
    block = np.ones(20_000_000)
    assert peak_memory() > before + 0.9 * block.nbytes


def arguments(**options):
    parser = Parser()
    cli.add_arguments(parser)
    add_output_arguments(parser)
    return argparse.Namespace(**vars(parser.parse_args([])) | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "sigmoid,nothing"}, "no job is called 'nothing'; there are sigmoid, "),
        ({"tolerance": -1.0}, "tolerance must be 0 or more, got -1"),
        ({"tolerance": float("nan")}, "tolerance must be 0 or more, got nan"),
        ({"threads": available_threads() + 1}, "threads asked for"),
    ],
)
def test_wrong_options_stop_before_any_work(monkeypatch, options, message):
    monkeypatch.setattr(session, "make_setting", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(ValueError, match=message):
        cli.run(arguments(**options))


def test_figures_into_a_file_stop_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "make_setting", lambda *_, **__: pytest.fail("work was done"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file, expected a folder"):
        cli.run(arguments(plot=tmp_path / "file" / "figures"))


@pytest.mark.parametrize(
    ("now", "control", "status"), [(2.0, 1.02, 0), (2.0 / 1.3, 1.02, 1), (2.0, 1.5, 3)]
)
def test_the_command_compares_draws_and_writes(monkeypatch, tmp_path, capsys, now, control, status):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(as_json(a_document())))
    monkeypatch.setattr(session, "make_setting", lambda *_, **__: None)
    monkeypatch.setattr(session, "short_run", lambda *_, **__: a_document(now, control))
    plots = tmp_path / "new" / "plots"
    assert cli.run(arguments(compare=old, json=new, plot=plots)) == status
    assert results.read(new) == a_document(now, control)
    assert (plots / "roofline.png").is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(("nothing has", "1 of 1 slower", "", "could not tell")[status])


def test_the_twin_has_the_label_of_its_subject():
    assert numpy_subject().twin().label == "numpy" + TWIN


def test_a_network_with_another_activation_is_refused(tmp_path):
    net = MLP.random((784, 2048, 512, 512, 10), "tanh")
    save_mlp(net, tmp_path / "tanh.npz")
    with pytest.raises(ValueError, match="the activation must be relu, got tanh"):
        session.make_setting(tmp_path / "tanh.npz", None, "sample")


def test_the_command_writes_a_page_with_the_history(monkeypatch, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    for name, date in (("later", "2026-05-02 10:00"), ("a", "2026-05-01 10:00"), ("b", None)):
        kept = replace(a_document(), date=date)
        (runs / f"{name}.json").write_text(json.dumps(as_json(kept)))
    monkeypatch.setattr(session, "make_setting", lambda *_, **__: None)
    monkeypatch.setattr(session, "short_run", lambda *_, **__: a_document())
    place = tmp_path / "bench.html"
    assert cli.run(arguments(html=place, history=[runs], quiet=True)) == 0
    text = place.read_text(encoding="utf-8")
    places = [text.index(f">{name}") for name in ("b<", "a<br>2026-05-01", "later<br>2026-05-02")]
    assert places == sorted(places)
    assert [name for name, _ in results.read_runs([runs / "a.json", runs])] == [
        "b",
        "a",
        "a",
        "later",
    ]


def test_a_history_needs_a_page_and_files(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "make_setting", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(ValueError, match="--history needs --html"):
        cli.run(arguments(history=[tmp_path]))
    with pytest.raises(ValueError, match=r"no \.json files are in this folder"):
        cli.run(arguments(history=[tmp_path], html=tmp_path / "a.html"))
    (tmp_path / "a.html").touch()
    with pytest.raises(FileExistsError, match=r"a\.html exists already"):
        cli.run(arguments(html=tmp_path / "a.html"))
