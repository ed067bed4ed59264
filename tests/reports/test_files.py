"""Reports in files: what was saved comes back, and what is damaged or foreign is refused."""

import dataclasses
import json
import re
import zipfile

import numpy as np
import pytest

import fastnn
from fastnn import AdversarialReport, adversarial_accuracy
from fastnn.attacks import FGSM, PGD
from fastnn.reports import Diagnostic, Digests, _files


@pytest.fixture
def run(make_net, rng, dtype):
    net = make_net((6, 12, 4), dtype=dtype)
    x = rng.random((30, 6)).astype(dtype)
    return net, x, net.predict(x)


@pytest.fixture
def saved(run, tmp_path):
    path = tmp_path / "report.npz"
    attack = [FGSM(), PGD(3)]
    report = adversarial_accuracy(*run, [0.1, 0.3], (0, 1), attack=attack, keep_adversarial=True)
    report.save(path)
    return report, path


OPTIONS = {
    "one eps": {"eps": 0.1},
    "several": {"eps": [0.3, 0, 0.1], "bounds": (0, 1)},
    "half-open": {"eps": 0.1, "bounds": (0, np.inf)},
    "kept": {"eps": [0.1, 0.2], "keep_adversarial": True, "attack": "pgd"},
    "targets": {"eps": 0.1, "targets": 3, "attack": [FGSM(), PGD(3)], "rng": (7, np.arange(30))},
    "lattice": {"eps": 0.1, "lattice": 255, "rng": -5},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_what_was_saved_comes_back(run, tmp_path, options):
    net, x, labels = run
    options = dict(options)
    if "targets" in options:
        labels = np.minimum(labels, 2)
        options["targets"] = np.full(30, 3)
    if "lattice" in options:
        x = (np.rint(x * 255) / 255).astype(x.dtype)
    report = adversarial_accuracy(net, x, labels, **options)
    report.save(str(tmp_path / "r.npz"))
    again = AdversarialReport.load(tmp_path / "r.npz")
    for field in dataclasses.fields(report):
        mine, theirs = getattr(report, field.name), getattr(again, field.name)
        if field.name in {"attacker", "diagnostics", "sources", "rng"}:
            continue
        assert type(mine) is type(theirs), field.name
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(theirs, mine, err_msg=field.name)
    assert type(again.rng) is type(report.rng)
    if isinstance(report.rng, tuple):
        assert again.rng[0] == report.rng[0]
        np.testing.assert_array_equal(again.rng[1], report.rng[1])
    else:
        assert again.rng == report.rng
    assert str(again) == str(report)
    assert again._repr_html_() == report._repr_html_()
    assert again.digests == report.digests is not None


def test_diagnostics_come_back(run, tmp_path):
    net, x, _ = run
    x = (3 * (x - x.dtype.type(0.5))).astype(x.dtype)
    attack = PGD(3, 1e-6, random_start=False)
    report = adversarial_accuracy(net, x, net.predict(x), 0.3, attack=attack)
    assert len(report.diagnostics) >= 2
    report.save(tmp_path / "r.npz")
    again = AdversarialReport.load(tmp_path / "r.npz")
    for mine, theirs in zip(report.diagnostics, again.diagnostics, strict=True):
        assert isinstance(theirs, Diagnostic)
        assert (theirs.name, theirs.text) == (mine.name, mine.text)
        np.testing.assert_array_equal(theirs.rows, mine.rows)


def test_a_report_of_no_samples_comes_back(run, tmp_path):
    net, x, labels = run
    report = adversarial_accuracy(net, x[:0], labels[:0], [0.1, 0.2])
    report.save(tmp_path / "r.npz")
    assert str(AdversarialReport.load(tmp_path / "r.npz")) == str(report)


def test_the_summary_is_json_for_everybody(saved):
    report, path = saved
    with np.load(path, allow_pickle=False) as file:
        summary = json.loads(str(file["summary"]))
        np.testing.assert_array_equal(file["adversarial_prediction"], report.adversarial_prediction)
    assert summary["n"] == 30
    assert summary["fastnn"] == fastnn.__version__
    assert summary["digests"]["network"] == report.digests.network
    assert summary["adversarial_correct"] == report.adversarial_correct.tolist()


# --- digests


def same(one, other):
    """Return which of the digests of two reports are equal."""
    return [a == b for a, b in zip(one.digests, other.digests, strict=True)]


def test_the_same_run_has_the_same_digests(run):
    report = adversarial_accuracy(*run, 0.1, attack="pgd")
    assert same(report, adversarial_accuracy(*run, 0.1, attack=PGD(), threads=1)) == [True] * 3
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in report.digests)
    assert isinstance(report.digests, Digests)
    net, x, labels = run
    spread = np.repeat(x, 2, axis=1)[:, ::2]
    assert (
        same(report, adversarial_accuracy(net, spread, labels.tolist(), 0.1, attack="pgd"))
        == [True] * 3
    )


