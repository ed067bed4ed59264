"""Adversarial accuracy: counts of the truth, whatever the type, the eps and the number of rows."""

import dataclasses
import json
import math
import time
import tracemalloc

import numpy as np
import pytest
from numba.core import event

import fastnn
from fastnn import MLP, AdversarialReport, adversarial_accuracy, attacks, fgsm, reference
from fastnn._engine import layers, masked, tiles
from fastnn._runtime import progress
from fastnn.attacks import _fgsm
from fastnn.reports import _sources

SIZES = ((7, 3), (20, 16, 10), (30, 40, 20, 17, 3))
BOUNDS = (None, (0, 1), (-0.5, 1.25), (0, math.inf))
EPS = (0.1, 0.2, 0.3)
TILES = 300  # a few rows, repeated so often, fill several tiles
# Out of order, one twice, nothing, and more than there is room for within any of the bounds.
MANY_EPS = (0.3, 0, 0.1, 0.1, 9, 0.02)


@pytest.fixture(params=SIZES, ids=lambda sizes: f"depth{len(sizes) - 1}")
def net(request, make_net, activation, dtype):
    return make_net(request.param, activation, dtype)


@pytest.fixture
def samples(rng, net):
    """Return inputs in [0, 1], some of them at its ends, and labels, two in three of them right."""
    x = np.clip(rng.normal(0.5, 0.6, (211, net.sizes[0])), 0, 1).astype(net.dtype)
    labels = net.predict(x)
    labels[::3] = rng.integers(0, net.sizes[-1], len(labels[::3]))
    return x, labels


@pytest.fixture(scope="module")
def digits():
    return fastnn.load_mnist(source="sample")


@pytest.fixture(scope="module")
def sure(digits):
    """Return a trained network whose logits were stretched until the true one leads by far."""
    net = MLP.random((784, 128, 64, 10))
    fastnn.train(
        net,
        digits.x_train,
        digits.y_train,
        epochs=15,
        batch_size=100,
        learning_rate=0.1,
        momentum=0.9,
    )
    net.weights[-1][:] *= 6
    net.biases[-1][:] *= 6
    return net


def counts(report):
    return report.clean_correct, np.atleast_1d(report.adversarial_correct).tolist()


def by_reference(net, x, labels, eps, bounds):
    """Return the counts in float64, one sample at a time."""
    wide = net.astype(np.float64)
    clean, attacked = reference.adversarial_accuracy(
        wide.weights,
        wide.biases,
        x.astype(np.float64),
        labels,
        eps,
        bounds=bounds,
        activation=net.activation,
    )
    return clean, [attacked]


# --- the truth


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("eps", [0, 0.05, 0.3])
def test_the_counts_are_the_references(net, samples, eps, bounds):
    found = adversarial_accuracy(net, *samples, eps, bounds=bounds)
    assert counts(found) == by_reference(net, *samples, eps, bounds)


def cancelling_counts(net, x, labels, bounds):
    """Count what an attack leaves right whose residual is `p - one_hot`, as usually written."""
    parts, right = (net.weights, net.biases), [0] * len(EPS)
    for row, label in zip(x, labels, strict=True):
        outputs = reference.networks.forward(*parts, row, net.activation)[1]
        residual = reference.residual_cancelling(outputs[-1], label)
        deltas = reference.networks.backward(net.weights, outputs, residual, net.activation)
        direction = np.sign(net.weights[0] @ deltas[0])
        for k, eps in enumerate(EPS):
            moved = row + net.dtype.type(eps) * direction
            moved = moved if bounds is None else np.clip(moved, *bounds)
            right[k] += reference.predict(*parts, moved, net.activation) == label
    return right


