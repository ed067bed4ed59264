"""What is built and installed: the wheel's files, two builds, the lock, the audit."""

import importlib.util
import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(name):
    """Return a script of `.ci` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the wheel


def make_wheel(path, *, without=(), more=()):
    check = tool("check_wheel")
    about = {f"fastnn-0.1.0.dist-info/{name}" for name in check.ABOUT}
    names = (check.expected(ROOT) | about | set(more)) - set(without)
    with zipfile.ZipFile(path, "w") as wheel:
        for name in sorted(names):
            wheel.writestr(name, b"")
    return path


def test_a_whole_wheel_passes(tmp_path, capsys):
    tool("check_wheel").main(make_wheel(tmp_path / "a.whl"))
    assert "and nothing else" in capsys.readouterr().out
    assert "fastnn/_html/page.css" in tool("check_wheel").expected(ROOT)


@pytest.mark.parametrize(
    ("without", "more", "words"),
    [
        (["fastnn/py.typed"], [], "expected fastnn/py.typed in it"),
        (["fastnn/_kernels/logits.py"], [], "expected fastnn/_kernels/logits.py in it"),
        (["fastnn-0.1.0.dist-info/licenses/LICENSE"], [], "expected licenses/LICENSE in it"),
        ([], ["tests/test_supply.py"], "got tests/test_supply.py"),
        ([], ["fastnn/_data/secret.npz"], "got fastnn/_data/secret.npz"),
        ([], ["fastnn/_kernels/__pycache__/logits.cpython-311.pyc"], "got fastnn/_kernels/__pyc"),
    ],
)
def test_a_wheel_with_other_files_is_found(tmp_path, without, more, words):
    wheel = make_wheel(tmp_path / "a.whl", without=without, more=more)
    with pytest.raises(SystemExit, match=re.escape(words)):
        tool("check_wheel").main(wheel)


def test_builds_that_differ_are_found(tmp_path):
    check, folders = tool("check_same"), (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
    assert check.differences(*folders) == ["nothing was built"]
    for folder in folders:
        (folder / "a.whl").write_bytes(b"one")
        (folder / "a.tar.gz").write_bytes(b"two")
    check.main(*folders)
    (folders[1] / "a.whl").write_bytes(b"other")
    assert check.differences(*folders) == ["a.whl"]
    (folders[0] / "a.tar.gz").unlink()
    with pytest.raises(SystemExit, match=r"two builds differ: a\.tar\.gz, a\.whl"):
        check.main(*folders)


# --- the lock


def locked():
    """Return the versions in the lock; of several, for several systems, the first."""
    text = (ROOT / "requirements-dev.txt").read_text("utf-8")
    found = re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE)
    return dict(reversed(found)), text


def declared():
    """Return what pyproject.toml declares for users, tests, style and documentation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = [*project["project"]["dependencies"]]
    lines += project["project"]["optional-dependencies"]["test"]
    for group in ("lint", "mutation", "nox", "docs"):
        lines += project["dependency-groups"][group]
    pairs = (re.match(r"([a-z0-9-]+)([<>=!~].*)?$", line) for line in lines)
    return {pair[1]: pair[2] or "" for pair in pairs if pair and pair[1] != "fastnn"}


def test_the_lock_has_every_dependency_in_a_version_that_is_admitted():
    specifiers = pytest.importorskip("packaging.specifiers")
    versions, text = locked()
    for name, bound in declared().items():
        assert versions[name] in specifiers.SpecifierSet(bound), name
    assert text.count("--hash=sha256:") > 2 * len(versions)
    assert not re.search(r"https?://(?!github\.com)|file:|--index-url|--find-links", text)


# --- the audit


GOOD, BAD = {"name": "a", "version": "1", "vulns": []}, {"name": "b", "version": "2", "vulns": [1]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


def answers(*found, status=0):
    return f"print({json.dumps({'dependencies': found})!r}); sys.exit({status})"


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (answers(GOOD, GOOD, UNKNOWN), 0, "no known vulnerabilities in 2 of 3 packages"),
        (answers(GOOD, BAD, status=1), 1, "known vulnerabilities in b 2; `nox -s lock` renews"),
        (answers(UNKNOWN), 0, "skipped: the database of vulnerabilities cannot be reached"),
        ("sys.exit('requests.exceptions.ConnectionError: pypi.org')", 0, "skipped: the database"),
        ("sys.exit('error: no such option')", 1, "ended with status 1"),
    ],
)
def test_the_audit_says_what_it_found(monkeypatch, capsys, code, status, words):
    audit = tool("audit")
    monkeypatch.setattr(audit, "COMMAND", (sys.executable, "-c", f"import sys\n{code}"))
    assert audit.main() == status
    assert words in capsys.readouterr().out
