"""Bad input: refused before any work, in one line that names the row and the value."""

import contextlib
import copy
import re

import numpy as np
import pytest

import fastnn
from fastnn import _checks, adversarial_accuracy, comp7015, fgsm, train

ROWS = 2 * 1024 + 300  # more than one block of the check for finite entries


def run(net, x, labels, **settings):
    return train(net, x, labels, **{"epochs": 1, "batch_size": 8, "learning_rate": 0.1} | settings)


BY_X = {
    "logits": lambda net, x, _: net.logits(x),
    "predict": lambda net, x, _: net.predict(x),
    "predict_proba": lambda net, x, _: net.predict_proba(x),
}
BY_LABELS = {
    "loss": lambda net, x, labels: net.loss(x, labels),
    "accuracy": lambda net, x, labels: net.accuracy(x, labels),
    "gradients": lambda net, x, labels: net.gradients(x, labels),
    "input_gradient": lambda net, x, labels: net.input_gradient(x, labels),
    "fgsm": lambda net, x, labels: fgsm(net, x, labels, 0.1),
    "adversarial_accuracy": adversarial_accuracy,
    "train": run,
}
ALL = BY_X | BY_LABELS
MEANS = ("loss", "accuracy", "gradients", "train")
ATTACKS = {"fgsm": fgsm, "adversarial_accuracy": adversarial_accuracy}


@pytest.fixture
def net(make_net):
    return make_net((4, 5, 3))


@pytest.fixture
def samples(rng):
    return rng.random((ROWS, 4), dtype=np.float32), rng.integers(0, 3, ROWS)


@pytest.fixture(autouse=True)
def nothing_is_trained(net):
    """No refused call may have touched the network."""
    before = [p.copy() for p in net.weights + net.biases]
    yield
    for array, kept in zip(net.weights + net.biases, before, strict=True):
        np.testing.assert_array_equal(array, kept)


@contextlib.contextmanager
def refuses(kind, message):
    """Expect exactly this type of error, its whole message on one line."""
    with pytest.raises(kind, match=rf"\A{message}\Z") as caught:
        yield
    assert caught.type is kind


# --- x


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_named(net, samples, name, value):
    x, labels = samples
    x[ROWS - 2, 3] = x[ROWS - 1, 0] = value
    with refuses(ValueError, rf"x\[{ROWS - 2}, 3\] is {value}; every entry must be finite"):
        ALL[name](net, x, labels)


@pytest.mark.parametrize(("value", "why"), [(np.nan, "finite"), (2, "outside the bounds")])
def test_no_row_is_passed_over(value, why):
    x, limits = np.zeros((ROWS, 2), np.float32), _checks.Bounds(0, 1)
    for row in range(ROWS):
        x[row, 1] = value
        with pytest.raises(ValueError, match=rf"^x\[{row}, 1\] is .*{why}"):
            _checks.inputs(x, 2, x.dtype, limits=limits)
        x[row, 1] = 0


def test_rows_of_any_width_are_taken():
    for width in (1, 255, 1000):
        x = np.zeros((2, width), np.float32)
        assert _checks.inputs(x, width, x.dtype).shape == (2, width)
        with pytest.raises(ValueError, match=rf"shape \(N, {width + 1}\)"):
            _checks.inputs(x, width + 1, x.dtype)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(7, 5), (5,), (7, 2, 2), (), (4, 7), (0, 5)])
def test_another_shape_is_refused(net, name, shape):
    x, labels = np.ones(shape, np.float32), np.zeros(shape[0] if shape else 1, int)
    numbers = str(shape).replace("(", r"\(").replace(")", r"\)")
    hint = r"; use x\.reshape\(len\(x\), -1\)" if shape == (7, 2, 2) else ""
    with refuses(ValueError, rf"x must have shape \(N, 4\) or \(4,\), got {numbers}{hint}"):
        ALL[name](net, x, labels)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["complex64", "object", "<U1", "datetime64[s]"])
