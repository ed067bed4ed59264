"""The suite of claims: which form of a peer counts, which bar, and what a line says."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn.bench.harness import Key, Timing

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


pytestmark = pytest.mark.usefixtures("importable_benchmarks")


SECONDS = {
    "batch": {250: 1.0, 500: 0.8, 1000: 0.7, 2500: 0.9, None: 1.2},
    "threads": {2: 1, 1: 1.9},
}


def planted(by_hand=0.9, **absent):
    """Return a function that times forms; by hand takes this share of the time."""
    calls = []

    def measure(forms):
        calls.append(forms)
        found = {}
        for form in forms:
            options = dict(form.options)
            factor = by_hand if options.get("by_hand") or options.get("constants") else 1
            seconds = SECONDS["batch"][options.get("batch")] * SECONDS["threads"][form.threads]
            found[form] = seconds * factor
        return {form: s for form, s in found.items() if form.peer not in absent}

    return measure, calls


@pytest.mark.parametrize(
    ("by_hand", "best"),
    [
        (0.9, "torch, batches of 1,000, by hand, 2 threads"),
        (1.2, "torch, batches of 1,000, 2 threads"),
    ],
)
def test_the_best_form_is_found_one_choice_after_the_other(by_hand, best):
    import forms

    measure, calls = planted(by_hand)
    tried = forms.search("accuracy", 10_000, ("torch",), (2, 1), measure)
    assert [len(tries) for tries in calls] == [5, 1, 1]
    assert str(forms.finalists(("torch",), (2, 1), tried)[0]) == best
    assert {dict(form.options)["batch"] for form in tried} == {250, 500, 1000, 2500, None}


def test_a_form_that_is_nearly_as_fast_is_timed_too():
    import forms

    measure, _ = planted(by_hand=1.04)
    tried = forms.search("accuracy", 10_000, ("torch",), (2,), measure)
    names = [str(form) for form in forms.finalists(("torch",), (2,), tried)]
    assert names == [
        "torch, batches of 1,000, 2 threads",
        "torch, batches of 1,000, by hand, 2 threads",
    ]
    assert forms.closest({"a": 1.04, "b": 1.0, "c": 1.06}) == ["b", "a"]
    assert forms.closest({str(i): 1.0 for i in range(9)}) == ["0", "1"]
    assert forms.closest({}) == []


def test_few_images_have_one_batch_and_every_peer_is_tried():
    import forms

    measure, calls = planted()
    tried = forms.search("accuracy", 10, ("numpy", "torch", "jax"), (2, 1), measure)
    assert not any("batch" in dict(form.options) for form in tried)
    assert {form.peer for form in tried} == {"numpy", "torch", "jax"}
    assert {form.peer for form in calls[0]} == {"numpy", "torch", "jax"}  # in the same rounds
    one, _ = planted()
    tried = forms.search("accuracy", 10, ("numpy", "torch", "jax"), (1,), one)
    assert {form.peer for form in tried} == {"numpy", "torch", "jax"}


def test_a_peer_that_is_absent_costs_the_others_nothing():
    import forms

    measure, _ = planted(jax=True)
    tried = forms.search("accuracy", 10, ("numpy", "jax"), (2, 1), measure)
    assert {form.peer for form in tried} == {"numpy"}
    measure, _ = planted(torch=True)
    assert forms.search("accuracy", 10_000, ("torch",), (2, 1), measure) == {}


def test_one_peer_with_one_form_needs_no_trial():
    import forms

    def measure(_):
        pytest.fail("there is nothing to choose")

    assert forms.search("accuracy", 10_000, ("reference",), (2, 1), measure) == {}
    assert forms.search("sigmoid", 1000, ("torch",), (1,), measure) == {}
    (form,) = forms.finalists(("reference",), (2, 1), {})
    assert (form.peer, form.threads) == ("reference", 2)


@pytest.mark.parametrize(
    ("threads", "counts"), [(1, (1,)), (2, (2, 1)), (8, (8, 4, 1)), (3, (3, 1))]
)
def test_numbers_of_threads(threads, counts):
    import forms

    assert forms.thread_counts(threads) == counts


def ratio(median, low, high):
    from fastnn.bench.statistics import Ratio

    return Ratio(median, low, high)


@pytest.mark.parametrize(
    ("value", "control", "at_most", "verdict"),
    [
        ((1.3, 1.2, 1.4), 1.02, False, "reached"),
        ((1.0, 0.9, 1.05), 1.02, False, "MISSED"),
        ((1.15, 1.05, 1.2), 1.02, False, "reached?"),
        ((1.3, 1.2, 1.4), 1.2, False, "reached?"),
        ((1.05, 1.0, 1.08), 1.1, False, "MISSED?"),
        ((1.05, 1.0, 1.08), 1.01, True, "reached"),
        ((1.3, 1.2, 1.4), 1.01, True, "MISSED"),
    ],
)
def test_verdicts_are_about_the_bar(value, control, at_most, verdict):
    import outcomes

    noise = ratio(1.0, 1 / control, control)
    assert outcomes.verdict(ratio(*value), 1.1, noise, at_most=at_most) == verdict


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (24.4, "24.4 s"),
        (0.25, "250 ms"),
        (6.71e-5, "67.1 µs"),
        (1.043, "1.04 s"),
        (0.09996, "100 ms"),
    ],
)
def test_durations(seconds, text):
    import outcomes

    assert outcomes.duration(seconds) == text


@pytest.mark.parametrize(
    ("processor", "bits", "column"),
    [
        ("AMD EPYC", 512, "AMD with AVX-512"),
        ("INTEL(R) XEON(R) PLATINUM 8581C", 512, "Intel with AVX-512"),
        ("AMD EPYC", 256, "AVX2 only"),
        ("Apple M3", 128, "AVX2 only"),
    ],
)
def test_which_bars_count(processor, bits, column):
    import kinds

    assert kinds.kind_of(processor, bits) == column
    assert column in kinds.KINDS


def test_every_goal_has_a_bar_for_every_kind():
    import goals
    import kinds

    every = (*goals.CLAIMS, goals.PRODUCT, goals.PROCESS, goals.PEAK, goals.PEAK_MEMORY)
    assert all(set(goal.bars) == set(kinds.KINDS) for goal in every)
    assert len({goal.name for goal in every}) == len(every)


def test_an_avx2_machine_has_no_feature_that_haswell_lacks(monkeypatch):
    import kinds

    host = {"avx512f": True, "avx512bf16": False, "avx2": True, "fma": True, "vaes": True}
    environment = kinds.avx2_environment(host)
    assert environment["NUMBA_CPU_FEATURES"] == "+avx2,-avx512bf16,-avx512f,+fma,-vaes"
    assert environment["OPENBLAS_CORETYPE"] == "Haswell"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert kinds.vector_bits() == 256
    monkeypatch.setattr(kinds.os, "execve", lambda *_: pytest.fail("it restarts once"))
    kinds.restart_as_avx2()


def test_quick_measures_less_of_fewer_claims():
    import contests
    import goals

    quick = contests.contests(goals.CLAIMS, quick=True)
    full = contests.contests(goals.CLAIMS, quick=False)
    assert sum(len(c.claims) for c in full) == len(goals.CLAIMS)
    assert 0 < sum(len(c.claims) for c in quick) < len(goals.CLAIMS)
    assert all(c.effort.processes == 1 for c in quick)
    assert all(c.trial is None or c.trial.rounds[0] == 1 for c in quick)
    assert max(c.n for c in quick) <= 10_000 < max(c.n for c in full)
    names = {claim.name for claim in full[0].claims}  # measured in the same rounds
    assert names == {"accuracy-torch", "accuracy-jax", "accuracy-single"}
    text = contests.text_of(quick[0].claims[0], quick[0].job, quick[0].n)
    assert text == "clean + FGSM, 2,500 images / torch"


class PlantedTimes:
    """A measurement whose times are planted; the trial's may differ from those of the rounds."""

    def __init__(self, of_trial, of_rounds, trial=False):
        self.timings, self.skipped, self.restless, self.ran = {}, {}, set(), []
        self.of_trial, self.of_rounds, self.trial = of_trial, of_rounds, trial

    def again(self):
        return PlantedTimes(self.of_trial, self.of_rounds, trial=True)

    def run(self, subjects, jobs, effort, *, within, report):
        ((job, n),) = jobs
        seconds_of = self.of_trial if self.trial else self.of_rounds
        for subject in subjects:
            seconds = seconds_of(subject)
            if seconds is None:
                self.skipped[subject.label] = "no time was left"
                continue
            key = Key(job, n, subject.label, subject.threads)
            times = [[seconds] * 3] * 2
            self.timings[key] = Timing(job, subject.label, n, subject.threads, "float32", times)
        self.ran += [subject.label for subject in subjects]