def test_the_true_logit_of_the_sure_network_leads_by_20_to_200(sure, digits):
    logits = sure.astype(np.float64).logits(digits.x_test.astype(np.float64))
    rows = np.arange(len(logits))
    true = logits[rows, digits.y_test]
    logits[rows, digits.y_test] = -np.inf
    leads = true - logits.max(axis=1)
    assert np.mean((leads > 20) & (leads < 200)) > 0.85


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_float32_counts_are_those_of_float64_where_p_minus_one_hot_fails(sure, digits, bounds):
    x, labels = digits.x_test, digits.y_test
    truth = [by_reference(sure, x, labels, eps, bounds)[1][0] for eps in EPS]
    wide = sure.astype(np.float64)
    for eps, right in zip(EPS, truth, strict=True):
        for net, inputs in ((sure, x), (wide, x.astype(np.float64))):
            found = adversarial_accuracy(net, inputs, labels, eps, bounds=bounds)
            assert found.adversarial_correct == right
    # The same in float32 with the usual residual: samples that were never attacked count as robust.
    wrong = cancelling_counts(sure, x, labels, bounds)
    assert all(found > right for found, right in zip(wrong, truth, strict=True))


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_a_constant_added_to_every_output_changes_no_count(sure, digits, dtype, bounds):
    net, x = sure.astype(dtype), digits.x_test.astype(dtype)
    expected = counts(adversarial_accuracy(net, x, digits.y_test, EPS, bounds=bounds))
    net.biases[-1][:] += 1000
    assert counts(adversarial_accuracy(net, x, digits.y_test, EPS, bounds=bounds)) == expected


# --- several eps


@pytest.mark.parametrize("bounds", BOUNDS)
def test_several_eps_are_as_many_single_calls(net, samples, bounds):
    many = adversarial_accuracy(net, *samples, MANY_EPS, bounds=bounds)
    assert many.adversarial_prediction.shape == (len(MANY_EPS), len(samples[0]))
    for k, eps in enumerate(MANY_EPS):
        one = adversarial_accuracy(net, *samples, eps, bounds=bounds)
        np.testing.assert_array_equal(one.adversarial_prediction, many.adversarial_prediction[k])
        assert one.adversarial_correct == many.adversarial_correct[k]
        assert one.clean_correct == many.clean_correct
        assert one.zero_gradient_rows == many.zero_gradient_rows
        assert one.saturated_rows == many.saturated_rows


def test_several_eps_share_the_products_of_the_first_layer(net, samples, monkeypatch):
    made, multiply = [], layers.layer_product

    def noted(ws, a, i, out, *, transposed=False, **more):
        made.append((i, transposed))
        multiply(ws, a, i, out, transposed=transposed, **more)

    monkeypatch.setattr(_fgsm, "layer_product", noted)
    monkeypatch.setattr(layers, "layer_product", noted)
    adversarial_accuracy(net, samples[0][:9], samples[1][:9], MANY_EPS)
    assert made.count((0, False)) == 2  # of the inputs and of the gradient's signs
    assert made.count((0, True)) == 1


@pytest.mark.parametrize("bounds", [None, (0, 1), (-0.1, 1)])
def test_several_eps_on_digits_are_as_many_single_calls(sure, digits, dtype, bounds):
    # Most pixels are 0: an end of the bounds, or not.
    net, x = sure.astype(dtype), digits.x_test.astype(dtype)
    many = adversarial_accuracy(net, x, digits.y_test, MANY_EPS, bounds=bounds)
    ones = [adversarial_accuracy(net, x, digits.y_test, e, bounds=bounds) for e in MANY_EPS]
    assert many.adversarial_correct.tolist() == [one.adversarial_correct for one in ones]


# The bounds end at numbers that float32 holds, so that a step of 2 ends at them exactly.
@pytest.mark.parametrize("bounds", [(0, 1), (-0.5, 1.5)])
def test_no_eps_beyond_the_bounds_changes_anything(sure, digits, dtype, bounds):
    net, x = sure.astype(dtype), digits.x_test.astype(dtype)
    many = adversarial_accuracy(net, x, digits.y_test, [0.1, 2, 1e3, 1e8, 1e30], bounds=bounds)
    one = adversarial_accuracy(net, x, digits.y_test, 1e8, bounds=bounds)
    for prediction in many.adversarial_prediction[1:]:
        np.testing.assert_array_equal(prediction, one.adversarial_prediction)


# From nothing to 1e30, most of them far above the bounds, more than are swept at once.
WIDE_SWEEP = (0, *np.geomspace(1e-6, 1e30, 98), 1)


@pytest.mark.parametrize("bounds", [(0, 1), (-1, 1e3)])
def test_a_sweep_to_huge_eps_is_as_many_single_calls(net, samples, bounds):
    many = adversarial_accuracy(net, *samples, WIDE_SWEEP, bounds=bounds)
    for k in range(0, len(WIDE_SWEEP), 3):
        one = adversarial_accuracy(net, *samples, WIDE_SWEEP[k], bounds=bounds)
        np.testing.assert_array_equal(one.adversarial_prediction, many.adversarial_prediction[k])


