"""Reports in words, in HTML, as figures and as tables of pandas."""

import importlib.util
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastnn import adversarial_accuracy, plots
from fastnn.attacks import FGSM, PGD
from fastnn.reports import wilson_interval

PANDAS = importlib.util.find_spec("pandas") is not None


@pytest.fixture
def net(make_net):
    return make_net((6, 12, 4))


@pytest.fixture
def samples(rng, net):
    x = rng.random((50, 6)).astype(np.float32)
    labels = net.predict(x)
    labels[::10] = (labels[::10] + 1) % 4
    return x, labels


@pytest.fixture
def one(net, samples):
    return adversarial_accuracy(net, *samples, 0.1, (0, 1), attack=[FGSM(), PGD(3)])


@pytest.fixture
def many(net, samples):
    return adversarial_accuracy(net, *samples, [0.2, 0.05], attack=[FGSM(), PGD(3)])


# --- words


def test_the_shares_are_in_words_with_their_intervals(one, many):
    text = str(one)
    lower, upper = one.intervals()["success_rate"]
    count = np.count_nonzero(one.fooled)
    expected = f"{count / 45:7.2%}  ({count} of 45)  [{lower:.2%}, {upper:.2%}]"
    line = next(line for line in text.splitlines() if line.startswith("success rate"))
    assert line.split("eps 0.1")[1].strip() == expected.strip()
    assert re.search(r"^attack +FGSM, then PGD\(steps=3\)$", text, re.MULTILINE)
    assert "95 % Wilson intervals" in text
    labels = [label for label, _ in many.rows()]
    assert labels.count("of those right when clean, eps 0.05") == 1
    assert labels.count("success rate of the attack, eps 0.2") == 1


def test_a_lattice_and_kernels_are_in_words(net):
    x = np.full((3, 6), 0.2, np.float32)
    report = adversarial_accuracy(net, x, net.predict(x), 0.1, lattice=255)
    assert ("rounded to multiples of", "1/255") in report.rows()
    assert report.compile_seconds >= 0
    assert ("time for kernels, beside it" in dict(report.rows())) == (report.compile_seconds > 0)


def test_a_dictionary_has_the_new_numbers(one):
    found = one.to_dict()
    assert found["success_rate"] == one.success_rate
    assert found["adversarial_accuracy_among_correct"] == one.adversarial_accuracy_among_correct
    assert found["attacks"] == ["FGSM", "PGD(steps=3)"]
    assert found["eps_used"] == 0.1


# --- HTML


