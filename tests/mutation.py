"""Mutation tests: plant small faults one at a time and see whether the tests notice them.

    pip install -e ".[test]" --group mutation
    python tests/mutation.py --sample 120 --seed 0

An operator of cosmic-ray changes one place of one module, `<` to `<=` or 1 to 2, in a copy of the
project in a temporary folder, and the tests of the module and of those that use it run there. A
mutant is killed if they fail and timed out if they do not end; both count as caught. A survivor
needs a new test or, if it computes the same, an entry in `equivalent_mutants.toml`.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import difflib
import itertools
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
MEMORY = 16 << 30  # bytes of address space: a mutant may ask for any amount

# The tests of every module, files or folders of `tests/`, the quickest to notice a fault first.
TESTS = {
    "_apply": "test_functional.py",
    "_errors": "rows attacks/test_blocks.py",
    "_checks": "test_checks.py test_networks.py attacks",
    "_engine.activations": "engine/test_layers.py test_parameters.py test_networks.py attacks",
    "_engine.descent": "engine/test_descent.py test_training.py comp7015 runtime/test_team.py",
    "_engine.gradients": "engine/test_gradients.py engine/test_descent.py test_networks.py",
    "_engine.layers": "engine/test_layers.py test_networks.py engine/test_masked.py attacks",
    "_engine.losses": "kernels/test_logits.py test_networks.py attacks",
    "_engine.masked": "engine/test_masked.py kernels/test_masked_products.py engine",
    "_engine.fused": "engine/test_narrow.py engine/test_descent.py test_training.py",
    "_engine.moved": "kernels/test_sign_products.py attacks/test_moved.py",
    "_engine.narrow": "engine/test_narrow.py engine test_networks.py",
    "_engine.packed": "engine/test_packed.py engine test_networks.py",
    "_engine.passes": "test_networks.py engine/test_masked.py",
    "_engine.tiles": "engine runtime/test_team.py test_networks.py attacks",
    "_engine.workspace": "engine/test_layers.py test_networks.py attacks test_training.py",
    "_kernels.attack_steps": "kernels attacks",
    "_kernels.budgets": "kernels/test_budgets.py attacks/test_recount.py",
    "_kernels.timing": "kernels/test_timing.py attacks/test_evaluate.py",
    "_kernels.descent": "kernels engine/test_descent.py test_training.py",
    "_kernels.elementwise": "kernels/test_elementwise.py test_networks.py attacks/test_fgsm.py",
    "_kernels.fingerprints": "kernels/test_fingerprints.py engine/test_packed.py",
    "_kernels.exponentials": "kernels/test_elementwise.py kernels/test_logits.py test_networks.py",
    "_kernels.logits": "kernels test_networks.py attacks",
    "_kernels.masked_products": "kernels engine/test_masked.py",
    "_kernels.atomics": "kernels/test_narrow_jobs.py engine/test_narrow.py",
    "_kernels.narrow_jobs": "kernels/test_narrow_jobs.py engine/test_narrow.py",
    "_kernels.narrow_products": "kernels/test_narrow_jobs.py engine/test_narrow.py",
    "_kernels.sign_products": "kernels/test_sign_products.py attacks/test_moved.py",
    "_engine.sets": "rows test_networks.py",
    "_kept": "test_kept.py",
    "_shuffled": "test_kept.py",
    "_parameters": "test_parameters.py io/test_networks.py",
    "_runtime.blas": "runtime/test_team.py runtime/test_signals.py",
    "_runtime.helpers": "runtime/test_team.py runtime/test_signals.py",
    "_runtime.executors": "runtime/test_executors.py attacks/test_executor.py",
    "_runtime.files": "runtime/test_files.py io",
    "_runtime.journal": "runtime/test_journal.py attacks/test_checkpoint.py",
    "_runtime.processors": "runtime/test_team.py runtime/test_vectors.py",
    "_runtime.signals": "runtime/test_signals.py runtime/test_team.py",
    "_runtime.team": "runtime/test_team.py runtime/test_signals.py test_training.py",
    "_runtime.threads": "runtime/test_team.py runtime/test_signals.py",
    "attacks.evaluate": "attacks test_checks.py runtime/test_team.py cli/test_commands.py",
    "io._npy": "io/test_npy.py io/test_networks.py datasets/test_mnist.py",
    "training": "test_training.py engine/test_descent.py test_checks.py runtime/test_team.py",
}
TESTS |= {
    f"{folder}.{file.stem}": tests
    for folder, tests in (
        ("attacks", "attacks"),
        ("reports", "reports attacks"),
        ("_rows", "rows attacks/test_blocks.py"),
    )
    for file in ROOT.glob(f"fastnn/{folder}/_[a-z]*.py")
}


class Mutant(NamedTuple):
    """A module with one place changed: the first `line` that differs `becomes` another.

    The first four fields name it in the list of equivalent ones: line numbers would not last.
    """

    module: str
    operator: str
    line: str
    becomes: str
    code: str
    diff: str


def path_of(module: str) -> Path:
    """Return where a module is, from the root of the project."""
    return Path("fastnn", *module.split(".")).with_suffix(".py")


# --- the mutants of a module


def is_never_run(node: Any) -> bool:
    """Say whether `node` is in an annotation or in code that no test is expected to cover."""
    while node.parent is not None:
        child, node = node, node.parent
        if node.type == "tfpdef" or (node.type == "annassign" and child is node.children[1]):
            return True
        if node.type == "funcdef" and child is node.annotation:
            return True
        if node.type in ("funcdef", "if_stmt"):
            suites = (one for one in node.children if one.type == "suite")
            if any("pragma: no cover" in suite.get_first_leaf().prefix for suite in suites):
                return True
    return False


def places_of(source: str) -> list[list[tuple[str, int]]]:
    """Return the places that can be changed, each as pairs of an operator and an occurrence.

    Operators that differ in what they put in the same place, `+` to `-` and `+` to `*`, share it.
    """
    provider = OperatorProvider()
    nodes = list(ast_nodes(get_ast(source)))
    places: dict[tuple[str, Any], list[tuple[str, int]]] = {}
    for name in provider:
        if provider[name].arguments():  # operators that ask for the names of variables
            continue
        operator, occurrence = provider[name](), 0
        for node in nodes:
            for position in operator.mutation_positions(node):
                if not is_never_run(node):
                    family = name.split("_")[0]
                    places.setdefault((family, position), []).append((name, occurrence))
                occurrence += 1
    return list(places.values())


def mutant_of(module: str, source: str, operator: str, occurrence: int) -> Mutant:
    """Return the mutant that an operator makes at one of its places."""
    code = mutate_code(source, OperatorProvider()[operator](), occurrence)
    before, after = source.splitlines(), code.splitlines()
    file = path_of(module).as_posix()
    diff = list(difflib.unified_diff(before, after, file, operator, n=1, lineterm=""))
    line, becomes = (
        next((one[1:].strip() for one in diff[2:] if one[0] == sign and one[1:].strip()), "")
        for sign in "-+"
    )
    return Mutant(module, operator, line, becomes, code, "\n".join(diff))


def sampled(modules: list[str], count: int, seed: int) -> list[Mutant]:
    """Return an equal share of mutants for every module, at random places of it."""
    mutants: list[Mutant] = []
    for i, module in enumerate(modules):
        source = (ROOT / path_of(module)).read_text(encoding="utf-8")
        rng = random.Random(f"{seed} {module}")  # other modules do not change a module's sample
        places = places_of(source)
        share = count * (i + 1) // len(modules) - count * i // len(modules)
        rng.shuffle(places)
        changed = (mutant_of(module, source, *rng.choice(place)) for place in places)
        mutants += itertools.islice((one for one in changed if is_python(one.code)), share)
    return mutants


def is_python(code: str) -> bool:
    """Say whether `code` can be parsed: `def f(*, n)` with a minus for its star cannot."""
    with contextlib.suppress(SyntaxError):
        return bool(ast.parse(code))
    return False


# --- running the tests


def limit_memory() -> None:
    """Keep this process and those that it starts from taking all memory, where the system can."""
    with contextlib.suppress(ImportError, ValueError):  # not on Windows; a lower limit stays
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, most))


def end(process: subprocess.Popen[str]) -> None:
    """End a process, and on POSIX all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # none of them is left
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def outcome(tree: Path, cache: Path, tests: list[str], timeout: float) -> tuple[str, str]:
    """Run tests in `tree`; return "survived", "killed" or "timed out", and what pytest said."""
    # Compiled files are told apart by time and size, which a mutant may share with its original.
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tree,  # which `python -m` puts before the installed package
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return "timed out", ""
    finally:
        end(process)
    return ("killed" if process.returncode else "survived"), said


