"""The page on faults names a test in every line, and the tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "faults.md", ROOT / "SECURITY.md")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def missing(text):
    """Return the tests that a text names and that are not there."""
    return [
        f"{file}::{name}"
        for file, name in TEST.findall(text)
        if not (ROOT / file).is_file()
        or not re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]


def lines(text):
    """Return the lines of tables without their headings."""
    before = text.split("\n## Measured")[0]
    return [line for line in before.splitlines() if re.match(r"\| (?!fault|promise|---)", line)]


def test_every_fault_and_every_promise_names_a_test_that_is_there():
    for page in PAGES:
        text = page.read_text("utf-8")
        assert missing(text) == []
        assert len(lines(text)) > 5
        assert all(TEST.search(line) for line in lines(text)), page


def test_a_name_without_a_test_is_found():
    planted = "| a | b | `tests/faults/test_table.py::test_nothing_at_all` |"
    assert missing(planted) == ["tests/faults/test_table.py::test_nothing_at_all"]
    assert not TEST.search(lines("| a fault | is named | without a test |")[0])
