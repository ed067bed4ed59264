"""Files of adversarial images: what is written is read again, and every violation is found."""

import json
import re

import numpy as np
import pytest

from fastnn import adversarial_accuracy, fgsm, load_mlp, save_mlp
from fastnn.attacks import PGD
from fastnn.cli import _adversarial
from fastnn.datasets import load_split

EPS = 0.1


@pytest.fixture
def x(digits):
    return load_split("test", digits, dtype=np.float32)[0]


@pytest.fixture
def labels(digits):
    return load_split("test", digits)[1]


@pytest.fixture
def moved(weights, x, labels):
    """Return adversarial images that are valid for `EPS`."""
    return fgsm(load_mlp(weights), x, labels, EPS, (0, 1))


@pytest.fixture
def check(fastnn, weights, digits, tmp_path):
    """Return a function that checks an array or a file: status, lines, standard error."""

    def run(images, *words):
        if isinstance(images, np.ndarray):
            np.save(tmp_path / "images.npy", images)
            images = "images.npy"
        status, out, err = fastnn(
            "check-adversarial", images, "--weights", weights, "--data", digits, *words
        )
        return status, out, err

    return run


@pytest.fixture
def saved(fastnn, weights, digits):
    """Return the name of what `fastnn attack` has saved, and the attack's JSON."""
    words = ("--attack", "pgd(steps=5)", "--eps", EPS, "--save-adversarial", "adv.npz")
    done = fastnn("attack", "--weights", weights, "--data", digits, *words, "--json", "a.json")
    assert done[0] == 0, done
    return "adv.npz"


def verdicts(out):
    """Return the mark and the text of every finding by its name."""
    lines = re.sub(r"\n {6,}", " ", out).splitlines()
    found = (re.fullmatch(r"(ok|warn|FAIL) +(\S+(?: \S+)*)  +(.*)", line) for line in lines)
    return {match[2]: (match[1], match[3]) for match in found if match}


def wrong(out):
    return [name for name, (mark, _) in verdicts(out).items() if mark == "FAIL"]


def test_what_attack_saves_is_valid_and_has_its_counts(saved, check, tmp_path, weights, x, labels):
    status, out, _ = check(saved, "--json", "check.json")
    assert status == 0
    assert list(verdicts(out)) == [
        "numbers", "bounds", "eps", "clean images", "labels", "predictions",
    ]  # fmt: skip
    assert wrong(out) == []
    net = load_mlp(weights)
    report = adversarial_accuracy(net, x, labels, EPS, (0, 1), attack=PGD(steps=5))
    results = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert results["adversarial_correct"] == report.adversarial_correct
    assert results["clean_correct"] == report.clean_correct
    assert f"({report.adversarial_correct} of 30)" in out
    assert "file                  adv.npz, 30 images, float32, pgd(steps=5), linf eps 0.1\n" in out
    found = _adversarial.read(tmp_path / saved)
    assert found.bounds == (0, 1)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.samples, np.arange(30))
    np.testing.assert_array_equal(net.predict(found.x_adv), found.predictions)


def test_images_of_the_class_to_reach_are_left_out(
    fastnn, check, weights, digits, labels, tmp_path
):
    words = ("--targets", 3, "--save-adversarial", "adv.npz", "--quiet")
    assert fastnn("attack", "--weights", weights, "--data", digits, *words)[::2] == (0, "")
    rows = _adversarial.read(tmp_path / "adv.npz").samples
    np.testing.assert_array_equal(rows, np.flatnonzero(labels != 3))
    status, out, _ = check("adv.npz")
    assert (status, wrong(out)) == (0, [])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(30, 784), (30, 28, 28)])
def test_plain_arrays(check, weights, moved, labels, kind, shape):
    status, out, _ = check(moved.astype(kind).reshape(shape), "--eps", "0.1")
    right = int((load_mlp(weights).predict(moved) == labels).sum())
    assert (status, wrong(out)) == (0, [])
    assert re.search(rf"adversarial accuracy .*\({right} of 30\)", out)