def test_what_is_no_number_is_refused(net, name, kind):
    x = np.ones((7, 4), int).astype(kind)
    with refuses(
        TypeError,
        r"x must be float32 as the network is, other real numbers, or uint8 pixels, got "
        + re.escape(str(x.dtype)),
    ):
        ALL[name](net, x, np.zeros(7, int))


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_over_nothing_is_refused(net, name):
    with refuses(ValueError, "x has no rows"):
        ALL[name](net, np.empty((0, 4), np.float32), np.empty(0, int))


def test_a_single_sample_is_named_as_row_0(net):
    with refuses(ValueError, r"x\[0, 2\] is nan; every entry must be finite"):
        net.logits(np.array([0, 0, np.nan, 0], np.float32))


# --- units and types of x

IMAGES = 70  # rows of images
NO_BOUNDS = r"x has entries from 0 to 2\d\d, and no bounds say in which units: .*bounds=\(0, 255\)"
BY_ATTACK = {
    "adversarial_accuracy": lambda net, x, y, b: adversarial_accuracy(net, x, y, 0.1, b),
    "fgsm": lambda net, x, y, b: fgsm(net, x, y, 0.1, b),
    "pgd": lambda net, x, y, b: fastnn.pgd(net, x, y, 0.1, b, steps=1),
    "first_flip": lambda net, x, y, b: fastnn.first_flip(net, x, y, b, largest=0.1, tolerance=0.1),
    "train": lambda net, x, y, b: run(
        net, x, y, learning_rate=1e-9, attack="fgsm", eps=0.1, bounds=b
    ),
}


@pytest.fixture
def images(rng):
    """Return pixels of 0 to 255, 8 x 8, and labels."""
    x = rng.integers(0, 256, (IMAGES, 64))
    x[0, :2] = 0, 255
    return x, rng.integers(0, 3, IMAGES)


@pytest.fixture
def wide(make_net):
    return make_net((64, 5, 3))


@pytest.mark.parametrize("name", BY_ATTACK)
@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int16", "int64"])
def test_an_attack_refuses_pixels_of_0_to_255_without_bounds(wide, images, name, kind):
    x, labels = images
    with refuses(ValueError, NO_BOUNDS):
        BY_ATTACK[name](wide, x.astype(kind), labels, None)
    BY_ATTACK[name](wide, x.astype(kind), labels, (0, 255))
    BY_ATTACK[name](wide, x.astype(kind), labels, (-np.inf, np.inf))
    BY_ATTACK[name](wide, x.astype(np.uint8), labels, None)


def test_a_single_image_is_refused_as_a_set_is(wide, images):
    x, labels = images
    with refuses(ValueError, NO_BOUNDS):
        fgsm(wide, x[0].astype(np.float32), labels[0], 0.1)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x / 255,
        lambda x: (x / 255 - 0.13) / 0.3,
        lambda x: x[:, :63],  # no image is smaller than 8 x 8
        lambda x: x // 2,  # up to 127
        lambda x: x * 1.01,  # up to 257.55
        lambda x: x - 1,
        lambda x: np.where(np.arange(IMAGES)[:, None] == IMAGES - 1, x - 300, x),
    ],
)
def test_other_numbers_need_no_bounds(make_net, images, change):
    x = change(images[0]).astype(np.float32)
    fgsm(make_net((x.shape[1], 3)), x, images[1], 0.1)


def test_masks_of_0_and_1_are_no_pixels_of_uint8(wide, images):
    x, labels = (images[0] > 99).astype(np.uint8), images[1]
    with refuses(ValueError, r"x is uint8 with no entry above 1, .*x\.astype\(np\.float32\)"):
        adversarial_accuracy(wide, x, labels)
    adversarial_accuracy(wide, x.astype(np.float32), labels)
    adversarial_accuracy(wide, x * 0, labels)  # black
    adversarial_accuracy(wide, x * 2, labels)