def test_more_eps_than_are_swept_at_once_go_on_from_the_last(net, samples):
    # Nearly all inputs meet their bound between the last two eps of the first 64.
    eps = (*np.linspace(0, 1e-3, 63), 0.9, 0.95, 2)
    many = adversarial_accuracy(net, *samples, eps, bounds=(0, 1))
    for k in (62, 63, 64, 65):
        one = adversarial_accuracy(net, *samples, eps[k], bounds=(0, 1))
        np.testing.assert_array_equal(one.adversarial_prediction, many.adversarial_prediction[k])


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_order_and_number_of_eps_and_rows_change_nothing_else(net, samples, rng, bounds):
    x, labels = samples
    report = adversarial_accuracy(net, x, labels, MANY_EPS, bounds)
    expected, turn = report.adversarial_prediction, rng.permutation(len(MANY_EPS))
    more = (*np.array(MANY_EPS)[turn], 0.05, 2)
    found = adversarial_accuracy(net, x, labels, more, bounds).adversarial_prediction
    np.testing.assert_array_equal(found[:-2], expected[turn])
    rows = np.concatenate([rng.permutation(len(x)), np.arange(len(x))])
    found = adversarial_accuracy(net, x[rows], labels[rows], MANY_EPS, bounds)
    np.testing.assert_array_equal(found.adversarial_prediction, expected[:, rows])
    assert found.zero_gradient_rows == 2 * report.zero_gradient_rows
    assert found.saturated_rows == 2 * report.saturated_rows


def test_a_row_that_overflows_in_a_sweep_is_named(dtype):
    # Class 0 is attacked downwards, where 0 is the bound; class 1 upwards without end.
    most = np.finfo(dtype).max / 64
    net = MLP([np.full((4, 3), [0, -most, -most], dtype)], [np.zeros(3, dtype)])
    labels = np.zeros(403, int)
    labels[117] = 1
    x = np.zeros((403, 4), dtype)
    adversarial_accuracy(net, x, labels, [0, 1], bounds=(0, math.inf))
    with pytest.raises(FloatingPointError, match=r"^row 117: the logits are not finite"):
        adversarial_accuracy(net, x, labels, [0, 1, 1e30], bounds=(0, math.inf))


def test_one_eps_in_a_list_is_a_curve_of_one(net, samples):
    report = adversarial_accuracy(net, *samples, [0.1])
    assert report.eps.tolist() == [0.1]
    assert report.adversarial_correct.shape == (1,)
    assert report.adversarial_accuracy.shape == (1,)
    assert report.adversarial_prediction.shape == (1, len(samples[0]))
    assert counts(report) == counts(adversarial_accuracy(net, *samples, 0.1))


# --- what the report says


def test_predictions_are_those_of_the_network_on_the_adversarial_inputs(net, samples):
    x, labels = samples
    report = adversarial_accuracy(net, x, labels, 0.1, bounds=(0, 1))
    np.testing.assert_array_equal(report.clean_prediction, net.predict(x))
    moved = fgsm(net, x, labels, 0.1, bounds=(0, 1))
    np.testing.assert_array_equal(report.adversarial_prediction, net.predict(moved))
    assert report.clean_correct == np.count_nonzero(report.clean_prediction == labels)
    assert report.adversarial_correct == np.count_nonzero(report.adversarial_prediction == labels)


def test_the_fields_of_a_report(net, samples):
    report = adversarial_accuracy(net, *samples, 0.1, bounds=(0, 1))
    assert (report.n, report.eps, report.bounds) == (211, 0.1, (0, 1))
    kinds = {name: type(value) for name, value in vars(report).items()}
    whole = ("n", "clean_correct", "adversarial_correct", "zero_gradient_rows", "saturated_rows")
    assert {kinds[name] for name in whole} == {int}
    assert report.clean_accuracy == report.clean_correct / 211
    assert report.adversarial_accuracy == report.adversarial_correct / 211
    assert report.clean_prediction.dtype == report.adversarial_prediction.dtype == np.int64
    assert 0 < report.seconds < 60
    with pytest.raises(AttributeError, match="cannot assign"):
        report.n = 3


def test_the_time_of_compiling_is_not_that_of_the_attack(net, samples):
    class Compiling(attacks.FGSM):
        """Holds numba's lock for compiling, as a first call does."""

        def perturb_tile(self, tile, eps):
            event.start_event("numba:compiler_lock")
            time.sleep(0.1)
            event.end_event("numba:compiler_lock")
            return super().perturb_tile(tile, eps)

    rows = samples[0][:9], samples[1][:9]
    adversarial_accuracy(net, *rows, attack="fgsm")  # which compiles what it needs
    report = adversarial_accuracy(net, *rows, attack=Compiling())
    assert report.compile_seconds >= 0.1
    assert report.seconds < 0.1
    assert adversarial_accuracy(net, *rows).compile_seconds == 0


