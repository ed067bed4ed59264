"""Compiled kernels on disk: damage, foreign files, failed writes, several processes at once."""

import dataclasses
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core import caching
from numba.core.registry import cpu_target

from fastnn._kernels import cache
from fastnn._kernels.cache import SUFFIX, KernelCache, seal, unseal, use_sealed_cache
from fastnn._kernels.jit import kernel
from fastnn._runtime.processors import target


class Foreign:
    """An object whose pickle makes a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def flipped(content, seed, bits):
    generator, changed = random.Random(seed), bytearray(content)
    for place in generator.sample(range(len(content)), bits):
        changed[place] ^= 1 << generator.randrange(8)
    return bytes(changed)


WAYS = {
    "emptied": lambda _: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "one bit": lambda content: flipped(content, 1, 1),
    "many bits": lambda content: flipped(content, 2, 200),
    "machine code": lambda content: content[:-5000] + bytes(100) + content[-4900:],
    "another pickle": lambda _: pickle.dumps(Foreign()),
}

SOURCE = "def work(x):\n    return x * {factor} + 1\n"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Have numba keep compiled functions in a folder of this test, and allow a warning."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "kernels"


@pytest.fixture
def make(folder):
    """Return a function that declares a kernel as a new process would."""

    def declare(factor=2):
        source = folder.parent / "source.py"
        text = SOURCE.format(factor=factor)
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
            os.utime(source, (factor, factor))  # numba 0.60 compares times
        names = {"__name__": "builtins"}  # numba imports the module of a function
        exec(compile(text, source, "exec"), names)
        return kernel(names["work"])

    return declare


def files_in(folder):
    return sorted(folder.rglob(f"*{SUFFIX}"))


def counts(function):
    return [
        sum(found.values()) for found in (function.stats.cache_hits, function.stats.cache_misses)
    ]


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_file_is_compiled_again(make, folder, way):
    assert (make()(3), make()(3.5)) == (7, 8.0)
    whole = {file: file.read_bytes() for file in files_in(folder)}
    assert len(whole) == 2
    for file, content in whole.items():
        file.write_bytes(WAYS[way](content))
        cache._warned = False
        damaged = make()
        with pytest.warns(RuntimeWarning) as caught:
            assert (damaged(3), damaged(3.5)) == (7, 8.0)
        assert len(caught) == 1
        assert str(file) in str(caught[0].message)
        assert "\n" not in str(caught[0].message)
        assert counts(damaged) == [1, 1]
        again = make()
        assert (again(3), again(3.5)) == (7, 8.0)
        assert counts(again) == [2, 0]
    assert not Path("unpickled").exists()


def test_the_pickle_of_the_test_above_shows_that_it_was_loaded(folder):
    pickle.loads(WAYS["another pickle"](b""))
    assert Path("unpickled").is_dir()


@given(st.binary(max_size=200), st.data())
def test_a_changed_or_missing_byte_is_noticed(payload, data):
    identity = bytes(range(32))
    content = seal(payload, identity)
    assert unseal(content, identity) == unseal(content) == payload
    assert unseal(content, bytes(32)) is None
    place = data.draw(st.integers(0, len(content) - 1))
    change = data.draw(st.integers(1, 255))
    for damaged in (
        content[:place],
        content + b"\0",
        content[:place] + bytes([content[place] ^ change]) + content[place + 1 :],
    ):
        with pytest.raises(
            ValueError, match=r"^is (empty|no compiled kernel|truncated or damaged)$"
        ):
            unseal(damaged, identity)


def test_a_sealed_file_that_numba_cannot_read_is_compiled_again(make, folder):
    assert make()(3) == 7
    (file,) = files_in(folder)
    content = file.read_bytes()
    identity = content[16 + 32 : 16 + 64]
    for payload in (b"no pickle", pickle.dumps((1, 2, 3))):
        file.write_bytes(seal(payload, identity))
        cache._warned = False
        with pytest.warns(RuntimeWarning, match="compiled again"):
            assert make()(3) == 7
        assert make()(3) == 7


def test_code_for_another_signature_or_source_is_not_run(make, folder):
    assert (make()(3), make()(3.5)) == (7, 8.0)
    first, second = files_in(folder)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    swapped = make()
    assert (swapped(3), swapped(3.5)) == (7, 8.0)
    assert counts(swapped) == [0, 2]

    changed = make(factor=3)
    assert (changed(3), changed(3.5)) == (10, 11.5)
    assert counts(changed) == [0, 2]
    assert files_in(folder) == [first, second]  # replaced


def test_code_for_another_processor_is_not_run(make, folder, monkeypatch):
    assert make()(3) == 7
    (ours,) = files_in(folder)
    codegen = type(cpu_target.target_context.codegen())
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    with monkeypatch.context() as changed:
        changed.setattr(codegen, "magic_tuple", lambda self: (triple, "haswell", features))
        other = make()
        assert (other(3), counts(other)) == (7, [0, 1])
    assert len(files_in(folder)) == 2  # beside each other
    again = make()
    assert (again(3), counts(again)) == (7, [1, 0])

    # One that differs in its caches alone has other constants in its kernels.
    larger = dataclasses.replace(target(), first_cache_bytes=1 << 20)
    monkeypatch.setattr(cache, "target", lambda: larger)
    other = make()
    assert (other(3), counts(other)) == (7, [0, 1])
    assert ours in files_in(folder)


def test_a_change_of_another_file_of_the_kernels_is_noticed(make, folder, monkeypatch):
    assert make()(3) == 7
    again = make()
    assert (again(3), counts(again)) == (7, [1, 0])
    source = folder.parent / "elementwise.py"
    source.write_text("one")
    stamp = cache.sources_stamp(folder.parent)
    assert [name for name, *_ in stamp] == ["elementwise.py", "source.py"]
    source.write_text("three")
    monkeypatch.setattr(cache, "sources_stamp", lambda: stamp)
    made = make()
    assert (made(3), counts(made)) == (7, [0, 1])
    monkeypatch.undo()
    assert cache.sources_stamp.__wrapped__(folder.parent) != stamp


def test_the_stamp_leaves_out_an_editor_s_lock(tmp_path):
    (tmp_path / "a.py").write_text("one")
    try:
        (tmp_path / ".#a.py").symlink_to("user@host.1")
    except OSError:
        pytest.skip("no links here")
    assert [name for name, *_ in cache.sources_stamp.__wrapped__(tmp_path)] == ["a.py"]


def test_the_stamp_covers_every_file_of_the_kernels():
    files = Path(cache.__file__).parent.glob("*.py")
    assert [name for name, *_ in cache.sources_stamp()] == sorted(file.name for file in files)


def test_other_options_are_compiled_separately(make, folder):
    for options in ({"fastmath": {"contract"}}, {"fastmath": {"contract", "nsz"}}):
        function = numba.njit(cache=True, **options)(make().py_func)
        use_sealed_cache(function, options)
        assert function(3) == 7
        assert counts(function) == [0, 1]
    assert len(files_in(folder)) == 2


# --- writing -------------------------------------------------------------------------------------


def failing_write(path):
    raise OSError(28, "No space left on device", str(path))


def test_a_failed_write_is_one_warning(make, folder, monkeypatch):
    monkeypatch.setattr(cache, "atomic_write", failing_write)
    function = make()
    with pytest.warns(RuntimeWarning) as caught:
        assert (function(3), function(3.5)) == (7, 8.0)
    (warning,) = caught
    where = function.stats.cache_path
    text = f"compiled kernels cannot be kept in {where}: No space left on device"
    assert str(warning.message) == text


def test_a_folder_that_disappears_is_made_again(make, folder):
    function = make()
    assert function(3) == 7
    for file in files_in(folder):
        file.unlink()
        file.parent.rmdir()
    assert function(3.5) == 8.0
    assert len(files_in(folder)) == 1


def test_a_folder_that_becomes_a_file_is_one_warning(make, folder):
    function = make()
    place = Path(function.stats.cache_path)
    place.rmdir()
    place.write_text("in the way")
    with pytest.warns(RuntimeWarning) as caught:
        assert (function(3), function(3.5)) == (7, 8.0)
    assert len(caught) == 1
    assert str(place) in str(caught[0].message)


def test_too_little_memory_is_not_taken_for_damage(make, folder, monkeypatch):
    def no_memory(_):
        raise MemoryError

    assert make()(3) == 7
    monkeypatch.setattr(cache.pickle, "loads", no_memory)
    with pytest.raises(MemoryError):
        make()(3)
    assert len(files_in(folder)) == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timers")
@pytest.mark.parametrize("moment", ["unseal", "seal"])
def test_a_time_out_is_not_taken_for_damage(make, folder, monkeypatch, moment):
    def time_out(*_):
        raise TimeoutError("a handler's")

    if moment == "unseal":
        assert make()(3) == 7
    right = getattr(cache, moment)

    def slow(*arguments):
        signal.raise_signal(signal.SIGALRM)
        return right(*arguments)

    old = signal.signal(signal.SIGALRM, time_out)
    try:
        monkeypatch.setattr(cache, moment, slow)
        with pytest.raises(TimeoutError, match="a handler's"):
            make()(3)
    finally:
        signal.signal(signal.SIGALRM, old)
    monkeypatch.undo()
    assert len(files_in(folder)) == 1
    assert make()(3) == 7


def test_a_file_open_elsewhere_on_windows_is_left_alone(make, folder, monkeypatch):
    def busy(*_):
        raise PermissionError(13, "Permission denied")

    assert make()(3) == 7
    monkeypatch.setattr(cache, "unseal", busy)
    monkeypatch.setattr(cache, "atomic_write", busy)
    function = make()
    monkeypatch.setattr(cache, "_is_busy", lambda error: type(error) is PermissionError)
    assert function(3) == 7
    assert len(files_in(folder)) == 1


# --- numba ---------------------------------------------------------------------------------------


def test_recompiling_and_disabling(make, folder):
    function = make()
    assert function(3) == 7
    function._cache.disable()
    assert function(3.5) == 8.0
    assert len(files_in(folder)) == 1
    function._cache.enable()
    function.recompile()
    assert counts(function) == [0, 4]
    assert len(files_in(folder)) == 2


def test_a_numba_with_other_parts_keeps_its_own_cache(make, monkeypatch):
    assert isinstance(make()._cache, KernelCache)
    with monkeypatch.context() as patch:
        patch.delattr(caching.IndexDataCacheFile, "_dump")
        old = make()
        assert not isinstance(old._cache, KernelCache)
    assert old(3) == 7
    files = {file.suffix for file in Path(old.stats.cache_path).iterdir()}
    assert files == {".nbi", ".nbc"}


def test_a_numba_whose_methods_changed_is_one_warning(make, monkeypatch):
    function = make()
    monkeypatch.setattr(function._cache, "_index_key", lambda _: "too few arguments")
    with pytest.warns(RuntimeWarning) as caught:
        assert (function(3), function(3.5)) == (7, 8.0)
    assert len(caught) == 1


def test_a_function_that_is_not_compiled_is_left_alone():
    def function(x):
        return x

    use_sealed_cache(function, {})
    assert not hasattr(function, "_cache")


# --- processes -----------------------------------------------------------------------------------

THREE_KERNELS = """
    import numpy as np
    from fastnn._kernels import elementwise

    z = np.linspace(-2, 3, 12, dtype=np.float32).reshape(3, 4)
    kernels = (elementwise._relu, elementwise._relu_grad, elementwise._add_bias)
    relu, slope = np.empty_like(z), np.empty_like(z)
    elementwise._relu(z, relu)
    elementwise._relu_grad(z, slope)
    elementwise._add_bias(z[0], z)
    compiled = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
    print(relu.sum(), slope.sum(), z.sum(), compiled)
