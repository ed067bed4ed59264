"""The kernels that read logits: probabilities, losses, residuals, predictions."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastnn import reference
from fastnn._engine import losses as engine
from fastnn._kernels import exponentials
from fastnn._kernels import logits as logits_kernels

PLAIN = bool(numba.config.DISABLE_JIT)
WIDE = np.longdouble
# Rows with different maxima, ties, and leads at which exponentials vanish in either type.
PAIRS = ([1000, 0], [0, 1000], [-1000, 0], [40, 0], [0, 17], [2, 2], [0, 0], [-700, -701], [88, 0])
TENS = (
    [3, -1, 4, -1, 5, -9, 2, -6, 5, 3],
    [0, 17, 40, 88, 700, 1000, -17, -40, -700, -1000],
    [-1000, -1000, -1000, -1000, -1000, -1000, -1000, -1000, -1000, -1000],
    [0, -20, -20, -20, -20, -20, -20, -20, -20, -20],
    [-50, 0, 1, 2, 3, 4, 5, 6, 7, 150],
)


@pytest.fixture(autouse=True)
def quiet():
    """As plain Python, the kernels' integer and floating tricks warn of overflow."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture(params=["pairs", "tens", "one row", "7 classes", "16 classes", "61 of 17"])
def logits(request, rng, dtype):
    if request.param == "pairs":
        return np.array(PAIRS, dtype)
    if request.param == "tens":
        return np.array(TENS, dtype)
    shape = {"one row": (1, 10), "7 classes": (3, 7), "16 classes": (16, 16), "61 of 17": (61, 17)}
    rows = rng.normal(0, 10, shape[request.param])
    return (rows + 300 * rng.normal(size=(len(rows), 1))).astype(dtype)


def every_label(logits):
    """Return each row once for every class, and the classes."""
    rows, classes = logits.shape
    return np.repeat(logits, classes, axis=0), np.tile(np.arange(classes), rows)


def tolerances(logits):
    """Return a few units in the last place, and as many as rounding z_k - max z may cost e**it.

    Where that difference is large, the exponential underflows: `atol` is the smallest number.
    """
    info = np.finfo(logits.dtype)
    spread = min(float(np.ptp(logits, axis=1).max()), -float(np.log(info.smallest_subnormal)))
    return {"rtol": info.eps * (6 + spread), "atol": 2 * float(info.smallest_subnormal)}


def exact_log_softmax(logits):
    """Return the formula in extended precision; the largest term is left to log1p."""
    d = logits.astype(WIDE) - logits.max(axis=1, keepdims=True)
    first = np.arange(d.shape[1]) == d.argmax(axis=1)[:, None]
    return d - np.log1p(np.where(first, 0, np.exp(d)).sum(axis=1, keepdims=True))


def exact_residual(logits, labels):
    p = np.exp(exact_log_softmax(logits))
    true = np.arange(p.shape[1]) == labels[:, None]
    others = np.where(true, 0, p)
    return np.where(true, -others.sum(axis=1, keepdims=True), others)


def exact_attack_residual(logits, labels):
    true = np.arange(logits.shape[1]) == labels[:, None]
    others = np.where(true, -np.inf, logits.astype(WIDE))
    e = np.exp(others - others.max(axis=1, keepdims=True))
    return np.where(true, -1, e / e.sum(axis=1, keepdims=True))


# --- probabilities


def test_softmax(logits):
    out = np.empty_like(logits)
    engine.softmax(logits, out)
    np.testing.assert_allclose(out, np.exp(exact_log_softmax(logits)), **tolerances(logits))


def test_softmax_agrees_with_the_reference(logits):
    out = np.empty_like(logits)
    engine.softmax(logits, out)
    np.testing.assert_allclose(out, [reference.softmax(r) for r in logits], **tolerances(logits))


def test_log_softmax(logits):
    out = np.empty_like(logits)
    engine.log_softmax(logits, out)
    np.testing.assert_allclose(out, exact_log_softmax(logits), **tolerances(logits))


def test_log_softmax_keeps_what_the_logarithm_of_1_plus_it_would_round_away(dtype):
    logits = np.array([[40, 0]], dtype)
    out = np.empty_like(logits)
    engine.log_softmax(logits, out)
    np.testing.assert_allclose(out, [[-np.exp(-40), -40]], rtol=1e-6)


