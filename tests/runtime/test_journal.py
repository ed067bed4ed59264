"""A journal: its records are whole or not there, and it is of one thing and one process."""

import os
import subprocess
import sys
import threading

import pytest

from fastnn._runtime.journal import Journal

ABOUT = {"network": "abc", "settings": "def"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


def written(path, records):
    with Journal(path, ABOUT) as journal:
        for number, content in records.items():
            journal.add(number, content)
    return path.read_bytes()


def read(path):
    with Journal(path, ABOUT) as journal:
        return dict(journal)


def test_records_are_those_that_were_written(path):
    written(path, {3: b"three", 0: b"", 7: bytes(range(256))})
    assert read(path) == {3: b"three", 0: b"", 7: bytes(range(256))}
    written(path, {1: b"one"})
    assert list(read(path)) == [3, 0, 7, 1]


def test_wherever_it_is_cut_whole_records_stay(path):
    begin = len(written(path, {}))
    records = {0: b"zero" * 5, 1: b"one" * 7}
    content = written(path, records)
    first = begin + 48 + 20
    for cut in range(begin, len(content)):
        path.write_bytes(content[:cut])
        kept = {0: records[0]} if cut >= first else {}
        assert read(path) == kept
        assert path.stat().st_size == (first if kept else begin)  # the rest is cut off
        written(path, {9: b"nine"})  # and it goes on from there
        assert read(path) == kept | {9: b"nine"}


@pytest.mark.parametrize("place", ["number", "length", "digest", "content"])
def test_a_record_that_was_changed_is_not_there(path, place):
    begin = len(written(path, {}))
    content = bytearray(written(path, {0: b"zero", 1: b"one"}))
    content[begin + {"number": 0, "length": 8, "digest": 20, "content": 49}[place]] ^= 1
    path.write_bytes(content)
    assert read(path) == {}


def test_what_changes_while_it_is_open_is_an_error(path):
    with Journal(path, ABOUT) as journal:
        journal.add(0, b"zero")
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"x")
        with pytest.raises(OSError, match=r"run\.checkpoint: record 0 is not as it was written"):
            journal[0]


def test_another_run_is_refused_by_name(path):
    before = written(path, {0: b"zero"})
    for about, words in (
        ({"network": "xyz", "settings": "def"}, "its network is 'abc', this run's is 'xyz'"),
        ({"network": "abc", "settings": "def", "more": 1}, "its more is None, this run's is 1"),
        ({"network": "abc"}, "its format"),
    ):
        with pytest.raises(ValueError, match=rf"run\.checkpoint is .* another run: {words}"):
            Journal(path, about)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not ours at all", b"fastnn journal 1\n" + b"\xff" * 99])
def test_another_file_is_refused_and_kept(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.checkpoint is no checkpoint of fastnn"):
        Journal(path, ABOUT)
    assert path.read_bytes() == content


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        Journal(tmp_path, ABOUT)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        Journal(tmp_path / "no" / "where", ABOUT)


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such locks")
def test_one_process_at_a_time(path):
    program = (
        "import sys, pathlib; from fastnn._runtime.journal import Journal\n"
        f"Journal(pathlib.Path({str(path)!r}), {ABOUT!r})"
    )
    command = [sys.executable, "-c", program]
    with Journal(path, ABOUT):
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "is in use by another process" in found.stderr
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")  # noqa: PTH110
def test_a_full_disk_is_an_error_that_names_the_file(path, monkeypatch):
    with Journal(path, ABOUT) as journal:
        journal.add(0, b"zero")
        before = path.read_bytes()
        whole = journal._file
        with open("/dev/full", "r+b", buffering=0) as full:  # noqa: PTH123
            journal._file = full
            with pytest.raises(OSError, match=r"No space left on device.*run\.checkpoint"):
                journal.add(1, b"one")
        journal._file = whole
    assert path.read_bytes() == before
    assert read(path) == {0: b"zero"}


def test_a_thread_reads_while_another_adds(path):
    records = {k: bytes([k]) * 5000 for k in range(60)}
    wrong = []
    with Journal(path, ABOUT) as journal:
        journal.add(0, records[0])
        ended = threading.Event()

        def read_on():
            while not ended.is_set():
                wrong.extend(k for k in list(journal) if journal[k] != records[k])

        reader = threading.Thread(target=read_on)
        reader.start()
        for k in range(1, 60):
            journal.add(k, records[k])
        ended.set()
        reader.join()
    assert wrong == []
    assert read(path) == records
