"""What kernels are compiled for, from made-up processors and settings of numba."""

import json
import os
import platform
import subprocess
import sys

import numba
import pytest
from numba.core.registry import cpu_target

from fastnn._runtime.processors import _first_cache_bytes, _registers_of, target, vector_bytes
from fastnn.bench.machine import machine_info

X86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 processors"
)


@pytest.fixture
def compile_for(monkeypatch):
    """Return a function that has numba compile for the processor of a name with features."""
    codegen = cpu_target.target_context.codegen()
    triple = codegen.magic_tuple()[0]

    def choose(name, features):
        monkeypatch.setattr(type(codegen), "magic_tuple", lambda self: (triple, name, features))
        target.cache_clear()

    yield choose
    monkeypatch.undo()
    target.cache_clear()


@X86
@pytest.mark.parametrize(
    ("name", "features", "width", "registers"),
    [
        ("icelake-server", "", 64, 32),
        ("sapphirerapids", "", 64, 32),  # LLVM prefers 256 bits for it
        ("haswell", "+avx512f", 64, 32),
        ("icelake-server", "-avx512f", 32, 16),  # the system may forbid the wider ones
        ("haswell", "", 32, 16),
        ("nehalem", "", 16, 16),
        ("nehalem", "+avx", 32, 16),
        ("generic", "", 16, 16),
    ],
)
def test_the_width_follows_what_numba_compiles_for(compile_for, name, features, width, registers):
    compile_for(name, features)
    assert target().name == name
    assert (target().vector_bytes, target().vector_registers) == (width, registers)
    assert vector_bytes() == width
    assert machine_info().vector_bits == 8 * width


@X86
@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}, 32),
        ({"NUMBA_CPU_NAME": "sapphirerapids", "NUMBA_CPU_FEATURES": ""}, 64),
        ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, 16),
    ],
)
def test_the_width_follows_the_settings_of_numba(settings, width):
    code = "from fastnn._runtime.processors import target; print(target().name, vector_bytes())"
    code = code.replace("import target", "import target, vector_bytes")
    found = subprocess.check_output(
        [sys.executable, "-c", code], env=os.environ | settings, text=True, timeout=60
    )
    assert found.split() == [settings["NUMBA_CPU_NAME"], str(width)]


@pytest.mark.parametrize(
    ("triple", "code", "expected"),
    [
        ("x86_64-unknown-linux-gnu", "vaddps %zmm1, %zmm0, %zmm0", (64, 32)),
        ("x86_64-apple-darwin", "vaddps %ymm1, %ymm0, %ymm0", (32, 16)),
        ("x86_64-pc-windows-msvc", "addps %xmm1, %xmm0", (16, 16)),
        ("aarch64-unknown-linux-gnu", "fadd v0.4s, v0.4s, v4.4s", (16, 32)),
        ("arm64-apple-darwin", "fadd.4s v0, v0, v4", (16, 32)),
        ("powerpc64le-unknown-linux-gnu", "xvaddsp 34, 34, 35", (16, 16)),
    ],
)
def test_registers_of_other_processors(triple, code, expected):
    assert _registers_of(triple, code) == expected


def test_the_size_of_the_first_cache(tmp_path):
    assert _first_cache_bytes(tmp_path / "none") == 32 << 10
    caches = [("1", "Instruction", "64K"), ("2", "Unified", "1024K"), ("1", "Data", "48K")]
    for index, fields in enumerate(caches):
        assert _first_cache_bytes(tmp_path) == 32 << 10
        (tmp_path / f"index{index}").mkdir()
        for name, value in zip(("level", "type", "size"), fields, strict=True):
            (tmp_path / f"index{index}" / name).write_text(value + "\n")
    assert _first_cache_bytes(tmp_path) == 48 << 10
    (tmp_path / "index2" / "size").write_text("much\n")
    assert _first_cache_bytes(tmp_path) == 32 << 10


# --- loops use all of the width

COUNT_REGISTERS = """
import json, re, sys
import numba
from numba.core.compiler import Compiler
from fastnn._kernels import jit

if sys.argv[1] == "planted":
    jit.WideCompiler = Compiler
from fastnn._kernels import elementwise, exponentials

def wide(function):
    function.compile("void(float32[:, ::1], float32[:, ::1])")
    return len(re.findall(r"%zmm\\d", "".join(function.inspect_asm().values())))

kernels = elementwise._relu, elementwise._relu_grad, exponentials._sigmoid, exponentials._tanh
found = {kernel.__name__: wide(kernel) for kernel in kernels}
of_others = numba.njit(error_model="numpy", fastmath={"contract", "nsz"})
print(json.dumps([found, wide(of_others(elementwise._relu.py_func))]))
"""


@X86
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("name", ["skylake-avx512", "sapphirerapids"])
@pytest.mark.parametrize("compiler", ["ours", "planted"])
def test_kernels_have_wide_vectors_where_llvm_prefers_narrow_ones(tmp_path, name, compiler):
    """Nothing is run: any x86 processor can compile for another."""
    settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    output = subprocess.check_output(
        [sys.executable, "-c", COUNT_REGISTERS, compiler],
        env=os.environ | settings,
        text=True,
        timeout=300,
    )
    found, elsewhere = json.loads(output)
    assert elsewhere == 0
    assert all(count > 0 for count in found.values()) == (compiler == "ours"), found
    assert any(found.values()) == (compiler == "ours"), found