class Tables(HTMLParser):
    """Reads the cells of all tables, and fails at tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.titles = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"th", "td"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in {"th", "td"}:
            self.tables[-1][-1][-1] += data
        elif self.open[-1] == "summary":
            self.titles.append(data)


def test_html_has_all_tables(one):
    page = Tables(one._repr_html_())
    main, classes, attacks, confusion = page.tables
    assert main == [list(row) for row in one.rows()]
    assert page.titles[:2] == ["Classes", "Attacks"]
    assert classes[0] == ["class", "samples", "right when clean", "right, eps 0.1"]
    samples, clean, attacked = one.per_class()
    assert [[int(n) for n in row] for row in classes[1:]] == [
        [c, samples[c], clean[c], attacked[c]] for c in range(4)
    ]
    assert attacks[1:] == [[name, str(count)] for name, count in one.attribution().items()]
    assert [[int(n) for n in row[1:]] for row in confusion[1:]] == one.confusion().tolist()


def test_html_of_several_eps_has_a_column_or_a_table_for_each(many):
    page = Tables(many._repr_html_())
    _, classes, _, first, second = page.tables
    assert classes[0][-2:] == ["right, eps 0.2", "right, eps 0.05"]
    assert [[int(n) for n in row[1:]] for row in second[1:]] == many.confusion()[1].tolist()
    assert len(first) == 5
    assert page.titles[-1] == "True class (rows) and prediction under attack, eps 0.05"


def test_names_are_escaped_in_html(net, samples):
    def attack(net, x, *_):
        return x

    attack.__name__ = "<b>"
    text = adversarial_accuracy(net, *samples, attack=attack)._repr_html_()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text


# --- figures


def test_several_eps_are_a_curve_in_a_band(many):
    ax = many.plot()
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 0.05, 0.2]
    counts = np.array([many.clean_correct, *many.adversarial_correct[::-1]])
    np.testing.assert_allclose(line.get_ydata(), counts / 50)
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    lower, upper = wilson_interval(counts, 50)
    for end in (*lower, *upper):
        assert np.isclose(corners[:, 1], end).any()
    assert ax.get_legend() is None
    given = Figure().subplots()
    assert many.plot(given) is given


def test_one_eps_is_bars_with_whiskers(one):
    ax = one.plot()
    shares = [
        one.clean_accuracy,
        one.adversarial_accuracy,
        one.adversarial_accuracy_among_correct,
    ]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], shares)
    assert [text.get_text() for text in ax.texts] == [f"{share:.1%}" for share in shares]
    ends = [whisker.get_segments()[0][:, 1] for whisker in ax.collections]
    names = ("clean_accuracy", "adversarial_accuracy", "adversarial_accuracy_among_correct")
    np.testing.assert_allclose(ends, [one.intervals()[name] for name in names])
    given = Figure().subplots()
    assert one.plot(given) is given


def test_the_axis_says_in_which_norm(net, samples):
    labels = {
        norm: adversarial_accuracy(net, *samples, [0.1, 0.2], attack=FGSM(norm)).plot().get_xlabel()
        for norm in ("linf", "l2", "l1")
    }
    assert labels == {
        "linf": "eps, the largest change of a pixel",
        "l2": "eps, the Euclidean length of the change",
        "l1": "eps, the sum of all changes",
    }
    mixed = adversarial_accuracy(net, *samples, [0.1, 0.2], attack=[FGSM("l1"), FGSM("l2")])
    assert mixed.norm == "l1, l2"
    assert plots.accuracy_curve(mixed).get_xlabel() == "eps"


def test_nothing_cannot_be_drawn(net, samples):
    x, labels = samples
    for eps in (0.1, [0.1]):
        report = adversarial_accuracy(net, x[:0], labels[:0], eps)
        with pytest.raises(ValueError, match="report: expected at least one sample, got 0"):
            report.plot()


def test_a_share_of_nothing_has_no_bar(net, samples):
    x, _ = samples
    report = adversarial_accuracy(net, x, (net.predict(x) + 1) % 4, 0.1)
    assert len(report.plot().patches) == 2


# --- pandas


def test_without_pandas_there_is_one_line(one, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^to_pandas needs pandas: pip install pandas$"):
        one.to_pandas()


@pytest.mark.skipif(not PANDAS, reason="needs pandas")
def test_a_row_for_each_eps_and_sample(one, many, net, samples):
    frame = many.to_pandas()
    assert len(frame) == 100
    assert frame["eps"].tolist() == [0.2] * 50 + [0.05] * 50
    assert frame["sample"].tolist() == list(range(50)) * 2
    np.testing.assert_array_equal(frame["label"], np.tile(many.labels, 2))
    np.testing.assert_array_equal(frame["clean_prediction"], np.tile(many.clean_prediction, 2))
    found = frame["adversarial_prediction"].to_numpy().reshape(2, 50)
    np.testing.assert_array_equal(found, many.adversarial_prediction)
    np.testing.assert_array_equal(frame["fooled"].to_numpy().reshape(2, 50), many.fooled)
    counts = frame[frame["fooled"]].groupby(["eps", "attack"]).size()
    for name, values in many.attribution().items():
        for eps, value in zip((0.2, 0.05), values, strict=True):
            assert counts.get((eps, name), 0) == value
    standing = frame["attack"].isna().to_numpy().reshape(2, 50)
    np.testing.assert_array_equal(standing, many.origins[..., 0] == -1)
    assert "target" not in frame
    assert len(one.to_pandas()) == 50
    x, labels = samples
    targets = (labels + 1) % 4
    aimed = adversarial_accuracy(net, x, labels, 0.1, targets=targets).to_pandas()
    np.testing.assert_array_equal(aimed["target"], targets)
