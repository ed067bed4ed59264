"""Downloads, from a server of our own on this machine."""

import contextlib
import gzip
import hashlib
import io
import re
import struct
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fastnn import datasets
from fastnn._runtime import progress
from fastnn.datasets import DATA_SETS, fetch_mnist, load_data, load_mnist
from fastnn.datasets import _download as fetch


def idx(magic, array):
    shape = (len(array), 28, 28) if array.ndim == 2 else (len(array),)
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + array.tobytes())


@pytest.fixture
def contents(rng, monkeypatch):
    """Let four small files be MNIST; the images take several reads."""
    files = {}
    for split, n in (("train", 300), ("t10k", 150)):
        images = rng.integers(0, 256, (n, 784), dtype=np.uint8)
        files[f"{split}-images-idx3-ubyte.gz"] = idx(2051, images)
        files[f"{split}-labels-idx1-ubyte.gz"] = idx(2049, np.arange(n, dtype=np.uint8) % 10)
    known = {n: (len(c), f"sha256:{hashlib.sha256(c).hexdigest()}") for n, c in files.items()}
    assert list(known) == list(DATA_SETS["mnist"].files)
    monkeypatch.setitem(DATA_SETS, "mnist", replace(DATA_SETS["mnist"], files=known))
    monkeypatch.setattr(fetch, "_TIMEOUT_SECONDS", 5.0)
    return files


class Mirror(ThreadingHTTPServer):
    """A server of files that can break off, ignore ranges, stall or lie."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.requests = []  # name and Range of every request
        self.breaks = {}  # name -> bytes after which each of the next replies ends
        self.ranges = True
        self.content_range = None
        self.stalled = threading.Event()
        self.stalls = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/mnist/"

    def asked_for(self, name):
        return [asked for file, asked in self.requests if file == name]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        mirror = self.server
        name, asked = self.path.rsplit("/", 1)[1], self.headers["Range"]
        mirror.requests.append((name, asked))
        if mirror.stalls:
            mirror.stalled.wait(10)
            return
        if name not in mirror.files:
            self.send_error(404)
            return
        content, start = mirror.files[name], 0
        if asked and mirror.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.send_response(206)
            stated = mirror.content_range or f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", stated)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + mirror.breaks[name].pop(0) if mirror.breaks.get(name) else None
        self.wfile.write(content[start:end])

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def serving(files):
    with Mirror(files) as mirror:
        thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.stalled.set()
            mirror.shutdown()
            thread.join()


@pytest.fixture
def mirror(contents):
    with serving(contents) as server:
        yield server


@pytest.fixture
def dead_url():
    """Return an address at which nothing listens any more."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    return f"http://127.0.0.1:{port}/"


TRAIN, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def assert_holds(folder, contents):
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents


def test_four_files_that_load(tmp_path, contents, mirror):
    folder = fetch_mnist(tmp_path / "new" / "folder", mirrors=[mirror.url])
    assert folder == tmp_path / "new" / "folder"
    assert_holds(folder, contents)
    assert [name for name, _ in mirror.requests] == list(contents)
    assert len(load_mnist(folder).x_train) == 300


def test_the_cache_is_where_load_mnist_looks(tmp_path, contents, mirror, monkeypatch):
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert fetch_mnist(mirrors=[mirror.url]) == tmp_path / "mnist"
    assert len(load_mnist(source="mnist").x_test) == 150


def test_right_files_are_kept_and_wrong_ones_replaced(tmp_path, contents, mirror):
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    mirror.requests.clear()
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.requests == []
    damaged = bytearray(contents[TRAIN])
    damaged[500] ^= 1
    (tmp_path / TRAIN).write_bytes(damaged)
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert [name for name, _ in mirror.requests] == [TRAIN]
    assert_holds(tmp_path, contents)


