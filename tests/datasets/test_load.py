"""Inputs and labels from arrays, frames, files and folders; every way in gives the same."""

import gzip
import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import datasets, load_data
from fastnn.datasets import Samples, has_splits

PIXELS = 6 * 11  # images of 6 x 11, which are neither square nor 28 x 28


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (20, 6, 11), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.arange(20) % 3


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def same(found, x, labels):
    """Compare what was loaded with inputs and labels, types included."""
    assert isinstance(found, Samples)
    expected = x.reshape(len(x), -1)
    assert (found.x.dtype, found.x.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found.x, expected)
    assert found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.labels, labels)
    return True


# --- arrays


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("uint8", "uint8"),
        ("float16", "float32"),
        ("float32", "float32"),
        (">f4", "float32"),
        ("float64", "float64"),
        ("bool", "float32"),
        ("int64", "float64"),
        ("uint16", "float64"),
    ],
)
def test_types_of_inputs(given, kept):
    x = (np.arange(12).reshape(3, 4) % 3).astype(given)
    found = load_data(x, [0, 1, 2])
    assert same(found, x.astype(kept), [0, 1, 2])
    assert found.source == "array, 3 samples"
    assert found.classes == ()


@pytest.mark.parametrize("kind", ["int16", "int64", "uint16"])
def test_integers_that_look_like_pixels_are_pixels(pixels, labels, kind):
    assert same(load_data(pixels.astype(kind), labels), pixels, labels)
    dark = pixels.astype(kind) // 2
    assert load_data(dark, labels).x.dtype == np.float64
    narrow = pixels.astype(kind)[:, :5]
    assert load_data(narrow, labels).x.dtype == np.float64


def test_floats_are_never_divided(pixels, labels):
    found = load_data(pixels.astype(np.float32), labels)
    assert same(found, pixels.astype(np.float32), labels)
    net = fastnn.MLP.random((PIXELS, 3))
    with pytest.raises(ValueError, match=r"no bounds say in which units"):
        fastnn.adversarial_accuracy(net, found.x, found.labels)


LABELS = {
    "lists": [2, 0, 1],
    "floats": np.array([2.0, 0.0, 1.0]),
    "column": np.array([[2], [0], [1]]),
    "one-hot": np.eye(3)[[2, 0, 1]],
    "words of numbers": ["2", "0", "1"],
    "small": np.array([2, 0, 1], np.uint8),
    "objects": np.array([2, "0", 1], object),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_any_form(form):
    found = load_data(np.eye(3), LABELS[form])
    assert same(found, np.eye(3), [2, 0, 1])
    assert found.classes == ()


def test_names_of_classes_are_sorted():
    for names in (["dog", "ant", "10 cats"], np.array([b"dog", b"ant", b"10 cats"])):
        found = load_data(np.eye(3), names)
        assert same(found, np.eye(3), [2, 1, 0])
        assert found.classes == ("10 cats", "ant", "dog")
    assert load_data(np.eye(2), [True, False]).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("x", "labels", "kind", "message"),
    [
        (np.eye(3), None, ValueError, r"labels are missing: load_data\(x, labels\)"),
        (np.eye(3), [0, 1], ValueError, "labels must have one entry a row: 3 rows, 2 labels"),
        (np.eye(3), [0, 1, -1], ValueError, r"labels\[2\] is -1, expected classes 0, 1, 2, ..."),
        (np.eye(3), [0, 1, 0.5], ValueError, r"labels\[2\] is 0.5, expected a whole number"),
        (np.eye(3), np.ones((3, 3)), ValueError, r"labels\[0\] is not one-hot: .*"),
        (np.eye(3), ["a", "b", ""], ValueError, r"labels\[2\] is '', expected the name .*"),
        (np.eye(3), np.array(["a", None, "b"], object), ValueError, r"labels\[1\] is 'None', .*"),
        (np.arange(3.0), [0, 1, 2], ValueError, r"x must have shape \(N, ...\), .*got \(3,\)"),
        (np.empty((0, 4)), [], ValueError, r"x must have shape .*got \(0, 4\)"),
        (np.eye(3) * 1j, [0, 1, 2], TypeError, "x must be numbers, got complex128"),
        ([["a"]], [0], TypeError, "x must be numbers, got <U1"),
        ([[1.0, np.nan]], [0], ValueError, r"x\[0, 1\] is nan; every entry must be finite"),
        (np.ma.masked_array(np.eye(3)), [0, 1, 2], TypeError, "x is a masked array, .*"),
        ([[2**60, 1]], [0], ValueError, r"x\[0, 0\] is 1.15292e\+18: float64 has not .*"),
    ],
)
def test_arrays_that_are_refused(x, labels, kind, message):
    with pytest.raises(kind, match=rf"\A{message}\Z"):
        load_data(x, labels)


def test_options_of_files_are_not_for_arrays():
    for option in ({"split": "train"}, {"inputs": "x"}):
        with pytest.raises(ValueError, match="split and inputs are for files and folders"):
            load_data(np.eye(2), [0, 1], **option)
    with pytest.raises(ValueError, match="split must be one of"):
        load_data(np.eye(2), [0, 1], split="validation")


