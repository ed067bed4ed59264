"""fastnn doctor: every finding from a made-up machine, and one run on this one."""

import argparse
import json

import numpy as np
import pytest

from fastnn import doctor
from fastnn.bench import machine as machine_module
from fastnn.bench.machine import machine_info


def a_machine(**changes):
    blas = {"library": "openblas", "version": "0.3", "kernels": "SkylakeX", "threads": 2}
    return {
        "processor": "a processor",
        "vector_bits": 512,
        "processors": 2,
        "usable_processors": 2,
        "cpu_quota": None,
        "python": "3.11",
        "numpy": "2",
        "numba": "0",
        "llvmlite": "0",
        "numba_threading_layer": "default",
        "fastnn": "0.1",
        "blas": blas | changes.pop("blas", {}),
        "environment": {},
    } | changes


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
    machine["environment"] = {"OMP_NUM_THREADS": "2"}
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


@pytest.mark.parametrize(("has", "status"), [(True, "ok"), (False, "wrong")])
def test_numba_cache(monkeypatch, has, status):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr(machine_module, "has_numba_cache", lambda: has)
    assert found(a_machine(), "numba's cache").status == status


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
    assert "Y_test.npy" in finding.text


def test_run_reports_and_says_by_its_status(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr(machine_module, "has_numba_cache", lambda: True)
    for coretype, status in ((None, 0), ("Haswell", 1)):
        environment = {} if coretype is None else {"OPENBLAS_CORETYPE": coretype}
        machine = a_machine(blas={"kernels": coretype or "SkylakeX"}, environment=environment)
        monkeypatch.setattr(machine_module, "machine_info", lambda machine=machine: machine)
        file = tmp_path / "doctor.json"
        assert doctor.run(argparse.Namespace(json=file)) == status
        text = capsys.readouterr().out
        assert ("FAIL" in text) == (status == 1)
        written = json.loads(file.read_text())
        assert written["machine"] == machine
        statuses = {finding["status"] for finding in written["findings"]}
        assert ("wrong" in statuses) == (status == 1)


def test_this_machine_can_be_described():
    machine = machine_info()
    assert machine["usable_processors"] >= 1
    found = doctor.diagnose(machine)
    assert {"versions", "BLAS", "matrix product", "digits"} <= {f.name for f in found}
    assert all(len(line) <= 100 for line in doctor.report(found).splitlines())
