"""Damaged files of every format: each loads as a network, or is refused in one line."""

import operator
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastnn import MLP
from fastnn.io import _hdf5, load_mlp, save_mlp

DATA = Path(__file__).parents[1] / "data"
FILES = sorted(path for path in DATA.iterdir() if path.suffix not in {".py", ".json", ""})
NEEDS = {".onnx": "onnx", ".h5": "h5py", ".keras": "h5py"}
PLAIN = [path for path in FILES if NEEDS.get(path.suffix) != "h5py"]
HDF5 = [path for path in FILES if path not in PLAIN]
NAME = operator.attrgetter("name")
LONGEST = 600  # characters of a message
MEMORY = 3e7  # bytes, for files of some kilobytes

NUMBERS = [0, 1, 2**15, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]
DAMAGE = st.one_of(
    st.tuples(st.just("byte"), st.floats(0, 1), st.integers(0, 255)),
    st.tuples(st.just("number"), st.floats(0, 1), st.sampled_from(NUMBERS)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("copy"), st.floats(0, 1), st.integers(1, 200)),
    st.tuples(st.just("remove"), st.floats(0, 1), st.integers(1, 200)),
    st.tuples(st.just("text"), st.floats(0, 1), st.sampled_from([b"..", b"os", b"-1", b"9" * 9])),
)


def damaged(content, damages):
    """Return the content with each damage done, at a share of its length."""
    out = bytearray(content)
    for kind, where, what in damages:
        at = int(where * len(out))
        if kind == "byte" and at < len(out):
            out[at] = what
        elif kind == "number":
            out[at : at + 8] = what.to_bytes(8, "little")
        elif kind == "cut":
            del out[at:]
        elif kind == "copy":
            out[at:at] = out[:what]
        elif kind == "remove":
            del out[at : at + what]
        elif kind == "text":
            out[at : at + len(what)] = what
    return bytes(out)


def require_refused_or_valid(path):
    """Load a file; an error must be one line that names it, and a network one that computes."""
    tracemalloc.start()
    try:
        net = load_mlp(path)
    except ValueError as error:
        text = str(error)
        assert str(path) in text
        assert "\n" not in text
        assert len(text) < LONGEST
    else:
        assert all(np.isfinite(array).all() for array in net.weights + net.biases)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY


def fuzz(examples, **strategies):
    """Return a decorator that tries some damages on a file, or other strategies."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    setting = settings(
        max_examples=examples, deadline=None, suppress_health_check=quiet, derandomize=True
    )
    strategies = strategies or {"damages": st.lists(DAMAGE, min_size=1, max_size=4)}
    return lambda test: setting(given(**strategies)(test))


@pytest.mark.parametrize("file", PLAIN, ids=NAME)
@fuzz(80)
def test_damaged_files_are_refused_or_valid(tmp_path, file, damages):
    if file.suffix in NEEDS:
        pytest.importorskip(NEEDS[file.suffix])
    path = tmp_path / f"net{file.suffix}"
    path.write_bytes(damaged(file.read_bytes(), damages))
    require_refused_or_valid(path)


@pytest.mark.parametrize("file", HDF5, ids=NAME)
@fuzz(5)
def test_damaged_keras_files_are_refused_or_valid(tmp_path, file, damages):
    pytest.importorskip("h5py")
    path = tmp_path / f"net{file.suffix}"
    path.write_bytes(damaged(file.read_bytes(), damages))
    before = _hdf5._SECONDS
    try:
        _hdf5._SECONDS = 5
        require_refused_or_valid(path)
    finally:
        _hdf5._SECONDS = before


@fuzz(80)
def test_damaged_archives_of_numpy_are_refused_or_valid(tmp_path, damages):
    path = tmp_path / "net.npz"
    save_mlp(MLP.random((4, 3, 2), "tanh"), path)
    path.write_bytes(damaged(path.read_bytes(), damages))
    require_refused_or_valid(path)


STARTS = st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04", b"\x08\x08\x12"])


@pytest.mark.parametrize("suffix", ["", ".pth", ".npz", ".safetensors"])
@fuzz(100, start=STARTS, rest=st.binary())
def test_files_of_nothing_known_are_refused(tmp_path, suffix, start, rest):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(start + rest)
    try:
        require_refused_or_valid(path)
    except ImportError as error:
        assert "pip install fastnn[onnx]" in str(error)  # noqa: PT017


def test_harm_is_noticed(tmp_path, monkeypatch):
    """The judge of these tests finds a message of two lines, and memory that is too large."""
    path = tmp_path / "net.npz"
    np.savez(path, x=np.zeros(3))
    require_refused_or_valid(path)

    def two_lines(_):
        raise ValueError(f"{path}\nis damaged")

    def greedy(_):
        np.ones(10**7)
        raise ValueError(f"{path} is damaged")

    for wrong in (two_lines, greedy):
        monkeypatch.setitem(globals(), "load_mlp", wrong)
        with pytest.raises(AssertionError):
            require_refused_or_valid(path)