def test_a_network_that_knows_0_to_1_warns_of_0_to_255():
    data = fastnn.load_mnist(source="sample", dtype="uint8")
    net = fastnn.MLP.random((784, 32, 10))
    run(net, data.x_train, data.y_train, epochs=3)
    raw = data.x_test.astype(np.float32)
    for call in (net.predict, net.logits, lambda x: net.accuracy(x, data.y_test)):
        with pytest.warns(UserWarning, match=r"up to 255, but .* trained on \[0, 1\]") as caught:
            call(raw)
        assert caught[0].filename == __file__
        call(raw / 255)
        call(data.x_test)


def test_an_attack_on_0_to_255_with_bounds_warns_if_the_network_knows_0_to_1():
    data = fastnn.load_mnist(source="sample", dtype="uint8")
    net = fastnn.MLP.random((784, 32, 10))
    run(net, data.x_train, data.y_train, epochs=3)
    raw, labels, bounds = data.x_test.astype(np.float32), data.y_test, (0, 255)
    calls = (lambda x: adversarial_accuracy(net, x, labels, 8, bounds),)
    calls += (lambda x: fastnn.attacks.PGD(steps=2).perturb(net, x, labels, 8, bounds),)
    for call in calls:
        with pytest.warns(UserWarning, match=r"up to 255, but .* trained on \[0, 1\]") as caught:
            call(raw)
        assert caught[0].filename == __file__


def test_an_attack_on_0_to_1_warns_if_the_network_knows_0_to_255():
    data = fastnn.load_mnist(source="sample", dtype="uint8")
    net = fastnn.MLP.random((784, 32, 10))
    run(net, data.x_train, data.y_train, epochs=3)
    of_bytes = net.with_input(scale=1 / 255)
    for x in (data.x_test, (data.x_test / 255).astype(np.float32)):
        message = r"right about 1\d\.\d% of x, but about [89]\d\.\d% of what is 255 times as large"
        with pytest.warns(UserWarning, match=message) as caught:
            adversarial_accuracy(of_bytes, x, data.y_test)
        assert caught[0].filename == __file__
        adversarial_accuracy(of_bytes.with_input(scale=255), x, data.y_test)
        adversarial_accuracy(fastnn.MLP.random((784, 32, 10)), x, data.y_test)  # knows nothing
    adversarial_accuracy(of_bytes, data.x_test.astype(np.float32), data.y_test, 8, (0, 255))


def test_a_network_that_was_trained_on_0_to_255_does_not_warn():
    data = fastnn.load_mnist(source="sample", dtype="uint8")
    net = fastnn.MLP.random((784, 100, 10), dtype=np.float64)
    raw = data.x_train.astype(np.float64)
    run(net, raw, data.y_train, epochs=12, batch_size=50, learning_rate=1e-4)
    assert net.accuracy(data.x_test.astype(np.float32), data.y_test) > 0.7


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_features_of_any_scale_need_no_bounds(name):
    """Networks of scikit-learn, trained on features as they are, up to thousands."""
    toys = pytest.importorskip("sklearn.datasets")
    from sklearn.neural_network import MLPClassifier

    x, labels = getattr(toys, f"load_{name}")(return_X_y=True)
    classifier = MLPClassifier((16,), max_iter=50, random_state=0).fit(x, labels)
    net = fastnn.MLP.from_sklearn(classifier)
    for one in (net, net.astype(np.float32)):
        assert one.accuracy(x, labels) == pytest.approx(classifier.score(x, labels), abs=0.01)
        assert adversarial_accuracy(one, x, labels, 0.1).n == len(x)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_a_network_of_scikit_learn_for_0_to_255_does_not_warn(activation):
    pytest.importorskip("sklearn")
    from sklearn.neural_network import MLPClassifier

    data = fastnn.load_mnist(source="sample", dtype="uint8")
    raw, test = data.x_train.astype(np.float64), data.x_test.astype(np.float64)
    settings = {"activation": activation, "max_iter": 30, "random_state": 0}
    classifier = MLPClassifier((50,), **settings).fit(raw, data.y_train)
    net = fastnn.MLP.from_sklearn(classifier)
    assert net.accuracy(test, data.y_test) == classifier.score(test, data.y_test)
    with pytest.raises(ValueError, match="no bounds say in which units"):
        adversarial_accuracy(net, test, data.y_test, 8)
    assert adversarial_accuracy(net, test, data.y_test, 8, (0, 255)).n == 1000


