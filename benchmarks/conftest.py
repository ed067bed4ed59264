"""What all benchmarks share: threads pinned, a network and digits, the machine's ceilings.

``pytest benchmarks`` runs them all, ``pytest benchmarks -k fgsm`` a part.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastnn._runtime.processors import available_threads
from fastnn._runtime.threads import thread_count

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser):
    group = parser.getgroup("fastnn")
    group.addoption("--threads", type=int, default=available_threads(), help="of everybody")
    group.addoption("--data", help="folder with MNIST; default: where fastnn looks")
    group.addoption("--weights", type=Path, help="a network; default: that of fastnn attack")
    group.addoption("--large", action="store_true", help="a million rows as well")


def pytest_configure(config):
    threads = thread_count(config.getoption("--threads"))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    from fastnn.bench.worker import pin

    pin(threads)
    # What the peers' libraries warn of is theirs to mend.
    config.addinivalue_line("filterwarnings", "ignore")


def pytest_benchmark_generate_machine_info():
    from fastnn.bench.machine import machine_info

    return machine_info()


@dataclass(frozen=True)
class World:
    """One network, digits, the folder where the right answers are, and the limits."""

    setting: object
    folder: Path
    threads: int
    ceilings: dict


@pytest.fixture(scope="session")
def world(request):
    from fastnn import threads as held_to
    from fastnn.bench.ceilings import measure_ceilings
    from fastnn.bench.session import make_setting

    option = request.config.getoption
    count = option("--threads")
    setting = make_setting(option("--weights"), option("--data"))
    with tempfile.TemporaryDirectory() as folder, held_to(count):
        yield World(setting, Path(folder), count, measure_ceilings(count, seconds=1))


@pytest.fixture
def ask(world, benchmark):
    """Return a function that checks an implementation's answer to a job, then times it."""
    from timing import implementation_or_skip, run_for

    from fastnn.bench.ceilings import peak
    from fastnn.bench.jobs import SWEEP, make_job
    from fastnn.bench.machine import peak_memory, reset_peak_memory

    def timed(name, job_name, n, *, threads=world.threads, check=None):
        implementation = implementation_or_skip(name)
        job = make_job(job_name, world.setting, n)
        judged = job if check is None else make_job(check, world.setting, n)
        if getattr(implementation, job.method, None) is None:
            pytest.skip(f"{name} has no {job.method}")
        try:
            reset_peak_memory()
            before = peak_memory()
            first = judged.solve(implementation)()
        except NotImplementedError as error:
            pytest.skip(f"{name}: {error}")
        after = peak_memory()
        answer = judged.check(first, judged.truth(world.folder), exact=implementation.exact)
        run_for(benchmark, job.solve(implementation), once=check is not None)
        rate = job.flops / benchmark.stats["median"] / 1e9
        highest = peak(world.ceilings, implementation.dtype) * threads / world.threads
        benchmark.extra_info.update(
            n=n,
            threads=threads,
            flops=job.flops,
            bytes=job.bytes,
            gflops=rate,
            share_of_peak=rate / highest,
            peak_memory=None if before is None else max(0, after - before),
            answer=answer[0].tolist() if answer[0].size <= len(SWEEP) else None,
        )

    return timed
