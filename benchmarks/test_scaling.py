"""How clean and FGSM accuracy scales with batch size, threads and the number of rows."""

import numpy as np
import pytest
from timing import implementation_or_skip, run_for

import fastnn
from fastnn._runtime.processors import available_threads
from fastnn.bench.jobs import EPS, UNIT, make_job
from fastnn.bench.machine import peak_memory, reset_peak_memory

THREADS = range(1, available_threads() + 1)
ROWS = (1000, 10_000, 100_000, 1_000_000)


@pytest.mark.parametrize("name", ["fastnn float32", "numpy", "torch", "jax"])
@pytest.mark.parametrize("n", [1, 10, 100, 1000, 10_000])
def test_batch(measure, benchmark, n, name):
    benchmark.group = f"batch of {n:,}"
    measure(name, "accuracy", n)


@pytest.mark.parametrize("name", ["fastnn float32", "numpy", "torch"])
@pytest.mark.parametrize("threads", THREADS)
def test_threads(measure, benchmark, world, threads, name):
    if threads > world.threads:
        pytest.skip(f"{world.threads} threads in this run")
    benchmark.group = f"{threads} thread{'s' * (threads > 1)}"
    implementation_or_skip(name)
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
    try:
        with fastnn.threads(threads):
            measure(name, "accuracy", 2000, threads=threads)
    finally:
        if name == "torch":
            torch.set_num_threads(world.threads)


@pytest.mark.parametrize("n", ROWS)
def test_rows(benchmark, world, request, n):
    """Pixels are bytes, so that a million rows fit into memory; the same thousand rows repeat."""
    if n > 100_000 and not request.config.getoption("--large"):
        pytest.skip("only with --large")
    benchmark.group = "rows"
    setting = world.setting
    net = fastnn.MLP(setting.weights, setting.biases)
    thousand = np.rint(setting.x[:1000] * 255).astype(np.uint8)
    x, labels = np.tile(thousand, (n // 1000, 1)), np.tile(setting.labels[:1000], n // 1000)

    def run():
        return fastnn.adversarial_accuracy(net, x, labels, EPS, UNIT)

    truth = make_job("accuracy", setting, 1000).truth(world.folder)[0] * (n // 1000)
    reset_peak_memory()
    before = peak_memory()
    found = run()
    after = peak_memory()
    assert abs(found.adversarial_correct - truth[1]) <= max(1, n // 1000)
    assert found.clean_correct == truth[0]
    run_for(benchmark, run)
    parameters = sum(w.size for w in setting.weights)
    flops = 6.0 * parameters * n
    rate = flops / benchmark.stats["median"] / 1e9
    benchmark.extra_info.update(
        n=n,
        threads=world.threads,
        flops=flops,
        bytes=784.0 * n + 4.0 * parameters,
        gflops=rate,
        share_of_peak=rate / world.ceilings.peak_float32,
        peak_memory=None if before is None else max(0, after - before),
    )
