"""Whatever fastnn writes is whole or not there, on a full disk and in a read-only folder."""

import json
import re

import numpy as np
import pytest

import fastnn
from fastnn import cli, plots
from fastnn._runtime.files import atomic_write


@pytest.fixture
def report(make_net, rng):
    x = rng.random((60, 784)).astype(np.float32)
    net = make_net((784, 20, 10))
    return fastnn.adversarial_accuracy(net, x, net.predict(x), [0.1, 0.2], (0, 1))


@pytest.fixture
def writers(make_net, report):
    """Return functions that write a file larger than the limit, by its ending."""
    net = make_net((784, 20, 10))
    noise = np.linspace(0, 1, 784)
    report.to_html()  # so that another user need not read files of the package
    return {
        "net.npz": lambda path: fastnn.save_mlp(net, path),
        "net.safetensors": lambda path: fastnn.save_mlp(net, path),
        "net.pth": lambda path: fastnn.save_mlp(net, path),
        "report.npz": report.save,
        "page.html": report.to_html,
        "digit.png": lambda path: plots.save(plots.digit(noise), path),
        "digit.pdf": lambda path: plots.save(plots.digit(noise), path),
        "digit.svg": lambda path: plots.save(plots.digit(noise), path),
        "any.bin": lambda path: _write(path, bytes(5000)),
    }


def _write(path, content):
    with atomic_write(path) as file:
        file.write(content)


NAMES = (
    "net.npz", "net.safetensors", "net.pth", "report.npz", "page.html", "digit.png", "digit.pdf",
    "digit.svg", "any.bin",
)  # fmt: skip


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, writers, full_disk, name):
    for old in ({}, {name: b"old"}):
        for file, content in old.items():
            (tmp_path / file).write_bytes(content)
        with full_disk(), pytest.raises(OSError, match=rf"File too large: '.*{re.escape(name)}'"):
            writers[name](tmp_path / name)
        assert files_in(tmp_path) == old
    writers[name](tmp_path / name)  # there is room again
    assert len(files_in(tmp_path)[name]) > 700


@pytest.mark.parametrize("name", NAMES)
def test_a_read_only_folder_is_named_and_left_as_it_was(writers, read_only, name):
    folder, forbidden = read_only
    with forbidden(), pytest.raises(PermissionError, match=re.escape(str(folder))):
        writers[name](folder / name)
    assert files_in(folder) == {"old": b"old"}


def test_a_write_that_does_not_keep_the_rule_is_found(tmp_path, full_disk):
    """The check above fails for a file that is written in its place."""
    path = tmp_path / "any.bin"
    path.write_bytes(b"old")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        path.write_bytes(bytes(5000))
    assert files_in(tmp_path) != {"any.bin": b"old"}


@pytest.mark.parametrize("option", ["--json", "--html", "--plot", "--save-adversarial"])
def test_the_command_names_a_file_that_did_not_fit(
    tmp_path, monkeypatch, capsys, make_net, rng, full_disk, option
):
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    fastnn.save_mlp(make_net((784, 20, 10)), tmp_path / "net.npz")
    np.savez(
        tmp_path / "data.npz",
        images=rng.integers(0, 256, (30, 784), dtype=np.uint8),
        labels=np.arange(30) % 10,
    )
    ends = {"--json": "json", "--html": "html", "--plot": "png", "--save-adversarial": "npz"}
    target = tmp_path / f"out.{ends[option]}"
    words = ["attack", str(tmp_path / "net.npz"), "--data", str(tmp_path / "data.npz"), "--quiet"]
    if option in ("--plot", "--save-adversarial"):
        words += ["--eps", "0.5"]
    with full_disk():
        assert cli.main([*words, option, str(target)]) == 1
    shown = capsys.readouterr()
    assert "eps" in shown.out  # the table is not lost
    (line,) = shown.err.splitlines()
    assert line == f"fastnn attack: {target}: file too large"
    assert sorted(files_in(tmp_path)) == ["data.npz", "net.npz"]
    assert cli.main([*words, option, str(target)]) == 0
    if option == "--json":
        json.loads(target.read_text())
