"""One group for every question; its cases are the implementations."""

import pytest
from peers import IMPLEMENTATIONS

QUESTIONS = {
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
    "epoch": 50_000,
    "epoch-part2": 5000,
}
TRAINERS = ("fastnn float32", "fastnn nn_train", "numpy", "notebook", "torch", "jax")
# Variants that answer one question in another way than the class they are made from.
ONLY = {"fastnn nn_train": ("epoch",), "one eps a call": ("sweep", "sweep-unclipped")}


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("job", QUESTIONS)
def test_question(ask, benchmark, job, name):
    if job not in ONLY.get(name, (job,)):
        pytest.skip("the same as fastnn float32")
    benchmark.group = job
    ask(name, job, QUESTIONS[job])


@pytest.mark.parametrize("name", TRAINERS)
def test_training(ask, benchmark, name):
    """Thirty epochs of part 1, once; what is checked beforehand is the first of them."""
    benchmark.group = "training"
    ask(name, "training", 50_000, check="epoch")