def test_nothing_is_hashed_before_it_is_asked_for(net, samples, monkeypatch):
    hashed = []
    monkeypatch.setattr(_sources, "digest", lambda *_: hashed.append(1) or "")
    report = adversarial_accuracy(net, *samples)
    assert hashed == []
    assert report.digests
    assert len(hashed) == 2


def test_a_report_is_equal_to_itself_alone(net, samples):
    report = adversarial_accuracy(net, *samples, EPS)
    assert report != dataclasses.replace(report)
    assert {report: 1}[report] == 1


def test_the_defaults_are_the_assignments(net, samples):
    report = adversarial_accuracy(net, *samples)
    assert (report.eps, report.bounds) == (0.1, None)
    assert counts(report) == counts(adversarial_accuracy(net, *samples, 0.1, bounds=None))


@pytest.fixture(params=["one", "many", "none"])
def made_up(request):
    """Return a report with numbers of our own."""
    many = request.param == "many"
    n = 0 if request.param == "none" else 2000
    return AdversarialReport(
        n=n,
        eps=np.array([0.1, 0.25]) if many else 0.1,
        bounds=(0.0, 1.0) if many else None,
        clean_correct=n * 3 // 4,
        adversarial_correct=np.array([500, 250]) if many else n // 4,
        clean_prediction=np.zeros(n, np.int64),
        adversarial_prediction=np.zeros((2, n) if many else n, np.int64),
        zero_gradient_rows=3,
        saturated_rows=1234,
        seconds=0.5,
    )


def test_a_report_as_a_dictionary_is_json(made_up):
    found = json.loads(json.dumps(made_up.to_dict(), allow_nan=False))
    shares = {"clean_accuracy": 0.75, "adversarial_accuracy": 0.25}
    expected = {"n": 2000, "eps": 0.1, "bounds": None, "clean_correct": 1500, "seconds": 0.5}
    expected |= {
        "adversarial_correct": 500,
        "zero_gradient_rows": 3,
        "saturated_rows": 1234,
        **shares,
    }
    if made_up.n == 0:
        expected |= {"n": 0, "clean_correct": 0, "adversarial_correct": 0}
        expected |= dict.fromkeys(shares)
    elif made_up.bounds:
        expected |= {"eps": [0.1, 0.25], "bounds": [0, 1]}
        expected |= {"adversarial_correct": [500, 250], "adversarial_accuracy": [0.25, 0.125]}
    assert found == expected


def test_a_report_in_words(made_up):
    lines = [line.split(maxsplit=1) for line in str(made_up).splitlines()]
    text = "\n".join(" ".join(part.split()) for line in lines for part in [" ".join(line)])
    if made_up.n == 0:
        assert "clean accuracy no samples" in text
        return
    assert "samples 2,000" in text
    assert "clean accuracy 75.00% (1,500 of 2,000)" in text
    assert "adversarial accuracy, eps 0.1 25.00% (500 of 2,000)" in text
    assert ("adversarial accuracy, eps 0.25 12.50% (250 of 2,000)" in text) == bool(made_up.bounds)
    assert ("clipped to [0, 1]" in text) == bool(made_up.bounds)
    assert "all-zero gradient 3" in text
    assert "1,234" in text
    assert "4,000 images a second" in text


def test_a_report_in_a_notebook_and_in_short(made_up):
    table = made_up._repr_html_()
    assert table.startswith("<table>")
    assert table.count("<tr>") == len(made_up.rows())
    assert all(f"{value}</td>" in table for _, value in made_up.rows())
    assert repr(made_up).startswith(f"AdversarialReport(n={made_up.n}, eps=")
    assert "\n" not in repr(made_up)


def test_a_report_of_no_samples(net, dtype):
    nothing = np.empty((0, net.sizes[0]), dtype), np.empty(0, int)
    report = adversarial_accuracy(net, *nothing, 0.1)
    assert (report.n, report.clean_correct, report.adversarial_correct) == (0, 0, 0)
    assert math.isnan(report.clean_accuracy)
    assert math.isnan(report.adversarial_accuracy)
    assert report.clean_prediction.shape == (0,)
    many = adversarial_accuracy(net, *nothing, EPS)
    assert many.adversarial_correct.tolist() == [0, 0, 0]
    assert np.isnan(many.adversarial_accuracy).tolist() == [True] * 3
    assert many.adversarial_prediction.shape == (3, 0)