def contest_of(name, quick=False):
    import contests
    import goals

    claims = [claim for claim in goals.CLAIMS if claim.name == name]
    (contest,) = contests.contests(claims, quick=quick)
    return contest


def run(contest, measurement):
    import contests
    import kinds

    return contests.run(contest, measurement, 2, kinds.AMD, report=lambda _: None)


def test_the_peer_is_the_finalist_that_is_fastest_in_the_rounds():
    """Two batches are close in the trial; the one that was slower there wins the rounds."""
    trial = {"batches of 500": 1.0, "batches of 1,000": 1.03}

    def in_trial(subject):
        if "by hand" in subject.label or subject.threads == 1:
            return 2.0
        return next((s for words, s in trial.items() if words in subject.label), 1.5)

    def in_rounds(subject):
        if "torch" not in subject.label:
            return 0.25
        return 0.9 if "1,000" in subject.label else 1.0

    measurement = PlantedTimes(in_trial, in_rounds)
    (outcome,) = run(contest_of("accuracy-torch"), measurement)
    assert [label for label in measurement.ran if "torch" in label] == [
        "torch, batches of 1,000, 2 threads",
        "torch, batches of 500, 2 threads",
    ]
    assert outcome.found.form == "torch, batches of 1,000, 2 threads"
    assert outcome.found.value.median == pytest.approx(0.9 / 0.25)
    assert outcome.found.verdict == "MISSED"
    assert set(outcome.facts["trial"]) > {"torch, one batch, 2 threads"}
    assert outcome.line().startswith("clean + FGSM, 10,000 images / torch")
    assert "4      " in outcome.line()
    json.dumps(outcome.to_json(), allow_nan=False)


