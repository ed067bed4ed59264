"""Damaged files that atheris makes, guided by the branches that they take in the readers.

``pip install atheris && python -m tests.hostile.guided -max_total_time=60``; the options are those
of libFuzzer. What is wrong ends the run with a traceback, and its file is kept in the folder.
"""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastnn.io", "fastnn.datasets"]):
    from fastnn.datasets import _load
    from fastnn.io import _hdf5, networks
    from fastnn.io._archive import RefusalError

from tests.hostile.files import require_one_line

DATA = Path(__file__).parents[1] / "data"
FIXED = ["-max_len=9000", "-rss_limit_mb=1500", "-timeout=20"]
WORDS = (
    *("F16", "BF16", "I32", "<i4", "|O", "<f2", "LongStorage", "HalfStorage", "OrderedDict"),
    *("Identity", "Constant", "Conv", "MatMul", "Add", "transB", "weight", "bias", "running_mean"),
    *("fc1", "fc2", "0.", "data.pkl", "../", "-1", "9999999999", "nan", "IHDR", "PLTE", "IDAT"),
)
PICTURE = b"\x89PNG"


def no_process(*_: object) -> None:
    """Stand for libhdf5, which would be a process for each file."""
    raise RefusalError("is HDF5")


def one_case(content: bytes, folder: Path) -> None:
    """Read the bytes as a network, as data and, where they begin so, as a picture."""
    path = folder / "p" / "a" / "1.png"
    path.write_bytes(content)
    calls = [lambda: networks.load_mlp(path), lambda: _load.load_data(path)]
    if content.startswith(PICTURE):
        calls.append(lambda: _load.load_data(folder / "p"))
    for call in calls:
        try:
            call()
        except (ValueError, FileNotFoundError, ImportError) as error:
            require_one_line(error, folder)


def main() -> None:
    """Start from valid files of every kind."""
    _hdf5.Tree.__init__ = no_process  # type: ignore[method-assign]
    with contextlib.ExitStack() as stack:
        folder, corpus = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in "12")
        (folder / "p" / "a").mkdir(parents=True)
        for file in DATA.iterdir():
            if file.suffix not in {".py", ".json", ".h5", ".keras", ""}:
                shutil.copy(file, corpus)
        (corpus / "table.csv").write_text("a,b,kind\n1,2.5,x\n3,4e3,y\n")
        (corpus / "idx").write_bytes(b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(8))
        (corpus / "1.png").write_bytes(picture())
        words = folder / "words"
        words.write_text("".join(f'"{word}"\n' for word in WORDS))
        atheris.Setup(
            [*sys.argv, *FIXED, f"-dict={words}", str(corpus)], lambda one: one_case(one, folder)
        )
        atheris.Fuzz()  # ends the process


def picture() -> bytes:
    """Return a small PNG file."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("P", (5, 4)).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    main()
