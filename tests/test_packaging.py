"""What the package promises as a whole: its names, what importing it costs, how it is layered."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"

# Other people's scripts call these.
SIGNATURES = {
    "adversarial_accuracy": "net x labels eps bounds threads progress",
    "fgsm": "net x labels eps bounds",
    "load_mlp": "path",
    "load_mnist": "",
    "save_mlp": "net path",
    "threads": "n",
    "train": "net x labels epochs batch_size learning_rate momentum l2 validation rng progress",
}
CLASSES = {
    "AdversarialReport": "n eps clean_correct adversarial_correct clean_accuracy "
    "adversarial_accuracy clean_prediction adversarial_prediction zero_gradient_rows "
    "saturated_rows seconds to_dict",
    "Dataset": "x_train y_train x_test y_test source",
    "History": "train_loss train_accuracy val_loss val_accuracy",
    "MLP": "random logits predict predict_proba loss accuracy gradients input_gradient",
}
FUNCTIONAL = {
    "one_hot",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "relu",
    "relu_grad",
    "cross_entropy",
}

# A module may use those to its right, and never one to its left.
LAYERS = (
    "cli",
    "plots",
    "attacks.evaluate",
    "training",
    "attacks",
    "networks",
    "functional",
    "_kernels",
)


@pytest.mark.parametrize("name", SIGNATURES)
def test_functions_keep_their_arguments(name):
    ours = list(inspect.signature(getattr(fastnn, name)).parameters)
    promised = SIGNATURES[name].split()
    assert [argument for argument in ours if argument in promised] == promised


@pytest.mark.parametrize("name", CLASSES)
def test_classes_keep_their_attributes(name):
    kind = getattr(fastnn, name)
    ours = {*dir(kind), *inspect.signature(kind).parameters}
    assert set(CLASSES[name].split()) <= ours


def test_public_names_are_promised_documented_and_listed():
    assert {*SIGNATURES, *CLASSES, *FUNCTIONAL} <= set(fastnn.__all__) <= set(dir(fastnn))
    for name in fastnn.__all__:
        assert inspect.getdoc(getattr(fastnn, name)), name
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'nothing'"):
        fastnn.nothing  # noqa: B018


def test_type_checkers_see_the_names_that_are_imported_late():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module.removeprefix("fastnn.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastnn.")
        for alias in node.names
    }
    assert seen == fastnn._HOME


def test_import_loads_neither_numba_nor_matplotlib():
    code = "import sys, fastnn; print(*{'numba', 'matplotlib'} & set(sys.modules))"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert output.strip() == ""


def test_version_and_dependencies_come_from_one_place():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert fastnn.__version__ == importlib.metadata.version("fastnn") == project["version"]
    bounds = [re.fullmatch(r"([a-z-]+)>=[\d.]+", line) for line in project["dependencies"]]
    names = [bound and bound[1] for bound in bounds]
    assert sorted(names, key=str) == [
        "lazy-loader",
        "matplotlib",
        "numba",
        "numpy",
        "threadpoolctl",
    ]


def imports(source, package="fastnn"):
    """Return what a source file of `package` imports when it runs, wherever in it."""
    found, todo = set(), [ast.parse(source)]
    while todo:
        node = todo.pop()
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        todo += node.orelse if typing_only else ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(parents if node.level else ()), *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names} if base else set()
    return found


def read_graph():
    """Return what each module of fastnn imports, by its name without the package."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        package = ".".join(["fastnn", *parts[:-1]])
        graph[".".join(parts).removesuffix(".__init__")] = imports(
            path.read_text(encoding="utf-8"), package
        )
    return graph


def reached(graph, start):
    """Return the modules of fastnn that `start` needs, directly or through others."""
    names, todo = set(), [start]
    while todo:
        for target in graph[todo.pop()]:
            first, _, rest = target.partition(".")
            rest = fastnn._HOME.get(rest, rest)
            while first == "fastnn" and rest and rest not in graph:
                rest = rest.rpartition(".")[0]  # the name of something in the module
            if first == "fastnn" and rest and rest not in names:
                names.add(rest)
                todo.append(rest)
    return names


def upward(graph):
    """Return the pairs of layers where the lower one needs the upper one."""
    return [
        (lower, upper)
        for i, upper in enumerate(LAYERS)
        for lower in LAYERS[i + 1 :]
        if upper in reached(graph, lower)
    ]


def outsiders(graph, library):
    """Return the modules that import `library`."""
    return {name for name, found in graph.items() if library in {f.split(".")[0] for f in found}}


def test_imports_go_one_way():
    graph = read_graph()
    assert set(LAYERS) < set(graph)
    assert upward(graph) == []
    assert [name for name in graph if name in reached(graph, name)] == []


@pytest.mark.parametrize(
    "line",
    [
        "from fastnn.robustness import adversarial_accuracy",
        "from fastnn import robustness",
        "from . import robustness",
        "from .robustness import adversarial_accuracy",
        "import fastnn.robustness",
        "def late():\n    from fastnn.robustness import adversarial_accuracy",
    ],
)
def test_an_import_the_other_way_is_found(line):
    graph = read_graph()
    graph["_checks"] = graph["_checks"] | imports(line)
    assert ("networks", "attacks.evaluate") in upward(graph)
    assert "networks" in reached(graph, "networks")


def test_imports_for_type_checkers_alone_do_not_count():
    assert imports("if TYPE_CHECKING:\n    import a\nelse:\n    import b") == {"b"}


def test_the_reference_stands_alone():
    graph = read_graph()
    parts = [name for name in graph if name.split(".")[0] == "reference"]
    assert parts
    for name in parts:
        assert {other.split(".")[0] for other in reached(graph, name)} <= {"reference"}
        libraries = {found.split(".")[0] for found in graph[name]}
        assert libraries - sys.stdlib_module_names <= {"numpy", "fastnn"}


def test_heavy_libraries_stay_in_their_modules():
    graph = read_graph()
    inside = {name for name in graph if name.split(".")[0] not in {"bench", "doctor"}}
    assert outsiders(graph, "numba") & inside == {"_kernels.jit", "_kernels.masked_products"}
    assert outsiders(graph, "matplotlib") & inside == {"plots"}
