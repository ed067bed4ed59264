"""fastnn doctor: every finding from a made-up machine, and one run on this one."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from fastnn import cli
from fastnn._kernels.cache import seal
from fastnn.bench import machine as machine_module
from fastnn.bench.machine import Blas, Machine, machine_info
from fastnn.cli import _caches, doctor
from fastnn.io import save_mlp


def a_machine(**changes):
    machine = Machine(
        processor="a processor",
        architecture="x86_64",
        vector_bits=512,
        processors=2,
        usable_processors=2,
        cpu_quota=None,
        system="Linux",
        python="3.11",
        numpy="2",
        numba="0",
        llvmlite="0",
        numba_threading_layer="default",
        fastnn="0.1",
        commit=None,
        blas=Blas("openblas", "0.3", "SkylakeX", 2),
        environment={},
    )
    blas = replace(machine.blas, **changes.pop("blas", {}))
    return replace(machine, blas=blas, **changes)


def found(machine, name):
    return next(f for f in doctor.diagnose(machine) if f.name == name)


def test_a_lesser_coretype_is_named_with_what_it_costs():
    machine = a_machine(blas={"kernels": "Haswell"}, environment={"OPENBLAS_CORETYPE": "Haswell"})
    finding = found(machine, "BLAS kernels")
    assert finding.status == "wrong"
    assert "up to 50% of the speed is lost, as OPENBLAS_CORETYPE=Haswell is set" in finding.text


@pytest.mark.parametrize(
    ("kernels", "bits", "status"),
    [
        ("SkylakeX", 512, "ok"),
        ("Cooperlake", 512, "ok"),
        ("Haswell", 256, "ok"),
        ("Haswell", 512, "remark"),  # what BLAS chose by itself is nobody's mistake
        ("Nehalem", 256, "remark"),
        ("neoversen1", None, "ok"),
        (None, 512, "ok"),
    ],
)
def test_kernels_beside_the_processor(kernels, bits, status):
    machine = a_machine(blas={"kernels": kernels}, vector_bits=bits)
    assert found(machine, "BLAS kernels").status == status


def test_more_blas_threads_than_processors():
    machine = a_machine(usable_processors=1, cpu_quota=0.5)
    assert found(machine, "threads").status == "remark"
    machine = replace(machine, environment={"OMP_NUM_THREADS": "2"})
    finding = found(machine, "threads")
    assert finding.status == "wrong"
    assert "OMP_NUM_THREADS to 1" in finding.text
    assert "a CPU quota of 0.5" in found(machine, "processor").text


def test_a_blas_that_nobody_knows():
    nothing = dict.fromkeys(("library", "version", "kernels", "threads"))
    assert found(a_machine(blas=nothing), "BLAS").status == "remark"


def test_a_setting_of_blas_blocks_is_remarked():
    machine = a_machine(environment={"OPENBLAS_L2_SIZE": "512"})
    assert found(machine, "BLAS blocks").status == "remark"


def test_disabled_jit_is_wrong(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert found(a_machine(), "numba").status == "wrong"


def test_no_folder_for_kernels_is_wrong(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr(machine_module, "has_numba_cache", lambda: False)
    finding = found(a_machine(), "kernel cache")
    assert finding.status == "wrong"
    assert "set NUMBA_CACHE_DIR to a writable folder" in finding.text
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # then nothing is compiled
    assert "no folder" not in " ".join(f.text for f in doctor.diagnose(a_machine()))


def test_a_wrong_product_is_found(rng):
    a, b = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    product = a @ b
    assert doctor.judge_product(a, b, product).status == "ok"
    product[3, 4] += 1e-2 * float(np.abs(a[3]) @ np.abs(b[:, 4]))
    assert doctor.judge_product(a, b, product).status == "wrong"
    product[3, 4] = np.nan
    assert doctor.judge_product(a, b, product).status == "wrong"


def test_broken_digits_are_wrong(monkeypatch, tmp_path):
    (tmp_path / "X_test.npy").write_bytes(b"not an array")
    (tmp_path / "Y_test.npy").write_bytes(b"not an array")
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    finding = found(a_machine(), "digits")
    assert finding.status == "wrong"
    assert "X_test.npy" in finding.text


def test_run_reports_and_says_by_its_status(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr(machine_module, "has_numba_cache", lambda: True)
    monkeypatch.setattr(_caches, "kernel_caches", list)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    for coretype, status in ((None, 0), ("Haswell", 1)):
        environment = {} if coretype is None else {"OPENBLAS_CORETYPE": coretype}
        machine = a_machine(blas={"kernels": coretype or "SkylakeX"}, environment=environment)
        monkeypatch.setattr(machine_module, "machine_info", lambda machine=machine: machine)
        file = tmp_path / "doctor.json"
        words = argparse.Namespace(json=file, clear_cache=False, check=False, quiet=True)
        assert doctor.run(words) == status
        text = capsys.readouterr().out
        assert ("FAIL" in text) == (status == 1)
        written = json.loads(file.read_text())
        assert written["machine"] == asdict(machine)
        statuses = {finding["status"] for finding in written["findings"]}
        assert ("wrong" in statuses) == (status == 1)


def test_this_machine_can_be_described():
    machine = machine_info()
    assert machine.usable_processors >= 1
    found = doctor.diagnose(machine)
    assert {"versions", "BLAS", "matrix product", "digits"} <= {f.name for f in found}
    lines = doctor.report(found).splitlines()
    assert all(len(line) <= 100 or " " not in line.strip() for line in lines)  # a long path


# --- caches --------------------------------------------------------------------------------------

HEALTHY = seal(b"payload", bytes(32))


def fill(folder, **contents):
    """Write files whose names are given with "__" for each dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def names(files):
    return sorted(file.name for file in files)


