"""What all benchmarks share: pinned threads, a network and digits, the machine's ceilings.

``pytest benchmarks`` runs all of them, ``pytest benchmarks -k fgsm`` some.
"""

import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastnn._runtime.processors import available_threads
from fastnn._runtime.threads import thread_count

if TYPE_CHECKING:
    from fastnn.bench.ceilings import Ceilings
    from fastnn.bench.setting import Setting

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser):
    group = parser.getgroup("fastnn")
    group.addoption("--threads", type=int, default=available_threads(), help="of every library")
    group.addoption("--data", help="folder with MNIST; default: where fastnn looks")
    group.addoption("--weights", type=Path, help="a network; default: that of fastnn attack")
    group.addoption("--large", action="store_true", help="a million rows as well")


def pytest_configure(config):
    threads = thread_count(config.getoption("--threads"))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    from fastnn.bench.worker import pin

    pin(threads)
    # Warnings of the peers' libraries are not errors of fastnn.
    config.addinivalue_line("filterwarnings", "ignore")


def pytest_benchmark_generate_machine_info():
    from fastnn.bench.machine import machine_info

    return asdict(machine_info())


@dataclass(frozen=True)
class World:
    """The network and the digits, the folder for the right answers, and the ceilings."""

    setting: "Setting"
    folder: Path
    threads: int
    ceilings: "Ceilings"


@pytest.fixture(scope="session")
def world(request):
    from fastnn import threads as limit_threads
    from fastnn.bench.ceilings import measure_ceilings
    from fastnn.bench.session import make_setting

    option = request.config.getoption
    count = option("--threads")
    setting = make_setting(option("--weights"), option("--data"))
    with tempfile.TemporaryDirectory() as folder, limit_threads(count):
        yield World(setting, Path(folder), count, measure_ceilings(count, seconds=1))


@pytest.fixture
def measure(world, benchmark):
    """Return a function that checks an implementation's answer to a job, then times it."""
    from timing import implementation_or_skip, run_for

    from fastnn.bench.jobs import make_job
    from fastnn.bench.machine import peak_memory, reset_peak_memory
    from fastnn.bench.protocol import offers
    from fastnn.bench.worker import short_answer

    def timed(name, job_name, n, *, threads=world.threads, check=None):
        implementation = implementation_or_skip(name)
        job = make_job(job_name, world.setting, n)
        judged = job if check is None else make_job(check, world.setting, n)
        if not offers(implementation, job.method):
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
        peak = world.ceilings.peak(implementation.dtype) * threads / world.threads
        benchmark.extra_info.update(
            n=n,
            threads=threads,
            flops=job.flops,
            bytes=job.bytes,
            gflops=rate,
            share_of_peak=rate / peak,
            peak_memory=None if before is None else max(0, after - before),
            answer=short_answer(answer[0]),
        )

    return timed
