"""Pages of reports and of the benchmark: what they say, read without a browser."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

import fastnn
from fastnn.attacks import FGSM
from fastnn.bench import history, page
from fastnn.cli import main
from fastnn.reports import to_html
from fastnn.reports._falls import falls_of
from fastnn.reports._shares import eps_text


def tables(text):
    """Return the cells of every table of a page, by the text before them."""
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", table) for table in cut(text, "tr")]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in rows]


def cut(text, name):
    return re.findall(rf"<{name}\b[^>]*>(.*?)</{name}>", text, re.DOTALL)


def part(text, number):
    """Return the section of one report."""
    return re.search(rf'<section id="report-{number}">(.*?)</section>', text, re.DOTALL)[1]


def faults(text):
    """Return what a page loads from elsewhere, and a script that its policy does not allow."""
    found = re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text)
    found += re.findall(r"(?:url\(|@import)[^;]*", "".join(cut(text, "style")))
    allowed = re.search(r"script-src &#x27;sha256-([^ ]*)&#x27;", text)[1]
    for script in cut(text, "script"):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        if digest != allowed:
            found.append(script)
    return found


@pytest.fixture(scope="module")
def made(attacked):
    net, x, _, reports = attacked
    return to_html(reports, x=x, net=net, about={"data": "noise <1>"})


def test_a_page_is_one_file_that_allows_its_own_script_alone(made, document):
    assert faults(made) == []
    assert faults(page.page(document)) == []
    assert len(cut(made, "script")) == 1
    assert faults(made.replace("</main>", '<img src="https://example.org/x"></main>')) != []
    assert faults(made.replace("</main>", "<script>1</script></main>")) == ["1"]
    assert faults(made.replace("<style>", "<style>p{background:url(https://a.b)}")) != []


def test_the_tables_have_the_numbers_of_the_reports(made, attacked):
    *_, reports = attacked
    rows = tables(made)
    for name, report in reports.items():
        lower, upper = report.intervals()["adversarial_accuracy"]
        for k, eps in enumerate(report.eps):
            share, count = report.adversarial_accuracy[k], report.adversarial_correct[k]
            interval = f"[{lower[k]:.2%}, {upper[k]:.2%}]"
            row = next(r for r in rows if r[:2] == [name, eps_text(eps)])
            assert row[2:5] == [f"{count:,}", f"{share:.2%}", interval]
            assert row[5] == f"{report.adversarial_accuracy_among_correct[k]:.2%}"
            assert row[6] == f"{report.success_rate[k]:.2%}"
    both = part(made, 0)
    counts = [
        [int(n) for n in row[1:]] for row in tables(both) if len(row) == 4 and row[1].isdigit()
    ]
    for matrix in reports["both"].confusion():
        assert all(line in counts for line in matrix.tolist())
    assert [
        name for name in reports["both"].attribution() if [name] in [r[:1] for r in tables(both)]
    ]
    assert ["data", "noise &lt;1&gt;"] in rows


def test_pictures_are_of_what_fell_first(made, attacked):
    _net, x, _labels, reports = attacked
    report = reports["both"]
    falls = falls_of(report)
    assert set(falls.fallen) == set(np.flatnonzero(report.fooled.any(axis=0)))
    assert set(falls.standing) == set(
        np.flatnonzero(report.attackable & ~report.fooled.any(axis=0))
    )
    gallery = cut(part(made, 0), "figure")
    row = int(re.search(r"Sample (\d+), true", gallery[0])[1])
    assert row in falls.fallen
    clean, change, after = (
        image_in(found) for found in re.findall(r"base64,([^\"]*)\"", gallery[0])
    )
    level = falls.level[row]
    eps, k = falls.eps[level], falls.positions[level]
    said = re.search(r"at eps (\S+) predicted as (\d)", gallery[0])
    assert said[1] == eps_text(eps)
    assert int(said[2]) == report.adversarial_prediction[k, row]
    # Greys go from 1 (light) for 0 to 0 (dark) for 1, in 256 steps.
    np.testing.assert_allclose(1 - clean, x[row].reshape(8, 8), atol=0.04)
    moved = (1 - after) - (1 - clean)
    assert 0.5 * eps < abs(moved).max() < eps + 0.04
    assert change.shape == (8, 8)


def image_in(text):
    """Return the first channel of a picture."""
    import io

    return imread(io.BytesIO(base64.b64decode(text)))[..., 0]


def test_kept_images_are_shown_without_a_network(attacked):
    net, x, labels, _ = attacked
    report = fastnn.adversarial_accuracy(net, x, labels, 0.1, (0, 1), keep_adversarial=True)
    kept = report.to_html(x=x).count("after the attack")
    again = replace(report, adversarial=None).to_html(x=x, net=net).count("after the attack")
    assert kept == again > 1
    from_file = replace(report, adversarial=None, attacker=None)
    assert from_file.to_html(x=x, net=net).count('alt="after the attack"') == 0
    assert 'class="gallery"' in from_file.to_html(x=x, net=net)


def test_inputs_that_are_no_images_have_no_gallery(attacked, rng):
    x = rng.random((20, 6)).astype(np.float32)
    net = fastnn.MLP.random((6, 8, 3), rng=0)
    report = fastnn.adversarial_accuracy(net, x, net.predict(x), 0.1)
    assert 'class="gallery"' not in report.to_html(x=x, net=net)
    assert 'class="gallery"' in report.to_html(x=x, net=net, image_shape=(2, 3))


def test_samples_that_fell_first_are_in_front(attacked):
    *_, reports = attacked
    falls = falls_of(reports["both"])
    assert falls.eps.tolist() == [4 / 255, 0.1]
    assert falls.positions.tolist() == [1, 0]
    levels = falls.level[falls.order]
    assert (np.diff(levels) >= 0).all()
    lead = np.random.default_rng(0).random(60)
    plain = falls_of(reports["fgsm, not clipped"], lead)
    for level in range(len(plain.eps) + 1):
        assert (np.diff(lead[plain.order[plain.level[plain.order] == level]]) > 0).all()


def test_what_is_fitting_is_required(attacked):
    net, x, labels, reports = attacked
    report = reports["both"]
    other = fastnn.MLP.random((64, 24, 3), rng=1)
    fewer = fastnn.adversarial_accuracy(net, x[:9], labels[:9], 0.1)
    for settings, message in (
        ({"x": x[:5]}, r"x must have shape \(60, D\), got \(5, 64\)"),
        ({"x": x, "net": other}, "net and x are not those of the report: row"),
        ({"x": x, "image_shape": (7, 9)}, r"image_shape \(7, 9\) has 63 pixels, x has 64"),
        ({"class_names": ["a"]}, "class_names has 1, the network 3 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            report.to_html(**settings)
    with pytest.raises(ValueError, match="reports: expected at least one, got none"):
        to_html({})
    with pytest.raises(ValueError, match="report 'b' is of other samples than 'a'"):
        to_html({"a": report, "b": fewer})
    with pytest.raises(ValueError, match="the report has no labels"):
        replace(report, labels=None).to_html()


def test_nothing_and_one_eps_and_many_classes_have_a_page(attacked, rng):
    net, x, labels, _ = attacked
    assert "There are no samples." in fastnn.adversarial_accuracy(net, x[:0], labels[:0]).to_html()
    one = fastnn.adversarial_accuracy(net, x, labels, 0.1)
    assert "<h3>Attacks</h3>" not in one.to_html()
    assert to_html({"a": one, "b": one}).count("<h2>") == 4
    many = fastnn.MLP.random((64, 60), rng=0)
    truth = rng.integers(0, 60, 60)
    report = fastnn.adversarial_accuracy(many, x, truth, 0.1, attack=FGSM())
    assert "most frequent confusions" in report.to_html()


def test_a_page_in_a_file_is_whole(attacked, tmp_path):
    *_, reports = attacked
    assert reports["both"].to_html(tmp_path / "a.html") is None
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == reports["both"].to_html()
    assert text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("eps", "text"), [(0.1, "0.1"), (8 / 255, "8/255"), (1 / 255, "1/255"), (0.123456, "0.1235")]
)
def test_eps_is_in_few_digits(eps, text):
    assert eps_text(eps) == text


def test_the_command_writes_a_page_and_replaces_none(attacked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 784)).astype(np.uint8)
    np.save(tmp_path / "images_test.npy", images)
    np.save(tmp_path / "labels_test.npy", rng.integers(0, 10, 30))
    net = fastnn.MLP.random((784, 8, 10), rng=0)
    fastnn.save_mlp(net, tmp_path / "net.npz")
    command = ["attack", str(tmp_path / "net.npz"), "--data", str(tmp_path)]
    command += ["--html", str(tmp_path / "page.html"), "--attack", "fgsm", "--attack", "pgd"]
    assert main(command) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    titles = ["fgsm, not clipped", "fgsm, clipped to [0, 1]"]
    assert [title for title in cut(text, "h2") if title.startswith("fgsm")] == titles
    assert "page.html: a page with the results" in capsys.readouterr().err
    assert main(command) == 2
    assert "page.html exists already, --force replaces it" in capsys.readouterr().err


def test_the_benchmark_s_page_has_ratios_and_history(document):
    text = page.page(document, [("older", replace(document, date="2026-01-02 03:04"))])
    rows = tables(text)
    case = next(c for c in document.cases if c.speedup)
    row = next(r for r in rows if r[:2] == [case.title, case.implementation])
    assert row[3:6] == [
        f"{case.speedup.median:.2f}",
        f"[{case.speedup.low:.2f}, {case.speedup.high:.2f}]",
        "yes",
    ]
    course = next(r for r in rows if r[0] == case.title and str(case.speedup) in r)
    assert course[2:] == [str(case.speedup)] * 2
    assert any("older2026-01-02 03:04" in r for r in rows)
    assert "Since older:" in text
    alone = page.page(replace(document, cases=()))
    assert "No earlier results were given." in alone
    assert "There are no jobs of fastnn float32." in alone


def test_a_run_without_a_job_leaves_a_gap_in_its_history(document):
    older = replace(document, cases=document.cases[:1])
    rows = tables(history.table(document, [("older", older)]))
    assert rows[1][2] == ""
