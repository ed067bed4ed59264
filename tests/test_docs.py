"""The documentation: each public name is listed and has an example; all code and commands run."""

import contextlib
import doctest
import importlib.util
import inspect
import io
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import fastnn
from fastnn.cli._main import COMMANDS, build_parser, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITHOUT = [] if importlib.util.find_spec("sklearn") else ["fastnn.sklearn"]  # cannot be imported
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not found.name.endswith("__main__") and found.name not in WITHOUT
)
# Their public functions and classes must be in the reference, each with an example.
PUBLIC = (
    "fastnn",
    "fastnn.attacks",
    "fastnn.comp7015",
    "fastnn.datasets",
    "fastnn.io",
    "fastnn.plots",
    "fastnn.reference",
    "fastnn.reports",
    "fastnn.reference.comp7015",
    *({"fastnn.sklearn"} - set(WITHOUT)),
)
# The examples of `Attack` and `Tile` show what their methods are for.
SHOWN_BY_THEIR_CLASS = re.compile(r"fastnn\.attacks\.(Tile\.\w+|\w+\.(answers|perturb_tile))")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Run examples on the bundled digits, and let them write where nothing else is."""
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def documented():
    """Return the names for which the pages of the reference have an entry."""
    names = []
    for page in sorted((ROOT / "docs" / "api").glob("*.rst")):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
                module = found[1]
            elif module in WITHOUT:
                continue
            elif found := re.fullmatch(r"\.\. auto(?:function|class):: (\S+)", line):
                names.append(found[1] if found[1].startswith("fastnn.") else f"{module}.{found[1]}")
    return names


def own_methods(name):
    """Return the dotted names of the public methods that a class has from the package."""
    kind = pkgutil.resolve_name(name)
    kinds = (classmethod, staticmethod)
    return [
        f"{name}.{member}"
        for base in (kind.__mro__ if inspect.isclass(kind) else ())
        for member, value in vars(base).items()
        if base.__module__.startswith("fastnn") and not member.startswith("_")
        if inspect.isfunction(value) or isinstance(value, kinds)
    ]


def without_example(names):
    """Return those of the names, and of their methods, whose docstring has no example."""
    everything = [each for name in names for each in (name, *own_methods(name))]
    return {
        name
        for name in everything
        if ">>>" not in (inspect.getdoc(pkgutil.resolve_name(name)) or "")
    }


def unlisted(module, names):
    """Return the public functions and classes of a module that have none of the `names`."""
    loaded = importlib.import_module(module)
    listed = [pkgutil.resolve_name(name) for name in names]
    public = {name: getattr(loaded, name) for name in loaded.__all__}
    return {name for name, value in public.items() if callable(value) and value not in listed}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_has_every_public_name(module):
    assert unlisted(module, documented()) == set()


def test_every_public_name_has_an_example():
    missing = without_example(documented())
    assert {name for name in missing if not SHOWN_BY_THEIR_CLASS.fullmatch(name)} == set()


def test_a_missing_entry_and_a_missing_example_are_found(monkeypatch):
    names = documented()
    names.remove("fastnn.train")
    assert unlisted("fastnn", names) == {"train"}
    monkeypatch.setattr(fastnn.train, "__doc__", "Train.")
    monkeypatch.setattr(fastnn.MLP.loss, "__doc__", None)
    monkeypatch.setattr(fastnn.MLP.random.__func__, "__doc__", None)  # of a base class
    found = without_example(["fastnn.train", "fastnn.MLP", "fastnn.softmax"])
    assert found == {"fastnn.train", "fastnn.MLP.loss", "fastnn.MLP.random"}


def failures(examples):
    """Run doctests; return what fails, as text, empty where nothing does."""
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples:
        runner.run(test, out=report.write, clear_globs=False)
    return report.getvalue()


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert failures(finder.find(importlib.import_module(module), module)) == ""


def blocks(text):
    """Return language, first line number and content of every block of code in a page."""
    pattern = re.compile(r"^```([a-z]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(m[1], text.count("\n", 0, m.start()) + 1, m[2]) for m in pattern.finditer(text)]


def run_page(text, name):
    """Run the Python of a page from top to bottom; return what fails in its examples.

    Blocks of ``python`` are scripts, blocks of ``pycon`` doctests; ``output`` is what the script
    before it prints; ``py`` marks a fragment of a file, which does not run alone.
    """
    namespace = {"__name__": "__page__"}
    report, printed = "", io.StringIO()
    for language, line, code in blocks(text):
        if language == "python":
            # Padded, so that a traceback has the line numbers of the page.
            compiled = compile("\n" * line + code, name, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compiled, namespace)
        elif language == "output":
            report += unlike(printed.getvalue(), code, f"{name}, line {line}")
        elif language == "pycon":
            test = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
            test.globs = namespace  # later blocks use what this one defines
            report += failures([test])
    return report


def unlike(found, expected, place):
    """Return how far a text is from the expected one, empty where it is near enough.

    Other processors round otherwise, which changes a few counts: whole numbers may differ by 5 %
    and 5 more, others by 5 % and 0.02.
    """
    number = re.compile(r"\d[\d,]*(?:\.\d+)?")
    ours, theirs = number.findall(found), number.findall(expected)
    near = number.sub("#", found).split() == number.sub("#", expected).split() and all(
        abs(float(one.replace(",", "")) - (value := float(other.replace(",", ""))))
        <= 0.05 * value + (0.02 if "." in other else 5)
        for one, other in zip(ours, theirs, strict=True)
    )
    return "" if near else f"{place}: expected:\n{expected}got:\n{found}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_in_pages(page):
    assert run_page(page.read_text(encoding="utf-8"), page.name) == ""


def commands(text):
    """Return the arguments of every fastnn command in the shell blocks of a page."""
    found = []
    for language, _, code in blocks(text):
        for line in code.replace("\\\n", " ").splitlines() if language == "sh" else ():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                command, words = words[:end], words[end + 1 :]
                if "fastnn" in command:
                    found.append(command[command.index("fastnn") + 1 :])
    return found


def refused(text):
    """Return the commands of a page that fastnn does not take, with the message."""
    wrong = []
    for words in commands(text):
        errors = io.StringIO()
        try:
            with contextlib.redirect_stderr(errors):
                build_parser(words[0]).parse_args(words)
        except SystemExit:
            wrong.append(errors.getvalue())
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_in_pages(page):
    assert refused(page.read_text(encoding="utf-8")) == []


def test_pages_have_code_and_commands():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    kinds = [language for language, _, _ in blocks(text)]
    assert min(kinds.count(kind) for kind in ("python", "pycon", "sh")) >= 5
    assert {words[0] for words in commands(text)} == set(COMMANDS)


def test_a_wrong_example_and_a_wrong_command_are_found():
    page = "```python\na = 1\n```\n\n```pycon\n>>> a + 1\n3\n```\n\n```sh\nx && fastnn fly\n```\n"
    assert re.search(r"Expected:\s+3\s+Got:\s+2", run_page(page, "page"))
    assert run_page(page.replace("\n3\n", "\n2\n"), "page") == ""
    assert ["invalid choice: 'fly'" in message for message in refused(page)] == [True]
    assert refused(page.replace("fly", "fetch")) == []
    with pytest.raises(NameError, match="'b'"):
        run_page(page.replace("a = 1", "b"), "page")


def test_a_wrong_output_is_found():
    page = '```python\nprint("right:", 130, 0.75)\n```\n\n```output\nright: 130 0.75\n```\n'
    assert run_page(page, "page") == ""
    assert run_page(page.replace("right: 130 0.75", "right:  128 0.77"), "page") == ""
    for wrong in ("right: 110 0.75", "right: 130 0.85", "wrong: 130 0.75", "right: 130"):
        message = run_page(page.replace("right: 130 0.75", wrong), "page")
        assert message == f"page, line 5: expected:\n{wrong}\ngot:\nright: 130 0.75\n"


def links(text):
    """Return the files that a page of Markdown links to or shows, without their anchors."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_in_pages(page):
    missing = [
        target
        for target in links(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


def test_links_are_found():
    text = "[a](b.md#c), ![d](../e.png), [f](https://example.org/g), [h](#i)"
    assert links(text) == ["b.md", "../e.png"]


# --- what commands and reports printed for users, with networks that are not here


def transcripts(text):
    """Return what was asked and the rows of the answer, of every transcript in a page."""
    found = []
    for language, _, code in blocks(text):
        for line in code.splitlines() if language == "text" else ():
            if line.startswith(("$ ", ">>> ")):
                found.append((line, []))
            elif found:
                found[-1][1].append(line)
    return found


def first_cells(lines):
    """Return what the rows of a table are called, without those that are not always there."""
    names = [re.split(r"  ", line.strip(), maxsplit=1)[0] for line in lines if line]
    rare = re.compile(r"Note: |time for kernels|training: |wrote ")
    return [name for name in names if not rare.match(name)]


def printed_today(asked, capsys):
    """Return the rows that another network, of the same data, gives for what a user asked."""
    net = fastnn.MLP.random((784, 16, 10), rng=0)
    if "print(fastnn.adversarial_accuracy(" in asked:
        data = fastnn.load_mnist(source="sample")
        report = fastnn.adversarial_accuracy(net, data.x_test, data.y_test, [0.05, 0.1], (0, 1))
        return first_cells(str(report).splitlines())
    if not asked.startswith("$ fastnn "):
        return None
    fastnn.save_mlp(net, "net.npz")
    name, *words = shlex.split(asked)[2:]
    args = build_parser(name).parse_args([name, *words])
    own = {
        "attack": lambda: ["net.npz", "--eps", *(eps.text for eps in args.eps)],
        "train": lambda: ["--sizes", "784", "8", "10", "--epochs", "1", "--force"],
    }
    assert main([name, *own[name](), "--source", "sample", "-q"]) == 0
    return first_cells(capsys.readouterr().out.splitlines())


def stale(text, capsys):
    """Return what was asked in transcripts whose rows are others today, and how many there are."""
    old, compared = [], 0
    for asked, rows in transcripts(text):
        expected, found = printed_today(asked, capsys), first_cells(rows)
        if expected is None:
            continue
        if found[-1] == "...":  # times that say nothing to other readers
            found, expected = found[:-1], expected[: len(found) - 1]
        compared += 1
        if found != expected:
            old.append(asked)
    return old, compared


def test_transcripts_of_users_have_the_rows_of_today(capsys):
    pages = ("formats", "assignment-part-2")
    text = "\n".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in pages)
    assert stale(text, capsys) == ([], 6)
    (command,) = re.findall(r"^```text\n\$ fastnn attack .*?^```$", text, re.DOTALL | re.MULTILINE)[
        :1
    ]
    assert stale(command.replace("clean accuracy", "right"), capsys)[0] == [command.split("\n")[1]]
