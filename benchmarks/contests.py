"""Contests: claims about the same job, whose implementations are timed in the same rounds."""

from dataclasses import dataclass

import numpy as np
from forms import Form, finalists, search, thread_counts
from goals import REFERENCE_ROWS, Claim
from outcomes import Outcome, doubt, duration, judge, judge_level

from fastnn.bench.harness import Effort, Key, Sized

TRIAL_ROWS = 2500  # of the long jobs, where one batch needs no more
_LONG_JOBS = ("sweep", "pgd")
_TRIAL_JOB: dict[str, Sized] = {"training": ("epoch", 10_000)}  # 30 epochs are too long


@dataclass(frozen=True)
class Contest:
    """Claims about one job for `n` samples.

    Attributes
    ----------
    claims : tuple of Claim
    job : str
    n : int
    effort : Effort
    trial : Effort or None
        None: every peer is as it is, with all threads.
    """

    claims: tuple[Claim, ...]
    job: str
    n: int
    effort: Effort
    trial: Effort | None

    @property
    def ours(self):
        """Return our labels, each once."""
        return tuple(dict.fromkeys(claim.ours for claim in self.claims))

    def threads(self, threads):
        """Return the numbers of threads that a peer may have; ours has the first one."""
        return (1,) if self.claims[0].one_thread else thread_counts(threads)


def contests(claims, *, quick):
    """Group claims in their order; with `quick`, those that it leaves out have no contest."""
    groups = {}
    for claim in claims:
        job = claim.quick if quick else (claim.job, claim.n)
        if job is not None:
            groups.setdefault((*job, claim.one_thread), []).append(claim)
    return [
        Contest(
            tuple(group),
            job,
            n,
            group[0].quick_effort if quick else group[0].effort,
            group[0].quick_trial if quick else group[0].trial,
        )
        for (job, n, *_), group in groups.items()
    ]


def text_of(claim, job, n):
    """Return the work in words, with the samples and epochs that were measured."""
    epochs = "30 epochs" if job == "training" else "1 epoch"
    return claim.text.format(n=f"{n:,}", epochs=epochs)


def run(contest, measurement, threads, kind, *, within=lambda: float("inf"), report=print):
    """Find the best forms of the peers, time them and ours in turns, and judge every claim.

    Parameters
    ----------
    contest : Contest
    measurement : Measurement
        The times are added to it.
    threads : int
    kind : str
        Of processor: which bars count.
    within : callable, optional
        Returns the seconds that are left.
    report : callable, optional
        Called with what is being done.
    """
    counts = contest.threads(threads)
    ours = [Form(label, counts[0]).subject() for label in contest.ours]
    chosen, trials, known = {}, {}, {}
    for claim in contest.claims:
        tried, trials[claim.name] = _trial(
            contest, claim, measurement, counts, within, report, known
        )
        chosen[claim.name] = finalists(claim.peers, counts, tried)
    peers = {form for forms in chosen.values() for form in forms}
    rows = {"reference": REFERENCE_ROWS}
    measurement.run(
        [
            *ours,
            *(subject.twin() for subject in ours),
            *(form.subject(rows.get(form.peer)) for form in sorted(peers, key=str)),
        ],
        [(contest.job, contest.n)],
        contest.effort,
        within=within(),
        report=report,
    )
    return [
        _outcome(contest, claim, measurement, counts, kind, chosen[claim.name], trials[claim.name])
        for claim in contest.claims
    ]


def _trial(contest, claim, measurement, counts, within, report, known):
    """Return the seconds of the forms that were tried, and all times of the trial.

    `known` has the times of earlier trials of the contest, and gets those of this one.
    """
    job, n = _TRIAL_JOB.get(contest.job, (contest.job, contest.n))
    times = {}

    def measure(forms):
        new = [form for form in forms if form not in known]
        if new:
            measure_new(new)
        times.update({form: known[form] for form in forms if form in known})
        return {form: float(np.median(times[form])) for form in forms if form in times}

    def measure_new(forms):
        trial = measurement.again()
        trial.run(
            [form.subject(_trial_rows(form, job, n)) for form in forms],
            [(job, n)],
            contest.trial,
            within=within(),
            report=lambda text: report(f"{text}: a trial of {len(forms)} forms"),
        )
        measurement.skipped |= trial.skipped
        measurement.restless |= trial.restless
        found = {form: trial.timings.get(Key(job, n, str(form), form.threads)) for form in forms}
        found = {form: timing for form, timing in found.items() if timing is not None}
        known.update({form: n * np.asarray(timing.per_sample) for form, timing in found.items()})

    if contest.trial is None:
        return {}, {}
    tried = search(job, n, claim.peers, counts, measure)
    return tried, {str(form): seconds.tolist() for form, seconds in times.items()}


def _trial_rows(form, job, n):
    """Return the most samples of a trial: one batch, or `TRIAL_ROWS`, of a long job."""
    return max(dict(form.options).get("batch") or n, TRIAL_ROWS) if job in _LONG_JOBS else None


def _outcome(contest, claim, measurement, counts, kind, forms, trial):
    """Judge the times of one claim."""
    job, n = contest.job, contest.n
    ours = Form(claim.ours, counts[0]).subject()

    def seconds(label, threads):
        timing = measurement.timings.get(Key(job, n, label, threads))
        return None if timing is None else n * np.asarray(timing.per_sample)

    times = {str(form): seconds(str(form), form.threads) for form in forms}
    times = {label: values for label, values in times.items() if values is not None}
    own, twin = (seconds(s.label, counts[0]) for s in (ours, ours.twin()))
    facts = {"job": job, "n": n, "threads": counts[0], "trial": trial}
    about = {"goal": claim, "text": text_of(claim, job, n), "kind": kind}
    if own is None or (claim.peers and not times):
        labels = {str(form) for form in forms} | set(claim.peers)
        reasons = [why for label, why in measurement.skipped.items() if label in labels]
        return Outcome(**about, found=(reasons or ["no time was left"])[0], facts=facts)
    facts["times"] = {label: values.tolist() for label, values in times.items()}
    facts["times"] |= {"ours": own.tolist(), "twin": twin.tolist()}
    if not claim.peers:
        found = judge_level(
            claim, kind, 1e3 * own, duration(np.median(own)), twin=1e3 * twin, at_most=True
        )
        return Outcome(**about, found=found, facts=facts)
    best = min(times, key=lambda label: np.median(times[label]))
    found = judge(claim, kind, own, times[best], twin, best)
    alone = trial.get(best) if _TRIAL_JOB.get(job) is None else None
    if alone is not None:
        found = doubt(found, np.median(times[best]), np.median(alone))
    return Outcome(**about, found=found, facts=facts)