"""
"""What the processes below run; it prints results and how many kernels it compiled."""


def run(folder, before=""):
    """Return the results of a process, how many kernels it compiled, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(THREE_KERNELS)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *results, compiled = done.stdout.split()
    return results, int(compiled), done.stderr.splitlines()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a folder that three processes at once kept kernels in, and the right results."""
    folder = tmp_path_factory.mktemp("filled")
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(run, [folder] * 3))
    results = together[0][0]
    assert [found[0] for found in together] == [results] * 3
    assert [found[2] for found in together] == [[]] * 3
    assert len(files_in(folder)) == 3
    assert len([file for file in folder.rglob("*") if file.is_file()]) == 3
    return folder, results


def test_several_processes_fill_a_folder_for_the_next(filled):
    folder, results = filled
    assert run(folder) == (results, 0, [])


@pytest.mark.parametrize("way", WAYS)
def test_processes_survive_a_folder_of_damaged_files(filled, tmp_path, way):
    whole, results = filled
    folder = tmp_path / "kernels"
    shutil.copytree(whole, folder)
    for file in files_in(folder):
        file.write_bytes(WAYS[way](file.read_bytes()))
    found, compiled, lines = run(folder)
    assert (found, compiled) == (results, 3)
    (line,) = lines
    assert "RuntimeWarning" in line
    assert str(folder) in line
    assert run(folder) == (results, 0, [])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_process_that_cannot_write_large_files_runs(filled, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
    found, compiled, lines = run(tmp_path, limit)
    assert (found, compiled) == (filled[1], 3)
    (line,) = lines
    assert "File too large" in line
    assert str(tmp_path) in line
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