def test_files_of_kernels_are_sorted(tmp_path):
    fill(
        tmp_path,
        mod__work1__py311__0123__kernel=HEALTHY,
        mod__work1__py311__4567__kernel=HEALTHY[:-1],
        mod__work1__py311__89ab__kernel=b"",
        mod__work2__py311__0123__kernel=HEALTHY,  # no such kernel
        __mod__work1__py311__0123__kernel__a1b2__tmp=b"half",
        mod__work1__py311__nbi=b"numba's own",
        mod__work1__py311__1__nbc=b"numba's own",
        mod__work1__py311__1__nbc__tmp__a1b2=b"half",
        mod__cpython__pyc=b"Python's",
        notes__txt=b"somebody's",
    )
    (tmp_path / "folder.kernel").mkdir()
    cache = _caches._kernels_in(tmp_path, {"mod.work1.py311"})
    assert names(cache.kept) == ["mod.work1.py311.0123.kernel"]
    assert names(cache.damaged) == ["mod.work1.py311.4567.kernel", "mod.work1.py311.89ab.kernel"]
    assert [text.rsplit("kernel ", 1)[1] for text in cache.damaged.values()] == [
        "is truncated or damaged", "is empty",
    ]  # fmt: skip
    assert len(cache.leftover) == 5

    finding = doctor.judge_cache("kernel cache", cache)
    assert finding.status == "wrong"
    assert finding.text.startswith(f"compiled kernels: 1, in {tmp_path}; leftover files")
    assert "temporary or of other versions: 5" in finding.text
    assert f"damaged: 2, {tmp_path}" in finding.text
    assert finding.text.endswith("`fastnn doctor --clear-cache` empties the cache")

    sizes = [file.stat().st_size for file in tmp_path.iterdir() if file.is_file()]
    left = len(b"Python's") + len(b"somebody's")
    assert _caches.clear(cache) == (8, sum(sizes) - left, None)
    assert names(tmp_path.iterdir()) == ["folder.kernel", "mod.cpython.pyc", "notes.txt"]
    assert _caches.clear(cache) == (0, 0, None)  # another process was faster


