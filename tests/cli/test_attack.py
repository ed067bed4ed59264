"""`fastnn attack`: attacks as words, targets, several attacks in one table, figures and files."""

import argparse
import dataclasses
import json
import re

import numpy as np
import pytest

from fastnn import adversarial_accuracy, attacks, load_mlp
from fastnn._engine import layers
from fastnn.attacks import APGD, ATTACKS, FGSM, PGD, InTurn, MinimalNorm, Square, Standard
from fastnn.cli import _attacks, _digits
from fastnn.cli._targets import targets_of
from fastnn.cli.options import Eps, number
from fastnn.datasets import load_split


@pytest.fixture
def attack(fastnn, weights, digits):
    """Return a function that attacks thirty images of noise; with --json, also the results."""

    def run(*words):
        return fastnn("attack", "--weights", weights, "--data", digits, *words)

    return run


@pytest.fixture
def case(weights, digits):
    """Return the network, the images and the labels of `attack`."""
    return load_mlp(weights), *load_split("test", digits)[:2]


def settings(kind):
    return [f.name for f in dataclasses.fields(kind) if f.init]


# --- attacks as words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-3", -3), ("0.5", 0.5), ("1e-3", 1e-3), ("2/255", 2 / 255), ("yes", True),
        ("no", False), ("None", None), ("l2", "l2"), ("'l2'", "l2"), ("dlr-targeted",) * 2,
        ("1/0", "1/0"), ("__import__", "__import__"),
    ],
)  # fmt: skip
def test_scalars(text, value):
    found = _attacks.scalar(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("pgd", PGD()),
        (" pgd ( steps = 7 , norm = 'l2', step_size=2/255, random_start=no ) ",
         PGD(7, 2 / 255, "l2", random_start=False)),
        ("apgd(loss=dlr-targeted,)", APGD(loss="dlr-targeted")),
        ("standard()", Standard()),
        ("minimal-norm(halvings=3)", MinimalNorm(halvings=3)),
    ],
)  # fmt: skip
def test_forms_become_attacks_and_are_named_so_that_they_can_be_read_again(text, attack):
    made = _attacks.made(*_attacks.form(text))
    assert made == attack
    name = text.split("(")[0].strip()
    assert _attacks.made(*_attacks.form(_attacks.label(name, made))) == attack


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pgd(3)", "'3' in 'pgd(3)' is not setting=value"),
        ("pgd(steps=3", "'pgd(steps=3' is neither NAME nor NAME(setting=value, ...)"),
        ("pgd(steps=3, steps=4)", "steps is set twice in 'pgd(steps=3, steps=4)'"),
        ("PGD", f"'PGD' is none of {', '.join(ATTACKS)}"),
        ("", "'' is neither NAME nor NAME(setting=value, ...)"),
    ],
)
def test_forms_that_are_refused(text, message):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        _attacks.form(text)
    assert str(caught.value) == message


def test_every_setting_of_every_attack_has_an_option():
    every = {name for kind in ATTACKS.values() for name in settings(kind)}
    assert every == set(_attacks.SETTINGS)


def test_the_help_lists_every_attack_with_its_defaults(fastnn):
    text = " ".join(fastnn("attack", "--help")[1].split())
    for name, kind in ATTACKS.items():
        values = [f"{f.name}={f.default}" for f in dataclasses.fields(kind) if f.init]
        inside = ", ".join(values).replace("=True", "=yes").replace("=False", "=no")
        assert f" {name}({inside})" in text


