"""Downloads, from a server of our own on this machine."""

import contextlib
import gzip
import hashlib
import re
import struct
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fastnn._runtime import progress
from fastnn.datasets import DATA_SETS, fetch_mnist, load_mnist
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
        rf"could not download {TRAIN} \(.*refused.*; HTTP 404 Not Found\): download the four \.gz "
        rf"files of MNIST elsewhere and put them in {re.escape(str(tmp_path))}, or set FASTNN_DATA "
        "to their folder",
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