@pytest.mark.parametrize("kind", ["float16", "float64", "longdouble", "int8", "uint16", "bool"])
def test_numbers_of_any_type_are_rounded_to_that_of_the_network(make_net, samples, kind):
    x = (samples[0] * (1 if np.dtype(kind).kind == "f" else 50)).astype(kind)
    for dtype in (np.float32, np.float64):
        net = make_net((4, 5, 3), dtype=dtype)
        np.testing.assert_array_equal(net.logits(x), net.logits(x.astype(dtype)))
        moved = fgsm(net, x, samples[1], 0.1)
        assert moved.dtype == dtype
        np.testing.assert_array_equal(moved, fgsm(net, x.astype(dtype), samples[1], 0.1))


def test_lists_are_taken(net):
    assert net.predict([[0, 1, 2, 3]]) == net.predict(np.arange(4, dtype=np.float32))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [2.0**24 + 2, -1e300, 10**9])
def test_a_number_that_would_lose_digits_is_named(net, samples, name, value):
    x = samples[0].astype(type(value))
    x[ROWS - 1, 2] = value
    with refuses(
        ValueError, rf"x\[{ROWS - 1}, 2\] is {re.escape(f'{value:g}')}: float32 has not .*"
    ):
        ALL[name](net, x, samples[1])
    x[ROWS - 1, 2] = 2**24
    net.logits(x)


def test_bounds_hold_for_numbers_as_rounded(net):
    x = np.array([[0.1, 1 + 1e-9, 0, 1]])
    assert fgsm(net, x, [0], 0.0, (0, 1)).max() == 1
    assert fgsm(net, np.full(4, 0.1), 0, 0.0, (0.1, 1)).min() == np.float32(0.1)


# --- the network


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda net, x, y: adversarial_accuracy(x, y, net), "numpy.ndarray; are the arguments in"),
        (lambda net, x, y: fgsm(x, net, y, 0.1), "numpy.ndarray; are the arguments in"),
        (lambda net, x, y: fastnn.pgd("net.npz", x, y, 0.1), "str; to use a file, load_mlp"),
        (lambda net, x, y: fastnn.first_flip(None, x, y), "NoneType"),
        (lambda net, x, y: run(x, y, net), "numpy.ndarray; are the arguments in"),
    ],
)
def test_what_is_no_network_is_named(net, samples, call, found):
    with refuses(TypeError, rf"net must be an MLP, got {re.escape(found)}.*"):
        call(net, *samples)


# --- labels


@pytest.mark.parametrize("name", BY_LABELS)
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({5: 3}, ValueError, r"labels\[5\] is 3, outside \[0, 3\)"),
        ({5: -1, 6: 9}, ValueError, r"labels\[5\] is -1, outside \[0, 3\)"),
        ({5: 0.5}, ValueError, r"labels\[5\] is 0.5, expected a whole number"),
        ({5: np.nan}, ValueError, r"labels\[5\] is nan, expected a whole number"),
        ({5: 1e30}, ValueError, r"labels\[5\] is 1e\+30, expected a whole number"),
        (bool, TypeError, "labels must be integers, got bool"),
        (str, TypeError, r"labels must be integers, got <U\d+"),
        (np.s_[:-1], ValueError, r"labels must have one entry a row: 17 rows, 16 labels"),
        (np.s_[0], ValueError, r"labels must have one entry a row: 17 rows, 1 labels"),
        (np.s_[:, None], ValueError, r"one-hot labels must have 3 columns, got 1"),
        (np.s_[:, None, None], ValueError, r"labels must have shape \(17,\), got \(17, 1, 1\)"),
    ],
)
def test_labels_are_refused(net, samples, name, change, kind, message):
    x, labels = samples[0][:17], samples[1][:17]
    if isinstance(change, dict):
        if any(isinstance(label, float) for label in change.values()):
            labels = labels.astype(float)
        for row, label in change.items():
            labels[row] = label
    else:
        labels = labels.astype(change) if isinstance(change, type) else labels[change]
    with refuses(kind, message):
        BY_LABELS[name](net, x, labels)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64, np.float16, np.float64])
