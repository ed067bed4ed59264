"""A folder of PNG pictures for each class."""

import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastnn import load_data
from fastnn.datasets import has_splits
from fastnn.datasets._png import require_whole


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(path, pixels, mode=None, **how):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(pixels, np.uint8))
    (picture if mode is None else picture.convert(mode)).save(path, "PNG", **how)


@pytest.fixture
def grey(rng):
    """Return five pictures of 6 x 11."""
    return rng.integers(0, 256, (5, 6, 11), dtype=np.uint8)


def test_classes_by_name(grey):
    for k, (place, name) in enumerate(
        [("cat", "b"), ("ant", "z"), ("cat", "a"), ("ant", "10"), ("ant", "9")]
    ):
        save(f"p/{place}/{name}.PNG", grey[k])
    Path("p/README.txt").write_text("ours", encoding="utf-8")  # beside the classes
    Path("p/.git").mkdir()
    Path("p/cat/._a.png").write_bytes(b"of another system")
    Path("p/cat/Thumbs.db").write_bytes(b"of another system")
    found = load_data("p")
    np.testing.assert_array_equal(found.x, grey[[3, 4, 1, 2, 0]].reshape(5, 66))
    assert found.x.dtype == np.uint8
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.classes == ("ant", "cat")
    assert found.source == "p, 5 samples"
    assert not has_splits("p")


def test_classes_by_number(grey):
    for k, place in enumerate(["10", "2", "0", "03"]):
        save(f"p/{place}/a.png", grey[k])
    found = load_data("p")
    assert (found.labels.tolist(), found.classes) == ([0, 2, 3, 10], ())
    np.testing.assert_array_equal(found.x, grey[[2, 1, 3, 0]].reshape(4, 66))


def test_folders_for_training_and_test(grey):
    for k, split in enumerate(["train", "test"]):
        save(f"p/{split}/a/1.png", grey[k])
        save(f"p/{split}/b/1.png", grey[k + 2])
    assert has_splits("p")
    np.testing.assert_array_equal(load_data("p").x, grey[[1, 3]].reshape(2, 66))
    np.testing.assert_array_equal(load_data("p", split="train").x, grey[[0, 2]].reshape(2, 66))


MODES = {
    "1": ("1", lambda x: np.where(x > 127, 255, 0)),
    "LA": ("LA", lambda x: x),
    "P of greys": ("P", lambda x: x),
    "RGB": ("RGB", lambda x: np.repeat(x[..., None], 3, axis=-1)),
    "RGBA": ("RGBA", lambda x: np.repeat(x[..., None], 3, axis=-1)),
}


@pytest.mark.parametrize("case", MODES)
def test_modes(grey, case):
    mode, expected = MODES[case]
    x = grey if mode != "1" else (grey > 127).astype(np.uint8) * 255
    for k, picture in enumerate(x):
        save(f"p/a/{k}.png", picture, mode)
    np.testing.assert_array_equal(load_data("p").x, expected(x).reshape(5, -1))