REFUSED = {
    ("--steps", 3): "--steps: fgsm has no setting steps; iterated-fgsm, .*minimal-norm have it",
    ("--attack", "pgd", "--queries", 3): "--queries: pgd has no setting queries; square has it",
    ("--attack", "fgsm", "--attack", "pgd", "--queries", 3): "--queries: fgsm nor pgd has no .*",
    ("--attack", "pgd(stesp=3)"): "--attack: pgd has no setting stesp; it has .*, steps",
    ("--attack", "pgd(steps=2.5)"): "pgd: steps must be an integer, got 2.5",
    ("--attack", "pgd", "--steps", "many"): "pgd: steps must be an integer, got 'many'",
    ("--attack", "pgd", "--norm", "l3"): r"pgd: norm must be one of .*'l2'.*, got 'l3'",
    ("--attack", "pgd", "--attack", "pgd(steps=40)"): "--attack: pgd is there twice",
    ("--attack", "tgd"): "argument --attack: 'tgd' is none of fgsm, .*standard .see .*",
    ("--targets", "nearest"): "argument --targets: 'nearest' is neither a class nor next, .*",
    ("--targets", 10): "--targets 10: the network has the classes 0 to 9",
    ("--eps", "8/0"): "argument --eps: '8/0' is no number, expected one such as 0.1 or 8/255 .*",
    ("--save-adversarial", "x.npy"): "x.npy: expected a name that ends in .npz",
    ("--save-adversarial", "x.npz", "--eps", 0.1, 0.2): ".* one attack and one eps, got 1 and 2",
    ("--save-adversarial", "x.npz", "--attack", "fgsm", "--attack", "pgd"): ".*, got 2 and 1",
    ("--rng", "one"): "argument --rng: invalid int value: 'one' .*",
}


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(map(str, words)))
def test_what_is_refused(attack, assert_refused, words):
    message = REFUSED[words].replace("fgsm nor pgd has no .*", "fgsm nor pgd has no setting .*")
    assert_refused(attack(*words), message)


def test_two_networks_are_refused(attack, assert_refused, weights):
    assert_refused(attack("other"), f"two networks: other and --weights {weights}")


def test_options_are_for_the_attacks_that_have_them_and_parentheses_go_first(attack, tmp_path):
    words = ("--attack", "fgsm", "--attack", "pgd(steps=2)", "--attack", "apgd", "--steps", 3)
    status, out, _ = attack(*words, "--norm", "l2", "--eps", 1, "--json", "out.json")
    assert status == 0
    names = ["fgsm(norm=l2)", "pgd(steps=2, norm=l2)", "apgd(steps=3, norm=l2)"]
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert results["attacks"] == names
    library = ["FGSM(norm='l2')", "PGD(steps=2, norm='l2')", "APGD(steps=3, norm='l2')"]
    assert [report["attack"] for report in results["reports"]] == [n for n in library for _ in "12"]
    assert [line for line in out.splitlines() if line.startswith(tuple(names))]
    assert "  accuracy at eps 1 (l2) " in out


def test_the_table_has_each_attack_s_counts_and_those_of_all(attack, case):
    net, x, labels = case
    chosen = {"fgsm": FGSM(), "pgd(steps=3)": PGD(steps=3), "square(queries=9)": Square(queries=9)}
    words = [word for name in chosen for word in ("--attack", name)]
    status, out, _ = attack(*words, "--eps", "2/255", 0.02, "--rng", 5)
    assert status == 0
    blocks = [block.splitlines() for block in out.split("\n\n")]
    found = {block[0].split("  ")[0]: block for block in blocks}
    assert list(found)[1:] == [*chosen, "all 3 attacks"]
    for k, eps in enumerate((2 / 255, 0.02)):
        label, standing = ("2/255", "0.02")[k], []
        for name, attack_object in chosen.items():
            reports = [
                adversarial_accuracy(net, x, labels, eps, way, attack=attack_object, rng=5)
                for way in (None, (0, 1))
            ]
            standing.append([r.adversarial_prediction == labels for r in reports])
            counts = [
                int(found_.group(1)) for found_ in re.finditer(r"\((\d+) of 30", found[name][1 + k])
            ]
            assert found[name][1 + k].startswith(f"  accuracy at eps {label} ")
            assert counts == [r.adversarial_correct for r in reports]
        counts = re.findall(r"\((\d+) of 30", found["all 3 attacks"][1 + k])
        assert counts == [str(n) for n in np.logical_and.reduce(standing).sum(axis=-1)]


def test_attacks_in_different_norms_have_no_common_row(attack):
    status, out, _ = attack("--attack", "fgsm", "--attack", "fgsm(norm=l2)")
    assert status == 0
    assert "all 2 attacks" not in out


