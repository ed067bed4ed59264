"""What the package promises as a whole: its names, what importing it costs, its versions."""

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
ROOT = PACKAGE.parent
PROJECT = ROOT / "pyproject.toml"

# Other people's scripts call these.
SIGNATURES = {
    "adversarial_accuracy": "net x labels eps bounds threads progress attack targets rng recount "
    "keep_adversarial lattice verify results checkpoint executor",
    "fgsm": "net x labels eps bounds",
    "first_flip": "net x labels bounds",
    "load_data": "data labels inputs split",
    "load_mlp": "path",
    "load_mnist": "",
    "pgd": "net x labels eps bounds steps step_size norm random_start restarts targets rng",
    "save_mlp": "net path",
    "threads": "n",
    "train": "net x labels epochs batch_size learning_rate momentum l2 validation rng progress "
    "attack eps bounds checkpoint",
}
CLASSES = {
    "AdversarialReport": "n eps clean_correct adversarial_correct clean_accuracy "
    "adversarial_accuracy clean_prediction adversarial_prediction zero_gradient_rows "
    "saturated_rows seconds to_dict adversarial_accuracy_among_correct success_rate intervals "
    "per_class confusion attribution origins labels targets attacks diagnostics adversarial save "
    "load plot to_html to_pandas digests compile_seconds lattice",
    "Dataset": "x_train y_train x_test y_test source",
    "History": "train_loss train_accuracy val_loss val_accuracy",
    "Recipe": "sizes train network",
    "Samples": "x labels source classes",
    "MLP": "random from_sklearn from_torch with_input logits predict predict_proba loss accuracy "
    "gradients input_gradient",
}
OTHERS = "Gradients cross_entropy log_softmax one_hot relu relu_grad sigmoid softmax tanh"
MODULES = (
    "attacks bench comp7015 datasets fetch formats functional io networks plots reference reports "
    "robustness training"
)

# At most so many lines, a function without its docstring.
MODULE, FUNCTION = 300, 50


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


def test_public_names_are_those_promised_and_documented():
    promised = {*SIGNATURES, *CLASSES, *OTHERS.split()}
    assert set(fastnn.__all__) == promised
    assert {*promised, *MODULES.split(), "__version__"} <= set(dir(fastnn))
    for name in promised:
        assert inspect.getdoc(getattr(fastnn, name)), name
    with pytest.raises(AttributeError, match="fastnn attribute nothing"):
        fastnn.nothing  # noqa: B018


@pytest.mark.parametrize("name", MODULES.split())
def test_public_modules_are_attributes_without_an_import_of_their_own(name):
    code = f"import fastnn; print(fastnn.{name}.__name__)"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert output == f"fastnn.{name}\n"


def test_a_star_import_brings_no_modules():
    names = {}
    exec("from fastnn import *", names)
    assert {name for name in names if name != "__builtins__"} == set(fastnn.__all__)


def test_import_loads_no_heavy_library():
    code = "import sys, fastnn; print(*{'numpy', 'numba', 'matplotlib'} & set(sys.modules))"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert output.strip() == ""


def test_version_and_dependencies_come_from_one_place():
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert fastnn.__version__ == importlib.metadata.version("fastnn") == project["version"]
    bounds = [re.fullmatch(r"([a-z-]+)>=[\d.]+", line) for line in project["dependencies"]]
    names = {bound and bound[1] for bound in bounds}
    libraries = "lazy-loader matplotlib numba numpy platformdirs threadpoolctl tqdm"
    assert names == set(libraries.split())


def test_the_citation_is_of_this_version():
    version, released = re.search(
        r"^version: (.+)\ndate-released: \"(.+)\"$",
        (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
        re.MULTILINE,
    ).groups()
    assert version == tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    assert f"## [{version}] - {released}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_workflow_runs_every_python_that_the_package_claims():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    matrix = workflow[: workflow.index("steps:")]
    classifiers = PROJECT.read_text(encoding="utf-8")
    claimed = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', classifiers)
    assert claimed
    assert set(re.findall(r'"(3\.\d+)"', matrix)) == set(claimed)


def too_long(name, source):
    """Return the module and those of its functions that have too many lines."""
    found = {name} if len(source.splitlines()) > MODULE else set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            docstring = first.end_lineno - first.lineno + 1 if documented else 0
            if node.end_lineno - node.lineno + 1 - docstring > FUNCTION:
                found.add(f"{name}: {node.name}")
    return found


def test_modules_and_functions_are_short():
    sources = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    assert {"networks.py", "_engine/layers.py", "reference/comp7015/training.py"} <= set(sources)
    found = [too_long(name, path.read_text(encoding="utf-8")) for name, path in sources.items()]
    assert set().union(*found) == set()


def function(lines, docstring="", inside=""):
    """Return a function with so many lines besides its docstring."""
    body = [f'    """{docstring}"""'] if docstring else []
    body += ["    pass"] * (lines - 1)
    return inside + f"\n{inside}".join(["def f():", *body]) + "\n"


def test_a_long_module_and_a_long_function_are_found():
    assert too_long("m.py", "\n" * MODULE) == set()
    assert too_long("m.py", "\n" * (MODULE + 1)) == {"m.py"}
    explained = "A sentence.\n\n" + "More.\n" * FUNCTION
    assert too_long("m.py", function(FUNCTION, explained)) == set()
    assert too_long("m.py", function(FUNCTION + 1, explained)) == {"m.py: f"}
    assert too_long("m.py", "async " + function(FUNCTION + 1)) == {"m.py: f"}
    assert too_long("m.py", "class C:\n" + function(FUNCTION + 1, inside="    ")) == {"m.py: f"}