class Worker:
    """A copy of the project, with a cache of compiled kernels, where one mutant at a time runs."""

    def __init__(self, folder: Path, timeout: float) -> None:
        self._tree, self._cache, self._timeout = folder / "tree", folder / "cache", timeout
        for name in ("fastnn", "tests", "data"):
            shutil.copytree(ROOT / name, self._tree / name)
        shutil.copy2(ROOT / "pyproject.toml", self._tree)

    def prepare(self, modules: list[str]) -> None:
        """Run all tests without a mutant, which fills the cache; end the program if one fails."""
        names = dict.fromkeys(" ".join(TESTS[module] for module in modules).split())
        result, said = outcome(self._tree, self._cache, files(names), 10 * self._timeout)
        if result != "survived":
            sys.exit(f"the tests are {result} without a mutant\n{said}")

    def run(self, mutant: Mutant) -> str:
        """Return what became of a mutant."""
        path = self._tree / path_of(mutant.module)
        kept = path.with_suffix(".kept")
        cache = self._cache.with_name("cache of the mutant")
        shutil.copytree(self._cache, cache)
        path.rename(kept)  # numba's cache knows it by its time
        try:
            path.write_text(mutant.code, encoding="utf-8")
            tests = files(TESTS[mutant.module].split())
            return outcome(self._tree, cache, tests, self._timeout)[0]
        finally:
            kept.replace(path)
            shutil.rmtree(cache)


