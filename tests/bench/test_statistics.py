"""Ratios from synthetic times: what is there is found, what is not is not."""

import numpy as np
import pytest

from fastnn.bench.statistics import Ratio, divide, is_resolved, paired_ratio, spread


def times(rng, factor=1.0, shape=(5, 9), noise=0.05):
    return factor * 0.1 * np.exp(noise * rng.standard_normal(shape))


def test_a_planted_slow_down_is_found(rng):
    a, again, b = times(rng), times(rng), times(rng, 1.3)
    ratio, control = paired_ratio(a, b), paired_ratio(a, again)
    assert ratio.low < 1.3 < ratio.high
    assert is_resolved(ratio, control)
    assert is_resolved(paired_ratio(b, a), control)


def test_no_difference_is_not_resolved(rng):
    false_alarms = 0
    for _ in range(40):
        ratio = paired_ratio(times(rng), times(rng))
        control = paired_ratio(times(rng), times(rng))
        false_alarms += is_resolved(ratio, control)
    assert false_alarms <= 4


def test_what_slows_a_whole_round_divides_out(rng):
    weather = np.exp(rng.standard_normal((4, 7)))
    ratio = paired_ratio(2 * weather, 3 * weather)
    np.testing.assert_allclose([ratio.median, ratio.low, ratio.high], 1.5)


def test_processes_that_differ_widen_the_interval(rng):
    luck = np.exp(0.2 * rng.standard_normal((6, 1)))
    lucky = paired_ratio(times(rng, shape=(6, 9)), times(rng, 1.1, (6, 9)) * luck)
    plain = paired_ratio(times(rng, shape=(6, 9)), times(rng, 1.1, (6, 9)))
    assert np.log(lucky.high / lucky.low) > 1.5 * np.log(plain.high / plain.low)


def test_the_median_is_of_the_processes_medians():
    a = np.ones((3, 3))
    b = [[1, 2, 9], [3, 3, 3], [5, 4, 4]]
    assert paired_ratio(a, b).median == pytest.approx(3)


def test_the_same_times_give_the_same_interval(rng):
    a, b = times(rng), times(rng)
    assert paired_ratio(a, b) == paired_ratio(a, b)


def test_one_process_and_one_round_is_a_point(rng):
    assert str(paired_ratio([[2.0]], [[5.0]])) == "2.50 [2.50, 2.50]"


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], "have one shape"),
        ([1.0], [1.0], "shape"),
        (np.ones((0, 3)), np.ones((0, 3)), "shape"),
        ([[1.0, 0.0]], [[1.0, 1.0]], "above 0"),
        ([[1.0, np.nan]], [[1.0, 1.0]], "above 0"),
    ],
)
def test_times_that_are_none(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_ratio(a, b)


def test_spread_is_the_same_for_both_directions():
    assert spread(Ratio(1.0, 0.8, 1.1)) == pytest.approx(1.25)
    assert spread(Ratio(1.0, 0.9, 1.25)) == pytest.approx(1.25)
    assert not is_resolved(Ratio(1.4, 1.2, 1.6), Ratio(1.0, 0.8, 1.1))
    assert is_resolved(Ratio(1.4, 1.3, 1.6), Ratio(1.0, 0.8, 1.1))
    assert is_resolved(Ratio(0.7, 0.6, 0.75), Ratio(1.0, 0.8, 1.1))


def test_division_adds_the_intervals():
    change = divide(Ratio(3.0, 2.7, 3.3), Ratio(2.0, 1.8, 2.2))
    assert change.median == pytest.approx(1.5)
    assert np.log(change.high / 1.5) == pytest.approx(np.hypot(np.log(1.1), np.log(2 / 1.8)))
    assert np.log(1.5 / change.low) == pytest.approx(np.hypot(np.log(3 / 2.7), np.log(1.1)))