def test_labels_of_any_whole_numbers_are_taken(kind):
    found = _checks.labels(np.array([0, 2, 1], kind), 3, 3)
    assert found.dtype == np.int64
    assert found.tolist() == [0, 2, 1]


@pytest.mark.parametrize("name", BY_LABELS)
def test_labels_of_all_forms_give_the_same(net, samples, name):
    x, labels = samples[0][:17], samples[1][:17]
    found = []
    for form in (labels, labels.astype(np.float32), np.eye(3)[labels]):
        answer = BY_LABELS[name](copy.deepcopy(net), x, form)
        answer = getattr(answer, "adversarial_prediction", answer)
        found.append(getattr(answer, "biases", getattr(answer, "train_loss", answer)))
    for one in found[1:]:
        np.testing.assert_equal(one, found[0])


def test_labels_are_checked_beyond_int64():
    with refuses(ValueError, r"labels\[0\] is 18446744073709551615, outside \[0, 3\)"):
        _checks.labels(np.array([2**64 - 1], np.uint64), 1, 3)


@pytest.mark.parametrize("kind", [np.float64, np.float32, bool, int, np.uint8])
def test_one_hot_labels_are_turned(kind):
    found = _checks.labels(np.eye(3, dtype=kind)[[2, 0]], 2, 3)
    assert found.dtype == np.int64
    assert found.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ([0, 0, 0], ValueError, r"labels\[1\] is not one-hot: \[0, 0, 0\]"),
        ([1, 1, 0], ValueError, r"labels\[1\] is not one-hot: \[1, 1, 0\]"),
        ([0, 0, 2], ValueError, r"labels\[1\] is not one-hot: \[0, 0, 2\]"),
        ([0, 0, -1], ValueError, r"labels\[1\] is not one-hot: \[0, 0, -1\]"),
        ([0, np.nan, 0], ValueError, r"labels\[1\] is not one-hot: \[0.0, nan, 0.0\]"),
        ([0, 0.5, 0.5], ValueError, r"labels\[1\] is not one-hot: \[0.0, 0.5, 0.5\]"),
        ([0, "1", 0], TypeError, r"one-hot labels must be numbers, got <U\d+"),
    ],
)
def test_rows_that_are_not_one_hot_are_named(row, kind, message):
    with refuses(kind, message):
        _checks.labels(np.array([[1, 0, 0], row]), 2, 3)


def test_one_hot_labels_have_a_column_a_class():
    with refuses(ValueError, "one-hot labels must have 3 columns, got 4"):
        _checks.labels(np.eye(4), 4, 3)


# --- eps and bounds


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("eps", "kind", "message"),
    [
        (-0.1, ValueError, r"eps must be finite in float32 and >= 0, got -0\.1"),
        (np.nan, ValueError, "eps must be finite in float32 and >= 0, got nan"),
        (np.inf, ValueError, "eps must be finite in float32 and >= 0, got inf"),
        (1e39, ValueError, r"eps must be finite in float32 and >= 0, got 1e\+39"),
        ([0.1, -1], ValueError, r"eps\[1\] must be finite in float32 and >= 0, got -1\.0"),
        ([0.1, np.nan], ValueError, r"eps\[1\] must be finite in float32 and >= 0, got nan"),
        ([], ValueError, r"eps must be one number or a sequence of them, got shape \(0,\)"),
        ([[0.1]], ValueError, r"eps must be one number or a sequence of them, got shape \(1, 1\)"),
        ("much", TypeError, "eps must be a number or a sequence of numbers, got 'much'"),
        ({}, TypeError, r"eps must be a number or a sequence of numbers, got \{\}"),
    ],
)
def test_eps_is_refused(net, samples, name, eps, kind, message):
    with refuses(kind, message):
        ATTACKS[name](net, *samples, eps)


