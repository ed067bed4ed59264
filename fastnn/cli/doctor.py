"""The command `fastnn doctor`: what makes fastnn slow or wrong on this machine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.cli._findings import Finding, report
from fastnn.cli.options import Parser, write_json

if TYPE_CHECKING:
    from fastnn.bench.machine import Machine
    from fastnn.cli._caches import Cache

_SIDE = 512


def add_arguments(parser: Parser) -> None:
    """Declare the options of ``fastnn doctor``."""
    parser.epilog = (
        "examples:\n  fastnn doctor\n  fastnn doctor --check\n  fastnn doctor --clear-cache\n\n"
        "Exit status: 0, nothing is wrong; 1, something is."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="ask every compiled kernel for known answers, in float32 and float64 and at every "
        "width of vectors that this processor has; takes seconds, or minutes where kernels have to "
        "be compiled (default: no)",
    )
    parser.add_argument(
        "--clear-cache",
        action="store_true",
        help="remove compiled kernels and kept networks, which fastnn makes again when it needs "
        "them, and stop; downloaded digits stay (default: look for what is wrong)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0, or 1 if something is wrong."""
    from fastnn.bench.machine import machine_info

    if args.clear_cache:
        write_json(args, {"removed": clear_caches()})
        return 0
    machine = machine_info()
    found = diagnose(machine)
    if args.check:
        found += check_kernels(quiet=args.quiet)
    print(report(found))
    findings = [asdict(finding) for finding in found]
    write_json(args, {"findings": findings, "machine": asdict(machine)})
    return 1 if any(finding.status == "wrong" for finding in found) else 0


def clear_caches() -> list[dict[str, Any]]:
    """Remove compiled kernels and kept networks, and print what was removed from which folder.

    Returns
    -------
    list of dict
        What was kept in a folder, how many files were removed and how many bytes they had.

    Raises
    ------
    OSError
        A file could not be removed. All others were.
    """
    from fastnn.cli._caches import clear, kernel_caches, network_cache

    kernels = kernel_caches()
    if not kernels:
        print("compiled kernels, files removed: none, numba keeps none or NUMBA_DISABLE_JIT is set")
    removed, first_error = [], None
    for cache in (*kernels, network_cache()):
        files, size, error = clear(cache)
        first_error = first_error or error
        print(f"{cache.content}, files removed: {files:,} ({size:,} bytes) from {cache.folder}")
        removed.append({"content": cache.content, "files": files, "bytes": size})
    if first_error is not None:
        raise first_error
    return removed


def diagnose(machine: Machine) -> list[Finding]:
    """Run every check.

    Parameters
    ----------
    machine : fastnn.bench.machine.Machine

    Returns
    -------
    list of Finding
    """
    checks: tuple[Callable[[Machine], Iterable[Finding]], ...] = (
        _versions,
        _processors,
        _blas,
        _kernels,
        _numba,
        _caches,
        _product,
        _digits,
    )
    return [finding for check in checks for finding in check(machine)]


def check_kernels(*, quiet: bool = True) -> list[Finding]:
    """Ask every kernel for known answers, at every width of vectors.

    Returns
    -------
    list of Finding
        One for each group of kernels and each width.
    """
    from fastnn._runtime.progress import Progress
    from fastnn.cli._answers._widths import GROUPS, ask_all, widths

    found, every = [], widths()
    with Progress("check", len(every) * len(GROUPS), enabled=not quiet) as bar:
        for bits, settings in every.items():
            for answers in ask_all(settings):
                found.append(judge_answers(answers, bits))
                bar.update(len(found))
    return found


def judge_answers(answers: dict[str, Any], bits: int) -> Finding:
    """Tell what a group of kernels has answered, with vectors of so many bits."""
    name, wrong = f"{answers['group']}, {bits} bits", answers["wrong"]
    if wrong:
        more = f"; {len(wrong) - 1} more are wrong" if len(wrong) > 1 else ""
        return Finding(name, "wrong", f"{wrong[0]}{more}")
    share = f"the largest error is {answers['error']:.2g} of what rounding explains"
    return Finding(name, "ok", f"{answers['answers']} answers are right, {share}")


def _versions(machine: Machine) -> Iterator[Finding]:
    """Name what is installed."""
    names = ("fastnn", "numpy", "numba", "llvmlite")
    text = ", ".join(f"{name} {getattr(machine, name) or 'not installed'}" for name in names)
    yield Finding("versions", "ok", f"Python {machine.python}, {text}")


def _processors(machine: Machine) -> Iterator[Finding]:
    """Compare the threads in use with the processors that may be used."""
    usable, quota = machine.usable_processors, machine.cpu_quota
    limit = "no CPU quota" if quota is None else f"a CPU quota of {quota:g}"
    text = f"{machine.processor}, {usable} of {machine.processors} usable, {limit}"
    yield Finding("processor", "ok", text)

    threads = machine.blas.threads
    if threads is None or threads <= usable:
        yield Finding("threads", "ok", f"fastnn uses {usable}, numpy's BLAS {threads}")
        return
    asked = [name for name in machine.environment if name.endswith("NUM_THREADS")]
    text = f"numpy's BLAS uses {threads} threads outside fastnn, {usable} may run at a time: set "
    text += f"{' and '.join(asked) or 'OPENBLAS_NUM_THREADS'} to {usable}"
    yield Finding("threads", "wrong" if asked else "remark", text)


