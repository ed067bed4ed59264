"""The notebooks of the documentation: they run, and their outputs are those that they show."""

import ast
import contextlib
import importlib.util
import io
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NEEDS = {"scikit-learn": "sklearn"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Run notebooks on the bundled digits, and let them write where nothing else is."""
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def code_of(notebook):
    """Return source and outputs of every cell of code."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [("".join(cell["source"]), cell["outputs"]) for cell in cells]


def run(source, namespace):
    """Run a cell; return what it prints, and the value of a last line that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body, []), "cell", "exec"), namespace)
        value = None
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
    return printed.getvalue(), value


def kinds_of(value):
    """Return the kinds in which a notebook shows a value beside its text."""
    shown = {"text/html": "_repr_html_", "image/png": "_repr_png_"}
    return {kind for kind, name in shown.items() if hasattr(value, name) and getattr(value, name)()}


def unlike(found, expected):
    """Say whether two texts differ by more than rounding on another processor may change."""
    number = re.compile(r"\d+(?:\.\d+)?")
    ours, theirs = (list(map(float, number.findall(text))) for text in (found, expected))
    same = number.sub("#", found).split() == number.sub("#", expected).split()
    near = len(ours) == len(theirs) and all(
        abs(a - b) <= 0.05 * b + 5 for a, b in zip(ours, theirs, strict=True)
    )
    return not (same and near)


def faults(notebook):
    """Run a notebook; return the cells whose outputs are others than those it shows."""
    namespace, found = {"__name__": "__notebook__"}, []
    for source, outputs in code_of(notebook):
        printed, value = run(source, namespace)
        streams = [o for o in outputs if o["output_type"] == "stream" and o["name"] == "stdout"]
        results = [set(o["data"]) - {"text/plain"} for o in outputs if "data" in o]
        if unlike(printed, "".join("".join(o["text"]) for o in streams)):
            found.append(f"{source}\nprinted\n{printed}")
        if value is not None and results != [kinds_of(value)]:
            found.append(f"{source}\nshows {kinds_of(value)}, the notebook has {results}")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run_and_show_what_they_did(path):
    needed = NEEDS.get(path.stem)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []
    assert Path("report.html").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_executed_from_top_to_bottom_and_light(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    counts = [c["execution_count"] for c in notebook["cells"] if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output["output_type"] for _, outputs in code_of(notebook) for output in outputs}
    assert kinds == {"stream", "execute_result"}
    assert path.stat().st_size < 300_000
    pages = re.findall(r"\]\(([^)#\s]+)\)", "".join(map(str, notebook["cells"])))
    assert all((path.parent / page).exists() for page in pages)


def test_both_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["assignment", "scikit-learn"]


def test_a_wrong_output_is_found():
    def cell(source, *outputs):
        return {"cell_type": "code", "source": [source], "outputs": list(outputs)}

    def printed(text):
        return {"output_type": "stream", "name": "stdout", "text": [text]}

    def shown(*kinds):
        return {"output_type": "execute_result", "data": {"text/plain": [], **dict.fromkeys(kinds)}}

    def of(*cells):
        return faults({"cells": cells})

    assert of(cell("print(100, 'right')", printed("102 right\n"))) == []
    assert len(of(cell("print(100, 'right')", printed("120 right\n")))) == 1
    assert len(of(cell("print(100, 'right')", printed("100 wrong\n")))) == 1
    network = "import fastnn\nfastnn.MLP.random((2, 3))"
    assert of(cell(network, shown("text/html"))) == []
    assert len(of(cell(network, shown()))) == 1
    with pytest.raises(NameError):
        of(cell("nothing"))
