"""The forms that a peer can be measured in, and the search for its best one.

A peer is compared in its best form: batches, number of threads, and ways to compute that its class
offers as attributes. A short trial measures them in turns, in fresh processes, one kind of choice
after the other: the batch with all threads, then the way, then the threads. Every form that is
within `CLOSE` of the best one of the trial is timed in the rounds that count, at most `FINALISTS`
of them, and there the fastest is the peer. So an unlucky trial does not cost the peer anything
unless its best form looked slower than others by more than that.
"""

from dataclasses import dataclass
from pathlib import Path

from peers import IMPLEMENTATIONS

from fastnn.bench.process import Subject
from fastnn.bench.protocol import form_of

HERE = Path(__file__).parent
BATCHES = (250, 500, 1000, 2500)  # and all images in one
CLOSE, FINALISTS = 1.05, 2
_BATCHED = {
    "accuracy": ("torch", "jax"),
    "sweep": ("foolbox",),
    "pgd": ("torchattacks", "foolbox"),
    "standard": ("autoattack",),
}
_WAYS = {
    ("accuracy", "torch"): ("by_hand", (False, True)),
    ("accuracy", "jax"): ("constants", (False, True)),
    ("epoch", "torch"): ("fused", (False, True)),
    ("training", "torch"): ("fused", (False, True)),
}
_ALL_THREADS = ("reference", "notebook", "one eps a call")  # slow or our own: no form to choose
_IN_WORDS = {
    ("by_hand", True): "by hand",
    ("constants", True): "weights compiled in",
    ("fused", True): "fused step",
}


@dataclass(frozen=True)
class Form:
    """A peer with its number of threads, and values of attributes of its class."""

    peer: str
    threads: int
    options: tuple[tuple[str, object], ...] = ()

    def with_choice(self, name, value):
        """Return the same form with another value of one choice."""
        if name == "threads":
            return Form(self.peer, value, self.options)
        options = dict(self.options) | {name: value}
        return Form(self.peer, self.threads, tuple(options.items()))

    def subject(self, rows=None):
        path = form_of(IMPLEMENTATIONS[self.peer], **dict(self.options))
        return Subject(str(self), path, self.threads, rows, path=str(HERE))

    def __str__(self):
        words = [self.peer]
        for name, value in self.options:
            if name == "batch":
                words.append("one batch" if value is None else f"batches of {value:,}")
            elif (name, value) in _IN_WORDS:
                words.append(_IN_WORDS[name, value])
        return ", ".join([*words, f"{self.threads} thread{'s' * (self.threads > 1)}"])


def choices(job, n, peer, threads):
    """Return the choices for a peer at a job: names and values, in the order of the search.

    The number of threads is a choice where `threads` has more than one value.
    """
    kind = job.partition("-part")[0]
    found = []
    sizes = [size for size in BATCHES if size < n]
    if peer in _BATCHED.get(kind, ()) and sizes:
        found.append(("batch", (*sizes, None)))
    if (kind, peer) in _WAYS:
        found.append(_WAYS[kind, peer])
    if len(threads) > 1 and peer not in _ALL_THREADS:
        found.append(("threads", threads))
    return found


def thread_counts(threads):
    """Return the numbers of threads that a peer may be best with, all of them first."""
    return tuple(sorted({1, max(1, threads // 2), threads}, reverse=True))


def search(job, n, peers, threads, measure):
    """Try the forms of several peers.

    Parameters
    ----------
    job : str
    n : int
    peers : sequence of str
    threads : tuple of int
        The numbers that may be used; the first one is used until threads are chosen.
    measure : callable
        Takes a list of forms, returns a dict with the seconds of those that could be measured.

    Returns
    -------
    dict of Form to float
        Empty if there is nothing to choose: one peer with one form.
    """
    found = {peer: choices(job, n, peer, threads) for peer in peers}
    steps = max(map(len, found.values()), default=0)
    best = {peer: _first(peer, found[peer], threads[0]) for peer in peers}
    tried = {}
    for step in range(steps or len(peers) > 1):
        now = {
            peer: [best[peer].with_choice(*pair) for pair in _pairs(found[peer], step)]
            or [best[peer]]
            for peer in peers
        }
        new = [form for forms in now.values() for form in forms if form not in tried]
        tried |= measure(new) if new else {}
        for peer, forms in now.items():
            timed = [form for form in forms if form in tried]
            best[peer] = min(timed, key=tried.get, default=best[peer])
    return tried


def _first(peer, found, threads):
    """Return the form with the first value of every choice."""
    options = tuple((name, values[0]) for name, values in found if name != "threads")
    return Form(peer, threads, options)


def _pairs(found, step):
    """Return the name of a choice with each of its values; nothing after the last choice."""
    return [(found[step][0], value) for value in found[step][1]] if step < len(found) else []


def finalists(peers, threads, tried):
    """Return the forms to time; where there was nothing to choose, the peers as they are."""
    return closest(tried) if tried else [Form(peer, threads[0]) for peer in peers]


def closest(seconds):
    """Return what was fastest in a trial, and what came close to it; fastest first."""
    ordered = sorted(seconds, key=seconds.get)
    most = CLOSE * min(seconds.values(), default=0)
    return [key for key in ordered if seconds[key] <= most][:FINALISTS]