def test_pixels_of_uint8(check, moved, weights, labels):
    pixels = np.round(moved * 255).astype(np.uint8)
    status, out, _ = check(pixels, "--eps", 26 / 255)
    right = int((load_mlp(weights).predict(pixels) == labels).sum())
    assert (status, wrong(out)) == (0, [])
    assert re.search(rf"adversarial accuracy .*\({right} of 30\)", out)


def test_a_network_of_float64(check, moved, weights, labels):
    net = load_mlp(weights).astype(np.float64)
    save_mlp(net, weights)
    status, out, _ = check(moved, "--eps", EPS)
    right = int((net.predict(moved.astype(np.float64)) == labels).sum())
    assert (status, wrong(out)) == (0, [])
    assert re.search(rf"adversarial accuracy .*\({right} of 30\)", out)


def test_without_eps_the_change_is_measured_alone(check, moved):
    status, out, _ = check(moved)
    assert status == 0
    mark, text = verdicts(out)["eps"]
    assert mark == "warn"
    assert re.match(r"the largest change \(linf\) is 0.1000\d*; not checked, .* give --eps", text)


PLANTED = {
    "eps": (0.1 + 2e-5, "eps"),
    "upper": (1.00001, "bounds"),
    "lower": (-1e-5, "bounds"),
    "nan": (np.nan, "numbers"),
    "infinity": (np.inf, "numbers"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_every_violation_is_found_with_its_place(check, x, moved, what):
    value, name = PLANTED[what]
    row, column = {"eps": (21, 9), "upper": np.argwhere(x[:9] >= 0.96)[0]}.get(what, (7, 700))
    if what == "lower":
        row, column = np.argwhere(x[:9] <= 0.04)[0]
    moved[row, column] = x[row, column] + value * (-1) ** (x[row, column] > 0.5)
    if what != "eps":
        moved[row, column] = value
    status, out, _ = check(moved, "--eps", EPS)
    assert status == 1
    assert wrong(out) == [name]
    assert f"[{row}, {column}]" in verdicts(out)[name][1]
    assert out.endswith("wrong\n")


def test_an_image_with_nan_counts_as_right(check, moved):
    moved[:] = np.nan
    status, out, _ = check(moved, "--eps", EPS)
    assert status == 1
    assert re.search(r"adversarial accuracy +100.00%  \(30 of 30\)", out)


def test_rounding_is_allowed_and_named_and_the_tolerance_can_be_chosen(check, x, moved):
    beyond = np.clip(x + np.float32(0.1000003) * np.sign(moved - x), 0, 1)
    status, out, _ = check(beyond, "--eps", EPS)
    assert status == 0
    assert re.search(r"rounding brings [\d,]+ beyond by at most 3.\d*e-07", verdicts(out)["eps"][1])
    assert wrong(check(beyond, "--eps", EPS, "--tolerance", 1e-8)[1]) == ["eps"]
    further = np.clip(x + np.float32(0.1000015) * np.sign(moved - x), 0, 1)
    assert wrong(check(further, "--eps", EPS)[1]) == ["eps"]


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("l1", 1)])
def test_other_norms(check, x, moved, norm, order):
    size = float(np.linalg.norm((moved - x).astype(float), order, axis=1).max())
    assert wrong(check(moved, "--eps", size * 1.0001, "--norm", norm)[1]) == []
    assert wrong(check(moved, "--eps", size * 0.9999, "--norm", norm)[1]) == ["eps"]


def test_bounds_can_be_chosen(check, moved):
    assert wrong(check(moved, "--eps", EPS, "--bounds", "0.1", "0.9")[1]) == ["bounds"]


def test_pixels_to_255_get_a_hint(check, moved):
    status, out, _ = check(moved * 255, "--eps", EPS)
    assert status == 1
    assert "this looks like 0-255 pixels" in verdicts(out)["bounds"][1]


@pytest.mark.parametrize("name", ["attack", "norm", "clean"])
@pytest.mark.parametrize("text", ["fgsm\x1b[1A", "fgsm\nadversarial accuracy  99.99%"])
def test_a_file_cannot_write_lines_of_the_answer(saved, check, tmp_path, name, text):
    with np.load(tmp_path / saved) as archive:
        arrays = dict(archive)
    np.savez(tmp_path / saved, **arrays | {name: np.array(text)})
    status, out, err = check(saved, "--norm", "linf")
    assert (status, out) == (2, "")
    assert err.startswith(f"fastnn check-adversarial: adv.npz: {name} is 'fgsm\\")
    assert err[:-1].isprintable()