def test_with_numbas_own_cache_its_files_are_kept(tmp_path):
    fill(tmp_path, a__nbi=b"index", a__1__nbc=b"code", a__nbi__tmp__a1=b"", a__b__kernel=HEALTHY)
    cache = _caches._kernels_in(tmp_path, set())
    assert names(cache.kept) == ["a.1.nbc", "a.nbi"]
    assert names(cache.leftover) == ["a.b.kernel", "a.nbi.tmp.a1"]
    assert not cache.damaged


def test_damaged_networks_are_named(monkeypatch, tmp_path, make_net):
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    assert found(a_machine(), "network cache").text.startswith("kept networks: 0, in")
    folder = tmp_path / "networks"
    folder.mkdir()
    save_mlp(make_net((4, 3, 2)), folder / "whole.npz")
    content = (folder / "whole.npz").read_bytes()
    assert found(a_machine(), "network cache").status == "ok"
    fill(
        folder,
        empty__npz=b"",
        short__npz=content[: len(content) // 2],
        flipped__npz=content[:200] + bytes([content[200] ^ 1]) + content[201:],
        __whole__npz__0a1b__tmp=content[:99],
    )
    finding = found(a_machine(), "network cache")
    assert finding.status == "wrong"
    assert finding.text.startswith(f"kept networks: 1, in {folder}")
    assert "temporary or of other versions: 1; damaged: 3, " in finding.text
    for name in ("empty.npz is empty", "short.npz is truncated", "flipped.npz is truncated"):
        assert name in finding.text


def test_clearing_removes_what_fastnn_makes_again(tmp_path):
    kernels, ours = tmp_path / "numba", tmp_path / "fastnn"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kernels), "FASTNN_CACHE": str(ours)}

    def python(*words):
        return subprocess.run(
            [sys.executable, *words],
            env=environment, capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip

    python("-c", "import numpy, fastnn; fastnn.sigmoid(numpy.ones((2, 3)))")
    (place,) = {file.parent for file in kernels.rglob("*.kernel")}
    fill(place, __half__kernel__a1b2__tmp=b"12345")
    fill(ours / "networks", network__npz=b"123")
    fill(ours / "mnist", digits__gz=b"stay")
    compiled = [file for file in place.iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in compiled)
    report = tmp_path / "removed.json"
    lines = python("-m", "fastnn", "doctor", "--clear-cache", "--json", str(report)).splitlines()
    expected = f"compiled kernels, files removed: {len(compiled)} ({size:,} bytes) from {place}"
    assert expected in lines
    assert f"kept networks, files removed: 1 (3 bytes) from {ours / 'networks'}" in lines
    assert {"content": "kept networks", "files": 1, "bytes": 3} in json.loads(report.read_text())[
        "removed"
    ]
    left = [file.name for folder in (kernels, ours) for file in folder.rglob("*") if file.is_file()]
    assert left == ["digits.gz"]


def test_a_file_that_cannot_be_removed_fails_after_the_others(monkeypatch, tmp_path, capsys):
    unlink = Path.unlink

    def refuse(file):
        if file.name == "a.npz":
            raise PermissionError(13, "Permission denied", str(file))
        unlink(file)

    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    monkeypatch.setattr(_caches, "kernel_caches", list)
    monkeypatch.setattr(Path, "unlink", refuse)
    fill(tmp_path / "networks", a__npz=b"1", b__npz=b"12")
    assert cli.main(["doctor", "--clear-cache"]) == 1
    printed = capsys.readouterr()
    assert "compiled kernels, files removed: none" in printed.out
    assert "kept networks, files removed: 1 (2 bytes)" in printed.out
    assert "a.npz" in printed.err
    assert len(printed.err.splitlines()) == 1
    assert names((tmp_path / "networks").iterdir()) == ["a.npz"]
