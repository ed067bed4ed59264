"""A short run of every attacker, and planted defects that they have to find.

The long run is by hand: ``python -m tests.hostile --minutes 30``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.hostile

# Each breaks the library in one way, and says which attacker has to see it.
PLANTED = {
    "networks": """
from fastnn import MLP
right = MLP.logits
def logits(self, x):
    out = right(self, x).copy()
    out[..., 0] += 1e-2 * abs(out).max() + 1e-2
    return out
MLP.logits = logits
""",
    "files": """
from fastnn import formats
def load_npz(path):
    raise KeyError(str(path))
formats.load_npz = load_npz
""",
    "interrupts": """
import numpy as np
from fastnn import MLP
right = MLP.predict
def predict(self, x):
    np.seterr(under="ignore" if np.geterr()["under"] == "warn" else "warn")
    return right(self, x)
MLP.predict = predict
""",
    "kills": """
import fastnn
def save_mlp(net, path):
    path.with_name(path.name + ".left").touch()
    right(net, path)
right = fastnn.save_mlp
fastnn.save_mlp = save_mlp
""",
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [("networks", 40), ("files", 250), ("caches", 3), ("interrupts", 100), ("kills", 3)],
)
def test_what_is_attacked_holds(name, count):
    done = run("-m", "tests.hostile", "--only", name, "--count", str(count), "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name:<12}{count:>8}{count:>8}{0:>8}" in done.stdout
