"""Implementations: ours and the peers have the declared signatures, others are reported."""

import importlib.util
import re
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

from fastnn.bench.implementations import Numpy, Truth
from fastnn.bench.ours import Fastnn32, Fastnn64
from fastnn.bench.protocol import (
    METHODS,
    Method,
    form_of,
    load_implementation,
    offers,
    signature_differences,
)
from fastnn.bench.reference import Reference

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load_peers():
    """Return the table of peers, imported from the folder of the benchmarks."""
    name = "fastnn_benchmark_peers"
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / "peers" / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.IMPLEMENTATIONS


PEERS = load_peers()


@pytest.mark.parametrize("implementation", [Numpy, Truth, Reference, Fastnn32, Fastnn64])
def test_ours_have_the_declared_signatures(implementation):
    assert signature_differences(implementation) == []


@pytest.mark.parametrize("label", PEERS)
def test_peers_have_the_declared_signatures(monkeypatch, label):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    try:
        implementation = load_implementation(PEERS[label])
    except ImportError as error:
        pytest.skip(f"{label} cannot be imported: {error}")
    assert any(offers(implementation, method) for method in METHODS)


def test_every_declared_method_can_be_named_by_a_job():
    assert set(typing.get_args(Method)) == set(METHODS)


def test_the_reference_is_left_out_of_what_it_does_not_offer():
    assert [m for m in METHODS if not offers(Reference, m)] == ["sweep", "pgd", "standard", "train"]
    assert [m for m in METHODS if not offers(Numpy, m)] == ["standard"]


class Minimal:
    exact = True
    dtype = np.float64

    def __init__(self, weights, biases, activation):
        self.weights = weights

    def array(self, values):
        return values

    def _private(self, anything):
        return anything


def test_no_optional_method_is_required():
    assert signature_differences(Minimal) == []


def planted(**members):
    return type("Planted", (Minimal,), members)


@pytest.mark.parametrize(
    ("members", "difference"),
    [
        (
            {"sigmoid": lambda self, z, b: z},
            "sigmoid(self, z, b), expected sigmoid(self, z, bias)",
        ),
        (
            {"fgsm": lambda self, labels, x, eps, bounds: x},
            "fgsm(self, labels, x, eps, bounds), expected fgsm(self, x, labels, eps, bounds)",
        ),
        ({"logits": lambda self: 0}, "logits(self), expected logits(self, x)"),
        (
            {"logits": lambda self, x, batch: x},
            "logits(self, x, batch), expected logits(self, x)",
        ),
        ({"sigmoids": lambda self, z, bias: z}, "no protocol declares sigmoids"),
        ({"train": None}, "train is None, not a method; leave out methods that are not offered"),
        ({"array": lambda self: 0}, "array(self), expected array(self, values)"),
        (
            {"__init__": lambda self, weights, biases: None},
            "__init__(self, weights, biases), expected __init__(self, weights, biases, activation)",
        ),
    ],
)
def test_another_signature_is_reported(members, difference):
    assert signature_differences(planted(**members)) == [difference]


def test_more_parameters_may_follow_if_they_have_defaults():
    assert signature_differences(planted(logits=lambda self, x, batch=100: x)) == []
    assert signature_differences(planted(logits=lambda self, x, *more, **options: x)) == []


def test_what_every_implementation_has_is_required():
    class Empty:
        def __init__(self, weights, biases, activation):
            pass

    assert signature_differences(Empty) == ["no array", "no dtype", "no exact"]


def test_loading_names_every_difference(monkeypatch, tmp_path):
    (tmp_path / "planted_implementation.py").write_text(
        "from fastnn.bench.implementations import Numpy\n\n\n"
        "class Planted(Numpy):\n"
        "    softmax = None\n\n"
        "    def logits(self, inputs):\n"
        "        return inputs\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        TypeError,
        match=r"^planted_implementation:Planted is not an implementation: "
        r"logits\(self, inputs\), expected logits\(self, x\); softmax is None, ",
    ):
        load_implementation("planted_implementation:Planted")
    with pytest.raises(AttributeError, match="Absent"):
        load_implementation("planted_implementation:Absent")


def test_a_form_is_a_subclass_with_other_attributes(monkeypatch, tmp_path):
    (tmp_path / "planted_forms.py").write_text(
        "from fastnn.bench.implementations import Numpy\n\n\n"
        "class Batched(Numpy):\n"
        "    batch = None\n"
        "    way = 'short'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = "planted_forms:Batched"
    assert form_of(path) == path
    form = form_of(path, batch=500, way="a, b")
    loaded = load_implementation(form)
    assert (loaded.batch, loaded.way) == (500, "a, b")
    plain = load_implementation(path)
    assert (plain.batch, plain.way) == (None, "short")
    with pytest.raises(AttributeError, match="threads"):
        load_implementation(form_of(path, threads=2))
    for wrong in ("planted_forms", f"{path}(500)", f"{path}(**{{}})", f"{path}[batch=1]"):
        with pytest.raises(ValueError, match="expected"):
            load_implementation(wrong)
    with pytest.raises(ValueError, match="malformed"):  # nothing is evaluated
        load_implementation(f"{path}(batch=exit())")


def test_the_documented_implementation_computes_logits():
    page = (BENCHMARKS.parent / "docs" / "adding-a-benchmark.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(# benchmarks.*?)```", page, re.DOTALL)[1]
    names = {}
    exec(compile(code, "adding-a-benchmark.md", "exec"), names)
    documented = names["PlainLogits"]
    assert signature_differences(documented) == []
    assert [m for m in METHODS if offers(documented, m)] == ["logits"]
    rng = np.random.default_rng(0)
    network = [rng.normal(0, 1, s) for s in ((4, 5), (5, 3))], [np.ones(5), np.zeros(3)], "tanh"
    x = rng.normal(0, 1, (6, 4))
    made, truth = documented(*network), Truth(*network)
    found = made.logits(made.array(x))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth.logits(x), rtol=1e-4, atol=1e-5)
