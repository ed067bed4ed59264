"""Files written whole or not at all, and the cache folder."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastnn._runtime import files
from fastnn._runtime.files import atomic_write, publish, user_cache_dir


def names(folder):
    return [path.name for path in folder.iterdir()]


def write_half(path, error):
    with atomic_write(path) as file:
        file.write(b"half of the ne")
        file.flush()
        raise error


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "out.bin"
    for content in (b"first", b"second"):
        with atomic_write(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_a_write_that_fails_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "out.bin", RuntimeError)
    assert names(tmp_path) == []


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    script = (
        "import os, sys\nfrom fastnn._runtime.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    os._exit(9)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, path], timeout=60, check=False)
    assert run.returncode == 9
    assert path.read_bytes() == b"old"


def test_the_reader_sees_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"


def test_a_written_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "ours") as file:
        file.write(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="no such device on Windows")
def test_a_device_is_written_straight():
    with atomic_write(os.devnull) as file:
        file.write(b"gone")
    assert not Path(os.devnull).is_file()


def test_where_nothing_can_be_written(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"nowhere: no such folder, cannot write out\.bin"),
        atomic_write(tmp_path / "nowhere" / "out.bin"),
    ):
        pass
    with pytest.raises(IsADirectoryError, match="is a folder"), atomic_write(tmp_path):
        pass


@pytest.fixture
def home(monkeypatch, tmp_path):
    for name in ("FASTNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_cache_folder_of_this_system(home):
    place = {"linux": ".cache/fastnn", "darwin": "Library/Caches/fastnn"}.get(sys.platform)
    if place:
        assert user_cache_dir() == home / place
    else:
        assert user_cache_dir() == Path(os.environ["LOCALAPPDATA"]) / "fastnn"


@pytest.mark.skipif(sys.platform == "win32", reason="not a setting of Windows")
def test_cache_folder_by_environment(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert user_cache_dir() == home / "xdg" / "fastnn"
    monkeypatch.setenv("FASTNN_CACHE", str(home / "own"))
    assert user_cache_dir() == home / "own"


@pytest.mark.parametrize("setting", ["", "relative"])
def test_a_cache_folder_that_the_specification_ignores(home, monkeypatch, setting):
    monkeypatch.setenv("XDG_CACHE_HOME", setting)
    assert user_cache_dir().is_absolute()
    assert user_cache_dir().parts[-2:] != ("relative", "fastnn")


def test_no_cache_folder_is_relative(home, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/fastnn"))
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(home))
    assert user_cache_dir() == home / "fastnn"


@pytest.mark.skipif(sys.platform == "win32", reason="every user has a home")
def test_cache_folder_without_a_home(home, monkeypatch):
    import pwd

    def homeless(_):
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", homeless)
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(home))
    assert user_cache_dir() == home / "fastnn"


# --- what killed writers leave


def test_what_a_killed_write_left_is_removed_by_the_next(tmp_path):
    script = (
        "import os, sys\nfrom fastnn._runtime.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    os._exit(9)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script, tmp_path / "out.bin"], check=False)
        assert len(names(tmp_path)) == 1
    (tmp_path / ".other.bin.0123abcd.tmp").write_bytes(b"")
    with atomic_write(tmp_path / "out.bin") as file:
        file.write(b"whole")
    assert sorted(names(tmp_path)) == [".other.bin.0123abcd.tmp", "out.bin"]


def test_what_another_process_is_writing_stays(tmp_path):
    with atomic_write(tmp_path / "out.bin") as slow:
        slow.write(b"slow")
        with atomic_write(tmp_path / "out.bin") as quick:
            quick.write(b"quick")
        assert (tmp_path / "out.bin").read_bytes() == b"quick"
    assert (tmp_path / "out.bin").read_bytes() == b"slow"
    assert names(tmp_path) == ["out.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks of another kind")
@pytest.mark.parametrize(("age", "left"), [(10, 2), (10_000, 1)])
def test_where_files_cannot_be_locked_only_old_ones_are_stale(tmp_path, monkeypatch, age, left):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    stale = tmp_path / ".out.bin.0123abcd.tmp"
    stale.write_bytes(b"half")
    os.utime(stale, (time.time() - age,) * 2)
    with atomic_write(tmp_path / "out.bin") as file:
        file.write(b"whole")
    assert len(names(tmp_path)) == left


@pytest.mark.skipif(sys.platform == "win32", reason="locks of another kind")
def test_a_file_that_was_taken_for_stale_before_its_lock_is_made_again(tmp_path, monkeypatch):
    flock, removed, cleaner = files.fcntl.flock, [], []

    def remove_first(file, how):
        """Lock the first file as another process does, and remove it a moment later."""
        if not removed:
            removed.append(Path(file.name))
            other = removed[0].open("rb")
            flock(other, how)
            cleaner.append(threading.Timer(0.1, lambda: (removed[0].unlink(), other.close())))
            cleaner[0].start()
        flock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", remove_first)
    with atomic_write(tmp_path / "out.bin") as file:
        cleaner[0].join()
        file.write(b"whole")
    assert (tmp_path / "out.bin").read_bytes() == b"whole"


@pytest.mark.skipif(sys.platform == "win32", reason="locks of another kind")
def test_a_file_is_locked_until_it_has_its_name(tmp_path, monkeypatch):
    replace, locked = Path.replace, []

    def noted(path, target):
        with path.open("rb") as other:
            locked.append(files.lock(other, wait=False) is False)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    with atomic_write(tmp_path / "out.bin") as file:
        file.write(b"whole")
    assert locked == [True]


# --- the disk


def write_atomically(path):
    with atomic_write(path) as file:
        file.write(b"whole")


def write_and_publish(path):
    part = path.with_suffix(".part")
    part.write_bytes(b"whole")
    publish(part, path)


@pytest.mark.parametrize("write", [write_atomically, write_and_publish])
def test_content_name_and_folder_reach_the_disk_in_this_order(tmp_path, monkeypatch, write):
    done, fsync, replace = [], os.fsync, Path.replace

    def noted_sync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        done.append("folder" if folder else f"content {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def noted_replace(path, target):
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write(tmp_path / "out.bin")
    assert names(tmp_path) == ["out.bin"]
    assert done == ["content 5", "name", "folder"]


def test_a_file_system_that_syncs_no_folders_is_fine(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(files.os, "open", refuse)
    with atomic_write(tmp_path / "out.bin") as file:
        file.write(b"whole")
    assert (tmp_path / "out.bin").read_bytes() == b"whole"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no such device")
def test_a_full_disk_is_named_with_the_file():
    expected = r"^\[Errno 28\] No space left on device: '/dev/full'$"
    with pytest.raises(OSError, match=expected), atomic_write("/dev/full") as file:
        file.write(b"whole")


def test_errors_that_name_a_file_keep_it(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*absent'$"),
        atomic_write(tmp_path / "out.bin"),
    ):
        (tmp_path / "absent").read_bytes()
