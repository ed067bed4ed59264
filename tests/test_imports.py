"""Who may import whom: the contracts of pyproject.toml, and a violation of each."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}
TYPING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "

# A contract, a file, and a line at its end that breaks the contract.
VIOLATIONS = [
    ("layers", "networks.py", "from fastnn.attacks import fgsm"),
    ("layers", "networks.py", "def late():\n    import fastnn.training"),
    ("layers", "_parameters.py", "from fastnn.networks import MLP"),
    ("layers", "_engine/descent.py", f"{TYPING}from fastnn.networks import MLP"),
    ("layers", "_kernels/jit.py", f"{TYPING}from fastnn.networks import MLP"),
    ("layers", "attacks/evaluate.py", "from fastnn.training import train"),
    ("layers", "plots.py", "from fastnn import comp7015"),
    ("layers", "reference/networks.py", "from fastnn import _checks"),
    ("layers", "room_of_its_own.py", ""),
    ("cycles", "_runtime/processors.py", "from . import threads"),
    ("cycles", "_engine/tiles.py", f"{TYPING}from fastnn._engine.gradients import *"),
    ("names", "networks.py", "from fastnn import adversarial_accuracy"),
    ("names", "cli/attack.py", "import fastnn"),
    ("reference", "networks.py", "from fastnn import reference"),
    ("reference-numpy", "reference/networks.py", "import numba"),
    ("numba", "_engine/layers.py", "from numba import njit"),
    ("numba", "bench/session.py", "import llvmlite.binding"),
    ("matplotlib", "reports/_report.py", "from matplotlib.figure import Figure"),
    ("matplotlib", "bench/table.py", "def late():\n    import matplotlib"),
]


def broken(folder):
    """Return the names of the contracts that the package in a folder breaks."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    environment = os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    output = subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    ).stdout
    assert "Contracts: " in output, output
    return {name for name in CONTRACTS.values() if f"\n{name} BROKEN" in output}


@pytest.fixture
def copy(tmp_path):
    """Return a folder with the sources of the package and the contracts."""
    ignored = shutil.ignore_patterns("__pycache__", "_data")
    shutil.copytree(PACKAGE, tmp_path / "fastnn", ignore=ignored)
    shutil.copy(PROJECT, tmp_path)
    return tmp_path


def test_every_contract_is_kept(copy):
    assert broken(copy) == set()


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_violation_breaks_its_contract(copy, contract, file, line):
    path = copy / "fastnn" / file
    if line:
        assert path.is_file()
    with path.open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    assert CONTRACTS[contract] in broken(copy)


def test_every_contract_has_a_violation():
    assert {contract for contract, _, _ in VIOLATIONS} == set(CONTRACTS)