def test_the_warm_up_is_short_and_runs_the_same_code(case):
    long = [PGD(steps=500, restarts=9, norm="l2"), Square(queries=900), MinimalNorm(halvings=99)]
    short = [PGD(steps=1, restarts=1, norm="l2"), Square(queries=2), MinimalNorm("linf", 1, 1)]
    assert [_attacks.brief(one) for one in long] == short
    assert _attacks.brief(FGSM("l1")) == FGSM("l1")
    every = _attacks.brief(Standard())
    assert isinstance(every, InTurn)
    assert every.attacks == tuple(_attacks.brief(one) for one in Standard().attacks)


# --- numbers and targets


def test_fractions():
    assert number("8/255") == 8 / 255
    assert (Eps("8/255").text, Eps("0.10").text, Eps("1e-3").text) == ("8/255", "0.1", "0.001")


def test_which_classes_are_to_be_reached(case):
    net, x, labels = case
    rows, targets = targets_of("next", net, x, labels, 0)
    np.testing.assert_array_equal(rows, np.arange(30))
    np.testing.assert_array_equal(targets, (labels + 1) % 10)
    _, least = targets_of("least-likely", net, x, labels, 0)
    for row, logits in enumerate(net.logits(x)):
        others = np.delete(np.arange(10), labels[row])
        assert least[row] == others[logits[others].argmin()]
    _, first = targets_of("random", net, x, labels, 0)
    _, again = targets_of("random", net, x, labels, 0)
    _, other = targets_of("random", net, x, labels, 1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != labels).all()
    assert len(set(first)) > 5
    rows, targets = targets_of(3, net, x, labels, 0)
    np.testing.assert_array_equal(rows, np.flatnonzero(labels != 3))
    assert set(targets) == {3}
    with pytest.raises(ValueError, match="all images are of class 3"):
        targets_of(3, net, x[labels == 3], labels[labels == 3], 0)


@pytest.mark.parametrize("which", ["next", "3"])
def test_the_table_says_how_many_reached_their_class(attack, case, tmp_path, which):
    net, x, labels = case
    rows, targets = targets_of(int(which) if which == "3" else which, net, x, labels, 0)
    status, out, _ = attack("--attack", "pgd", "--targets", which, "--json", "out.json")
    report = adversarial_accuracy(
        net, x[rows], labels[rows], 0.1, (0, 1), attack="pgd", targets=targets
    )
    reached = int((report.adversarial_prediction == targets).sum())
    assert status == 0
    assert reached > 0
    (line,) = (line for line in out.splitlines() if line.startswith("  reached at eps 0.1"))
    assert line.endswith(f"({reached} of {len(rows)})")
    assert re.search(rf"\nclass to reach +{which}\n", out)
    assert ("; 3 of class 3 left out" in out) == (which == "3")
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert results["reports"][1]["reached"] == reached
    assert str(results["reports"][1]["targets"]) == which


# --- figures


def test_the_figure_has_a_digit_of_each_class_that_fell(attack, case, tmp_path, monkeypatch):
    net, x, labels = case
    drawn = []
    real = _digits.draw
    monkeypatch.setattr(_digits, "draw", lambda *a: drawn.append(a) or real(*a))
    status, _, err = attack("--eps", "1/255", 0.3, "--plot", "fell.png")
    assert status == 0
    assert (tmp_path / "fell.png").read_bytes().startswith(b"\x89PNG")
    what = r"\d+ images, the first of each class that fell, clipped to \[0, 1\]"
    assert re.search(rf"wrote fell.png: {what}: fgsm, eps 1/255, fgsm, eps 0.3\n", err)
    ((*_, falls, goal, way),) = drawn
    assert [fall.eps for fall in falls] == [1 / 255, 0.3]
    assert goal == (None, 0)
    assert way == ("clipped to [0, 1]", (0.0, 1.0))
    for fall in falls:
        report = adversarial_accuracy(net, x, labels, [1 / 255, 0.3], (0, 1))
        np.testing.assert_array_equal(
            fall.prediction, report.adversarial_prediction[falls.index(fall)]
        )