def test_a_broken_transfer_goes_on_where_it_broke(tmp_path, contents, mirror):
    mirror.breaks[TRAIN] = [100_000, 70_000]
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN) == [None, "bytes=100000-", "bytes=170000-"]
    assert_holds(tmp_path, contents)


def test_a_server_without_ranges_starts_over(tmp_path, contents, mirror):
    mirror.ranges = False
    mirror.breaks[TRAIN] = [100_000]
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN) == [None, "bytes=100000-"]
    assert_holds(tmp_path, contents)


def test_a_server_that_sends_another_range_starts_over(tmp_path, contents, mirror):
    mirror.content_range = "bytes 0-9/10"
    mirror.breaks[TRAIN] = [100_000]
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN) == [None, "bytes=100000-", None]
    assert_holds(tmp_path, contents)


def test_what_came_is_kept_for_the_next_call(tmp_path, contents, mirror):
    mirror.breaks[TRAIN] = [50_000, 0]
    with pytest.raises(ConnectionError, match="the transfer broke off at 50,000 of"):
        fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert [path.name for path in tmp_path.iterdir()] == [f"{TRAIN}.part"]
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN) == [None, "bytes=50000-", "bytes=50000-"]
    assert_holds(tmp_path, contents)


def test_the_next_mirror_goes_on_where_the_first_broke(tmp_path, contents, mirror):
    with serving(contents) as first:
        first.breaks[TRAIN] = [50_000, 0]
        fetch_mnist(tmp_path, mirrors=[first.url, mirror.url])
    assert mirror.asked_for(TRAIN) == ["bytes=50000-"]
    assert_holds(tmp_path, contents)


def test_attempts_are_bounded(tmp_path, contents, mirror):
    mirror.breaks[TRAIN] = [10] * 100
    with pytest.raises(ConnectionError, match="broke off at 40 of"):
        fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert len(mirror.requests) == 4


@pytest.mark.parametrize("kept", [20_000, None, "more"])
def test_a_part_that_is_wrong_is_thrown_away(tmp_path, contents, mirror, kept):
    whole = len(contents[TRAIN])
    size = {20_000: 20_000, None: whole, "more": whole + 5}[kept]
    (tmp_path / f"{TRAIN}.part").write_bytes(bytes(size))
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN)[-1] is None
    assert_holds(tmp_path, contents)


def test_a_part_that_is_whole_needs_no_transfer(tmp_path, contents, mirror):
    (tmp_path / f"{TRAIN}.part").write_bytes(contents[TRAIN])
    fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert mirror.asked_for(TRAIN) == []
    assert_holds(tmp_path, contents)


@pytest.mark.parametrize("change", [lambda c: bytes(len(c)), lambda c: bytes(len(c) * 3)])
def test_wrong_content_never_takes_the_name(tmp_path, contents, mirror, change):
    mirror.files[TRAIN] = change(contents[TRAIN])
    with pytest.raises(ConnectionError, match=rf"could not download {TRAIN} \(wrong SHA-256\)"):
        fetch_mnist(tmp_path, mirrors=[mirror.url])
    assert list(tmp_path.iterdir()) == []
    with serving(contents) as good:
        fetch_mnist(tmp_path, mirrors=[mirror.url, good.url])
    assert_holds(tmp_path, contents)


def test_a_dead_mirror_and_one_without_the_files(tmp_path, contents, mirror, dead_url):
    with serving({}) as empty:
        fetch_mnist(tmp_path, mirrors=[dead_url, empty.url.rstrip("/"), mirror.url])
        assert len(empty.requests) == 4
    assert_holds(tmp_path, contents)


def test_without_a_network_one_line_says_what_to_do(tmp_path, contents, dead_url):
    with serving({}) as empty, pytest.raises(ConnectionError) as caught:
        fetch_mnist(tmp_path, mirrors=[dead_url, empty.url])
    text = str(caught.value)
    assert re.fullmatch(
        rf"could not download {TRAIN} \([^\[]*refused; HTTP 404 Not Found\): download the four "
        rf"\.gz files of MNIST elsewhere and put them in {re.escape(str(tmp_path))}, or set "
        "FASTNN_DATA to their folder",
        text,
    )
    with pytest.raises(ConnectionError, match=r"\(no mirrors\)"):
        fetch_mnist(tmp_path, mirrors=[])


