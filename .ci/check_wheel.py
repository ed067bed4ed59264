"""Check what the wheel holds: everything a user needs and nothing else."""

import sys
import zipfile

NEEDED = {
    "fastnn/__init__.pyi",
    "fastnn/py.typed",
    "fastnn/_data/mnist_sample.npz",
    "fastnn/_data/LICENSE",
    "fastnn/_html/page.css",
    "fastnn/_html/page.js",
}

path = sys.argv[1]
with zipfile.ZipFile(path) as wheel:
    names = set(wheel.namelist())
if missing := NEEDED - names:
    sys.exit(f"{path}: expected {', '.join(sorted(missing))} in it")
if strays := {name for name in names if not name.startswith(("fastnn/", "fastnn-"))}:
    sys.exit(f"{path}: expected the package alone, got {', '.join(sorted(strays))}")
print(f"{len(names)} files, with the digits, their licence and py.typed")
