"""Look for known vulnerabilities in the versions of `requirements-dev.txt`, by pip-audit.

Exit status 1 if there are any. Where the database cannot be reached, a line says so, and the status
is 0: a machine without a network is no reason to stop.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements-dev.txt"
COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--format", "json"),
    *("--disable-pip", "--require-hashes", "--progress-spinner", "off"),
)
UNREACHABLE = re.compile(
    r"ConnectionError|ConnectTimeout|Max retries exceeded|Could not connect|ServiceError|"
    r"NameResolutionError|ProxyError|SSLError|HTTPError|JSONDecodeError"
)
SKIPPED = "skipped: the database of vulnerabilities cannot be reached"


def verdict(status, out, err):
    """Return the exit status, and a line that says what it means."""
    try:
        every = json.loads(out)["dependencies"]
    except (ValueError, KeyError):
        if UNREACHABLE.search(err):
            return 0, SKIPPED
        return 1, f"pip-audit ended with status {status}"
    looked_up = [one for one in every if "vulns" in one]
    found = [f"{one['name']} {one['version']}" for one in looked_up if one["vulns"]]
    if found:
        return 1, f"known vulnerabilities in {', '.join(found)}; `nox -s lock` renews the versions"
    if not looked_up:  # a mirror of packages alone knows none of them
        return 0, SKIPPED
    return 0, f"no known vulnerabilities in {len(looked_up)} of {len(every)} packages"


def main():
    """Run pip-audit and return the exit status."""
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    status, text = verdict(done.returncode, done.stdout, done.stderr)
    if status:
        print(done.stdout + done.stderr[-2000:], file=sys.stderr)
    print(f"audit: {text}")
    return status


if __name__ == "__main__":
    sys.exit(main())