def test_another_network_and_other_digits_are_noticed(saved, check, digits, make_net, weights):
    save_mlp(make_net((784, 20, 10)), weights / "other.npz")
    assert wrong(check(saved, "--weights", weights / "other.npz")[1]) == ["predictions"]
    np.save(digits / "images_test.npy", np.zeros((30, 784), np.uint8))
    assert set(wrong(check(saved)[1])) == {"eps", "clean images"}
    np.save(digits / "labels_test.npy", np.zeros(30, int))
    assert set(wrong(check(saved)[1])) == {"eps", "clean images", "labels"}


def test_files_that_are_refused(check, assert_refused, saved, moved, tmp_path):
    assert_refused(check("nowhere.npz"), "nowhere.npz: no such file")
    assert_refused(check(moved[:29]), r"images.npy has images of shape \(29, 784\), .*\(30, 784\)")
    assert_refused(check(moved[0]), r"images.npy: images of shape \(784,\), expected .*")
    assert_refused(check(np.zeros((30, 784), int)), "images.npy: int64 images, expected float32.*")
    np.save(tmp_path / "p.npy", np.array([{}], object), allow_pickle=True)
    assert_refused(check("p.npy"), "p.npy holds pickled objects, expected a .npy array")
    whole = (tmp_path / saved).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert_refused(check("cut.npz"), "cut.npz is truncated or damaged, .*")
    np.savez(tmp_path / "two.npz", a=moved, b=moved)
    assert_refused(check("two.npz"), "two.npz: x_adv is missing, found a, b")
    np.savez(tmp_path / "bare.npz", x_adv=moved)
    assert_refused(check("bare.npz"), "bare.npz: labels, .*attack missing beside x_adv")
    assert_refused(check(moved, "--eps", -1), r"eps.* -1.*")
    assert_refused(check(moved, "--bounds", 1, 0), "bounds must be .*")
    assert_refused(check(moved, "--tolerance", -1), "--tolerance must be 0 or more, got -1.0")


WRONG_ARRAYS = {
    "labels": np.zeros(29, int),
    "predictions": np.zeros(30),
    "samples": np.arange(1, 31),
    "bounds": np.zeros(3),
    "eps": np.array("much"),
    "norm": np.array("l7"),
    "attack": np.array(["a", "b"]),
    "clean": np.array("a" * 10_000),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_archives_with_a_wrong_array_are_refused(check, assert_refused, saved, tmp_path, name):
    with np.load(tmp_path / saved) as archive:
        arrays = dict(archive) | {name: WRONG_ARRAYS[name]}
    np.savez(tmp_path / saved, **arrays)
    named = {"samples": r"adv.npz is not of these 30 images: .*", "norm": "adv.npz: norm l7 is .*"}
    assert_refused(check(saved), named.get(name, f"adv.npz: {name} is .*, expected kind .*"))


def test_a_fingerprint_depends_on_type_shape_and_values(x):
    other = x.copy()
    other[3, 3] += 0.5
    every = [x, x.astype(float), x.reshape(60, 392), other]
    assert len({_adversarial.fingerprint(one) for one in every}) == 4
    assert _adversarial.fingerprint(np.asfortranarray(x)) == _adversarial.fingerprint(x)


def test_the_activation_needs_weights(fastnn, assert_refused, moved, tmp_path, digits):
    np.save(tmp_path / "images.npy", moved)
    words = ("check-adversarial", "images.npy", "--data", digits, "--activation", "relu")
    assert_refused(fastnn(*words), "--activation needs --weights")


def test_a_network_of_another_width_is_refused(check, assert_refused, moved, make_net, tmp_path):
    save_mlp(make_net((100, 10)), tmp_path / "narrow.npz")
    message = (
        "narrow.npz: the network takes 100 inputs, the data has 784: images_test.npy, 30 samples"
    )
    assert_refused(check(moved, "--weights", "narrow.npz"), message)