@pytest.mark.parametrize("eps", [[0.1], [0.1, 0.2]])
def test_fgsm_takes_one_eps_or_one_for_each_row(net, samples, eps):
    rows = len(samples[0])
    message = rf"eps must be one number or one for each row: {rows} rows, {len(eps)} eps"
    with refuses(ValueError, message):
        fgsm(net, *samples, eps)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("bounds", "kind"),
    [
        ((1, 0), ValueError),
        ((0, 0), ValueError),
        ((0, np.nan), ValueError),
        ((0, 1, 2), TypeError),
        (1, TypeError),
        (("low", "high"), TypeError),
    ],
)
def test_bounds_are_refused(net, samples, name, bounds, kind):
    messages = {
        ValueError: r"bounds must be \(lower, upper\) with lower < upper, got .+",
        TypeError: r"bounds must be a pair \(lower, upper\) or None, got .+",
    }
    with refuses(kind, messages[kind]):
        ATTACKS[name](net, *samples, 0.1, bounds=bounds)


PIXELS = "; this looks like 0-255 pixels: divide by 255"
NORMALISED = (
    r"; this looks like mean/std-normalised pixels: undo the normalisation \(x \* std \+ mean\), "
    "or give bounds in its units"
)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("value", "shown", "hint"),
    [
        (254, "254", PIXELS),
        (255, "255", PIXELS),
        (1.5, "1.5", PIXELS),
        (-0.4242, "-0.4242", NORMALISED),
        (-9.5, "-9.5", NORMALISED),
        (255.5, "255.5", ""),
        (300, "300", ""),
        (-10, "-10", ""),
        (-20, "-20", ""),
    ],
)
def test_an_entry_outside_the_bounds_is_named(net, samples, name, value, shown, hint):
    x, labels = samples
    x[1500, 1] = value
    with refuses(ValueError, rf"x\[1500, 1\] is {shown}, outside the bounds \(0\.0, 1\.0\){hint}"):
        ATTACKS[name](net, x, labels, 0.1, bounds=(0, 1))


@pytest.mark.parametrize(("largest", "hint"), [(9.5, NORMALISED), (10, "")])
def test_entries_of_both_signs_are_guessed_by_the_largest_too(net, largest, hint):
    x = np.array([[0.5, -1, largest, 0]], np.float32)
    with refuses(ValueError, rf"x\[0, 1\] is -1, outside the bounds \(0\.0, 1\.0\){hint}"):
        fgsm(net, x, [0], 0.1, bounds=(0, 1))


@pytest.mark.parametrize("value", [-0.6, 1.6])
def test_other_bounds_come_without_a_guess(net, samples, value):
    x, labels = samples
    x[3, 0] = value
    with refuses(ValueError, rf"x\[3, 0\] is {value}, outside the bounds \(-0\.5, 1\.5\)"):
        fgsm(net, x, labels, 0.1, bounds=(-0.5, 1.5))


def test_an_entry_at_a_bound_that_float32_rounds_is_inside(net, samples):
    x, labels = samples
    x[:] = 0.1  # above 0.1 in float64
    fgsm(net, x, labels, 0.1, bounds=(0, 0.1))
    x[:] = 0.7  # below it
    fgsm(net, x, labels, 0.1, bounds=(0.7, 1))


@pytest.mark.parametrize("name", ATTACKS)
def test_pixels_are_refused_where_the_bounds_cut_them(net, name):
    pixels, labels = np.zeros((7, 4), np.uint8), np.zeros(7, int)
    for bounds in ((0, 1), (-1, 1), (0, 1.5)):
        ATTACKS[name](net, pixels, labels, 0.1, bounds=bounds)
    for bounds in ((0.0, 0.5), (0.5, 1.0), (0.25, 0.75)):
        numbers = str(bounds).replace("(", r"\(").replace(")", r"\)")
        with refuses(ValueError, rf"x is uint8, so in \[0, 1\], but bounds are {numbers}"):
            ATTACKS[name](net, pixels, labels, 0.1, bounds=bounds)


