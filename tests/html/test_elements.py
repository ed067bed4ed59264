"""Elements and tables of HTML: what is escaped, aligned, sorted by."""

from html.parser import HTMLParser

import numpy as np
import pytest

from fastnn._html import Cell, Markup, join, pairs, table, tag


class Parsed(HTMLParser):
    """Start tags with their attributes and text; fails at tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"br", "img", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


EVIL = "<b title='\"'>&amp;</b>"


def test_text_and_attributes_are_escaped():
    (found,) = Parsed(tag("p", EVIL, title=EVIL)).tags
    assert found == ("p", {"title": EVIL})
    assert Parsed(tag("p", EVIL)).texts == [EVIL]
    assert Parsed(join(EVIL, tag("br"), EVIL)).texts == [EVIL, EVIL]
    assert join(Markup("<br>")) == "<br>"


def test_attributes_that_are_off_are_left_out():
    made = tag("details", "x", open=True, class_=None, hidden=False, data_key=0, aria_label="a")
    assert made == '<details open data-key="0" aria-label="a">x</details>'
    assert tag("img", src="a", alt="") == '<img src="a" alt="">'


def test_numbers_stand_on_the_right_and_text_on_the_left():
    made = Parsed(table(["name", "n", "word"], [["a", np.int64(1234), "b"], ["c", 5, "d"]]))
    cells = [(kind, one) for kind, one in made.tags if kind in {"th", "td"}]
    sides = ["text-align:left", "text-align:right", "text-align:left"]
    assert [one["style"] for _, one in cells] == sides * 3
    assert [one.get("data-key") for _, one in cells] == [None] * 4 + ["1234", None, None, "5", None]
    assert made.texts == ["name", "n", "word", "a", "1,234", "b", "c", "5", "d"]
    assert [one["scope"] for kind, one in cells if kind == "th"] == ["col"] * 3 + ["row"] * 2


def test_a_cell_has_its_own_key_and_colour():
    made = Parsed(table(["a", "b"], [["x", Cell("50 %", 0.5, 0.25)]], sortable=True, choices=[1]))
    tags = dict(made.tags)
    assert tags["td"]["data-key"] == "0.5"
    assert "--heat:0.250" in tags["td"]["style"]
    assert tags["td"]["class"] == "heat"
    assert [one for kind, one in made.tags if kind == "th"][1]["data-choice"] is None
    assert tags["table"]["class"] == "sortable"
    assert tags["div"]["tabindex"] == "0"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        table(["a", "b"], [["x", 1], ["y"]])


def test_pairs_are_labels_and_values():
    made = Parsed(pairs([("a", EVIL), ("b", tag("code", "x"))]))
    assert made.texts == ["a", EVIL, "b", "x"]