def test_the_exponential_of_the_largest_is_1(logits):
    out = np.empty_like(logits)
    exponentials._exponentials(logits, out)
    assert (out.max(axis=1) == 1).all()


# --- loss and residual


def test_losses_and_residuals(logits):
    rows, labels = every_label(logits)
    losses, out = np.empty(len(rows), rows.dtype), np.empty_like(rows)
    engine.loss_residual(rows, labels, losses, out)
    expected = -exact_log_softmax(rows)[np.arange(len(rows)), labels]
    np.testing.assert_allclose(losses, expected, **tolerances(rows))
    np.testing.assert_allclose(out, exact_residual(rows, labels), **tolerances(rows))


def test_losses_and_residuals_agree_with_the_reference(logits):
    rows, labels = every_label(logits)
    losses, out = np.empty(len(rows), rows.dtype), np.empty_like(rows)
    engine.loss_residual(rows, labels, losses, out)
    pairs = list(zip(rows, labels, strict=True))
    near = tolerances(rows)
    np.testing.assert_allclose(losses, [reference.cross_entropy(*p) for p in pairs], **near)
    np.testing.assert_allclose(out, [reference.residual(*p) for p in pairs], **near)


def test_the_loss_counts_the_rows_that_are_right(logits):
    rows, labels = every_label(logits)
    hits = engine.loss_residual(rows, labels, np.empty(len(rows), rows.dtype), np.empty_like(rows))
    assert hits == np.count_nonzero(rows.argmax(axis=1) == labels) == len(logits)


@pytest.mark.parametrize("lead", [20, 40, 80])
def test_the_residual_of_the_true_class_does_not_cancel(dtype, lead):
    logits, labels = np.array([[lead, 0, 0]], dtype), np.array([0])
    out = np.empty_like(logits)
    engine.loss_residual(logits, labels, np.empty(1, dtype), out)
    np.testing.assert_allclose(out[0, 0], -2 * np.exp(-lead), rtol=1e-5)
    # The usual form has lost it, in float32 from a lead of about 17.
    if dtype == np.float32:
        assert reference.residual_cancelling(logits[0], 0)[0] == 0


finite_rows = st.integers(2, 20).flatmap(
    lambda classes: arrays(
        np.float32, (1, classes), elements=st.floats(-(2.0**90), 2.0**90, width=32)
    )
)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(logits=finite_rows, data=st.data())
def test_what_holds_for_any_logits(logits, data):
    label = data.draw(st.integers(0, logits.shape[1] - 1))
    labels, losses, out = np.array([label]), np.empty(1, np.float32), np.empty_like(logits)
    with np.errstate(all="ignore"):
        hits = engine.loss_residual(logits, labels, losses, out)
    others = np.delete(out[0], label)
    assert hits == (logits[0].argmax() == label)
    assert losses[0] >= 0
    assert np.isfinite(losses[0])
    assert (others >= 0).all()
    assert out[0, label] <= 0
    np.testing.assert_allclose(others.sum(dtype=np.float64), -out[0, label], rtol=1e-5)
    with np.errstate(all="ignore"):
        engine.attack_residual(logits, labels, out)
    others = np.delete(out[0], label)
    assert out[0, label] == -1
    assert (others >= 0).all()
    np.testing.assert_allclose(others.sum(dtype=np.float64), 1, rtol=1e-5)


# --- the residual of an attack


def test_attack_residual(logits):
    rows, labels = every_label(logits)
    out = np.empty_like(rows)
    engine.attack_residual(rows, labels, out)
    np.testing.assert_allclose(out, exact_attack_residual(rows, labels), **tolerances(rows))


def test_attack_residual_agrees_with_the_reference(logits):
    rows, labels = every_label(logits)
    out = np.empty_like(rows)
    engine.attack_residual(rows, labels, out)
    expected = [reference.attack_residual(*p) for p in zip(rows, labels, strict=True)]
    np.testing.assert_allclose(out, expected, **tolerances(rows))


@pytest.mark.parametrize("lead", [20, 200, 1000, 1e30])
@pytest.mark.parametrize("true", [0, 1, 3])
def test_the_direction_is_kept_however_far_the_true_class_leads(dtype, lead, true):
    logits = np.insert([0.0, 0.0, 1.0], true, lead).astype(dtype).reshape(1, 4)
    out = np.empty_like(logits)
    engine.attack_residual(logits, np.array([true]), out)
    shares = np.insert(np.exp([0, 0, 1]) / (2 + np.e), true, -1)
    np.testing.assert_allclose(out[0], shares, rtol=1e-6)