def test_a_server_that_says_nothing_is_left(tmp_path, contents, mirror, monkeypatch):
    monkeypatch.setattr(fetch, "_TIMEOUT_SECONDS", 0.2)
    mirror.stalls = True
    with pytest.raises(ConnectionError, match="timed out"):
        fetch_mnist(tmp_path, mirrors=[mirror.url])


def test_a_folder_that_cannot_be_made(tmp_path, contents):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        fetch_mnist(tmp_path / "file" / "mnist", mirrors=[])


def test_progress_is_drawn_on_request(tmp_path, contents, mirror, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    fetch_mnist(tmp_path / "a", mirrors=[mirror.url])
    assert capsys.readouterr().err == ""
    fetch_mnist(tmp_path / "b", mirrors=[mirror.url], progress=True)
    total = sum(map(len, contents.values())) // 1000
    shown = capsys.readouterr()
    assert f"{total}/{total}" in shown.err
    assert shown.out == ""


def test_the_files_of_mnist_are_those_published():
    assert sum(size for size, _ in DATA_SETS["mnist"].files.values()) == 11_594_722
    assert all(
        re.fullmatch("sha256:[0-9a-f]{64}", known) for _, known in DATA_SETS["mnist"].files.values()
    )
    assert all(mirror.startswith("https://") for mirror in fetch.MIRRORS)


# --- other data sets


def served(monkeypatch, name, files, **changes):
    """Let small files be a data set, and return its definition."""
    known = {n: (len(c), f"sha256:{hashlib.sha256(c).hexdigest()}") for n, c in files.items()}
    assert list(known) == list(DATA_SETS[name].files)
    monkeypatch.setitem(DATA_SETS, name, replace(DATA_SETS[name], files=known, **changes))


@pytest.mark.parametrize(
    ("name", "title"), [("fashion-mnist", "Fashion-MNIST"), ("kmnist", "KMNIST")]
)
def test_data_sets_like_mnist(tmp_path, contents, mirror, monkeypatch, name, title):
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    served(monkeypatch, name, contents)
    with pytest.raises(FileNotFoundError, match=f"{title} is not there: run `fastnn fetch {name}`"):
        load_data(name)
    folder = datasets.fetch(name, mirrors=[mirror.url])
    assert folder == tmp_path / "cache" / name == datasets.folder_of(name)
    found = load_data(name)
    assert found.source == f"{title} test set, 150 samples"
    assert found.x.shape == (150, 784)
    assert load_data(name, split="train").source == f"{title} training set, 300 samples"
    assert datasets.has_splits(name)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert load_mnist().source.startswith("bundled sample")  # MNIST is not found in its place


def test_a_wrong_sum_of_another_data_set_is_told(tmp_path, contents, mirror, monkeypatch):
    served(monkeypatch, "kmnist", contents)
    name = "t10k-labels-idx1-ubyte.gz"
    mirror.files[name] = mirror.files[name][:-1] + b"x"
    with pytest.raises(ConnectionError, match=rf"could not download {name} \(wrong SHA-256\)") as e:
        datasets.fetch("kmnist", tmp_path / "k", mirrors=[mirror.url])
    assert "FASTNN_DATA" not in str(e.value)
    assert not (tmp_path / "k" / name).exists()


def emnist(images, labels, *, change=lambda files: files):
    """Return an archive as that of EMNIST: images on their side, with files of other parts."""
    files = {"gzip/emnist-letters-train-images-idx3-ubyte.gz": b"of another part"}
    for split in ("train", "test"):
        turned = images[split].reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 784)
        start = f"gzip/emnist-digits-{split}"
        files[f"{start}-images-idx3-ubyte.gz"] = idx(2051, turned)
        files[f"{start}-labels-idx1-ubyte.gz"] = idx(2049, labels[split])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def digits(rng):
    images = {s: rng.integers(0, 256, (n, 784), dtype=np.uint8) for s, n in SPLIT_SIZES.items()}
    return images, {s: np.arange(n, dtype=np.uint8) % 10 for s, n in SPLIT_SIZES.items()}