def test_one_sample(net, samples):
    x, labels = samples
    report = adversarial_accuracy(net, x[0], labels[0], 0.1)
    assert report.n == 1
    assert report.clean_prediction.shape == (1,)


@pytest.mark.parametrize("eps", [0.5, EPS])
def test_rows_without_a_gradient_are_counted(dtype, eps):
    # One unit, active for positive inputs alone.
    net = MLP(
        [np.ones((1, 1), dtype), np.array([[1, -1]], dtype)], [[dtype(0)], np.zeros(2, dtype)]
    )
    x = np.array([[-1], [1], [0], [0.5], [-0.5]] * TILES, dtype)
    report = adversarial_accuracy(net, x, [0, 0, 0, 1, 1] * TILES, eps)
    assert report.zero_gradient_rows == 3 * TILES


@pytest.mark.parametrize("eps", [0.5, EPS])
def test_rows_whose_probability_rounds_to_1_are_counted(dtype, eps):
    # The first logit leads by x: 1 + e**-x is 1 from 16.7 on in float32, from 36.8 in float64.
    net = MLP([np.array([[1, 0]], dtype)], [np.zeros(2, dtype)])
    x = np.array([[10], [16], [17], [36], [37], [1000], [1000], [-1000]] * TILES, dtype)
    labels = [0, 0, 0, 0, 0, 0, 1, 0] * TILES
    found = adversarial_accuracy(net, x, labels, eps).saturated_rows
    assert found == TILES * (4 if dtype == np.float32 else 2)


# --- inputs


@pytest.mark.parametrize("eps", [0.1, EPS])
def test_pixels_are_their_255th_parts(sure, digits, eps):
    pixels = np.round(digits.x_test * 255).astype(np.uint8)
    found = adversarial_accuracy(sure, pixels, digits.y_test, eps, bounds=(0, 1))
    expected = adversarial_accuracy(sure, digits.x_test, digits.y_test, eps, bounds=(0, 1))
    assert counts(found) == counts(expected)


@pytest.mark.parametrize("eps", [0.1, EPS])
def test_any_layout_is_taken_and_left_alone(net, samples, eps):
    x, labels = samples
    expected = counts(adversarial_accuracy(net, x, labels, eps, bounds=(0, 1)))
    double = np.repeat(x, 2, axis=1)
    double.flags.writeable = labels.flags.writeable = False
    assert counts(adversarial_accuracy(net, double[:, ::2], labels, eps, bounds=(0, 1))) == expected
    np.testing.assert_array_equal(double[:, ::2], x)


@pytest.mark.parametrize("bounds", [None, (-10, 10)])
@pytest.mark.parametrize("eps", [3.0, (0.5, 3.0, 1.0)])
def test_a_row_whose_logits_overflow_after_the_attack_alone_is_named(eps, bounds):
    # The step for label 0 goes down: from 3 to 0 and from -3 to -6, times 1e38 too much.
    net = MLP([np.array([[1e38, -1e38]], np.float32)], [np.zeros(2, np.float32)])
    x = np.array([[3], [3], [-3]], np.float32)
    assert np.isfinite(net.logits(x)).all()
    assert np.isfinite(net.input_gradient(x, [0, 0, 0])).all()
    with pytest.raises(FloatingPointError, match=r"^row 2: the logits are not finite"):
        adversarial_accuracy(net, x, [0, 0, 0], eps, bounds)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_of_several_wrong_inputs_in_many_rows_the_first_is_named(make_net, threads):
    net, x = make_net((4, 3)), np.full((20_000, 4), 0.5, np.float32)
    x[4321, 2], x[12_000], x[-1] = 7, np.nan, -1
    with pytest.raises(ValueError, match=r"^x\[4321, 2\] is 7, outside the bounds \(0\.0, 1\.0\)"):
        adversarial_accuracy(net, x, np.zeros(len(x), int), 0.1, (0, 1), threads=threads)
    with pytest.raises(ValueError, match=r"^x\[12000, 0\] is nan; every entry must be finite"):
        adversarial_accuracy(net, x, np.zeros(len(x), int), 0.1, threads=threads)


