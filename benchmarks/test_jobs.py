"""Every job with every implementation; pytest-benchmark shows one table for each job."""

import pytest
from peers import IMPLEMENTATIONS

ROWS = {
    "sigmoid": 1000,
    "relu": 1000,
    "softmax": 10_000,
    "residual": 10_000,
    "step": 1000,
    "forward": 1000,
    "gradients": 1000,
    "input-gradient": 1000,
    "fgsm": 1000,
    "accuracy": 10_000,
    "sweep": 1000,
    "sweep-unclipped": 1000,
    "pgd": 500,
    "standard": 20,
    "epoch": 50_000,
    "epoch-part2": 5000,
}
TRAINERS = ("fastnn float32", "fastnn nn_train", "numpy", "notebook", "torch", "jax")
# Subclasses of fastnn float32 that differ from it in these jobs alone.
ONLY = {
    "fastnn nn_train": ("epoch",),
    "fastnn all steps": ("pgd",),
    "one eps a call": ("sweep", "sweep-unclipped"),
}


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("job", ROWS)
def test_job(measure, benchmark, job, name):
    if job not in ONLY.get(name, (job,)):
        pytest.skip("the same as fastnn float32")
    benchmark.group = job
    measure(name, job, ROWS[job])


@pytest.mark.parametrize("name", TRAINERS)
def test_training(measure, benchmark, name):
    """Thirty epochs of part 1, once; the answer that is checked first is that of one epoch."""
    benchmark.group = "training"
    measure(name, "training", 50_000, check="epoch")
