"""Rows outside of memory: every form says what an array in memory says, and names the same rows."""

import threading

import numpy as np
import pytest

from fastnn import MLP, _rows
from fastnn._rows import _block

ROWS, HEIGHT = 701, 160


@pytest.fixture(autouse=True)
def _low_blocks(monkeypatch):
    monkeypatch.setattr(_block, "_MOST_ROWS", HEIGHT)


@pytest.fixture
def net(make_net):
    return make_net((20, 16, 10))


@pytest.fixture
def x(rng):
    return rng.random((ROWS, 20)).astype(np.float32)


@pytest.fixture
def labels(rng):
    return rng.integers(0, 10, ROWS)


def mapped(path, array, mode="r"):
    np.save(path, array)
    return np.load(path, mmap_mode=mode)


class Sliced:
    """What h5py, zarr and dask have in common."""

    def __init__(self, array, most=ROWS):
        self.array, self.most = array, most
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, some):
        if not isinstance(some, slice) or some.stop - some.start > self.most:
            raise AssertionError(some)
        return self.array[some].tolist() if self.array.ndim == 1 else self.array[some]


def hdf5(folder, array):
    h5py = pytest.importorskip("h5py")
    return h5py.File(folder / "x.h5", "w").create_dataset("x", data=array)


def zarr(folder, array):
    zarr = pytest.importorskip("zarr")
    return zarr.create_array(store=str(folder / "x.zarr"), data=array, chunks=(100, 20))


def dask(folder, array):
    da = pytest.importorskip("dask.array")
    return da.from_array(array, chunks=(250, 7))