SPLIT_SIZES = {"train": 2100, "test": 30}


def serve_emnist(monkeypatch, mirror, content):
    known = {"gzip.zip": (len(content), f"md5:{hashlib.md5(content).hexdigest()}")}
    found = replace(DATA_SETS["emnist-digits"], files=known, counts=tuple(SPLIT_SIZES.values()))
    monkeypatch.setitem(DATA_SETS, "emnist-digits", found)
    mirror.files["gzip.zip"] = content


def test_the_digits_of_emnist_are_unpacked_and_turned(tmp_path, digits, mirror, monkeypatch):
    images, labels = digits
    serve_emnist(monkeypatch, mirror, emnist(images, labels))
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    folder = datasets.fetch("emnist-digits", mirrors=[mirror.url])
    assert sorted(path.name for path in folder.iterdir()) == [
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
    ]
    for split in ("train", "test"):
        found = load_data("emnist-digits", split=split)
        np.testing.assert_array_equal(found.x, images[split])
        np.testing.assert_array_equal(found.labels, labels[split])
    assert found.source == "EMNIST digits test set, 30 samples"
    asked = len(mirror.requests)
    assert datasets.fetch("emnist-digits", mirrors=[mirror.url]) == folder
    assert len(mirror.requests) == asked  # nothing is downloaded again


def without(files):
    return {name: content for name, content in files.items() if "test-labels" not in name}


def shorter(files):
    name = "gzip/emnist-digits-test-images-idx3-ubyte.gz"
    return files | {name: idx(2051, np.zeros((29, 784), np.uint8))}


def longer(files):
    name = "gzip/emnist-digits-train-labels-idx1-ubyte.gz"
    return files | {name: gzip.compress(gzip.decompress(files[name]) + b"x")}


def cut(files):
    name = "gzip/emnist-digits-train-images-idx3-ubyte.gz"
    return files | {name: files[name][:-100]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, "lacks gzip/emnist-digits-test-labels-idx1-ubyte.gz"),
        (shorter, "has other contents in gzip/emnist-digits-test-images-idx3-ubyte.gz"),
        (longer, "has other contents in gzip/emnist-digits-train-labels-idx1-ubyte.gz"),
        (cut, "has a damaged gzip/emnist-digits-train-images-idx3-ubyte.gz"),
    ],
)
def test_an_archive_with_other_digits_is_refused(
    tmp_path, digits, mirror, monkeypatch, change, message
):
    serve_emnist(monkeypatch, mirror, emnist(*digits, change=change))
    with pytest.raises(ValueError, match=rf"gzip.zip {message}, expected the archive of EMNIST\Z"):
        datasets.fetch("emnist-digits", tmp_path, mirrors=[mirror.url])


def test_a_name_that_is_none_is_told(tmp_path):
    with pytest.raises(ValueError, match="no data set is named 'cifar', expected one of mnist, fa"):
        datasets.fetch("cifar", tmp_path)


def test_what_is_published_of_every_data_set():
    for found in DATA_SETS.values():
        assert all(mirror.startswith("https://") for mirror in found.mirrors)
        assert found.title
        assert found.licence
        for size, known in found.files.values():
            assert size > 0
            assert re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known)


def test_one_archive_that_is_not_there_is_named(tmp_path, dead_url):
    message = r"gzip.zip \([^\[]*refused\): download gzip.zip of EMNIST digits elsewhere and put it"
    with pytest.raises(ConnectionError, match=message):
        datasets.fetch("emnist-digits", tmp_path, mirrors=[dead_url])
