"""Shares by name, counts of classes, and what broke each sample: numbers worked out by hand."""

import math

import numpy as np
import pytest

from fastnn import MLP, AdversarialReport, adversarial_accuracy
from fastnn.attacks import FGSM, PGD, Attack, Found, Standard
from fastnn.reports import wilson_interval


@pytest.fixture
def line(dtype):
    """Return a network of one input: below 1 class 0, from 1 to 3 class 1, above 3 class 2.

    The logits are 0, x - 1 and 2x - 4.
    """
    return MLP([np.array([[0, 1, 2]], dtype)], [np.array([0, -1, -4], dtype)])


@pytest.fixture
def samples(dtype):
    """Return inputs and labels: the sixth is wrong without an attack."""
    x = np.array([[0.75], [0.25], [1.25], [2.75], [3.25], [2.0]], dtype)
    return x, np.array([0, 0, 1, 1, 2, 0])


def small(*args):
    return [None if math.isnan(one) else round(float(one), 4) for one in args]


# --- three numbers


def test_one_eps_has_floats(line, samples):
    report = adversarial_accuracy(line, *samples, 0.5)
    # 0.75 goes up to 1.25, 1.25 down to 0.75, 2.75 up or down: its gradient is that of the loss.
    assert report.clean_correct == 5
    fooled = report.adversarial_prediction != samples[1]
    assert fooled.tolist()[:3] == [True, False, True]
    right = np.array([1, 1, 1, 1, 1, 0], bool)
    standing = np.count_nonzero(right & ~fooled)
    assert report.adversarial_accuracy == np.count_nonzero(~fooled) / 6
    assert report.adversarial_accuracy_among_correct == standing / 5
    assert report.success_rate == (5 - standing) / 5
    for name in ("adversarial_accuracy_among_correct", "success_rate"):
        assert type(getattr(report, name)) is float
    np.testing.assert_array_equal(report.attackable, right)
    np.testing.assert_array_equal(report.fooled, fooled & right)


def test_several_eps_have_arrays(line, samples):
    eps = [0.5, 0, 0.125]
    report = adversarial_accuracy(line, *samples, eps)
    for k, one in enumerate(eps):
        single = adversarial_accuracy(line, *samples, one)
        for name in ("adversarial_accuracy_among_correct", "success_rate"):
            assert getattr(report, name).shape == (3,)
            assert getattr(report, name)[k] == getattr(single, name)
        np.testing.assert_array_equal(report.fooled[k], single.fooled)
        np.testing.assert_array_equal(report.origins[k], single.origins)
        np.testing.assert_array_equal(report.confusion()[k], single.confusion())
        for name, count in report.attribution().items():
            assert count[k] == single.attribution()[name]
        for name, (lower, upper) in report.intervals().items():
            expected = single.intervals()[name]
            found = (lower, upper) if name == "clean_accuracy" else (lower[k], upper[k])
            assert found == expected
    assert report.success_rate[1] == 0
    assert report.adversarial_accuracy_among_correct[1] == 1


def test_with_targets_success_is_to_reach_them(line, samples):
    x, labels = samples
    # Nothing without an attack is predicted as its target but the last one.
    targets = np.array([1, 1, 2, 0, 1, 1])
    report = adversarial_accuracy(line, x, labels, 0.5, targets=targets)
    np.testing.assert_array_equal(report.targets, targets)
    reached = report.adversarial_prediction == targets
    assert reached.tolist() == [True, False, False, False, True, True]
    assert report.attackable.tolist() == [True, True, True, True, True, False]
    assert report.success_rate == 2 / 5
    assert report.adversarial_correct == np.count_nonzero(report.adversarial_prediction == labels)
    assert sum(report.attribution().values()) == 2
    assert adversarial_accuracy(line, x, labels, 0.5).targets is None


def test_nothing_to_count_is_nan(line, samples, dtype):
    x, labels = samples
    wrong = adversarial_accuracy(line, x, (line.predict(x) + 1) % 3, [0.1, 0.2])
    assert np.isnan(wrong.success_rate).tolist() == [True, True]
    assert np.isnan(wrong.adversarial_accuracy_among_correct).tolist() == [True, True]
    assert wrong.adversarial_accuracy.tolist() == [0, 0]
    none = adversarial_accuracy(line, x[:0], labels[:0], 0.1)
    assert math.isnan(none.success_rate)
    assert none.intervals()["success_rate"] == pytest.approx((math.nan,) * 2, nan_ok=True)
    assert none.per_class().samples.tolist() == [0, 0, 0]
    assert none.confusion().tolist() == [[0] * 3] * 3
    assert none.attribution() == {"FGSM": 0}
    assert none.origins.shape == (0, 3)


def test_the_report_keeps_its_own_labels_and_targets(line, samples):
    x, labels = samples
    targets = (labels + 1) % 3
    report = adversarial_accuracy(line, x, labels, 0.1, targets=targets)
    labels[:], targets[:] = 2, 0
    assert report.labels.tolist() == [0, 0, 1, 1, 2, 0]
    assert report.targets.tolist() == [1, 1, 2, 2, 0, 1]