FORMS = {
    "memmap": lambda folder, array: mapped(folder / "x.npy", array),
    "memmap of columns": lambda folder, array: mapped(folder / "x.npy", np.asfortranarray(array)),
    "memmap, to be written": lambda folder, array: mapped(folder / "x.npy", array, "r+"),
    "memmap, copied on write": lambda folder, array: mapped(folder / "x.npy", array, "c"),
    "h5py": hdf5,
    "zarr": zarr,
    "dask": dask,
    "sliced": lambda folder, array: Sliced(array, HEIGHT),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_what_an_array_gives(form, net, x, labels, tmp_path):
    outside = FORMS[form](tmp_path, x)
    assert len(list(_rows.source_of(outside).blocks())) > 4
    np.testing.assert_array_equal(net.predict(outside), net.predict(x))
    assert net.predict(outside).dtype == np.int64
    assert net.loss(outside, labels) == pytest.approx(net.loss(x, labels), rel=1e-12)
    assert net.accuracy(outside, labels) == net.accuracy(x, labels)


@pytest.mark.parametrize("size", [1, 7, HEIGHT, 200, ROWS])
def test_an_iterator_is_cut_into_the_same_blocks(size, net, x, labels):
    def pairs():
        buffer = np.empty((size, 20), np.float32)  # filled again and again
        for start in range(0, ROWS, size):
            n = len(x[start : start + size])
            buffer[:n] = x[start : start + n]
            yield buffer[:n], labels[start : start + n].tolist()

    blocks = [block.x.shape[0] for block in _rows.samples_of(pairs(), None).blocks()]
    assert blocks == [HEIGHT] * (ROWS // HEIGHT) + [ROWS % HEIGHT]
    assert net.accuracy(pairs()) == net.accuracy(x, labels)
    assert net.loss(pairs()) == pytest.approx(net.loss(x, labels), rel=1e-12)
    inputs = (part.copy() for part, _ in pairs())
    np.testing.assert_array_equal(net.predict(inputs), net.predict(x))
    assert net.accuracy((part for part, _ in pairs()), labels) == net.accuracy(x, labels)


def test_labels_may_be_outside_of_memory_and_one_hot(net, x, labels, tmp_path):
    expected = net.accuracy(x, labels)
    for form in (labels, np.eye(10)[labels], labels.astype(float)):
        for outside in (Sliced(form, HEIGHT), mapped(tmp_path / "y.npy", form), form.tolist()):
            assert net.accuracy(Sliced(x), outside) == expected
        assert net.accuracy(x, mapped(tmp_path / "y.npy", form)) == expected


def test_views_of_a_map_are_read_from_their_place_in_the_file(x, tmp_path):
    outside = mapped(tmp_path / "x.npy", x)
    for some in (np.s_[5:], np.s_[100:300], np.s_[::2], np.s_[:, 3:], np.s_[-40:-3]):
        view = outside[some]
        assert np.array_equal(_rows.Source(view)[0 : len(view)], x[some])
    (block, *_) = _rows.Source(outside[5:]).blocks()
    assert isinstance(block.x, _rows.InFile)
    (block, *_) = _rows.Source(outside[::2]).blocks()
    assert isinstance(block.x, _rows.Later)


def test_changes_that_are_in_memory_alone_are_not_read_from_the_file(x, tmp_path):
    private = mapped(tmp_path / "x.npy", x, "c")
    private[3] = 0
    assert not _rows.Source(private)[0:10][3].any()
    shared = mapped(tmp_path / "y.npy", x, "r+")
    shared[3] = 0
    assert not _rows.Source(shared)[0:10][3].any()


def test_a_map_whose_file_was_replaced_or_removed_shows_what_it_did(net, x, tmp_path):
    outside = mapped(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[::-1])
    (tmp_path / "y.npy").replace(tmp_path / "x.npy")
    np.testing.assert_array_equal(net.predict(outside), net.predict(x))
    (tmp_path / "x.npy").unlink()
    np.testing.assert_array_equal(net.predict(outside), net.predict(x))


def test_what_is_in_memory_stays_there(x, tmp_path):
    assert _rows.source_of(x) is None
    assert _rows.source_of(x.tolist()) is None
    assert _rows.source_of(np.ma.masked_array(x)) is None
    assert _rows.source_of(mapped(tmp_path / "x.npy", x) * 2) is None  # a memmap by its type
    assert _rows.source_of(mapped(tmp_path / "x.npy", x)[0]) is None  # a single sample


def test_tensors_are_in_memory():
    torch = pytest.importorskip("torch")
    assert _rows.source_of(torch.zeros(3, 20)) is None


def test_errors_name_the_row_of_the_whole(net, x, labels):
    x[333, 7] = np.nan
    with pytest.raises(ValueError, match=r"x\[333, 7\] is nan; every entry"):
        net.predict(Sliced(x))
    with pytest.raises(ValueError, match=r"x\[333, 7\] is nan; every entry"):
        net.predict(iter([x[:300], x[300:]]))
    x[333, 7] = 3e7
    with pytest.raises(ValueError, match=r"x\[333, 7\] is 3e\+07: float32"):
        net.predict(Sliced(x.astype(np.float64)))
    x[333] = 1e30
    with pytest.raises(FloatingPointError, match="row 333: the logits are not finite"):
        MLP([w * np.float32(1e12) for w in net.weights], net.biases).predict(Sliced(x))
    x[333], wrong = 0, labels.copy()
    wrong[400] = 10
    with pytest.raises(ValueError, match=r"labels\[400\] is 10, outside \[0, 10\)"):
        net.accuracy(Sliced(x), wrong)
    with pytest.raises(ValueError, match=r"labels\[400\] is 3.5, expected a whole number"):
        net.loss(Sliced(x), np.where(wrong == 10, 3.5, wrong))
    hot = np.eye(11)[wrong][:, :10]
    with pytest.raises(ValueError, match=r"labels\[400\] is not one-hot"):
        net.loss(Sliced(x), Sliced(hot))


def test_wrong_shapes_and_pairs_are_errors(net, x, labels):
    with pytest.raises(ValueError, match=r"use x.reshape\(N, 20\)"):
        net.predict(Sliced(x.reshape(ROWS, 4, 5)))
    with pytest.raises(ValueError, match=r"must have shape \(N, 20\)"):
        net.predict(Sliced(x[:, 1:]))
    with pytest.raises(ValueError, match="701 rows, 700 labels"):
        net.loss(Sliced(x), labels[1:])
    with pytest.raises(ValueError, match="701 rows or more, 700 labels"):
        net.loss(iter([x]), labels[1:])
    with pytest.raises(ValueError, match="700 rows, 701 labels"):
        net.loss(iter([x[1:]]), labels)
    with pytest.raises(TypeError, match="labels are missing"):
        net.loss(Sliced(x))
    with pytest.raises(TypeError, match=r"pairs \(x, labels\), got ndarray at row 100"):
        net.loss(iter([(x[:100], labels[:100]), x]))
    with pytest.raises(ValueError, match=r"got \(100, 20\) and labels \(99,\) at row 0"):
        net.loss(iter([(x[:100], labels[:99])]))
    with pytest.raises(ValueError, match="20 columns of float32, but from row 100 on 20"):
        net.predict(iter([x[:100], x[100:].astype(float)]))
    with pytest.raises(ValueError, match="x has no rows"):
        net.loss(Sliced(x[:0]), labels[:0])
    assert net.predict(Sliced(x[:0])).shape == (0,)


def test_a_file_that_shrinks_is_an_error_and_no_crash(net, x, tmp_path):
    outside = mapped(tmp_path / "x.npy", x)
    with (tmp_path / "x.npy").open("rb+") as file:
        file.truncate(20_000)
    with pytest.raises(OSError, match=r"x\.npy: the file ends in the middle of"):
        net.predict(outside)
    (tmp_path / "x.npy").unlink()
    with pytest.raises(FileNotFoundError):
        _rows.Source.some(_rows.Source(mapped(tmp_path / "y.npy", x)), 0, 3)._replace(
            path=str(tmp_path / "x.npy")
        ).read()


def test_a_block_is_read_while_the_one_before_is_in_use():
    reading, used = threading.Event(), []

    def items():
        yield 0
        reading.set()
        yield 1
        raise OSError("no third one")

    def use():
        for item in _rows.ahead(items()):
            assert reading.wait(10)
            used.append(item)

    with pytest.raises(OSError, match="no third one"):
        use()
    assert used == [0, 1]
    assert not [t for t in threading.enumerate() if "fastnn reader" in t.name]


def test_units_are_looked_at_in_the_first_block(net, x):
    pixels = (x * 255).astype(np.float32)
    net.biases[-1][:] = 0
    net.biases[-1][3] = 1e6  # sure of class 3, whatever it sees
    wide = np.repeat(pixels, 4, axis=1)
    other = MLP([np.repeat(net.weights[0], 4, axis=0), *net.weights[1:]], net.biases)
    with pytest.warns(UserWarning, match="seems to be trained on") as caught:
        other.predict(Sliced(wide))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="seems to be trained on") as caught:
        other.loss(Sliced(wide), np.full(ROWS, 3))
    assert caught[0].filename == __file__
