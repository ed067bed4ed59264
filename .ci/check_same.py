"""Check that two builds have the same bytes: python .ci/check_same.py FOLDER FOLDER."""

import sys
from pathlib import Path


def differences(first, second):
    """Return the files of two folders that are not the same."""
    one, other = ({p.name: p.read_bytes() for p in Path(f).iterdir()} for f in (first, second))
    built = {name for name in one | other if name.endswith((".whl", ".tar.gz"))}
    if not built:
        return ["nothing was built"]
    return sorted(name for name in built if one.get(name) != other.get(name))


def main(first, second):
    """End with the names of the files that differ."""
    if found := differences(first, second):
        sys.exit(f"two builds differ: {', '.join(found)}")
    print("two builds have the same bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