def files(names: Any) -> list[str]:
    """Return the paths of test files and folders."""
    return [f"tests/{name}" for name in names]


def results_of(mutants: list[Mutant], workers: list[Worker]) -> list[str]:
    """Return what became of every mutant; each worker takes the next one when it is free."""
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run(mutant: Mutant) -> str:
        worker, start = free.get(), time.perf_counter()
        result, seconds = worker.run(mutant), time.perf_counter() - start
        free.put(worker)
        print(f"{result:<9} {seconds:4.0f} s  {mutant.module}: {mutant.becomes}", file=sys.stderr)
        return result

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(run, mutants))


# --- the report


def equivalents() -> dict[tuple[str, str, str, str], str]:
    """Return the reasons why some mutants compute the same, by their keys."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return {(e["module"], e["operator"], e["line"], e["becomes"]): e["reason"] for e in entries}


def report(mutants: list[Mutant], results: list[str]) -> None:
    """Print counts for every module, the survivors, and the share of mutants that were caught."""
    known = equivalents()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for mutant, result in zip(mutants, results, strict=True):
        equivalent = result == "survived" and mutant[:4] in known
        counts[mutant.module]["equivalent" if equivalent else result] += 1
        if result == "survived":
            note = f"equivalent: {known[mutant[:4]]}" if equivalent else "survived"
            print(f"\n{note}\n{mutant.diff}")
    columns = ("killed", "timed out", "survived", "equivalent")
    print(f"\n{'module':<26}", *(f"{column:>10}" for column in columns))
    for module, count in counts.items():
        print(f"{module:<26}", *(f"{count[column]:10}" for column in columns))
    caught = len(results) - results.count("survived")
    different = len(results) - sum(count["equivalent"] for count in counts.values())
    print(f"caught {caught} of {different} that are not equivalent ({caught / different:.1%})")
    print(f"caught {caught} of all {len(mutants)} ({caught / len(mutants):.1%})")
    for module, _, line, _ in known:
        if module in counts and line not in (ROOT / path_of(module)).read_text(encoding="utf-8"):
            print(f"{EQUIVALENT.name} lists a line that {module} no longer has: {line}")


def main() -> None:
    """Sample mutants, run them, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sample", type=int, default=120, help="number of mutants [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the sample [%(default)s]")
    parser.add_argument("--modules", nargs="+", choices=TESTS, default=list(TESTS), metavar="NAME")
    parser.add_argument("--timeout", type=float, default=180, help="seconds a mutant [%(default)s]")
    parser.add_argument("--workers", type=int, default=2, help="side by side [%(default)s]")
    options = parser.parse_args()
    limit_memory()
    mutants = sampled(options.modules, options.sample, options.seed)
    with tempfile.TemporaryDirectory(prefix="fastnn-mutants-") as folder:
        workers = [Worker(Path(folder, str(i)), options.timeout) for i in range(options.workers)]
        with ThreadPoolExecutor(len(workers)) as pool:
            list(pool.map(lambda worker: worker.prepare(options.modules), workers))
        results = results_of(mutants, workers)
    report(mutants, results)


if __name__ == "__main__":
    main()
