"""What holds for the source of every kernel, and a violation of each rule."""

import ast
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
DECORATOR = "_kernels/jit.py"
COMPILERS = {"cfunc", "guvectorize", "jit", "jit_module", "njit", "stencil", "vectorize"}
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


@pytest.fixture
def sources():
    """Return the source of every module that may have kernels, by its file."""
    paths = [*PACKAGE.glob("_kernels/*.py"), PACKAGE / "bench" / "ceilings.py"]
    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in paths}


def every_source():
    """Return the sources of the whole package, by file."""
    return {p.relative_to(PACKAGE).as_posix(): p.read_text("utf-8") for p in PACKAGE.rglob("*.py")}


# --- a kernel uses nothing of another folder


def kernels_in(tree):
    """Return the functions that the decorators compile."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d).split(".")[-1] in ("kernel", "part") for d in node.decorator_list)
    ]


def names_in(node):
    """Return the names that a piece of source reads or binds."""
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def foreign_names(tree):
    """Return the names of a module that come from outside the kernels, also under new names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module.startswith(("fastnn", "..")) and not module.startswith("fastnn._kernels"):
                found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.split(".")[0] == "fastnn"]
            found |= {alias.asname or "fastnn" for alias in ours}
    for node in tree.body:
        if isinstance(node, ast.Assign) and names_in(node.value) & found:
            found |= set().union(*map(names_in, node.targets))
    return found


def uses_of_other_folders(sources):
    """Return each kernel that uses a name of another folder, with the name."""
    found = set()
    for file, source in sources.items():
        tree = ast.parse(source)
        foreign = foreign_names(tree)
        for function in kernels_in(tree):
            used = set().union(*map(names_in, function.body))
            found |= {(file, function.name, name) for name in used & foreign}
    return found


def test_a_kernel_uses_nothing_of_another_folder(sources):
    """The cache of kernels would not notice a change made there."""
    assert sum(len(kernels_in(ast.parse(source))) for source in sources.values()) > 30
    assert all(not kernels_in(ast.parse(s)) for f, s in every_source().items() if f not in sources)
    assert uses_of_other_folders(sources) == set()


CALLS = {
    "from fastnn._engine.losses import softmax": "softmax(z, out)",
    "from fastnn._engine.losses import softmax as best": "best(z, out)",
    "from .._engine.losses import softmax": "softmax(z, out)",
    "from fastnn._engine import losses": "losses.softmax(z, out)",
    "import fastnn._engine.losses": "fastnn._engine.losses.softmax(z, out)",
    "import fastnn._engine.losses as l": "l.softmax(z, out)",
    "from .. import _engine\nbest = _engine.softmax": "best(z, out)",
    "from fastnn._runtime.processors import vector_bytes": "out[:] = vector_bytes()",
}


@pytest.mark.parametrize("imports", CALLS)
@pytest.mark.parametrize("decorator", ["kernel", "jit.kernel", "part"])
def test_a_use_of_another_folder_is_found(sources, imports, decorator):
    planted = f"{imports}\n@{decorator}\ndef _new(z, out):\n    {CALLS[imports]}\n"
    sources["_kernels/elementwise.py"] += planted
    ((file, function, _),) = uses_of_other_folders(sources)
    assert (file, function) == ("_kernels/elementwise.py", "_new")


# --- one decorator, with the options that keep NaN and infinity


def compilers_in(sources):
    """Return where a function of numba that compiles is named, with its options."""
    found = []
    for file, source in sources.items():
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numba"):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and names_in(node.value) & {"numba", "nb"}:
                names = {node.attr}
            else:
                continue
            found += [file] * len(names & COMPILERS)
    return found


def options_of(source):
    """Return the options in the decorator's source, and those that its calls add."""
    tree = ast.parse(source)
    (options,) = [
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "options"
    ]
    added = [
        (keyword.arg, ast.unparse(keyword.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "numba.njit"
        for keyword in node.keywords
    ]
    return options, sorted(added, key=str)


def test_parts_have_one_option_more():
    tree = ast.parse(every_source()[DECORATOR])
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and "_compiled" in names_in(n)]
    added = [(k.arg, ast.unparse(k.value)) for call in calls for k in call.keywords]
    assert len(calls) == 2
    assert added == [("inline", "'always'")]


def test_one_decorator_compiles_with_the_options_that_are_allowed():
    found = every_source()
    assert compilers_in(found) == [DECORATOR] * 2
    options, added = options_of(found[DECORATOR])
    assert options == OPTIONS
    passed = [("pipeline_class", "WideCompiler")] * 2 + [(None, "options")] * 2
    assert added == [("cache", "True"), *passed]


@pytest.mark.parametrize(
    "planted",
    [
        "import numba\n@numba.njit\ndef f(): pass",
        "import numba as nb\n@nb.njit(parallel=True)\ndef f(): pass",
        "from numba import njit as fast",
        "from numba import vectorize",
        "from numba.core.decorators import jit",
    ],
)
def test_another_compiler_is_found(sources, planted):
    sources["_kernels/elementwise.py"] += f"\n{planted}\n"
    assert "_kernels/elementwise.py" in compilers_in(sources)


@pytest.mark.parametrize(
    ("option", "becomes"),
    [
        ('{"contract", "nsz"}', '{"contract", "nsz", "nnan"}'),
        ('"nogil": True', '"nogil": True, "parallel": True'),
        ("cache=True", "cache=True, fastmath=True"),
    ],
)
def test_another_option_is_found(sources, option, becomes):
    changed = sources[DECORATOR].replace(option, becomes, 1)
    assert changed != sources[DECORATOR]
    assert options_of(changed) != options_of(sources[DECORATOR])
