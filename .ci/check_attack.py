"""Check what `fastnn attack --json` wrote on the bundled digits: as it trained, then from cache."""

import json
import sys
from pathlib import Path


def reports(value):
    """Return the reports anywhere in `value`."""
    if isinstance(value, dict):
        found = [value] if "adversarial_correct" in value else []
        return found + [report for part in value.values() for report in reports(part)]
    if isinstance(value, list):
        return [report for part in value for report in reports(part)]
    return []


def check(condition, what):
    """End with exit status 1 and `what` unless `condition` holds."""
    if not condition:
        sys.exit(f"fastnn attack --json: expected {what}")


first, second = (Path(path).read_text(encoding="utf-8") for path in sys.argv[1:])
for text, expected in (
    (first, "trained now, kept for the next run"),
    (second, "kept from an earlier run"),
):
    origin = json.loads(text)["network"]["origin"]
    check(origin == expected, f"a network {expected}, got one {origin}")
check("bundled sample, 1,000 held-out digits" in first, f"the source of the digits, got {first}")
found = reports(json.loads(first))
check([r["bounds"] for r in found] == [None, [0, 1]], f"unclipped and clipped, got {found}")
for report in found:
    clean, adversarial = report["clean_correct"], report["adversarial_correct"]
    check(report["n"] == 1000 and report["eps"] == 0.1, f"1,000 digits and eps 0.1, got {report}")
    check(900 <= clean <= 1000, f"at least 900 clean digits right, got {clean}")
    check(
        0 <= adversarial < clean // 2,
        f"fewer than half of them after the attack, got {adversarial}",
    )
    check(report["seconds"] > 0, f"a time, got {report['seconds']}")
same = ("clean_correct", "adversarial_correct", "zero_gradient_rows", "saturated_rows")
for once, again in zip(found, reports(json.loads(second)), strict=True):
    check(all(once[key] == again[key] for key in same), f"the same counts twice: {once}, {again}")
print(
    "clean and adversarial counts: ",
    *((r["clean_correct"], r["adversarial_correct"]) for r in found),
)
