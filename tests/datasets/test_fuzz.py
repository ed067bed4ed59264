"""Damaged files of every kind: one line of a known type comes out, and little memory is taken."""

import gzip
import io
import re
import struct
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastnn import load_data

MOST_MEMORY = 30_000_000  # for files of less than a thousand bytes
KNOWN = (ValueError, TypeError, FileNotFoundError)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


X = np.arange(24, dtype=np.uint8).reshape(4, 6)
WHOLE = {
    "npy": npy(X),
    "npy of floats": npy(X / 24),
    "npz": npz(x=X, y=np.arange(4)),
    "idx": idx(X),
    "idx.gz": gzip.compress(idx(X), mtime=0),
    "csv": b"a,b,kind\n1.5,2.5,cat\n3.5,4.5,dog\n",
    "csv of numbers": b"1.5,2.5,0\n3.5,4.5,1\n",
    "png": png(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10),
}


def damaged(whole):
    """Return a strategy of the ways to damage some bytes."""
    place = st.integers(0, len(whole) - 1)
    return st.one_of(
        st.builds(lambda k: whole[:k], place),
        st.builds(lambda k, b: whole[:k] + bytes([b]) + whole[k + 1 :], place, st.integers(0, 255)),
        st.builds(lambda k, more: whole[:k] + more + whole[k:], place, st.binary(max_size=40)),
        st.builds(lambda k, m: whole[min(k, m) : max(k, m)], place, place),
        st.builds(lambda k, m: whole[:k] + whole[m:], place, place),
        st.binary(max_size=300).map(lambda more: whole[:4] + more),
    )


def load(kind, content):
    """Load a file or a picture with these bytes, and return the error, if there is one."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if kind == "png":
            (place / "a").mkdir()
            (place / "a" / "1.png").write_bytes(content)
            data, labels = place, None
        else:
            data = place / "file"
            data.write_bytes(content)
            labels = None if "np" not in kind or kind == "npz" else [0, 1, 2, 3]
            labels = [0, 1, 2, 3] if "idx" in kind else labels
        tracemalloc.start()
        try:
            load_data(data, labels)
        except KNOWN as error:
            return error
        finally:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert most < MOST_MEMORY, f"{most:,} bytes"
    return None


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files_are_loaded(kind):
    assert load(kind, WHOLE[kind]) is None


@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_files_end_in_one_line(kind):
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damaged(WHOLE[kind]))
    def check(content):
        error = load(kind, content)
        if error is not None:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
            assert type(error) in KNOWN

    check()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet='0123456789.,;\t"\n abéx-_', max_size=80))
@example("0\n" * 40)
@example('"' * 80)
def test_text_of_any_form_ends_in_one_line(text):
    error = load("csv", text.encode())
    assert error is None or "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8), st.binary(max_size=60))
def test_headers_of_idx_that_announce_anything(shape, content):
    header = struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape)
    for packed in (bytes, lambda whole: gzip.compress(whole, mtime=0)):
        error = load("idx", packed(header + content))
        assert error is None or "\n" not in str(error)


def test_a_member_that_announces_more_than_its_archive_can_hold_is_refused():
    header = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": (1000, 10**9)}
    np.lib.format.write_array_header_1_0(header, fields)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1_000_000))
        archive.writestr("y.npy", npy(np.zeros(1000, int)))
    error = str(load("npz", buffer.getvalue()))
    assert re.fullmatch(r".*/file is truncated or damaged, expected .*", error)


def test_the_fuzz_would_notice_memory_and_long_errors(monkeypatch):
    """A planted violation: a reader that believes the header, and one that quotes the file."""
    from fastnn.datasets import _sources

    monkeypatch.setattr(_sources, "_array", lambda path: np.ones((8, 10_000_000)))
    with pytest.raises(AssertionError, match="bytes"):
        load("npy", WHOLE["npy"])

    def quotes(path):
        raise KeyError("unknown")

    monkeypatch.setattr(_sources, "_array", quotes)
    with pytest.raises(KeyError):
        load("npy", WHOLE["npy"])
