"""All known answers, at every width of vectors that this processor has, in processes of their own.

A kernel that ends its process, or never ends, is found as well.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastnn.cli._answers import _entries, _few, _products, _steps, _whole
from fastnn.cli._answers._compare import KINDS, Answer, Kind

Group = Callable[[Kind, np.random.Generator], Iterator[Answer]]

GROUPS: dict[str, Group] = {
    "entries": _entries.of_entries,
    "e**x": _entries.of_exponentials,
    "rows of logits": _entries.of_logits,
    "products of tiles": _products.of_tiles,
    "products of moved inputs": _products.of_moves,
    "products of few rows": _products.of_few_rows,
    "attacks of few rows": _few.of_attacks,
    "signed steps": _steps.of_signed_steps,
    "steps in L2 and L1": _steps.of_balls,
    "gradient descent": _steps.of_descent,
    "searches": _steps.of_searches,
    "whole passes": _whole.of_passes,
}
_SECONDS = 1800  # for one width: all kernels may have to be compiled
_COMMAND = (sys.executable, "-m", "fastnn.cli._answers._widths")

# What numba is to compile for, by the bits of its vectors. The processor's own is not named.
_NARROWER: dict[int, dict[str, str]] = {
    256: {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt",
    },
    128: {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}


def widths() -> dict[int, Mapping[str, str]]:
    """Return the widths in bits that can be run, the widest first, with settings of numba.

    Those of x86 processors can all be chosen. Elsewhere there is one.
    """
    from fastnn._runtime.processors import vector_bytes

    own = 8 * vector_bytes()
    found: dict[int, Mapping[str, str]] = {own: {}}
    if platform.machine() in ("x86_64", "AMD64"):
        found |= {bits: settings for bits, settings in _NARROWER.items() if bits < own}
    return found


def ask(group: str) -> dict[str, Any]:
    """Ask all kernels of a group, in both types.

    Returns
    -------
    dict
        `answers`, how many there were; `error`, the largest as a share of what rounding explains;
        `wrong`, what is wrong with each that is.
    """
    with np.errstate(all="ignore"):
        found = [one for kind in KINDS for one in GROUPS[group](kind, np.random.default_rng(20150))]
    wrong = [one.wrong for one in found if one.wrong]
    error = max((one.error for one in found if not one.wrong), default=0.0)
    return {"group": group, "answers": len(found), "error": error, "wrong": wrong}


def ask_all(settings: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Ask every group in a process for which numba compiles with these settings.

    Yields
    ------
    dict
        As `ask`, one for each group; where the process ends early, the group has `wrong` alone.
    """
    with subprocess.Popen(
        _COMMAND, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            out, err = process.communicate(timeout=_SECONDS)
            reason = _reason(process.returncode, err.decode(errors="replace"))
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            reason = f"no answer within {_SECONDS} seconds"
        except BaseException:
            process.kill()
            raise
    found = {one["group"]: one for one in map(json.loads, out.splitlines())}
    for group in GROUPS:
        yield found.get(group) or {"group": group, "wrong": [reason]}
        if group not in found:
            return


def _reason(status: int, err: str) -> str:
    """Say how a process ended that did not ask all groups."""
    if status < 0:
        return f"the process ended by {signal.Signals(-status).name}"
    last = err.strip().splitlines()[-1:] or ["no message"]
    return f"the process ended with status {status}: {last[0]}"


def main() -> None:
    """Print what every group says, a line of JSON each."""
    for group in GROUPS:
        print(json.dumps(ask(group)), flush=True)


if __name__ == "__main__":
    main()