def test_a_palette_of_colours(rng):
    colours = rng.integers(0, 2, (4, 6, 5, 3), dtype=np.uint8) * 255
    for k, picture in enumerate(colours):
        path = Path(f"p/a/{k}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).quantize(8).save(path)
    np.testing.assert_array_equal(load_data("p").x, colours.reshape(4, -1))


def test_other_sizes_and_modes_are_refused(grey):
    save("p/a/1.png", grey[0])
    save("p/b/2.png", grey[1].T)
    with pytest.raises(ValueError, match=r"\Ap.b.2.png is 6 x 11 L, but p.a.1.png is 11 x 6 L\Z"):
        load_data("p")
    save("p/b/2.png", grey[1], "RGB")
    with pytest.raises(ValueError, match=r"\Ap.b.2.png is 11 x 6 RGB, but p.a.1.png is 11 x 6 L"):
        load_data("p")


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width, height, depth=8, colour=0, data=b"", more=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def with_filters(rows):
    """Return rows of pixels as a PNG file has them: each begins with its filter, none."""
    return b"".join(b"\0" + row.tobytes() for row in rows)


ROWS = with_filters(np.arange(36, dtype=np.uint8).reshape(6, 6))
WHOLE = png(6, 6, data=zlib.compress(ROWS))
PALETTE = chunk(b"PLTE", bytes(range(105)))  # 35 colours
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


def interlaced(pixels):
    """Return a picture whose rows come in seven passes."""
    parts = [pixels[y::down, x::across] for x, y, across, down in (*PASSES, (0, 1, 1, 2))]
    return b"".join(with_filters(part) for part in parts if part.size)


def header(width, height, interlace):
    content = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", content)


@pytest.mark.parametrize("shape", [(6, 11), (1, 1), (3, 2), (8, 9), (2, 30)])
def test_interlaced_pictures(rng, shape):
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    packed = interlaced(pixels)
    Path("p/a").mkdir(parents=True)
    for length in (len(packed), len(packed) - 1 - shape[1], 0):
        data = chunk(b"IDAT", zlib.compress(packed[: max(length, 0)])) + chunk(b"IEND", b"")
        Path("p/a/1.png").write_bytes(header(*shape[::-1], 1) + data)
        if length == len(packed):
            np.testing.assert_array_equal(load_data("p").x, pixels.reshape(1, -1))
        else:
            with pytest.raises(ValueError, match=r"1.png is truncated or damaged"):
                load_data("p")


def test_a_picture_that_is_cut_anywhere_is_refused():
    Path("p/a").mkdir(parents=True)
    Path("p/a/1.png").write_bytes(WHOLE)
    assert load_data("p").x.tolist() == [[*range(36)]]
    for end in range(len(WHOLE)):
        Path("p/a/1.png").write_bytes(WHOLE[:end])
        with pytest.raises(ValueError, match=r"\Ap.a.1.png .*, expected a PNG picture of 8 bits"):
            load_data("p")


def test_very_many_chunks_take_no_memory():
    content = png(6, 6, data=zlib.compress(ROWS), more=chunk(b"teST", b"x") * 100_000)
    tracemalloc.start()
    try:
        require_whole(content)
        assert tracemalloc.get_traced_memory()[1] < len(content)
    finally:
        tracemalloc.stop()


BOMB = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(5_000_000)))
HOSTILE = {
    "empty": b"",
    "no picture": b"GIF89a" + bytes(50),
    "header alone": png(6, 6)[:33],
    "no pixels": png(6, 6),
    "cut": png(6, 6, data=zlib.compress(bytes(range(42))))[:60],
    "rows are missing": png(6, 6, data=zlib.compress(ROWS[:21])),
    "no sum of the pixels": png(6, 6, data=zlib.compress(ROWS)[:-4]),
    "another sum of a chunk": WHOLE[:-13] + bytes([WHOLE[-13] ^ 1]) + WHOLE[-12:],
    "no palette": png(6, 6, colour=3, data=zlib.compress(ROWS)),
    "beyond the palette": png(6, 6, colour=3, data=zlib.compress(ROWS), more=PALETTE),
    "damaged": png(6, 6, data=b"x" * 30),
    "a large header": png(30_000, 30_000, data=zlib.compress(bytes(100))),
    "the largest header": png(2**31 - 1, 2**31 - 1, data=zlib.compress(bytes(100))),
    "no width": png(0, 6),
    "sixteen bits": png(6, 6, depth=16, data=zlib.compress(bytes(13 * 6))),
    "a bomb of text": png(6, 6, data=zlib.compress(bytes(42)), more=BOMB),
    "beyond the limit": png(20_000, 20_000, data=zlib.compress(bytes(400_020_000))),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pictures(case):
    Path("p/a").mkdir(parents=True)
    Path("p/a/1.png").write_bytes(HOSTILE[case])
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError, match=r"\Ap.a.1.png .*, expected a PNG picture of 8 bits"
        ) as e:
            load_data("p")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(e.value)


def test_transparent_pictures_are_refused(grey):
    alpha = np.stack([grey[0]] * 4, axis=-1)
    save("p/a/1.png", alpha)
    with pytest.raises(ValueError, match=r"p.a.1.png is transparent in places, expected"):
        load_data("p")
    save("p/a/1.png", grey[0], transparency=int(grey[0, 0, 0]))
    with pytest.raises(ValueError, match=r"p.a.1.png is transparent in places, expected"):
        load_data("p")


def test_what_is_no_folder_of_pictures_is_named(grey):
    Path("p").mkdir()
    with pytest.raises(FileNotFoundError, match=r"p: expected files of images and labels, .* PNG"):
        load_data("p")
    save("p/1.png", grey[0])
    with pytest.raises(FileNotFoundError, match=r"p: expected files of images and labels, .* PNG"):
        load_data("p")
    save("p/a/1.png", grey[0])
    Path("p/b").mkdir()
    with pytest.raises(ValueError, match=r"p.b holds no PNG pictures, expected those of one class"):
        load_data("p")
    Path("p/b/1.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(ValueError, match=r"p.b.1.jpg: expected PNG pictures alone in this folder"):
        load_data("p")
    with pytest.raises(ValueError, match="p has no folders train and test, so split must be None"):
        load_data("p", split="test")
    Path("p/b").rename("p/01")
    Path("p/a").rename("p/1")
    with pytest.raises(ValueError, match="p: two folders have the same number as their name"):
        load_data("p")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_links(grey):
    save("elsewhere/1.png", grey[0])
    Path("p/a").mkdir(parents=True)
    Path("p/a/1.png").symlink_to(Path("elsewhere/1.png").absolute())
    Path("p/b").symlink_to(Path("p/a").absolute())
    assert load_data("p").labels.tolist() == [0, 1]
    Path("p/a/self").symlink_to(Path("p").absolute())  # a folder in a class
    with pytest.raises(ValueError, match=r"p.a.self: expected PNG pictures alone in this folder"):
        load_data("p")
    Path("p/a/self").unlink()
    for target in ("nothing", "/dev/zero", "p"):
        Path("p/a/2.png").symlink_to(target if target[0] == "/" else Path(target).absolute())
        with pytest.raises(ValueError, match=r"p.a.2.png is no file, expected a PNG picture"):
            load_data("p")
        Path("p/a/2.png").unlink()