@pytest.mark.parametrize(
    "options",
    [
        {"eps": 0.2},
        {"eps": [0.1, 0.2]},
        {"bounds": (0, 1)},
        {"attack": PGD(3)},
        {"attack": ["pgd", "fgsm"]},
        {"rng": 1},
        {"rng": (0, np.arange(30))},
        {"targets": 3},
        {"lattice": 1000},
    ],
    ids=str,
)
def test_another_setting_has_another_digest(run, options):
    net, x, labels = run
    x = (np.rint(x * 1000) / 1000).astype(x.dtype)
    labels = np.minimum(labels, 2)
    first = {"eps": 0.1, "attack": "pgd"}
    if "targets" in options:
        options = {"targets": np.full(30, 3)}
    one, other = (
        adversarial_accuracy(net, x, labels, **settings) for settings in (first, first | options)
    )
    assert same(one, other) == [True, True, False]


def test_other_weights_inputs_and_labels_have_other_digests(run, make_net, dtype):
    net, x, labels = run
    report = adversarial_accuracy(net, x, labels)
    x_2, labels_2 = x.copy(), labels.copy()
    x_2[17, 3] += dtype(0.001)
    labels_2[4] = (labels[4] + 1) % 4
    weights = [w.copy() for w in net.weights]
    weights[1][2, 1] += 1e-3
    others = [
        (fastnn.MLP(weights, net.biases), x, labels),
        (fastnn.MLP(net.weights, net.biases, "tanh"), x, labels),
        (net, x_2, labels),
        (net, x, labels_2),
        (net, x[::-1], labels),
    ]
    found = [same(report, adversarial_accuracy(*other)) for other in others]
    assert found == [[False, True, True]] * 2 + [[True, False, True]] * 3


def test_a_network_or_inputs_that_changed_since_have_no_digest(run, tmp_path):
    net, x, labels = run
    known, first, second = (adversarial_accuracy(net, x, labels, 0.1) for _ in range(3))
    assert known.digests
    fastnn.train(net, x, labels, epochs=1, batch_size=10, learning_rate=0.1)
    assert first.digests is None
    x[:] = x[::-1].copy()
    assert second.digests is None
    assert known.digests  # they are kept
    first.save(tmp_path / "r.npz")
    assert AdversarialReport.load(tmp_path / "r.npz").digests is None


# --- files that are refused


def refused(path):
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        AdversarialReport.load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def rewrite(path, **changes):
    """Replace arrays of a file."""
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | changes))


def test_every_damaged_byte_is_noticed_or_without_effect(saved, rng):
    report, path = saved
    whole = path.read_bytes()
    wrong = 0
    for place in rng.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            again = AdversarialReport.load(path)
        except ValueError:
            refused(path)
            wrong += 1
        else:  # in a date or another field of the archive that means nothing
            assert str(again) == str(report)
            np.testing.assert_array_equal(again.adversarial, report.adversarial)
    assert wrong > 100


def test_truncated_files_are_refused(saved):
    _, path = saved
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        refused(path)


def test_a_changed_array_is_refused(saved):
    report, path = saved
    rewrite(path, clean_prediction=(report.clean_prediction + 1) % 4)
    assert refused(path).endswith(
        "is truncated or damaged, expected a report that fastnn has saved"
    )


def summary_with(path, **changes):
    """Change the summary, with a right digest."""
    with np.load(path) as file:
        found = json.loads(str(file["summary"]))
    found.pop("summary")
    found |= changes
    found["summary"] = _files.digest(found, [])
    rewrite(path, summary=np.array(json.dumps(found)))


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 29},
        {"n": "x"},
        {"eps": [0.1]},
        {"eps": 0.1},
        {"arrays": {}},
        {"arrays": []},
        {"diagnostics": [["a", "b"]]},
        {"digests": {"network": ""}},
        {"attacks": 3},
        {"attack": "fgsm\x1b[2J"},
        {"attacks": ["\x9b2J"]},
    ],
    ids=str,
)
def test_a_summary_that_does_not_fit_is_refused(saved, changes):
    summary_with(saved[1], **changes)
    assert "is truncated or damaged" in refused(saved[1])


def test_a_summary_that_was_edited_is_refused(saved):
    _, path = saved
    with np.load(path) as file:
        text = str(file["summary"])
    rewrite(path, summary=np.array(text.replace('"clean_correct": 30', '"clean_correct": 29')))
    assert "is truncated or damaged" in refused(path)


def test_a_later_format_is_refused(saved):
    summary_with(saved[1], format="fastnn report 2")
    assert refused(saved[1]).endswith(
        "is a 'fastnn report 2', expected 'fastnn report 1': update fastnn"
    )


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    fastnn.save_mlp(fastnn.MLP.random((3, 2)), path)
    assert "holds no report" in refused(path)
    for text in ("[]", "{}", "{", '{"format": 3}', '{"format": "other"}', "null"):
        np.savez(path, summary=np.array(text))
        assert "holds no report" in refused(path)
    np.savez(path, summary=np.array(["a", "b"]))
    assert "holds no report" in refused(path)
    np.savez(path, summary=np.array([{}], object))
    assert "pickled" in refused(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "is a single array" in refused(path)
    path.write_text("hello")
    refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("summary.npy", "hello")
    refused(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        AdversarialReport.load(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        AdversarialReport.load(tmp_path)


def test_an_interrupted_save_leaves_the_old_file(saved, monkeypatch):
    report, path = saved
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        report.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_places_that_cannot_be_written_are_refused(saved, tmp_path):
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        saved[0].save(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        saved[0].save(tmp_path / "no" / "r.npz")