def test_saturated_rows_are_those_whose_true_probability_rounds_to_1(dtype):
    leads = np.arange(-60, 61)
    logits = np.zeros((len(leads), 3), dtype)
    logits[:, 2] = leads
    labels = np.full(len(leads), 2)
    p = np.array([reference.softmax(row)[2] for row in logits])
    assert 20 < np.count_nonzero(p == 1) < 60
    found = engine.attack_residual(logits, labels, np.empty_like(logits))
    assert (found == (p == 1)).all()


# --- within stated units in the last place, over the whole of float32
#
# With d the difference of two logits, which is rounded, e**-d is off by up to d units. Where d is
# above 104, the exponential is below the smallest number and no unit is lost.


def patterns(limit):
    """Return float32 of evenly spaced bit patterns below `limit`, of every exponent and sign."""
    count = 3_000 if PLAIN else 200_000
    top = int(np.float32(limit).view(np.uint32))
    positive = np.linspace(0, top, count, dtype=np.uint32).view(np.float32)
    return np.concatenate([positive, -positive])


@pytest.fixture(params=[2, 10], ids=["two classes", "ten classes"])
def classes(request):
    return request.param


@pytest.fixture(params=["all", "differences of every exponent", "differences that round"])
def swept(request, rng, classes):
    """Return rows of logits, and a label for each."""
    values = patterns(np.finfo(np.float32).max if request.param == "all" else 128)
    rows = rng.permutation(values)[: len(values) // classes * classes].reshape(-1, classes)
    if request.param == "differences that round":
        rows = rng.uniform(-110, 0, rows.shape).astype(np.float32) + rows[:, :1]
    return rows, rng.integers(0, classes, len(rows))


def ulps(found, exact):
    """Return the errors in units in the last place of the exact value, subnormal ones included."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    unit = np.where(np.isfinite(rounded), np.spacing(np.abs(rounded)), 1)
    same = found == rounded  # infinities too
    return np.abs(np.where(same, 0, found.astype(WIDE) - np.where(same, 0, exact))) / unit


def below_largest(logits):
    """Return how far every logit is below the largest of its row, at most 104."""
    return np.minimum(logits.max(axis=1, keepdims=True) - logits.astype(WIDE), 104)


def leads(logits):
    """Return how far the largest logit of every row is above the next, at most 104."""
    return np.sort(below_largest(logits), axis=1)[:, 1:2]


def test_the_sweep_meets_every_exponent_of_logits_and_of_differences(rng, classes):
    for limit, top in ((np.finfo(np.float32).max, 128), (128, 8)):
        exponents = np.frexp(patterns(limit))[1]
        assert set(range(-125, top)) <= set(exponents.tolist())
        assert ((patterns(limit) != 0) & (np.abs(patterns(limit)) < 2.0**-126)).any()


def test_softmax_is_within_its_ulps(swept, classes):
    logits, _ = swept
    out = np.empty_like(logits)
    engine.softmax(logits, out)
    errors = ulps(out, np.exp(exact_log_softmax(logits)))
    assert (errors <= classes + 1 + below_largest(logits)).all()


def test_log_softmax_is_within_its_ulps(swept):
    logits, _ = swept
    out = np.empty_like(logits)
    engine.log_softmax(logits, out)
    errors = ulps(out, exact_log_softmax(logits))
    assert (errors <= 4 + np.where(below_largest(logits) == 0, leads(logits), 0)).all()


def test_losses_and_residuals_are_within_their_ulps(swept, classes):
    logits, labels = swept
    losses, out = np.empty(len(logits), np.float32), np.empty_like(logits)
    engine.loss_residual(logits, labels, losses, out)
    true = np.arange(classes) == labels[:, None]
    below = below_largest(logits)
    lost = np.where(below == 0, leads(logits), 0)
    errors = ulps(losses, -exact_log_softmax(logits)[true])
    assert (errors <= 4 + lost[true]).all()
    errors = ulps(out, exact_residual(logits, labels))
    assert (errors <= classes + 1 + np.where(true, lost, below)).all()


def test_the_residual_of_an_attack_is_within_its_ulps(swept, classes):
    logits, labels = swept
    out = np.empty_like(logits)
    engine.attack_residual(logits, labels, out)
    true = np.arange(classes) == labels[:, None]
    below = np.where(true, 0, below_largest(np.where(true, -np.inf, logits)))
    assert (ulps(out, exact_attack_residual(logits, labels)) <= classes + 1 + below).all()


def test_the_measure_of_ulps_finds_an_error():
    exact = np.array([1.0, 2.0, 1e-45, 1e39], WIDE)
    found = np.array([1.0, 2 + 4 * 2.0**-22, 3e-45, np.inf], np.float32)
    assert ulps(found, exact).round(3).tolist() == [0, 4, pytest.approx(1.286, abs=0.01), 0]


def test_differences_beyond_the_type_are_infinite(dtype):
    most = np.finfo(dtype).max
    logits = np.array([[most, -most], [-most, most]], dtype)
    out, losses = np.empty_like(logits), np.empty(2, dtype)
    engine.log_softmax(logits, out)
    assert out.tolist() == [[0, -np.inf], [-np.inf, 0]]
    engine.softmax(logits, out)
    assert out.tolist() == [[1, 0], [0, 1]]
    assert engine.loss_residual(logits, np.array([1, 1]), losses, out) == 1
    assert losses.tolist() == [np.inf, 0]
    assert out.tolist() == [[1, -1], [0, 0]]


# --- predictions


@pytest.mark.parametrize("classes", [1, 2, 7, 10, 17])
def test_argmax_takes_the_first_of_equals(rng, dtype, classes):
    logits = rng.integers(-1, 2, (61, classes)).astype(dtype)
    logits[0] = -np.inf
    out = np.empty(61, np.int64)
    logits_kernels._argmax(logits, out)
    np.testing.assert_array_equal(out, logits.argmax(axis=1))


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (4, 16), (60, 16)])
def test_the_first_row_that_is_not_finite(rng, dtype, value, place):
    logits = rng.normal(size=(61, 17)).astype(dtype)
    logits[60, 2] = value
    logits[place] = value
    assert logits_kernels._first_not_finite(logits) == place[0]


@pytest.mark.parametrize("rows", [0, 1, 61])
def test_no_row_is_reported_where_all_are_finite(dtype, rows):
    info = np.finfo(dtype)
    logits = np.resize(np.array([info.max, info.min, 0, info.smallest_subnormal]), (rows, 10))
    assert logits_kernels._first_not_finite(logits.astype(dtype)) == -1


# --- NaN


def losses_of(logits, out):
    losses = np.empty(len(logits), logits.dtype)
    engine.loss_residual(logits, np.array([1]), losses, np.empty_like(logits))
    out[:] = losses[:, None]


def residual_of(logits, out):
    engine.loss_residual(logits, np.array([1]), np.empty(1, logits.dtype), out)


@pytest.mark.parametrize(
    "function",
    [engine.softmax, engine.log_softmax, losses_of, residual_of],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("column", [0, 1, 9])
def test_a_nan_that_comes_in_goes_out(rng, dtype, function, column):
    logits = rng.normal(size=(1, 10)).astype(dtype)
    logits[0, column] = np.nan
    out = np.empty_like(logits)
    function(logits, out)
    assert np.isnan(out).all()


@pytest.mark.parametrize("column", [0, 2, 9])
def test_a_nan_of_another_class_enters_the_residual_of_an_attack(rng, dtype, column):
    # The true logit itself does not: the softmax is over the other classes.
    logits = rng.normal(size=(1, 10)).astype(dtype)
    logits[0, column] = np.nan
    out = np.empty_like(logits)
    engine.attack_residual(logits, np.array([1]), out)
    assert np.isnan(np.delete(out, 1)).all()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_margins_are_the_lead_over_the_largest_of_the_others(rng, dtype, classes):
    logits = rng.normal(0, 3, (40, classes)).astype(dtype)
    logits[1] = 0
    logits[2] = -1000
    wanted = rng.integers(0, classes, 40)
    out = np.full(40, np.nan, dtype)
    logits_kernels._margins(logits, wanted, out)
    for row, own, found in zip(logits, wanted, out, strict=True):
        assert found == row[own] - max(np.delete(row, own))