# --- frames and tensors


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    module = pytest.importorskip(library)
    columns = {"a": [1.5, 2.5, 3.5], "label": ["x", "y", "x"], "b": [1, 2, 3]}
    frame = module.DataFrame(columns)
    expected = np.array([[1.5, 1], [2.5, 2], [3.5, 3]])
    for given in (None, "label"):
        found = load_data(frame, given)
        assert same(found, expected, [0, 1, 0])
        assert found.classes == ("x", "y")
        assert found.source == "frame, 3 samples"
    other = module.DataFrame({"a": columns["a"], "kind": columns["b"]})
    assert same(load_data(other), np.array([[1.5], [2.5], [3.5]]), [1, 2, 3])  # the last
    assert same(load_data(other, module.Series([2, 1, 0])), other.to_numpy(), [2, 1, 0])
    with pytest.raises(ValueError, match="no column 'c'; its columns are 'a', 'kind'"):
        load_data(other, "c")
    with pytest.raises(TypeError, match=r"column 'label' is .*, expected numbers, none missing"):
        load_data(frame, "b")
    holes = module.DataFrame({"a": [1.0, float("nan")], "y": [0, 1]})
    with pytest.raises(ValueError, match=r"x\[1, a\] is nan; every entry must be finite"):
        load_data(holes)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_pixels(library, pixels, labels):
    module = pytest.importorskip(library)
    rows = pixels.reshape(20, -1).astype(np.int64)
    frame = module.DataFrame({f"p{k}": rows[:, k] for k in range(PIXELS)} | {"label": labels})
    assert same(load_data(frame), pixels, labels)
    net = fastnn.MLP.random((PIXELS, 3))
    report = fastnn.adversarial_accuracy(net, *load_data(frame)[:2])
    assert report.n == 20


def test_tensors(pixels, labels):
    torch = pytest.importorskip("torch")
    x = torch.tensor(pixels / 255, dtype=torch.float32, requires_grad=True)
    found = load_data(x, torch.tensor(labels))
    assert same(found, (pixels / 255).astype(np.float32), labels)
    net = fastnn.MLP.random((PIXELS, 3))
    np.testing.assert_array_equal(net.predict(x.reshape(20, -1)), net.predict(found.x))


