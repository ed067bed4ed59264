"""Check what the wheel holds: all files of the package, the digits, and nothing else.

python .ci/check_wheel.py WHEEL
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = {"fastnn/_data/mnist_sample.npz", "fastnn/_data/LICENSE"}
ABOUT = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
ABOUT |= {"licenses/data/LICENSE"}
LEFT_OUT = {".pyc", ".kernel", ".nbi", ".nbc"}  # what runs leave in a checkout


def expected(root):
    """Return the files that belong in the wheel, as they are in a checkout."""
    files = (path for path in (root / "fastnn").rglob("*") if path.is_file())
    return DATA | {
        path.relative_to(root).as_posix()
        for path in files
        if path.suffix not in LEFT_OUT and "__pycache__" not in path.parts
    }


def differences(names, wanted):
    """Return the files that a wheel lacks, and those that do not belong in it."""
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    known = {name.split("/", 1)[1] for name in about}
    missing = (wanted - names) | (ABOUT - known)
    return sorted(missing), sorted((names - about - wanted) | (known - ABOUT))


def main(path):
    """Print how many files there are, or end with what is wrong."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    missing, strays = differences(names, expected(ROOT))
    if missing:
        sys.exit(f"{path}: expected {', '.join(missing)} in it")
    if strays:
        sys.exit(f"{path}: expected the package alone, got {', '.join(strays)}")
    print(f"{len(names)} files: the package, the digits and their licences, and nothing else")


if __name__ == "__main__":
    main(sys.argv[1])
