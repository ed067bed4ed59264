"""Caches that cannot be written, are half written, or are filled by two processes at once."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn
from fastnn._runtime.files import alone_in
from fastnn.datasets import fetch_mnist
from tests.datasets.test_download import contents, mirror, serving  # noqa: F401 - fixtures

NETWORK = """
    import sys
    import fastnn
    recipe = fastnn.Recipe((784, 8, 10), epochs=1)
    net = recipe.network(source="sample", progress=False)
    print(float(abs(net.weights[0]).sum()))
"""


def network(cache, before=""):
    """Return what a process prints that asks for a kept network, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(NETWORK)],
        env={**os.environ, "FASTNN_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def kept(cache):
    return sorted(path.name for path in (cache / "networks").iterdir())


def test_two_processes_that_train_one_network_keep_one(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(network, [tmp_path] * 2)
    assert first == second
    assert first[1] == ""
    assert len(kept(tmp_path)) == 1
    assert network(tmp_path) == first


@pytest.mark.parametrize("left", [0, 100, 0.5, -1])
def test_a_half_written_network_is_trained_again(tmp_path, left):
    right, _ = network(tmp_path)
    (name,) = kept(tmp_path)
    file = tmp_path / "networks" / name
    content = file.read_bytes()
    file.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    again, err = network(tmp_path)
    assert again == right
    assert err.startswith("fastnn: training again: ")
    assert str(file) in err
    assert network(tmp_path) == (right, "")


def test_a_network_that_cannot_be_kept_is_used(tmp_path):
    right, _ = network(tmp_path)
    folder = tmp_path / "read only"
    folder.mkdir()
    found, err = network(folder, _refuse(folder))
    assert found == right
    assert f"fastnn: the network could not be kept: [Errno 13] Permission denied: '{folder}" in err
    assert not list(folder.iterdir())


def _refuse(folder):
    """Return code that lets a process make no folder there, also that of the administrator."""
    return textwrap.dedent(f"""
        import pathlib
        right = pathlib.Path.mkdir
        def mkdir(self, *arguments, **options):
            if str(self).startswith({str(folder)!r}):
                raise PermissionError(13, "Permission denied", str(self))
            return right(self, *arguments, **options)
        pathlib.Path.mkdir = mkdir
    """)


def test_two_that_fetch_at_once_get_whole_files(tmp_path, contents, mirror):  # noqa: F811
    with ThreadPoolExecutor(3) as pool:
        folders = list(
            pool.map(lambda _: fetch_mnist(tmp_path / "mnist", mirrors=[mirror.url]), range(3))
        )
    assert folders == [tmp_path / "mnist"] * 3
    found = {path.name: path.read_bytes() for path in folders[0].iterdir()}
    assert found == contents
    assert len(mirror.requests) == len(contents)  # each was sent once


def test_one_at_a_time_is_alone_in_a_folder(tmp_path):
    inside, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal inside, most
        with alone_in(tmp_path):
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.02)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == 1
    with alone_in(tmp_path / "none"):  # a folder that cannot be opened is not locked
        pass


def test_the_counts_are_right_while_no_kernel_can_be_kept(tmp_path):
    """A file instead of the folder: every kernel is compiled, with one warning in all."""
    (tmp_path / "kernels").write_text("no folder")
    code = """
        import numpy as np, fastnn
        net = fastnn.MLP.random((30, 20, 5), rng=1)
        x = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
        report = fastnn.adversarial_accuracy(net, x, net.predict(x), 0.3, verify=1)
        print(report.adversarial_correct)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    net = fastnn.MLP.random((30, 20, 5), rng=1)
    x = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    expected = fastnn.adversarial_accuracy(net, x, net.predict(x), 0.3).adversarial_correct
    assert int(done.stdout) == expected
    assert done.stderr.count("Warning") <= 1
