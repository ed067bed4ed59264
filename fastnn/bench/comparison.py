"""What has become slower since an older run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.bench.results import ratio_of
from fastnn.bench.statistics import Ratio, divide, is_resolved, spread

# Where these differ, a comparison of two runs is one of two machines as well.
_MATTERS = ("processor", "usable_processors", "cpu_quota", "system", "python", "numpy", "numba")


def compare(
    old: dict[str, Any], new: dict[str, Any], *, tolerance: float = 0.1
) -> tuple[list[str], bool]:
    """Say where fastnn has become slower or faster since an older run.

    What is compared is the speed-up over numpy, since numpy ran in the same rounds: what has made
    the whole machine slower or faster divides out.

    Parameters
    ----------
    old, new : dict
        Documents as `to_document` makes them.
    tolerance : float, optional
        A change of less than this share is not a slow-down.

    Returns
    -------
    lines : list of str
    slower : bool
        Whether a slow-down beyond `tolerance` is resolved.
    """
    lines = list(_differences(old, new))
    before = {_key(case): case for case in old["cases"] if case["speedup"]}
    slower, shared = False, 0
    for case in new["cases"]:
        speedup = case["speedup"]
        if not (speedup and _key(case) in before and speedup["control"]):
            continue
        earlier = before[_key(case)]["speedup"]
        if not case["implementation"].startswith("fastnn") or not earlier["control"]:
            continue
        shared += 1
        change = divide(ratio_of(earlier), ratio_of(speedup))
        controls = [ratio_of(earlier["control"]), ratio_of(speedup["control"])]
        verdict = _verdict(change, max(controls, key=spread), tolerance)
        slower |= verdict == "SLOWER"
        threads = f"{case['threads']} thread{'s' * (case['threads'] > 1)}"
        name = f"{case['title']}, {case['implementation']}, {threads}"
        lines.append(f"{name:<73} {change!s:>20} times as long  {verdict}")
    if not shared:
        lines.append("no case in common with the older run")
    else:
        found = "slower than before" if slower else "nothing has become slower"
        lines.append(f"{found}, measured by numpy, by more than {tolerance:.0%}")
    return lines, slower


def _verdict(change: Ratio, control: Ratio, tolerance: float) -> str:
    """Return a word for how many times as long something takes now."""
    if not is_resolved(change, control):
        return "not resolved"
    if change.median > 1 + tolerance:
        return "SLOWER"
    return "faster" if change.median < 1 / (1 + tolerance) else "the same within tolerance"


def _key(case: dict[str, Any]) -> tuple[Any, ...]:
    return case["job"], case["asked"], case["implementation"], case["threads"]


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Name what was not the same in the older run."""
    pairs = [(name, old["machine"].get(name), new["machine"].get(name)) for name in _MATTERS]
    kernels = [run["machine"]["blas"].get("kernels") for run in (old, new)]
    pairs += [("BLAS kernels", *kernels), ("digits and network", old["source"], new["source"])]
    for name, then, now in pairs:
        if then != now:
            yield f"not the same {name.replace('_', ' ')}: {then} then, {now} now"