class Tensor:
    """Something that only numpy's protocol turns into an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_anything_with_an_array_is_taken(pixels, labels):
    assert same(load_data(Tensor(pixels), Tensor(labels)), pixels, labels)


# --- NumPy files


@pytest.mark.parametrize(
    "names", [("X.npy", "Y.npy"), ("a-images.npy", "a-labels.npy"), ("x.npy", "y.npy")]
)
def test_npy_files(pixels, labels, names):
    np.save(names[0], pixels)
    np.save(names[1], labels)
    for given in (None, names[1], Path(names[1]), labels):
        found = load_data(names[0], given)
        assert same(found, pixels, labels)
        assert found.source == f"{names[0]}, 20 samples"


def test_labels_in_a_text_file(pixels):
    np.save("X.npy", pixels[:3])
    Path("y.txt").write_text("label\ncat\n\nant\ncat\n", encoding="utf-8")
    found = load_data("X.npy", "y.txt")
    assert (found.labels.tolist(), found.classes) == ([1, 0, 1], ("ant", "cat"))
    assert load_data(pixels[:3], "y.txt").labels.tolist() == [1, 0, 1]


def test_missing_labels_are_named(pixels):
    np.save("X.npy", pixels)
    with pytest.raises(FileNotFoundError, match=r"X.npy: labels are missing, and no file beside"):
        load_data("X.npy")
    with pytest.raises(FileNotFoundError, match=r"none.npy: no such file or folder"):
        load_data("X.npy", "none.npy")


ARCHIVES = {
    "usual": ({"x": 0, "y": 1}, {}),
    "capitals": ({"X": 0, "Y": 1, "other": 2}, {}),
    "images": ({"images": 0, "labels": 1}, {}),
    "data": ({"data": 0, "target": 1}, {}),
    "named": ({"a": 0, "b": 1, "y": 2}, {"inputs": "a", "labels": "b"}),
    "test": ({"x_train": 2, "y_train": 2, "x_test": 0, "y_test": 1}, {}),
    "train": ({"x_train": 0, "y_train": 1, "x_test": 2, "y_test": 2}, {"split": "train"}),
    "test_x": ({"test_images": 0, "test_labels": 1}, {"split": "test"}),
    "only train": ({"x_train": 0, "y_train": 1}, {}),
}


@pytest.mark.parametrize("form", ARCHIVES)
def test_npz_files(pixels, labels, form):
    keys, options = ARCHIVES[form]
    arrays = (pixels, labels, np.zeros((2, 2), np.uint8))
    np.savez_compressed("a.npz", **{key: arrays[k] for key, k in keys.items()})
    assert same(load_data("a.npz", **options), pixels, labels)


def test_an_archive_of_one_array_is_read_as_that_array(pixels, labels):
    np.savez("X.npz", pixels)
    np.savez("Y.npz", labels)
    assert same(load_data("X.npz"), pixels, labels)
    assert same(load_data("X.npz", "Y.npz"), pixels, labels)


def test_labels_of_an_archive_from_elsewhere(pixels, labels):
    np.savez("a.npz", x=pixels, z=labels)
    np.save("Y.npy", labels)
    for given in ("z", "Y.npy", Path("Y.npy"), labels):
        assert same(load_data("a.npz", given), pixels, labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a.npz has no labels, found 'x', 'z'; name the key with labels"),
        ({"labels": "w"}, "a.npz has no array 'w', found 'x', 'z'; name the key with labels"),
        ({"inputs": "w"}, "a.npz has no array 'w', found 'x', 'z'; name the key with inputs"),
        ({"split": "train"}, "a.npz has no inputs, found 'x', 'z'; name the key with inputs"),
    ],
)
def test_keys_that_are_missing_are_named(pixels, labels, options, message):
    np.savez("a.npz", x=pixels, z=labels)
    with pytest.raises(FileNotFoundError, match=rf"\A{message}\Z"):
        load_data("a.npz", **options)


# --- IDX


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
@pytest.mark.parametrize("shape", [(20, 6, 11), (20, 66), (20, 2, 3, 11)])
def test_idx_files_of_any_shape(pixels, labels, pack, shape):
    Path("some-images-idx3-ubyte").write_bytes(pack(idx(pixels.reshape(shape))))
    Path("some-labels-idx1-ubyte").write_bytes(pack(idx(labels.astype(np.uint8))))
    assert same(load_data("some-images-idx3-ubyte"), pixels, labels)


def test_a_folder_of_files_of_any_size(pixels, labels):
    for split, rows in (("train", slice(5)), ("t10k", slice(5, None))):
        Path(f"{split}-images-idx3-ubyte").write_bytes(idx(pixels[rows]))
        Path(f"{split}-labels-idx1-ubyte").write_bytes(idx(labels[rows].astype(np.uint8)))
    assert has_splits(".")
    assert same(load_data("."), pixels[5:], labels[5:])
    assert same(load_data(".", split="train"), pixels[:5], labels[:5])
    with pytest.raises(ValueError, match=r". is a folder, which has its labels"):
        load_data(".", labels)


def test_the_files_of_the_assignment_of_any_size(pixels, labels):
    np.save("images_test.npy", pixels / 255)
    np.save("labels_test.npy", np.eye(3)[labels])
    assert same(load_data("."), pixels / 255, labels)
    with pytest.raises(FileNotFoundError, match="no files of images and labels for train"):
        load_data(".", split="train")


# --- data sets by name


def test_the_sample_is_not_a_data_set_but_mnist_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="MNIST is not there: run `fastnn fetch`"):
        load_data("mnist")
    message = "no such file or folder, and no data set of that name: mnist, fashion-mnist, kmnist"
    with pytest.raises(FileNotFoundError, match=message):
        load_data("cifar")


def test_a_folder_comes_before_a_data_set_of_its_name(pixels, labels):
    Path("kmnist").mkdir()
    np.save("kmnist/images_test.npy", pixels)
    np.save("kmnist/labels_test.npy", labels)
    assert same(load_data("kmnist"), pixels, labels)


# --- files of other kinds


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", "is a picture: give the folder .*; expected .npy, .npz, IDX or .*"),
        (b"PAR1....", "is Parquet: read it with pandas or polars, .*"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5: read it with h5py, .*"),
        (b"\x80\x04\x95", "is a pickle, which is never read: .*"),
        (gzip.compress(b"1,2\n", mtime=0), "line 1: it is no text in UTF-8|is compressed: .*"),
    ],
)
def test_files_of_other_kinds_are_named(content, message):
    Path("file").write_bytes(content)
    with pytest.raises(ValueError, match=rf"\Afile,? {message}"):
        load_data("file")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_what_has_no_end_is_not_opened(tmp_path):
    os.mkfifo("pipe.npy")
    for endless in ("pipe.npy", "/dev/zero"):
        with pytest.raises(ValueError, match="is neither a file nor a folder"):
            load_data(endless)
    Path("loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match="loop: no such file or folder"):
        load_data("loop")


def test_splits_are_known_before_anything_is_read(pixels, labels):
    np.savez("a.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    np.savez("b.npz", x=pixels, y=labels)
    np.save("X.npy", pixels)
    assert [has_splits(name) for name in ("a.npz", "b.npz", "X.npy")] == [True, False, False]
    with pytest.raises(ValueError, match=r"X.npy has no parts for training and test"):
        load_data("X.npy", split="test")
    with pytest.raises(ValueError, match=r"X.npy is no .npz archive, so inputs must be None"):
        load_data("X.npy", inputs="x")


def test_names_of_data_sets_are_public():
    assert set(datasets.NAMES) == {"mnist", "fashion-mnist", "kmnist", "emnist-digits"}
    assert all(one.licence for one in datasets.DATA_SETS.values())


def test_a_file_may_be_anything_that_opens_as_a_path(pixels, labels):
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    Path("X.npy").write_bytes(buffer.getvalue())
    np.save("Y.npy", labels)
    assert same(load_data(Path("X.npy").absolute()), pixels, labels)