# --- intervals


@pytest.mark.parametrize(
    ("count", "n", "confidence", "expected"),
    [
        # z = 1.959964: (0.8 + z**2 / 20 -+ z sqrt(0.016 + z**2 / 400)) / (1 + z**2 / 10)
        (8, 10, 0.95, [0.4902, 0.9433]),
        (0, 10, 0.95, [0, 0.2775]),  # z**2 / (10 + z**2)
        (10, 10, 0.95, [0.7225, 1]),
        (50, 100, 0.95, [0.4038, 0.5962]),
        (50, 100, 0.99, [0.3753, 0.6247]),
        (0, 0, 0.95, [None, None]),
    ],
)
def test_the_interval_is_wilsons(count, n, confidence, expected):
    assert small(*wilson_interval(count, n, confidence)) == expected


def test_the_ends_solve_wilsons_equation():
    """The share is z standard errors from each end, if the end is the true share."""
    for n in (1, 3, 17, 10_000):
        counts = np.arange(0, n + 1, max(1, n // 50))
        lower, upper = wilson_interval(counts, n)
        assert (lower >= 0).all()
        assert (upper <= 1).all()
        for end in (lower, upper):
            away = np.abs(counts / n - end)
            np.testing.assert_allclose(away, 1.959963985 * np.sqrt(end * (1 - end) / n), atol=1e-9)


@pytest.mark.parametrize("confidence", [0, 1, 1.5, -1, math.nan])
def test_a_confidence_is_between_0_and_1(line, samples, confidence):
    with pytest.raises(ValueError, match="confidence must be"):
        adversarial_accuracy(line, *samples).intervals(confidence)


def test_every_share_has_an_interval_around_it(line, samples):
    report = adversarial_accuracy(line, *samples, [0.5, 0.1])
    found = report.intervals(0.9)
    names = ["clean_accuracy", "adversarial_accuracy", "adversarial_accuracy_among_correct"]
    assert list(found) == [*names, "success_rate"]
    for name, (lower, upper) in found.items():
        assert (lower <= getattr(report, name)).all() if np.ndim(lower) else True
        assert (upper >= getattr(report, name)).all() if np.ndim(upper) else True
    lower, upper = wilson_interval(report.clean_correct, 6, 0.9)
    assert found["clean_accuracy"] == (lower, upper)


# --- classes


def test_counts_of_each_class(line, samples):
    report = adversarial_accuracy(line, *samples, [0, 0.5])
    found = report.per_class()
    assert found.samples.tolist() == [3, 2, 1]
    assert found.clean_correct.tolist() == [2, 2, 1]
    assert found.adversarial_correct[0].tolist() == [2, 2, 1]
    np.testing.assert_array_equal(found.adversarial_correct.sum(axis=1), report.adversarial_correct)
    diagonal = np.diagonal(report.confusion(), axis1=1, axis2=2)
    np.testing.assert_array_equal(found.adversarial_correct, diagonal)


def test_where_the_attack_sends_each_class(line, samples):
    report = adversarial_accuracy(line, *samples, 0.5)
    found = report.confusion()
    assert found.dtype == np.int64
    expected = np.zeros((3, 3), int)
    for label, prediction in zip(samples[1], report.adversarial_prediction, strict=True):
        expected[label, prediction] += 1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found.sum(axis=1), report.per_class().samples)


def test_classes_without_samples_have_rows_of_zeros(line, dtype):
    report = adversarial_accuracy(line, np.array([[0.0]], dtype), [0], 0.1)
    assert report.per_class().samples.tolist() == [1, 0, 0]
    assert report.confusion().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


# --- attribution


class Up(Attack):
    """Moves some of the samples up by eps."""

    def __init__(self, rows):
        self.rows = rows

    def perturb_tile(self, tile, eps):
        out = np.array(tile.x)
        out[np.isin(tile.numbers, self.rows)] += np.max(eps)
        return out


class Second(Up):
    """The same, and says that its third run did it at the eighth input."""

    def answers(self, tile, eps):
        for k, one in enumerate(eps):
            origins = np.tile([5, 2, 7], (len(tile.x), 1))
            yield Found(k, self.perturb_tile(tile, one), None, origins)


def test_the_first_attack_that_breaks_a_sample_is_named(line, samples):
    # The first, the second, the fourth and the last sample are broken by a move up.
    attacks = [Up([0]), Up([0, 3, 5]), Up([1])]
    report = adversarial_accuracy(line, *samples, [1, 0.5], attack=attacks)
    assert report.attacks == ("Up", "Up no. 2", "Up no. 3")
    assert report.attack == "Up, then Up, then Up"
    broken_at_1 = [[0, -1, -1], [2, -1, -1], [-1] * 3, [1, -1, -1], [-1] * 3, [0, -1, -1]]
    assert report.origins[0].tolist() == broken_at_1
    assert report.origins[1][:, 0].tolist() == [0, -1, -1, 1, -1, 0]
    found = report.attribution()
    # The last one was wrong before.
    assert {name: counts.tolist() for name, counts in found.items()} == {
        "Up": [1, 1],
        "Up no. 2": [1, 1],
        "Up no. 3": [1, 0],
    }
    assert sum(found.values()).tolist() == (report.success_rate * 5).round().tolist()


def test_run_and_step_of_a_search(line, samples, dtype):
    # From 0.75 the boundary at 1 is reached by the third step of 0.125: after 0.875 there is a tie,
    # which the first of the equal logits wins.
    attack = PGD(4, 0.125, random_start=False)
    report = adversarial_accuracy(line, *samples, 0.5, attack=attack)
    assert report.attack == "PGD(steps=4, step_size=0.125, random_start=False)"
    assert report.origins[0].tolist() == [0, 0, 3]
    assert report.origins[1].tolist() == [-1, -1, -1]
    assert report.origins[5].tolist() == [0, 0, 0]  # wrong as it is
    assert report.origins.dtype == np.int32
    counted = adversarial_accuracy(line, *samples, 0.5, attack=[FGSM(), attack])
    assert counted.origins[0].tolist() == [0, -1, -1]


def test_restarts_are_named(make_net, rng):
    net = make_net((6, 12, 4), dtype=np.float64)
    x = rng.random((60, 6))
    labels = net.predict(x)
    one, many = (
        adversarial_accuracy(net, x, labels, 0.08, attack=PGD(2, restarts=n)) for n in (1, 6)
    )
    assert set(one.origins[one.fooled, 1]) == {0}
    broken_later = many.origins[many.fooled & ~one.fooled, 1]
    assert len(broken_later)
    assert (broken_later > 0).all()
    np.testing.assert_array_equal(many.origins[one.fooled], one.origins[one.fooled])
    assert (many.origins[~many.fooled] == -1).all()


def test_an_attack_alone_that_does_not_tell(line, samples):
    report = adversarial_accuracy(line, *samples, 0.5, attack=Up([0, 3]))
    assert report.origins.tolist()[0] == [0, -1, -1]
    assert report.origins.tolist()[2] == [-1, -1, -1]
    assert report.attribution() == {"Up": 2}


def test_an_attack_of_ones_own_may_tell(line, samples):
    report = adversarial_accuracy(line, *samples, 0.5, attack=Second([0, 3]))
    assert report.origins.tolist()[0] == [0, 2, 7]
    assert report.origins.tolist()[2] == [-1, -1, -1]


def test_the_standard_attacks_name_theirs(make_net, rng):
    net = make_net((9, 12, 5), dtype=np.float64)
    x = rng.random((12, 9))
    report = adversarial_accuracy(net, x, net.predict(x), 0.2, attack="standard")
    assert report.attack == "Standard"
    assert list(report.attribution())[:4] == list(report.attacks)
    assert sum(report.attribution().values()) == np.count_nonzero(report.fooled) > 0
    assert len(Standard().attacks) == 4


def test_rows_doubled_and_turned_double_the_counts_and_turn_the_origins(make_net, rng, dtype):
    net = make_net((6, 12, 4), dtype=dtype)
    x = rng.random((40, 6)).astype(dtype)
    labels, attack = net.predict(x), PGD(3, random_start=False)
    once = adversarial_accuracy(net, x, labels, [0.05, 0.2], attack=attack)
    order = rng.permutation(np.concatenate([np.arange(40)] * 5))
    many = adversarial_accuracy(net, x[order], labels[order], [0.05, 0.2], attack=attack)
    np.testing.assert_array_equal(many.origins, once.origins[:, order])
    np.testing.assert_array_equal(many.confusion(), 5 * once.confusion())
    np.testing.assert_array_equal(many.success_rate, once.success_rate)
    assert many.intervals()["success_rate"][0][1] > once.intervals()["success_rate"][0][1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(make_net, rng, threads):
    net = make_net((6, 12, 4))
    x = rng.random((700, 6)).astype(np.float32)
    options = {"attack": [FGSM(), PGD(3, restarts=2)], "keep_adversarial": True}
    one = adversarial_accuracy(net, x, net.predict(x), [0.02, 0.1], threads=1, **options)
    found = adversarial_accuracy(net, x, net.predict(x), [0.02, 0.1], threads=threads, **options)
    for name in ("origins", "adversarial", "adversarial_prediction"):
        np.testing.assert_array_equal(getattr(found, name), getattr(one, name))


def test_a_report_made_without_labels_has_no_such_numbers():
    report = AdversarialReport(2, 0.1, None, 2, 1, np.zeros(2, int), np.zeros(2, int), 0, 0, 1.0)
    assert list(report.intervals()) == ["clean_accuracy", "adversarial_accuracy"]
    for call in (report.per_class, report.confusion, report.attribution):
        with pytest.raises(ValueError, match=r"^the report has no labels$"):
            call()
    with pytest.raises(ValueError, match=r"^the report has no labels$"):
        report.success_rate  # noqa: B018
