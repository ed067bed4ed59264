"""Files written whole or not at all, arrays read without pickles, the cache folder."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn import _files
from fastnn._files import atomic_write, load_npy, load_npz, user_cache_dir

PICKLE = np.array([{"a": 1}, None], dtype=object)


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
        "import os, sys\nfrom fastnn._files import atomic_write\n"
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
    for name in ("FASTNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_cache_folder_by_system(home, monkeypatch):
    for platform, place in [
        ("linux", ".cache/fastnn"),
        ("darwin", "Library/Caches/fastnn"),
        ("win32", "AppData/Local/fastnn"),
    ]:
        monkeypatch.setattr(_files.sys, "platform", platform)
        assert user_cache_dir() == home / place
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
    assert user_cache_dir() == home / "local" / "fastnn"


def test_cache_folder_by_environment(home, monkeypatch):
    monkeypatch.setattr(_files.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache_dir() == home / ".cache" / "fastnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert user_cache_dir() == home / "xdg" / "fastnn"
    monkeypatch.setenv("FASTNN_CACHE", str(home / "own"))
    assert user_cache_dir() == home / "own"


def test_cache_folder_without_a_home(home, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(_files.tempfile, "gettempdir", lambda: str(home))
    assert user_cache_dir() == home / "fastnn"


def save_as(path, array, *, archive):
    """Save under a name that NumPy does not complete."""
    with path.open("wb") as file:
        if archive:
            np.savez(file, array)
        else:
            np.save(file, array)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("stored", [".npy", ".npz"])
@pytest.mark.parametrize("asked", [".npy", ".npz"])
def test_an_array_is_found_under_either_spelling(tmp_path, rng, asked, stored, archive, mmap):
    array = rng.standard_normal((3, 5))
    save_as(tmp_path / f"fc1.weight{stored}", array, archive=archive)
    np.testing.assert_array_equal(load_npy(tmp_path / f"fc1.weight{asked}", mmap=mmap), array)


def test_the_name_asked_for_comes_before_its_twin(tmp_path):
    for number, suffix in enumerate((".npy", ".npz")):
        save_as(tmp_path / f"a{suffix}", np.array([number]), archive=False)
    assert load_npy(tmp_path / "a.npy") == [0]
    assert load_npy(tmp_path / "a.npz") == [1]


def whole(path):
    np.save(path, np.arange(1000.0))
    return path.read_bytes()


DAMAGES = {
    "empty": (b"", "is empty"),
    "text": (b"1,2,3\n", "is not a NumPy file"),
    "a pickle": (b"\x80\x04N.", "holds pickled objects"),
    "only the magic string": (b"\x93NUMPY", "is truncated or damaged"),
    "a broken zip file": (b"PK\x03\x04 and no more", "is truncated or damaged"),
    "a header of nonsense": (b"\x93NUMPY\x01\x00\x04\x00{{{\n", "is truncated or damaged"),
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays_are_named(tmp_path, damage, mmap):
    content, message = DAMAGES[damage]
    path = tmp_path / "images.npy"
    path.write_bytes(content)
    expected = f"^{re.escape(str(path))} {message}, expected a .npy array$"
    with pytest.raises(ValueError, match=expected):
        load_npy(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kept", [20, 128, 129, 4000, -1])
def test_truncated_arrays_are_named(tmp_path, kept, mmap):
    path = tmp_path / "images.npy"
    path.write_bytes(whole(path)[:kept])
    with pytest.raises(ValueError, match=r"images\.npy is truncated or damaged"):
        load_npy(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_header_that_announces_too_much_is_damage(tmp_path, mmap):
    path = tmp_path / "huge.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header = header.ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(99))
    with pytest.raises(ValueError, match=r"huge\.npy is truncated or damaged"):
        load_npy(path, mmap=mmap)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("mmap", [False, True])
def test_pickled_objects_are_refused(tmp_path, archive, mmap):
    path = tmp_path / "fc1.weight.npy"
    save_as(path, PICKLE, archive=archive)
    with pytest.raises(ValueError, match=r"fc1\.weight\.npy holds pickled objects, expected"):
        load_npy(path, mmap=mmap)


def test_a_truncated_archive_is_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.arange(1000))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.npz is truncated or damaged"):
        load_npy(path)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"a\.npz is truncated or damaged"):
        load_npy(path)


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_no_damage_escapes_as_anything_but_a_value_error(tmp_path, rng, save):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        save(file, np.arange(30.0))
    content = path.read_bytes()
    refused = []
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        for load in (load_npy, load_npz):
            try:
                load(path)
            except ValueError as error:
                refused.append(str(error))
    assert len(refused) > 300
    assert all(message.startswith(str(path)) for message in refused)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros(3))

    def forbid(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(PermissionError):
        load_npy(tmp_path / "a.npy")


def test_an_archive_of_several_arrays_is_not_one_array(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(ValueError, match=r"two\.npz holds 2 arrays, expected one"):
        load_npy(tmp_path / "two.npy")


def test_a_zip_file_of_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x04N.")
    for load in (load_npy, load_npz):
        with pytest.raises(ValueError, match=r"net\.npz holds other things than arrays"):
            load(tmp_path / "net.npz")


def test_all_arrays_of_an_archive(tmp_path):
    np.savez(tmp_path / "all.npz", a=np.arange(3), b=np.array("relu"))
    arrays = load_npz(tmp_path / "all.npz")
    assert sorted(arrays) == ["a", "b"]
    assert arrays["b"] == "relu"
    np.testing.assert_array_equal(arrays["a"], [0, 1, 2])


def test_archives_that_are_none(tmp_path):
    save_as(tmp_path / "one.npz", np.zeros(3), archive=False)
    with pytest.raises(ValueError, match=r"one\.npz is a single array, expected an \.npz archive"):
        load_npz(tmp_path / "one.npz")
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        load_npz(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such file"):
        load_npy(tmp_path / "none.npy")