def test_claims_about_one_job_share_its_rounds_and_trials():
    """Both of ours are timed with the peers once, and a form is tried once for all claims."""
    import contests
    import goals
    import kinds

    of_trial = {"torchattacks": 1.0, "foolbox": 1.2}
    tried = []

    def in_trial(subject):
        tried.append(subject.label)
        peer = subject.label.split(",")[0]
        return of_trial[peer] * (1 if "batches of 500" in subject.label else 1.5)

    def in_rounds(subject):
        return {"fastnn float32": 0.2, "fastnn all steps": 0.5}.get(
            subject.label.split(",")[0].removesuffix(" (again)"), 1.25
        )

    claims = [claim for claim in goals.CLAIMS if claim.job == "pgd"]
    (contest,) = contests.contests(claims, quick=False)
    assert contest.ours == ("fastnn all steps", "fastnn float32")
    measurement = PlantedTimes(in_trial, in_rounds)
    outcomes = {o.goal.name: o for o in contests.run(contest, measurement, 2, kinds.AMD)}
    assert len(tried) == len(set(tried))
    assert len(measurement.ran) == len(set(measurement.ran))
    assert outcomes["pgd-torchattacks"].found.value.median == pytest.approx(2.5)
    assert outcomes["pgd-torchattacks"].found.verdict == "MISSED"
    assert outcomes["pgd-count"].found.value.median == pytest.approx(6.25)
    assert outcomes["pgd-count"].found.verdict == "reached"
    assert "batches of 500" in outcomes["pgd-foolbox"].found.form


def test_quick_takes_the_peers_of_long_jobs_as_they_are():
    def no_trial(_):
        pytest.fail("there is no trial")

    measurement = PlantedTimes(no_trial, lambda s: 9.0 if "autoattack" in s.label else 1.0)
    (outcome,) = run(contest_of("standard-autoattack", quick=True), measurement)
    assert outcome.found.form == "autoattack, 2 threads"
    assert outcome.text == "Standard(), 20 images / AutoAttack"
    assert outcome.found.verdict == "reached"


def test_a_busy_machine_puts_a_question_mark_to_a_good_ratio():
    measurement = PlantedTimes(lambda _: 1.0, lambda s: 5.0 if "torch" in s.label else 0.25)
    (outcome,) = run(contest_of("accuracy-torch"), measurement)
    assert outcome.found.verdict == "reached?"
    assert outcome.found.form.endswith("; 1.00 s in its trial: is the machine busy?")
    assert not outcome.missed


def test_a_claim_without_time_is_left_out():
    measurement = PlantedTimes(lambda _: 1.0, lambda _: None)
    (outcome,) = run(contest_of("accuracy-torch"), measurement)
    assert outcome.line().endswith("left out: no time was left")
    assert not outcome.missed


@pytest.mark.parametrize(("seconds", "verdict"), [(4e-5, "reached"), (6e-4, "MISSED")])
def test_the_fixed_cost_is_a_time(seconds, verdict):
    measurement = PlantedTimes(None, lambda _: seconds)
    (outcome,) = run(contest_of("call-1-rows"), measurement)
    assert outcome.found.value.median == pytest.approx(1e3 * seconds)
    assert outcome.found.verdict == verdict


def test_the_masked_product_is_checked_and_its_zeros_do_not_count(monkeypatch):
    import products

    rng = np.random.default_rng(0)
    alike, apart = products.inputs(64, 8, rng), products.inputs(64, 1, rng)
    np.testing.assert_array_equal(alike[:8] != 0, np.repeat(alike[:1] != 0, 8, axis=0))
    assert not np.array_equal(apart[0] != 0, apart[1] != 0)
    assert np.mean(apart != 0) == pytest.approx(0.5, abs=0.02)
    a_half = products.prepare(64, 256, 1)[1]
    assert a_half == pytest.approx(products.ROWS * 64 * 256, rel=0.02)
    right = products.masked.masked_product

    def wrong(a, panels, masks, sums, out):
        done = right(a, panels, masks, sums, out)
        out[3, 5] += 1
        return done

    monkeypatch.setattr(products, "masked", SimpleNamespace(**vars(products.masked)))
    monkeypatch.setattr(products.masked, "masked_product", wrong)
    with pytest.raises(ArithmeticError, match="the masked product is wrong"):
        products.prepare(64, 256, 1)


def test_names_of_claims_are_listed():
    command = [sys.executable, str(BENCHMARKS / "claims.py"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert {"accuracy-torch", "epoch-part2-batch16-torch", "process"} <= set(done.stdout.split())