def test_which_digits_are_drawn(case, tmp_path, monkeypatch):
    from fastnn import _drawing

    net, x, labels = case
    labels = np.arange(30) // 10 * 3  # of three classes
    seen = []
    real = _drawing.attacked_images
    monkeypatch.setattr(_drawing, "attacked_images", lambda *a: seen.append(a) or real(*a))
    clean, after = labels.copy(), labels.copy()
    clean[20] = 0  # wrong before the attack
    after[[4, 5, 20, 23]] = 1
    falls = [_digits.Fall(f"eps {k}", FGSM(), 0.1, after if k == 7 else labels) for k in range(8)]
    way = ("clipped to [0, 1]", (0, 1))
    text = _digits.draw(tmp_path / "a.png", net, x, labels, clean, falls, (None, 0), way)
    np.testing.assert_array_equal(seen[0][0], x[[4, 23]])
    np.testing.assert_array_equal(seen[0][1], [0, 6])
    titles, images, predictions = zip(*seen[0][3], strict=True)
    assert titles == ("eps 0", "eps 1", "eps 2", "eps 4", "eps 5", "eps 7")
    np.testing.assert_array_equal(images[0], FGSM().perturb(net, x[[4, 23]], [0, 6], 0.1, (0, 1)))
    np.testing.assert_array_equal(predictions[-1], [1, 1])
    assert text.startswith("2 images, the first of each class that fell, clipped to [0, 1]: ")
    assert text.endswith("; 2 more not drawn")
    text = _digits.draw(tmp_path / "b.png", net, x, labels, labels, falls[:1], (None, 0), way)
    np.testing.assert_array_equal(seen[1][0], x[[0, 10, 20]])
    assert text.startswith("3 images, the first of each; none fell, ")


def test_the_figure_has_a_key(case):
    from fastnn import _drawing

    _, x, labels = case
    moved = np.clip(x / 255 + 0.25, 0, 1)
    block = ("eps 0.25", moved[:2], labels[:2])
    figure = _drawing.attacked_images(x[:2], labels[:2], labels[:2], [block, block])
    parts = figure.subfigs
    assert len(parts[0].axes) == 5 * 2
    (key,) = parts[1].axes
    assert "blue, ink taken away; orange, ink added" in key.get_xlabel()
    assert "✓ right  ✗ wrong" in key.get_xlabel()
    np.testing.assert_allclose(key.get_xticks(), [-0.25, 0, 0.25])
    texts = [text.get_text() for axes in parts[0].axes for text in axes.texts]
    assert texts == ["eps 0.25", "eps 0.25"]


def test_remarks_of_reports_are_printed(case):
    from fastnn.cli._table import remarks
    from fastnn.reports import Diagnostic

    net, x, labels = case
    report = adversarial_accuracy(net, x, labels, 0.1)
    signs = tuple(Diagnostic(n, "a sentence.", np.arange(2)) for n in ("saturated", "other"))
    odd = dataclasses.replace(report, diagnostics=signs)
    ways = ("not clipped", None), ("clipped to [0, 1]", (0, 1))
    assert remarks(ways, {"pgd": [report, report]}) == []
    (remark,) = remarks(ways, {"pgd": [report, odd], "fgsm": [odd, report]})
    where = "pgd clipped to [0, 1]; fgsm not clipped"
    assert remark == f"other: a sentence. (Seen with: {where}.)"


def test_an_attack_that_is_added_needs_no_change(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Nothing(attacks.Attack):
        speed: int = 1

        def perturb_tile(self, tile, eps):
            return tile.x

    monkeypatch.setitem(ATTACKS, "nothing", Nothing)
    assert _attacks.made(*_attacks.form("nothing(speed=3)")) == Nothing(3)
    assert "  nothing(speed=1)" in _attacks.defaults()


# --- a second count


def test_a_share_is_counted_again(attack, monkeypatch):
    words = ("--eps", "0.1", "0.2", "--quiet")
    line = "counted again in float64, the same but for ties: 30 images at every eps"
    assert line in attack(*words, "--verify", "1")[1]
    assert "counted again" not in attack(*words)[1]
    right = layers.activate

    def wrong(ws, i):
        right(ws, i)
        if i == len(ws.net.weights) - 1:
            ws.h[-1][4] *= -1

    monkeypatch.setattr(layers, "activate", wrong)
    status, _, err = attack(*words, "--verify", "1")
    assert status == 1
    assert re.match(r"fastnn attack: row 4: float32 predicts \d, float64 \d, whose logit is", err)
    assert attack("--verify", "2")[0] == 2
