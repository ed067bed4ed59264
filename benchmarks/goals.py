"""What is claimed: the work, whom it is compared with, and the bars of every kind of processor."""

from dataclasses import dataclass

from kinds import AMD, AVX2, INTEL

from fastnn.bench.harness import Effort
from fastnn.bench.jobs import TRAINING_BATCHES

FAST, PART_ONE, ALL_STEPS = "fastnn float32", "fastnn nn_train", "fastnn all steps"
REFERENCE_ROWS = 1000  # all images take about the same time, so that a thousand are enough

# How much is measured, by the time that a job takes.
USUAL = Effort(processes=5, rounds=(3, 25), seconds=30)
SHORT = Effort(processes=5, rounds=(3, 25), seconds=10)
FEW_IMAGES = Effort(processes=5, rounds=(5, 25), seconds=4)
EPOCH = Effort(processes=3, rounds=(2, 9), seconds=6)
LONG = Effort(processes=3, rounds=(1, 1), seconds=0)
SWEEP_EFFORT = Effort(processes=3, rounds=(2, 25), seconds=30)
QUICK = Effort(processes=1, rounds=(3, 9), seconds=1.5)
TRIAL = Effort(processes=1, rounds=(3, 9), seconds=3)
QUICK_TRIAL = Effort(processes=1, rounds=(1, 3), seconds=0.5)
LONG_TRIAL = Effort(processes=1, rounds=(1, 1), seconds=0)
QUICK_LONG = Effort(processes=1, rounds=(2, 2), seconds=0)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How many times as fast as another program: at least its bar.

    Attributes
    ----------
    name, text : str
        For ``-k``; for the table, with places for what ``--quick`` changes.
    bars, aims : dict of str to float
        By kind of processor.
    """

    name: str
    text: str
    bars: dict[str, float]
    aims: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Claim(Goal):
    """A goal for a job of the harness.

    Attributes
    ----------
    job : str
    n : int
        Samples.
    peers : tuple of str
        Labels; the fastest form of the fastest one counts. None: the bar is in milliseconds.
    ours : str
        Our label.
    one_thread : bool
    effort, trial : Effort
    quick : tuple (job, n) or None
        What ``--quick`` measures instead; None: nothing.
    quick_effort : Effort
    quick_trial : Effort or None
        None: ``--quick`` takes the peers as they are, with all threads.
    """

    job: str
    n: int
    peers: tuple[str, ...]
    ours: str = FAST
    one_thread: bool = False
    effort: Effort = USUAL
    trial: Effort = TRIAL
    quick: tuple[str, int] | None = None
    quick_effort: Effort = QUICK
    quick_trial: Effort | None = QUICK_TRIAL


def bars(intel, amd, avx2):
    return {INTEL: intel, AMD: amd, AVX2: avx2}


def everywhere(bar):
    return bars(bar, bar, bar)


def claim(name, text, job, n, peers, levels, aims=None, **options):
    peers = (peers,) if isinstance(peers, str) else peers
    aims = {} if aims is None else aims
    return Claim(
        name=f"{job}-{name}",
        text=text,
        job=job,
        n=n,
        peers=peers,
        bars=levels,
        aims=aims,
        **options,
    )


def images(text, name, peer, levels, aims=None):
    """Return a claim about the accuracy of all images."""
    return claim(
        name,
        f"clean + FGSM, {{n}} images / {text}",
        "accuracy",
        10_000,
        peer,
        levels,
        aims,
        quick=("accuracy", 2500),
    )


def few_images(n):
    return claim(
        f"{n}-images",
        f"clean + FGSM, {n:,} image{'s' * (n > 1)} / best of three",
        "accuracy",
        n,
        ("numpy", "torch", "jax"),
        bars(1.1, 1.1, 1.0),
        {INTEL: 1.5},
        effort=FEW_IMAGES,
        quick=("accuracy", n) if n in (1, 10, 100) else None,
    )


def epoch(part, size):
    job = f"epoch-part{part}-batch{size}"
    return claim(
        "torch",
        f"part {part}, epoch of {{n}}, batches of {size:,} / torch",
        job,
        10_000,
        "torch",
        bars(1.2, 1.4, 1.1),
        {INTEL: 1.5},
        effort=EPOCH,
        quick=(job, 2000) if size == 64 else None,
    )


def fixed(rows):
    return claim(
        f"{rows}-rows",
        f"fixed cost of a call, {rows} row{'s' * (rows > 1)}, ms",
        "call",
        rows,
        (),
        everywhere(0.1),
        {INTEL: 0.05},
        effort=SHORT,
        quick=("call", rows),
    )


def many_steps(name, text, job, n, peers, levels, quick, ours=FAST):
    """Return a claim about an attack of many steps: a call takes long."""
    return claim(
        name,
        text,
        job,
        n,
        peers,
        levels,
        ours=ours,
        effort=LONG,
        trial=LONG_TRIAL,
        quick=(job, quick),
        quick_effort=QUICK_LONG,
        quick_trial=None,
    )


def pgd(name, text, peers, levels, ours=FAST):
    return many_steps(
        name, f"PGD-40, {{n}} images, {text}", "pgd", 10_000, peers, levels, 100, ours
    )


def part_one(text, peer, levels, aims=None):
    return claim(
        peer,
        f"part 1, {{epochs}} / {text}",
        "training",
        50_000,
        peer,
        levels,
        aims,
        ours=PART_ONE,
        effort=LONG,
        quick=("epoch", 10_000),
    )


def function(text, name, job, n, peer, bar, aim):
    return claim(
        name,
        text,
        job,
        n,
        peer,
        everywhere(bar),
        {INTEL: aim, AMD: aim},
        one_thread=True,
        effort=SHORT,
        quick=(job, n) if peer == "torch" else None,
    )


SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CLAIMS = (
    images("torch", "torch", "torch", bars(1.6, 4, 1.5), {INTEL: 2.0}),
    images("JAX", "jax", "jax", bars(1.8, 2.4, 1.4), {INTEL: 2.2}),
    images("one at a time*", "single", "reference", everywhere(12)),
    claim(
        "foolbox",
        "16 eps, clipped, {n} images / foolbox",
        "sweep",
        10_000,
        "foolbox",
        bars(16, 26, 12),
        {INTEL: 20},
        effort=SWEEP_EFFORT,
        quick=("sweep", 500),
    ),
    claim(
        "calls",
        "16 eps, not clipped, {n} images / 16 calls",
        "sweep-unclipped",
        10_000,
        "one eps a call",
        everywhere(4),
        effort=SWEEP_EFFORT,
        quick=("sweep-unclipped", 500),
    ),
    *map(few_images, SIZES),
    *(epoch(part, size) for part in (1, 2) for size in TRAINING_BATCHES),
    part_one("torch", "torch", bars(1.9, 4, 1.5), {INTEL: 2.5}),
    part_one("the notebook", "notebook", everywhere(5)),
    function("sigmoid(z + b) / torch", "torch", "sigmoid", 1000, "torch", 1.0, 1.5),
    function("sigmoid(z + b) / numpy", "numpy", "sigmoid", 1000, "numpy", 3.0, 5.0),
    function("softmax, loss, residual / torch", "torch", "residual", 10_000, "torch", 1.5, 3.0),
    fixed(1),
    fixed(128),
    pgd("torchattacks", "all steps / torchattacks", "torchattacks", bars(2.2, 3, 1.5), ALL_STEPS),
    pgd("foolbox", "all steps / foolbox", "foolbox", bars(2.2, 3, 1.5), ALL_STEPS),
    pgd("count", "count / best of both", ("torchattacks", "foolbox"), everywhere(4)),
    many_steps(
        "autoattack",
        "Standard(), {n} images / AutoAttack",
        "standard",
        1000,
        "autoattack",
        everywhere(4),
        20,
    ),
)
PRODUCT = Goal(
    name="masked-product",
    text="masked product's multiply-adds / FMA peak",
    bars=bars(0.65, 0.65, 0.6),
    aims={INTEL: 0.75},
)
PROCESS = Goal(
    name="process",
    text="fastnn attack, whole process / torch script",
    bars=bars(1.8, 2.6, 1.6),
    aims={INTEL: 2.2},
)
PEAK_MEMORY = Goal(
    name="process-memory",
    text="peak memory of that process, MB",
    bars=everywhere(250),
    aims={},
)
PEAK = Goal(
    name="peak",
    text="clean + FGSM, dense work / peak",
    bars=everywhere(0.8),
    aims={AMD: 0.9, INTEL: 0.9},
)
