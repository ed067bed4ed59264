"""NumPy files: read without pickles, and no header believed beyond the size of its file."""

import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastnn.io._npy import load_npy, open_npy, open_npz, save_npy

PICKLE = np.array([{"a": 1}, None], dtype=object)


def load(path, *, mmap):
    with open_npy(path, mmap=mmap) as stored:
        return stored.read()


def load_npz(path):
    with open_npz(path) as members:
        return {name: member().read() for name, member in members.items()}


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
    np.testing.assert_array_equal(load(tmp_path / f"fc1.weight{asked}", mmap=mmap), array)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_versions_of_the_header_are_read(tmp_path, rng, version, mmap):
    array = rng.normal(size=(4, 3))
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version)
    np.testing.assert_array_equal(load(tmp_path / "a.npy", mmap=mmap), array)


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
        load(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kept", [20, 128, 129, 4000, -1])
def test_truncated_arrays_are_named(tmp_path, kept, mmap):
    path = tmp_path / "images.npy"
    path.write_bytes(whole(path)[:kept])
    with pytest.raises(ValueError, match=r"images\.npy is truncated or damaged"):
        load(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [False, True])
def test_a_header_that_announces_too_much_is_damage(tmp_path, mmap):
    path = tmp_path / "huge.npy"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    header = header.ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(99))
    with pytest.raises(ValueError, match=r"huge\.npy is truncated or damaged"):
        load(path, mmap=mmap)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("mmap", [False, True])
def test_pickled_objects_are_refused(tmp_path, archive, mmap):
    path = tmp_path / "fc1.weight.npy"
    save_as(path, PICKLE, archive=archive)
    with pytest.raises(ValueError, match=r"fc1\.weight\.npy holds pickled objects, expected"):
        load(path, mmap=mmap)


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


# --- headers that promise more than the file can hold


def npy(shape, descr="'<f8'", size=99):
    """Return a .npy file with a header of our own and `size` bytes behind it."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(size)


LIES = {
    "too many rows": npy("(10000000000,)"),
    "a negative size": npy("(-1, -1)"),
    "a negative side": npy("(3, -1)"),
    "entries of no bytes": npy("(1000000000000000,)", "'<U0'"),
    "sides that overflow": npy("(0, 4611686018427387904, 4611686018427387904)"),
    "huge text": npy("()", "'<U1000000000'"),
    "a long header": npy("(" + "1, " * 20_000 + ")"),
    "a deep header": npy("(" * 3000 + ")" * 3000),
    "another version": b"\x93NUMPY\x07\x00" + npy("(3,)")[8:],
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_a_header_is_believed_as_far_as_the_size_of_the_file_allows(tmp_path, lie, archive, mmap):
    path = tmp_path / "a.npy"
    path.write_bytes(LIES[lie])
    if archive:
        path.unlink()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.npy", LIES[lie])
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"a\.npy is truncated or damaged, expected a \.npy array$"
    ):
        load(path, mmap=mmap)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_members_that_are_compressed_a_thousandfold_load(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**7))
    assert (tmp_path / "a.npz").stat().st_size < 10**5
    assert load_npy(tmp_path / "a.npz").shape == (10**7,)


def changed_directory(path, offset, value, size=4):
    """Write a number into every entry of an archive's directory."""
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        content[place + offset : place + offset + size] = value.to_bytes(size, "little")
        place = content.find(b"PK\x01\x02", place + 1)
    path.write_bytes(content)


DIRECTORIES = {
    "a size of terabytes": ((24, 2**32 - 2), "is truncated or damaged"),
    "encrypted": ((8, 1, 2), "is encrypted, or compressed in an unusual way"),
    "another method": ((10, 14, 2), "is encrypted, or compressed in an unusual way"),
    "compressed larger than the file": ((20, 10**7), "is truncated or damaged"),
}


@pytest.mark.parametrize("change", DIRECTORIES)
def test_what_a_directory_says_is_checked(tmp_path, change):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(5000))
    numbers, message = DIRECTORIES[change]
    changed_directory(path, *numbers)
    with pytest.raises(ValueError, match=rf"a\.npz {message}"):
        load_npy(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{f"a{i}": np.zeros(10**5) for i in range(9)})
    changed_directory(path, 42, 0)  # where the member begins
    with pytest.raises(ValueError, match=r"a\.npz is truncated or damaged"):
        load_npz(path)


def test_an_error_of_the_disk_is_not_called_damage(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", np.zeros(3))

    def fail(*_arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load_npy(tmp_path / "a.npz")


def test_what_is_saved_is_what_numpy_saves(tmp_path, rng):
    for i, array in enumerate([rng.random((3, 5)), np.array("relu"), np.zeros((0, 3), "f4")]):
        with (tmp_path / f"{i}.npy").open("wb") as file:
            save_npy(file, array)
        np.testing.assert_array_equal(np.load(tmp_path / f"{i}.npy"), array)