@pytest.mark.parametrize("bounds", [(-1e300, 1e300), (0, 1e300)])
def test_bounds_too_wide_for_the_type_are_no_bounds(net, samples, bounds):
    x, labels = samples
    np.testing.assert_array_equal(
        fgsm(net, x, labels, 0.1, bounds=bounds)[x > 0.2], fgsm(net, x, labels, 0.1)[x > 0.2]
    )


def test_the_ends_of_every_range_are_taken():
    most = float(np.finfo(np.float32).max)
    for value in (0, most):
        assert _checks.eps(value) == _checks.real(value, "l2") == value
        assert _checks.eps([value]).tolist() == [value]
    assert _checks.real(-most, "l2", lower=-most) == -most
    assert _checks.real(1e-45, "rate", open_below=True) == 1e-45
    assert _checks.positive_integer(np.int8(1), "threads") == 1


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_is_positive(net, samples, threads):
    with refuses(ValueError, rf"threads must be at least 1, got {threads}"):
        adversarial_accuracy(net, *samples, threads=threads)


@pytest.mark.parametrize("threads", [1.5, "2", True])
def test_a_number_of_threads_is_an_integer(net, samples, threads):
    with refuses(TypeError, rf"threads must be an integer, got {threads!r}"):
        adversarial_accuracy(net, *samples, threads=threads)


# --- training


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("epochs", 0, ValueError, "epochs must be at least 1, got 0"),
        ("epochs", 1.0, TypeError, r"epochs must be an integer, got 1\.0"),
        ("batch_size", 0, ValueError, "batch_size must be at least 1, got 0"),
        ("batch_size", "8", TypeError, "batch_size must be an integer, got '8'"),
        ("learning_rate", 0, ValueError, r"learning_rate must be .* > 0, got 0\.0"),
        ("learning_rate", np.inf, ValueError, "learning_rate must be finite.* > 0, got inf"),
        ("learning_rate", 1e39, ValueError, "learning_rate must be finite in float32 .+"),
        ("learning_rate", None, TypeError, "learning_rate must be a number, got None"),
        ("momentum", -0.1, ValueError, r"momentum must be finite in float32 and >= 0, got -0\.1"),
        ("momentum", 1, ValueError, r"momentum must be in \[0, 1\), got 1"),
        ("momentum", 1.5, ValueError, r"momentum must be in \[0, 1\), got 1\.5"),
        ("momentum", np.nan, ValueError, "momentum must be finite in float32 and >= 0, got nan"),
        ("l2", -1, ValueError, r"l2 must be finite in float32 and >= 0, got -1\.0"),
        ("l2", [], TypeError, r"l2 must be a number, got \[\]"),
        ("validation", 3, TypeError, r"validation must be a pair \(x, labels\)"),
        ("validation", (3,) * 3, TypeError, r"validation must be a pair \(x, labels\)"),
    ],
)
def test_settings_of_a_training_are_refused(net, samples, name, value, kind, message):
    with refuses(kind, message):
        run(net, *samples, **{name: value})


@pytest.mark.parametrize(
    ("x", "labels", "kind", "message"),
    [
        (np.ones((3, 5), np.float32), [0, 1, 2], ValueError, r"validation x must have shape .+"),
        (np.ones((3, 4), complex), [0, 1, 2], TypeError, r"validation x must be float32 .+"),
        (np.empty((0, 4), np.float32), np.empty(0, int), ValueError, "validation x has no rows"),
        (np.ones((3, 4), np.float32), [0, 1, 3], ValueError, r"labels\[2\] is 3, outside .+"),
    ],
)
def test_validation_samples_are_checked_too(net, samples, x, labels, kind, message):
    with refuses(kind, message):
        run(net, *samples, validation=(x, labels))


@pytest.mark.parametrize("l2", [-1, np.nan])
def test_weight_decay_of_a_gradient_is_checked(net, samples, l2):
    with refuses(ValueError, "l2 must be finite in float32 and >= 0, got .+"):
        net.gradients(*samples, l2=l2)


