"""The comparison with other programs: which rows are listed, and which differences are reported."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from fastnn import attacks
from fastnn.io import save_mlp
from fastnn.networks import MLP

pytestmark = pytest.mark.usefixtures("importable_benchmarks")

PLANTED = """
import numpy as np
from fastnn import attacks

ATTACK = attacks.PGD(5, 0.05, random_start=False)


def same(net, x, labels, eps, bounds):
    return ATTACK.perturb(net, x, labels, eps, bounds)


def weaker(net, x, labels, eps, bounds):
    return ATTACK.perturb(net, x, labels, eps / 2, bounds)


def beyond(net, x, labels, eps, bounds):
    return ATTACK.perturb(net, x, labels, 2 * eps, bounds)


def spares_one(net, x, labels, eps, bounds):
    moved = same(net, x, labels, eps, bounds)
    fooled = net.predict(moved) != labels
    row = np.flatnonzero(fooled & (net.predict(x) == labels))[0]
    moved[row] = x[row]
    return moved


def tied(net, x, labels, eps, bounds):
    return same(net, x, labels, eps, bounds)


def absent(net, x, labels, eps, bounds):
    raise NotImplementedError("out of order")
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Return a function that makes a method whose other program is planted."""
    (tmp_path / "planted_programs.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda name, **options: a_method(f"planted_programs:{name}", name, **options)
    sys.modules.pop("planted_programs", None)


def a_method(path, label, rule=None, note="", **options):
    from methods import Method, Program

    return Method(
        name="pgd",
        text="five steps",
        attack=attacks.PGD(5, 0.05, random_start=False),
        eps=(0.1,),
        programs=(Program(label, path, note, rule),),
        **options,
    )


@pytest.fixture
def subject(rng):
    from agreement import Subject

    net = MLP.random((16, 24, 5), rng=3)
    x = rng.random((80, 16))
    labels = net.predict(x.astype(np.float32))
    labels[::7] = (labels[::7] + 1) % 5
    return Subject(net, x, labels)


def line_of(subject, method):
    from agreement import lines

    (line,) = lines(subject, method, 0.1, method.programs[0].label)
    return line


def test_the_same_attack_is_the_same(planted, subject):
    line = line_of(subject, planted("same"))
    assert (line.verdict, line.rows, line.inputs, line.beyond_ties) == ("same", (), 0, False)
    assert 0 < line.ours == line.theirs < 80


def test_a_planted_difference_of_one_row_is_reported_with_its_margins(planted, subject):
    line = line_of(subject, planted("spares_one"))
    assert line.verdict == "DIFFERENT"
    assert line.beyond_ties
    assert line.theirs == line.ours + 1
    (row,) = line.rows
    assert row.ours < 0 < row.theirs
    assert row.margin == max(-row.ours, row.theirs)
    assert row.theirs == pytest.approx(
        subject.judge(subject.x, planted("same"), 0.1).margins[row.row]
    )
    assert f"    row {row.row}: {row.ours:+.3g} with fastnn" in line.text()


def test_float32_has_lines_of_its_own(planted, subject):
    from agreement import lines

    found = list(lines(subject, planted("same"), 0.1))
    assert [line.against for line in found] == ["fastnn float32", "fastnn float32, counted", "same"]
    assert not any(line.beyond_ties for line in found)
    assert not list(lines(subject, planted("same", single=False), 0.1))[1:]


def test_inputs_beyond_eps_are_an_error(planted, subject):
    with pytest.raises(ArithmeticError, match=r"row \d+ is 0.2 away, eps is 0.1"):
        line_of(subject, planted("beyond"))


def test_a_program_that_has_no_answer_is_left_out(planted, subject):
    assert line_of(subject, planted("absent")).endswith("left out: absent: out of order")
    missing = a_method("no_such_module:pgd", "missing")
    assert "left out: missing: No module named 'no_such_module'" in line_of(subject, missing)


def test_a_weaker_program_may_leave_more_standing(planted, subject):
    line = line_of(subject, planted("weaker", rule="no more"))
    assert line.theirs > line.ours
    assert line.verdict == "no more standing"
    noted = line_of(subject, planted("weaker", note="half of eps"))
    assert (noted.verdict, noted.beyond_ties) == ("not judged", False)
    assert noted.text().splitlines()[0].endswith("not judged: half of eps")


def test_a_stronger_program_is_a_violation(planted, subject):
    method = planted("same", rule="no more")
    weak = replace(method, attack=attacks.PGD(1, 0.05, random_start=False))
    line = line_of(subject, weak)
    assert line.verdict == "MORE STANDING"
    assert line.beyond_ties


def found(margins):
    from verdicts import Found

    margins = np.array(margins)
    return Found(margins > 0, margins)


@pytest.mark.parametrize(
    ("theirs", "lead", "cancels", "verdict"),
    [
        (-1e-7, 5, False, "ties"),
        (-1e-5, 5, False, "DIFFERENT"),
        (np.nan, 5, False, "DIFFERENT"),
        (-3.0, 40, True, "ties but for 1 where theirs cancels"),
        (-3.0, 40, False, "DIFFERENT"),
        (-3.0, 29, True, "DIFFERENT"),
        (2.0, 5, False, "same"),
    ],
)
def test_what_a_tie_is(theirs, lead, cancels, verdict):
    from verdicts import TIE_64, compare

    ours = found([1e-8, 1.0])
    other = found([theirs, 2.0])
    leads = np.array([lead, 5.0])
    assert compare(ours, other, leads, rule="same", tie=TIE_64, cancels=cancels)[1] == verdict


def test_many_rows_are_cut_short_in_the_table_alone():
    from verdicts import Line, Row

    rows = tuple(Row(i, 1.0, -1.0 if i else np.inf, 3.0) for i in range(25))
    line = Line(
        method="pgd",
        against="other",
        eps=0.1,
        n=30,
        ours=27,
        theirs=2,
        rows=rows,
        inputs=None,
        verdict="DIFFERENT",
    )
    assert line.text().splitlines()[-1] == "    and 5 other rows"
    found = line.to_json()["rows"]
    assert [row["theirs"] for row in found] == [None] + 24 * [-1.0]
    assert line.to_json()["beyond_ties"]


def test_an_attack_for_the_smallest_change_is_judged_by_its_way(subject):
    method = replace(a_method("none:none", "none"), reach=9.0, options={"norm": "l2"})
    right = subject.net.predict(subject.x) == subject.labels
    clean = subject.judge(subject.x, method, 0.1)
    np.testing.assert_array_equal(clean.standing, right)
    moved = attacks.DeepFool().perturb(subject.net, subject.x, subject.labels, 9.0, (0, 1))
    sizes = np.linalg.norm(moved - subject.x, axis=1)
    judged = subject.judge(moved, method, 0.1)
    np.testing.assert_array_equal(judged.standing, sizes > 0.1)
    np.testing.assert_allclose(judged.margins, sizes - 0.1)


def test_the_formula_begins_where_ours_does():
    """A run of one step from the start leads to the second input that ours shows."""
    from methods import starts

    x = np.random.default_rng(0).random((6, 16))
    net = MLP.random((16, 24, 5), rng=3).astype(np.float64)
    seen = []

    class Watch(attacks.APGD):
        def _look(self, state):
            seen.append(state.x.copy())
            return super()._look(state)

    labels = np.arange(6) % 5
    Watch(steps=1, restarts=2).perturb(net, x, labels, 0.1, (0, 1))
    ours = starts(x, 0.1, (0, 1), 2)
    np.testing.assert_allclose(ours[:, 0], seen[0], atol=1e-15)
    np.testing.assert_allclose(ours[:, 1], seen[2], atol=1e-15)
    assert np.abs(ours[:, 0] - ours[:, 1]).max() > 0.01


def test_the_program_ends_with_1_if_something_differs(planted, tmp_path, monkeypatch, capsys):
    import agreement

    net = MLP.random((16, 24, 5), rng=3)
    save_mlp(net, tmp_path / "net.npz")
    x = np.random.default_rng(1).random((60, 16)).astype(np.float32)
    labels = net.predict(x)
    monkeypatch.setattr(
        agreement, "load_split", lambda *_, dtype: (x.astype(dtype), labels, "noise")
    )
    monkeypatch.setattr(agreement, "cached_network", lambda path, source: (net, None))
    file = tmp_path / "found.json"
    monkeypatch.setattr(agreement, "METHODS", (planted("same"),))
    assert agreement.main(["-n", "40", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["the network of fastnn attack"][-1]["n"] == 40
    monkeypatch.setattr(agreement, "METHODS", (planted("spares_one"),))
    assert agreement.main(2 * ["--weights", str(tmp_path / "net.npz")]) == 1
    out = capsys.readouterr().out
    assert out.count("DIFFERENT") == 2
    assert agreement.main(["-k", "nothing of that name"]) == 0


def test_names_are_listed(capsys):
    import agreement

    assert agreement.main(["--list"]) == 0
    assert {"pgd-linf", "standard"} <= set(capsys.readouterr().out.split())


def test_wrong_options_are_refused(capsys):
    import agreement

    with pytest.raises(SystemExit):
        agreement.main(["-n", "0"])
    assert "-n must be at least 1, got 0" in capsys.readouterr().err
