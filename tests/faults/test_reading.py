"""A file that shrinks while it is read is an error, whatever its kind: never a wrong array."""

import gzip
import io
import struct

import numpy as np
import pytest

import fastnn
from fastnn.datasets import load_data, load_mnist, load_split


@pytest.fixture
def shrinking(monkeypatch):
    """Return a function after which a file loses its end as soon as some of it was read."""

    def watch(path, left):
        opened = io.open

        class Shrinking(io.BufferedReader):
            def _cut(self):
                if path.stat().st_size > left:
                    with opened(path, "rb+") as file:
                        file.truncate(left)

            def read(self, *size):
                got = super().read(*size)
                self._cut()
                return got

            def readinto(self, buffer):
                got = super().readinto(buffer)
                self._cut()
                return got

        def open_path(self, mode="r", *arguments, **options):
            if self == path and mode == "rb":
                return Shrinking(io.FileIO(path, "r"), buffer_size=512)
            return opened(self, mode, *arguments, **options)

        monkeypatch.setattr(type(path), "open", open_path)

    return watch


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors", "net.pth"])
def test_a_network_whose_file_shrinks_is_refused(tmp_path, make_net, shrinking, name):
    path = tmp_path / name
    fastnn.save_mlp(make_net((784, 300, 10)), path)
    fastnn.load_mlp(path)
    shrinking(path, path.stat().st_size // 2)
    with pytest.raises((ValueError, OSError), match=name):
        fastnn.load_mlp(path)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x-idx3-ubyte", "x-idx3-ubyte.gz", "x.csv"])
def test_data_whose_file_shrinks_is_refused(tmp_path, rng, shrinking, name):
    path, images = tmp_path / name, rng.integers(0, 256, (400, 784), dtype=np.uint8)
    labels = np.arange(400) % 10
    if name.endswith("npy"):
        np.save(path, images)
    elif name.endswith("npz"):
        np.savez(path, images=images, labels=labels)
    elif "idx" in name:
        content = struct.pack(">4I", 2051, 400, 28, 28) + images.tobytes()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    else:
        np.savetxt(path, np.column_stack([images, labels]), "%d", ",")
    given = None if name.endswith(("npz", "csv")) else labels
    whole = load_data(path, given)
    assert len(whole.x) == 400
    shrinking(path, path.stat().st_size // 2)
    try:
        found = load_data(path, given)
    except (ValueError, OSError) as error:
        assert name in str(error)  # noqa: PT017 - a reader that had all of it before may be right
    else:
        np.testing.assert_array_equal(found.x, whole.x)
        np.testing.assert_array_equal(found.labels, whole.labels)


def test_images_of_numpy_whose_file_shrinks_between_two_blocks(tmp_path, rng, monkeypatch):
    """A map of the file would end the process."""
    from fastnn.datasets import _files

    monkeypatch.setattr(_files, "_BLOCK_ROWS", 100)
    for split, rows in (("train", 400), ("test", 400)):
        np.save(tmp_path / f"images_{split}.npy", rng.random((rows, 784)).astype(np.float32))
        np.save(tmp_path / f"labels_{split}.npy", np.arange(rows) % 10)
    load_mnist(tmp_path)
    path, right = tmp_path / "images_test.npy", _files._check_unit_range

    def shrink(rows, start, file):
        right(rows, start, file)
        if file == path and start == 100:
            with path.open("rb+") as cut:
                cut.truncate(path.stat().st_size // 2)

    monkeypatch.setattr(_files, "_check_unit_range", shrink)
    with pytest.raises(ValueError, match=r"images_test\.npy is truncated: its end was cut off"):
        load_split("test", tmp_path)