def test_every_row_of_many_is_checked_on_several_threads(make_net):
    net, labels = make_net((4, 3)), np.zeros(5000, int)
    for row in (0, 511, 512, 2048, 4607, 4608, 4999):
        x = np.full((5000, 4), 0.5, np.float32)
        x[row, 3] = np.inf
        with pytest.raises(ValueError, match=rf"^x\[{row}, 3\] is inf; every entry"):
            adversarial_accuracy(net, x, labels, 0.1, threads=2)


@pytest.mark.parametrize("eps", [0.1, EPS])
def test_a_row_whose_logits_overflow_is_named(make_net, dtype, eps):
    net = make_net((4, 3), dtype=dtype)
    net.weights[0][:] = np.finfo(dtype).max / 8
    x = np.zeros((1203, 4), dtype)
    x[1007] = 20
    with pytest.raises(FloatingPointError, match=r"^row 1007: the logits are not finite"):
        adversarial_accuracy(net, x, np.zeros(1203, int), eps)


def test_progress_is_drawn_on_standard_error_where_asked_for(net, samples, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    adversarial_accuracy(net, *samples)
    assert capsys.readouterr() == ("", "")
    adversarial_accuracy(net, *samples, progress=True)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "211/211" in drawn.err
    assert drawn.err.count("\n") == 1


# --- memory


def growth(call, rows=(32 * tiles.MOST_ROWS, 128 * tiles.MOST_ROWS)):
    """Return by how many bytes a row the peak of `call(rows)` grows, its inputs left out.

    There are so many rows that the results outweigh what a call has whatever their number.
    """
    peaks = []
    for n in rows:  # both are cut into tiles of the same height
        inputs = call.inputs(n)
        call(*inputs)  # kernels are loaded once
        tracemalloc.start()
        call(*inputs)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    (first, second), (few, many) = peaks, rows
    return (second - first) / (many - few)


class Attack:
    """Attack rows of 100 inputs, 400 bytes each in float32, on one thread."""

    def __init__(self, eps, kind):
        self._net, self._kind, self._eps = MLP.random((100, 32, 10), rng=0), kind, eps

    def inputs(self, n):
        return np.ones((n, 100), self._kind), np.zeros(n, int)

    def __call__(self, x, labels):
        adversarial_accuracy(self._net, x, labels, self._eps, bounds=(0, 1), threads=1)


class Copy(Attack):
    """Scale the pixels of all rows first, as a careless implementation would."""

    def __call__(self, x, labels):
        super().__call__(x / np.float32(255), labels)


class AttackOnColumns(Attack):
    """The same rows, each spread over the memory."""

    def inputs(self, n):
        x, labels = super().inputs(n)
        return np.asfortranarray(x), labels


# 8 bytes a prediction, and a few more for comparisons with the labels and their order.
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
@pytest.mark.parametrize("eps", [0.1, EPS])
@pytest.mark.parametrize("attack", [Attack, AttackOnColumns])
def test_memory_grows_by_the_results_alone(attack, eps, kind):
    assert growth(attack(eps, kind)) < 16 * (1 + np.size(eps))


def test_a_copy_of_the_inputs_is_noticed():
    assert growth(Copy(0.1, np.uint8)) > 400


def test_infinite_bounds_are_nothing_in_json(make_net, rng):
    net = make_net((4, 3))
    x = rng.random((5, 4)).astype(np.float32)
    report = adversarial_accuracy(net, x, np.zeros(5, int), 0.1, bounds=(0, np.inf))
    assert report.to_dict()["bounds"] == [0, None]
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("eps", [0.1, [0.05, 0.1, 0.3]])
def test_who_is_whose_neighbour_in_a_tile_changes_nothing(rng, monkeypatch, eps):
    net = fastnn.MLP.random((50, 300, 10), rng=1)
    x = np.where(rng.random((400, 50)) < 0.3, rng.random((400, 50)), 0).astype(np.float32)
    labels = rng.integers(0, 10, 400)

    def attacked():
        return fastnn.adversarial_accuracy(net, x, labels, eps, bounds=(0, 1))

    report = attacked()
    asked = []
    monkeypatch.setattr(masked, "alike", lambda x: asked.append(len(x)))
    plain = attacked()
    assert sum(asked) == 400
    monkeypatch.setattr(masked, "alike", lambda x: rng.permutation(len(x)))
    for other in (plain, attacked()):
        np.testing.assert_array_equal(other.clean_prediction, report.clean_prediction)
        np.testing.assert_array_equal(other.adversarial_prediction, report.adversarial_prediction)
        assert other.saturated_rows == report.saturated_rows