def _blas(machine: Machine) -> Iterator[Finding]:
    """Name numpy's BLAS."""
    blas = machine.blas
    if blas.library is None:
        text = "threadpoolctl does not know numpy's BLAS, so that fastnn cannot limit its threads"
        yield Finding("BLAS", "remark", text)
        return
    text = f"{blas.library} {blas.version}, {blas.kernels or 'unnamed'} kernels"
    yield Finding("BLAS", "ok", text)


def _kernels(machine: Machine) -> Iterator[Finding]:
    """Compare the vectors that BLAS computes with and those of the processor."""
    from fastnn.bench.machine import kernel_bits

    kernels = machine.blas.kernels
    used, possible = kernel_bits(kernels or ""), machine.vector_bits
    setting = machine.environment.get("OPENBLAS_CORETYPE")
    if used is None or possible is None:
        yield Finding("BLAS kernels", "ok", "not known for this processor")
    elif used >= possible:
        yield Finding("BLAS kernels", "ok", f"{used} bits wide, as the processor's vectors are")
    else:
        text = f"{kernels} kernels are {used} bits wide, the processor's vectors {possible}: "
        text += f"up to {1 - used / possible:.0%} of the speed is lost"
        if setting:
            text += f", as OPENBLAS_CORETYPE={setting} is set; unset it"
        yield Finding("BLAS kernels", "wrong" if setting else "remark", text)

    if "OPENBLAS_L2_SIZE" in machine.environment:
        text = "OPENBLAS_L2_SIZE overrides the size of the cache that BLAS detects; unset it"
        yield Finding("BLAS blocks", "remark", text)


def _numba(machine: Machine) -> Iterator[Finding]:
    """Look whether kernels are compiled."""
    if _is_jit_disabled():
        text = "NUMBA_DISABLE_JIT is set: kernels run as plain Python, hundreds of times slower"
        yield Finding("numba", "wrong", text)
        return
    layer = f"threading layer {machine.numba_threading_layer}, not used: fastnn has threads"
    yield Finding("numba", "ok", f"{layer} of its own and kernels that run on one")


def _is_jit_disabled() -> bool:
    """Return whether numba leaves kernels as Python functions."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def _caches(_: Machine) -> Iterator[Finding]:
    """Look at what is kept for the next process: compiled kernels and trained networks."""
    from fastnn.bench.machine import has_numba_cache
    from fastnn.cli._caches import kernel_caches, network_cache

    if not has_numba_cache() and not _is_jit_disabled():
        text = "no folder to keep compiled kernels in: every process compiles them again; set "
        text += "NUMBA_CACHE_DIR to a writable folder"
        yield Finding("kernel cache", "wrong", text)
    for cache in kernel_caches():
        yield judge_cache("kernel cache", cache)
    yield judge_cache("network cache", network_cache())


def judge_cache(name: str, cache: Cache) -> Finding:
    """Tell how many files a cache has and which of them are damaged."""
    text = f"{cache.content}: {len(cache.kept):,}, in {cache.folder}"
    if cache.leftover:
        text += f"; leftover files, temporary or of other versions: {len(cache.leftover):,}"
    if cache.damaged:
        text += f"; damaged: {len(cache.damaged):,}, {', '.join(cache.damaged.values())}"
    if cache.leftover or cache.damaged:
        text += "; `fastnn doctor --clear-cache` empties the cache"
    return Finding(name, "wrong" if cache.damaged else "ok", text)


def _product(_: Machine) -> Iterator[Finding]:
    """Compare a float32 product with float64."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((_SIDE, _SIDE)).astype(np.float32) for _ in range(2))
    yield judge_product(a, b, a @ b)


def judge_product(
    a: NDArray[np.float32], b: NDArray[np.float32], product: NDArray[np.float32]
) -> Finding:
    """Tell whether `product` is a times b as exactly as float32 allows.

    Notes
    -----
    ``|fl(AB) - AB| <= k u / (1 - k u) |A| |B|`` for inner dimension k and unit roundoff u, whatever
    the order of the sums. Higham (2002), Accuracy and Stability of Numerical Algorithms, 3.5.
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    size = np.abs(a64) @ np.abs(b64)
    ku = a.shape[1] * 2.0**-24
    share = float((np.abs(product - a64 @ b64) / size).max())
    text = f"float32 differs from float64 by {share:.1e} of |a| |b|"
    if share <= ku / (1 - ku):
        return Finding("matrix product", "ok", text)
    return Finding("matrix product", "wrong", f"{text}, rounding explains {ku:.1e}: BLAS is broken")


def _digits(_: Machine) -> Iterator[Finding]:
    """Look for MNIST."""
    from fastnn.datasets import load_split

    try:
        source = load_split("test", source="mnist")[2]
    except FileNotFoundError:
        text = "MNIST is not found, the bundled sample is used; `fastnn fetch` downloads it"
        yield Finding("digits", "remark", text)
    except ValueError as error:
        yield Finding("digits", "wrong", str(error))
    else:
        yield Finding("digits", "ok", source)
