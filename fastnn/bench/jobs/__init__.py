"""The jobs: what is measured, and how many operations each job has.

Operations are counted in the plain formulas: a multiply-add is two, and a sum, a product, a
quotient, a comparison, exp and log are one each. An implementation that skips some of them may
therefore exceed the peak of the processor. Bytes are those that must move at least: inputs and
parameters read once, results written once, in float32.

- `job` is what a job consists of, `judges` are the ways to check an answer;
- `arrays` and `networks` make the jobs, from the `inputs` that they have in common.
"""

from __future__ import annotations

from collections.abc import Callable

from fastnn.bench.jobs.arrays import relu, residual, sigmoid, softmax, step
from fastnn.bench.jobs.inputs import EPS, PART_ONE_SEED, PGD_STEPS, SWEEP, UNIT
from fastnn.bench.jobs.job import Job
from fastnn.bench.jobs.judges import (
    WrongAnswerError,
    close,
    no_more_standing,
    same_counts,
    same_steps,
)
from fastnn.bench.jobs.networks import PassJob, TrainingJob, call
from fastnn.bench.setting import Setting

__all__ = [
    "EPS",
    "NAMES",
    "PART_ONE_SEED",
    "PGD_STEPS",
    "SWEEP",
    "TRAINING_BATCHES",
    "UNIT",
    "Job",
    "WrongAnswerError",
    "make_job",
]

_IN_SWEEP = 2 + len(SWEEP)  # one forward and one backward pass, and a forward pass for every eps
_MAKERS: dict[str, Callable[[str, Setting, int], Job]] = {
    "sigmoid": sigmoid,
    "relu": relu,
    "softmax": softmax,
    "residual": residual,
    "step": step,
    "forward": PassJob("logits", "forward pass", 1, "logits", close),
    "gradients": PassJob(
        "gradients", "gradient by the parameters", 3, "parameters", close, to_input=False
    ),
    "input-gradient": PassJob("input_gradient", "gradient by the input", 2, "inputs", close),
    "fgsm": PassJob("fgsm", "FGSM", 2, "inputs", same_steps, (EPS, UNIT)),
    "accuracy": PassJob(
        "accuracy", "clean and FGSM accuracy", 3, "counts", same_counts, (EPS, UNIT)
    ),
    "sweep": PassJob("sweep", "16 eps, clipped", _IN_SWEEP, "counts", same_counts, (SWEEP, UNIT)),
    "sweep-unclipped": PassJob(
        "sweep", "16 eps, not clipped", _IN_SWEEP, "counts", same_counts, (SWEEP, None)
    ),
    "pgd": PassJob(
        "pgd", "PGD, 40 steps", 2 * PGD_STEPS[0] + 1, "counts", same_counts, (EPS, UNIT, *PGD_STEPS)
    ),
    # Of four attacks in turn, the operations of the first alone: how many samples the others have
    # depends on the network.
    "standard": PassJob(
        "standard", "four attacks in turn", 2 * 101, "counts", no_more_standing, (EPS, UNIT)
    ),
    "epoch": TrainingJob(1, epochs=1, batch_size=1000, learning_rate=5.0),
    "training": TrainingJob(1, epochs=30, batch_size=1000, learning_rate=5.0),
    "epoch-part2": TrainingJob(2, epochs=1, batch_size=100, learning_rate=0.05),
    "call": call,
}
TRAINING_BATCHES = (16, 32, 64, 128, 256, 1000)
# An epoch with momentum for each size of a batch, as part 2 of the assignment trains. The steps are
# so short that rounding errors do not grow, and that the trained network of part 2 stays trained.
for _size in TRAINING_BATCHES:
    _MAKERS[f"epoch-part1-batch{_size}"] = TrainingJob(1, 1, _size, 0.01 * _size**0.5, 0.9, 1000)
    _MAKERS[f"epoch-part2-batch{_size}"] = TrainingJob(2, 1, _size, 5e-4 * _size**0.5, 0.9, 1000)
NAMES = tuple(_MAKERS)


def make_job(name: str, setting: Setting, n: int) -> Job:
    """Return the job of that name for `n` samples.

    Raises
    ------
    KeyError
        No job has that name; `NAMES` lists them.
    """
    return _MAKERS[name](name, setting, n)