@pytest.mark.parametrize("value", ["0.1", b"1", True, np.True_, [True], ["0.1"], [[1], [1, 2]]])
def test_text_and_truth_values_are_no_eps(make_net, value):
    with refuses(TypeError, "eps must be a number or a sequence of numbers, got .+"):
        adversarial_accuracy(make_net((4, 2)), np.zeros((1, 4), np.float32), [0], value)


@pytest.mark.parametrize("value", ["0.1", True, [1]])
def test_text_and_truth_values_are_no_setting(make_net, value):
    with refuses(TypeError, "l2 must be a number, got .+"):
        make_net((4, 2)).gradients(np.zeros((1, 4), np.float32), [0], l2=value)


def test_text_is_no_pair_of_bounds(make_net):
    with refuses(TypeError, r"bounds must be a pair \(lower, upper\) or None, got '01'"):
        adversarial_accuracy(make_net((4, 2)), np.zeros((1, 4), np.float32), [0], bounds="01")


def test_masked_arrays_are_refused_by_name():
    masked = np.ma.array(np.ones((3, 2), np.float32), mask=np.eye(3, 2, dtype=bool))
    labels = np.ma.array([0, 1, 1], mask=[0, 0, 1])
    net = fastnn.MLP([np.eye(2, dtype=np.float32)], [np.zeros(2, np.float32)])
    plain, truth = np.ones((3, 2), np.float32), np.array([0, 1, 1])
    how = {"epochs": 1, "batch_size": 2, "learning_rate": 0.1}
    calls = {
        "x": [
            lambda: net.logits(masked),
            lambda: net.loss(masked, truth),
            lambda: fastnn.fgsm(net, masked, truth, 0.1),
            lambda: fastnn.adversarial_accuracy(net, masked, truth),
            lambda: fastnn.train(net, masked, truth, **how),
            lambda: comp7015.sigmoid(masked),
        ],
        "labels": [
            lambda: net.loss(plain, labels),
            lambda: net.gradients(plain, labels),
            lambda: fastnn.fgsm(net, plain, labels, 0.1),
            lambda: fastnn.train(net, plain, labels, **how),
            lambda: fastnn.one_hot(labels),
            lambda: fastnn.cross_entropy(plain, labels),
        ],
        "z": [lambda: fastnn.softmax(masked), lambda: fastnn.relu(masked)],
        "eps": [lambda: fastnn.adversarial_accuracy(net, plain, truth, np.ma.array([0.1, 0.2]))],
        "validation x": [
            lambda: fastnn.train(net, plain, truth, validation=(masked, truth), **how),
        ],
        "weights[0]": [lambda: fastnn.MLP([masked], [np.zeros(2, np.float32)])],
        "biases[0]": [lambda: fastnn.MLP([plain], [np.ma.zeros(2, np.float32)])],
        "params['fc1.weight']": [lambda: comp7015.MultiLayerPerceptron().load_params(params)],
    }
    shapes = {"weight": (2, 2), "bias": (2,)}
    params = {f"fc{i}.{kind}": np.ones(shapes[kind]) for i in range(1, 5) for kind in shapes}
    params["fc1.weight"] = masked
    for name, functions in calls.items():
        for function in functions:
            with refuses(TypeError, re.escape(f"{name} is a masked array, ") + ".*"):
                function()


def test_a_signalling_nan_is_refused_without_a_warning():
    rows = np.eye(3)
    rows.view(np.uint64)[1, 0] = 0x7FF0_0000_0000_0001
    with pytest.raises(ValueError, match=r"labels\[1\] is not one-hot: \[nan, 1.0, 0.0\]"):
        _checks.labels(rows, 3, 3)


def test_messages_about_one_hot_rows_take_one_line():
    rows = np.eye(30)
    rows[1] = 1e-320
    with pytest.raises(ValueError, match=r"labels\[1\] is not one-hot") as caught:
        _checks.labels(rows, 30, 30)
    assert "\n" not in str(caught.value)
