"""The reference, held to numbers worked by hand, to 400-digit arithmetic and to differences."""

import ast
import inspect
import math
from decimal import Decimal, localcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fastnn import reference

# Where exp changes its behaviour: 17 and 40 hide beside 1 in float32 and float64, 88 and 700 are
# near the overflow of float32 and float64, 1000 is beyond both.
SIZES = (17.0, 40.0, 88.0, 700.0, 1000.0)
ORDINARY = (0.0, -0.0, 1e-300, -1e-300, 0.3, -0.3, 1.0, -1.0)
ENTRIES = (*ORDINARY, *SIZES, *(-z for z in SIZES))
ROWS = (
    [1000.0, 0.0],
    [0.0, 1000.0],
    [-1000.0, 0.0],
    [40.0, 0.0],
    [0.0, 17.0],
    [2.0, 2.0],
    [-0.0, 0.0],
    [-700.0, -701.0],
    [3.0, -1.0, 4.0, -1.0, 5.0, -9.0, 2.0, -6.0, 5.0, 3.0],
    [0.0, 17.0, 40.0, 88.0, 700.0, 1000.0, -17.0, -40.0, -700.0, -1000.0],
)
# The true class leads by this much.
LEADS = (20.0, 40.0, 80.0, 200.0)


def exact(function, *arguments):
    """Evaluate in 400-digit decimals, from the floats' exact values, and round to a float."""
    with localcontext() as context:
        context.prec = 400  # 1 + e^-700 is not 1
        context.Emin, context.Emax = -(10**6), 10**6
        return function(*(Decimal(float(a)) for a in arguments))


def exact_softmax(row):
    def formula(*z):
        total = sum(v.exp() for v in z)
        return [float(v.exp() / total) for v in z]

    return exact(formula, *row)


# --- activations


@pytest.mark.parametrize("z", ENTRIES)
def test_sigmoid_is_the_logistic_function(z):
    truth = exact(lambda v: float(1 / (1 + (-v).exp())), z)
    assert reference.sigmoid([z])[0] == pytest.approx(truth, rel=1e-15, abs=0)


def test_sigmoid_by_hand():
    # 1 / (1 + e^-ln 3) = 3/4, and a quarter on the other side.
    z = [math.log(3), -math.log(3), 0.0, -0.0]
    np.testing.assert_allclose(reference.sigmoid(z), [0.75, 0.25, 0.5, 0.5], rtol=1e-15)


def test_sigmoid_keeps_small_values_in_float32():
    z = np.array([-80.0, 80.0, -1000.0, 1000.0], dtype=np.float32)
    s = reference.sigmoid(z)
    assert s.dtype == np.float32
    assert s[0] == pytest.approx(math.exp(-80), rel=1e-6)
    assert s[1:].tolist() == [1.0, 0.0, 1.0]


def test_relu_and_its_gradient_change_at_zero():
    tiny = np.finfo(np.float64).smallest_subnormal
    z = np.array([-2.0, -tiny, -0.0, 0.0, tiny, 3.0])
    assert reference.relu(z).tolist() == [0.0, 0.0, 0.0, 0.0, tiny, 3.0]
    assert reference.relu_grad(z).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("function", [reference.relu, reference.sigmoid, reference.softmax])
def test_a_nan_is_not_hidden(function):
    assert np.isnan(function([1.0, math.nan])[1])


# --- softmax and the loss


@pytest.mark.parametrize("row", ROWS)
def test_softmax_is_the_ratio_of_exponentials(row):
    truth = exact_softmax(row)
    # Below the smallest normal double only an absolute error can be asked for.
    np.testing.assert_allclose(reference.softmax(row), truth, rtol=4e-15, atol=1e-307)


@pytest.mark.parametrize("row", ROWS)
def test_log_softmax_is_the_logarithm_of_it(row):
    def formula(*z):
        log_sum = sum(v.exp() for v in z).ln()
        return [float(v - log_sum) for v in z]

    truth = exact(formula, *row)
    # The relative error holds for -e^-40 too, which log(1 + e^-40) would round to 0.
    np.testing.assert_allclose(reference.log_softmax(row), truth, rtol=1e-15, atol=1e-307)


@pytest.mark.parametrize("row", ROWS)
def test_cross_entropy_of_every_class(row):
    def formula(*z):
        log_sum = sum(v.exp() for v in z).ln()
        return [float(log_sum - v) for v in z]

    truth = exact(formula, *row)
    found = [reference.cross_entropy(row, k) for k in range(len(row))]
    np.testing.assert_allclose(found, truth, rtol=1e-15, atol=1e-307)
    assert all(math.copysign(1.0, value) == 1.0 for value in found)


def test_softmax_and_loss_by_hand():
    # e^z = 1, 2, 5; the sum is 8.
    row = [0.0, math.log(2), math.log(5)]
    np.testing.assert_allclose(reference.softmax(row), [1 / 8, 2 / 8, 5 / 8], rtol=1e-15)
    np.testing.assert_allclose(
        reference.log_softmax(row), [-math.log(8), -math.log(4), -math.log(1.6)], rtol=1e-15
    )
    assert reference.cross_entropy(row, 0) == pytest.approx(math.log(8), rel=1e-15)
    assert reference.cross_entropy([1000, 0], 1) == 1000.0
    assert reference.cross_entropy([1000, 0], 0) == 0.0


@pytest.mark.parametrize("n_classes", [2, 10])
def test_probabilities_add_up_and_ignore_a_common_shift(rng, n_classes):
    row = rng.integers(-20, 20, n_classes).astype(float)  # so that row + 1000 is exact
    assert math.fsum(reference.softmax(row)) == pytest.approx(1.0, rel=1e-15)
    np.testing.assert_array_equal(reference.softmax(row + 1000), reference.softmax(row))
    np.testing.assert_array_equal(reference.log_softmax(row + 1000), reference.log_softmax(row))


def test_one_hot_by_hand():
    assert reference.one_hot(1, 2).tolist() == [0.0, 1.0]
    assert reference.one_hot(5, 10).tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


# --- the residual


def exact_residual(row, label):
    def formula(*z):
        total = sum(v.exp() for v in z)
        return [float(v.exp() / total - (k == label)) for k, v in enumerate(z)]

    return exact(formula, *row)


def exact_attack_residual(row, label):
    def formula(*z):
        total = sum(v.exp() for k, v in enumerate(z) if k != label)
        return [-1.0 if k == label else float(v.exp() / total) for k, v in enumerate(z)]

    return exact(formula, *row)


@pytest.mark.parametrize("row", ROWS)
def test_residual_is_p_minus_y_for_every_class(row):
    for label in range(len(row)):
        np.testing.assert_allclose(
            reference.residual(row, label), exact_residual(row, label), rtol=4e-15, atol=1e-307
        )


@pytest.mark.parametrize("row", ROWS)
def test_attack_residual_is_the_softmax_of_the_others(row):
    for label in range(len(row)):
        np.testing.assert_allclose(
            reference.attack_residual(row, label),
            exact_attack_residual(row, label),
            rtol=4e-15,
            atol=1e-307,
        )


def test_the_three_residuals_by_hand():
    # p = 1/8, 2/8, 5/8; without class 0 the others share 2/7 and 5/7.
    row = [0.0, math.log(2), math.log(5)]
    r = [-7 / 8, 2 / 8, 5 / 8]
    np.testing.assert_allclose(reference.residual(row, 0), r, rtol=1e-15)
    np.testing.assert_allclose(reference.residual_cancelling(row, 0), r, rtol=1e-15)
    np.testing.assert_allclose(reference.attack_residual(row, 0), [-1, 2 / 7, 5 / 7], rtol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("lead", LEADS)
def test_float32_keeps_the_residual_of_a_leading_class(lead, n_classes):
    label = n_classes - 1
    row = -np.arange(n_classes, dtype=np.float32) / 2
    row[label] = lead
    truth, ascent = exact_residual(row, label), exact_attack_residual(row, label)

    plain = reference.residual_cancelling(row, label)
    assert plain.dtype == np.float32
    assert plain[label] == 0.0 > truth[label]

    found = reference.residual(row, label)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-44)

    found = reference.attack_residual(row, label)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ascent, rtol=1e-6)
    assert found[label] == -1.0


# --- networks worked out on paper

# x W1 + b1 = [1 + 4, -1 + 2 + 1, -2 + 1] = [5, 2, -1], so h = [5, 2, 0];
# h W2 + b2 = [5 - 2, 4 - 1] = [3, 3], so p = [1/2, 1/2] and the loss is ln 2.
W1 = np.array([[1.0, -1.0, -2.0], [2.0, 1.0, 0.0]])
W2 = np.array([[1.0, 0.0], [-1.0, 2.0], [7.0, 9.0]])
RELU_NET = ((W1, W2), (np.array([0.0, 1.0, 1.0]), np.array([0.0, -1.0])))
X = np.array([1.0, 2.0])

# h = sigmoid(ln 3) = 3/4 with slope 3/16; the logits are [4 * 3/4 - 3, 0] = [0, 0].
SIGMOID_NET = (
    (np.array([[1.0]]), np.array([[4.0, 0.0]])),
    (np.array([0.0]), np.array([-3.0, 0.0])),
)
LN3 = np.array([math.log(3)])


def test_relu_network_forward_by_hand():
    assert reference.logits(*RELU_NET, X).tolist() == [3.0, 3.0]
    assert reference.predict_proba(*RELU_NET, X).tolist() == [0.5, 0.5]
    assert reference.predict(*RELU_NET, X) == 0
    assert reference.loss(*RELU_NET, X, 1) == pytest.approx(math.log(2), rel=1e-15)


def test_predict_takes_the_largest_logit():
    # x = [1, 0]: z1 = [1, 0, -1], h = [1, 0, 0], logits [1, -1]; x = [0, 1]: h = [2, 2, 1],
    # logits [2 - 2 + 7, 4 + 9 - 1] = [7, 12].
    assert reference.logits(*RELU_NET, np.array([1.0, 0.0])).tolist() == [1.0, -1.0]
    assert reference.logits(*RELU_NET, np.array([0.0, 1.0])).tolist() == [7.0, 12.0]
    assert reference.predict(*RELU_NET, np.array([1.0, 0.0])) == 0
    assert reference.predict(*RELU_NET, np.array([0.0, 1.0])) == 1


def test_relu_network_gradients_by_hand():
    # Label 0: delta_2 = [-1/2, 1/2]; W2 delta_2 = [-1/2, 3/2, 1], the last one masked.
    (of_w1, of_w2), (of_b1, of_b2) = reference.gradients(*RELU_NET, X, 0)
    assert of_w2.tolist() == [[-2.5, 2.5], [-1.0, 1.0], [0.0, 0.0]]
    assert of_b2.tolist() == [-0.5, 0.5]
    assert of_w1.tolist() == [[-0.5, 1.5, 0.0], [-1.0, 3.0, 0.0]]
    assert of_b1.tolist() == [-0.5, 1.5, 0.0]
    # W1 delta_1 = [-1/2 - 3/2, -1 + 3/2].
    assert reference.input_gradient(*RELU_NET, X, 0).tolist() == [-2.0, 0.5]


def test_sigmoid_network_by_hand():
    # Label 1: delta_2 = [1/2, -1/2]; W2 delta_2 = 2; delta_1 = 2 * 3/16 = 3/8.
    assert reference.loss(*SIGMOID_NET, LN3, 1, "sigmoid") == pytest.approx(math.log(2))
    (of_w1, of_w2), (of_b1, of_b2) = reference.gradients(*SIGMOID_NET, LN3, 1, "sigmoid")
    np.testing.assert_allclose(of_w2, [[0.375, -0.375]], rtol=1e-14)
    np.testing.assert_allclose(of_b2, [0.5, -0.5], rtol=1e-14)
    np.testing.assert_allclose(of_w1, [[0.375 * math.log(3)]], rtol=1e-14)
    np.testing.assert_allclose(of_b1, [0.375], rtol=1e-14)
    found = reference.input_gradient(*SIGMOID_NET, LN3, 1, "sigmoid")
    np.testing.assert_allclose(found, [0.375], rtol=1e-14)


@pytest.mark.parametrize("z", [40.0, -40.0])
def test_a_saturated_sigmoid_keeps_its_slope(z):
    # The slope is e^-40 on both sides, where s (1 - s) would be 0 on one; delta_2 = [1/2, -1/2].
    weights = (np.array([[1.0]]), np.array([[2.0, 2.0 - 4.0]]))
    s = 1.0 if z > 0 else 0.0
    biases = (np.array([0.0]), np.array([-2.0 * s, 2.0 * s]))
    found = reference.input_gradient(weights, biases, np.array([z]), 1, "sigmoid")
    np.testing.assert_allclose(found, [2.0 * math.exp(-40)], rtol=1e-14)


def test_unknown_activation_is_an_error():
    with pytest.raises(ValueError, match="'softplus'; expected one of relu, sigmoid, tanh"):
        reference.logits(*RELU_NET, X, "softplus")


# --- networks against central differences


def random_net(rng, sizes):
    weights = [rng.normal(size=(a, b)) / math.sqrt(a) for a, b in pairwise(sizes)]
    return weights, [rng.normal(size=b) for b in sizes[1:]]


def central_differences(function, array, h=1e-6):
    """Differentiate `function`, which reads `array`, in every entry of it."""
    slopes = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + h
        above = function()
        array[index] = kept - h
        slopes[index] = (above - function()) / (2 * h)
        array[index] = kept
    return slopes


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("sizes", [(5, 2), (4, 6, 10), (3, 7, 5, 4, 10)])
def test_gradients_are_the_slopes_of_the_loss(rng, sizes, activation):
    weights, biases = random_net(rng, sizes)
    x, label = rng.normal(size=sizes[0]), 1

    def loss():
        return reference.loss(weights, biases, x, label, activation)

    of_weights, of_biases = reference.gradients(weights, biases, x, label, activation)
    for found, array in zip((*of_weights, *of_biases), (*weights, *biases), strict=True):
        np.testing.assert_allclose(found, central_differences(loss, array), atol=1e-8)
    found = reference.input_gradient(weights, biases, x, label, activation)
    assert np.abs(found).max() > 1e-4
    np.testing.assert_allclose(found, central_differences(loss, x), atol=1e-8)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_mean_gradients_are_the_slopes_of_the_penalised_mean(rng, activation):
    weights, biases = random_net(rng, (3, 4, 5))
    x, labels, l2 = rng.normal(size=(7, 3)), rng.integers(0, 5, 7), 0.25

    def objective():
        losses = [
            reference.loss(weights, biases, row, label, activation)
            for row, label in zip(x, labels, strict=True)
        ]
        return math.fsum(losses) / 7 + l2 / 2 * sum(np.sum(w * w) for w in weights)

    of_weights, of_biases = reference.mean_gradients(weights, biases, x, labels, activation, l2=l2)
    for found, array in zip((*of_weights, *of_biases), (*weights, *biases), strict=True):
        np.testing.assert_allclose(found, central_differences(objective, array), atol=1e-8)


def test_float32_stays_float32(rng):
    weights, biases = random_net(rng, (3, 4, 5))
    weights, biases = ([a.astype(np.float32) for a in arrays] for arrays in (weights, biases))
    x = rng.normal(size=(6, 3)).astype(np.float32)
    labels = rng.integers(0, 5, 6)
    for activation in ("relu", "sigmoid", "tanh"):
        net = (weights, biases)
        step = reference.sgd_step(
            *net, x, labels, activation, learning_rate=0.5, momentum=0.5, l2=0.1
        )
        again = reference.sgd_step(
            *step[:2], x, labels, activation, learning_rate=0.5, momentum=0.5, velocity=step[2]
        )
        arrays = [
            reference.logits(*net, x[0], activation),
            reference.predict_proba(*net, x[0], activation),
            reference.input_gradient(*net, x[0], 2, activation),
            reference.fgsm(*net, x[0], 2, 0.1, bounds=(0, 1), activation=activation),
            *(a for part in reference.gradients(*net, x[0], 2, activation) for a in part),
            *(a for part in (*again[:2], *again[2]) for a in part),
        ]
        assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


# --- training


def test_sgd_step_by_hand():
    # One layer with equal columns, so every residual is [-1/2, 1/2] or its negative:
    # dL/dW is the mean of 1 * [-1/2, 1/2] and 3 * [1/2, -1/2], [1/2, -1/2], and dL/db is 0.
    weights, biases = (np.array([[1.0, 1.0]]),), (np.array([0.0, 0.0]),)
    x, labels = np.array([[1.0], [3.0]]), np.array([0, 1])

    # g = [1/2, -1/2] + 1/4 * [1, 1]; no velocity yet, so w = 1 - 1/2 g.
    w, b, velocity = reference.sgd_step(weights, biases, x, labels, learning_rate=0.5, l2=0.25)
    assert w[0].tolist() == [[0.625, 1.125]]
    assert b[0].tolist() == [0.0, 0.0]
    assert velocity[0][0].tolist() == [[0.75, -0.25]]

    # v = 1/2 [2, -2] + g = [1.75, -1.25] for the weights, 1/2 [4, 0] + 0 for the biases.
    given = ((np.array([[2.0, -2.0]]),), (np.array([4.0, 0.0]),))
    w, b, velocity = reference.sgd_step(
        weights, biases, x, labels, learning_rate=0.5, velocity=given, momentum=0.5, l2=0.25
    )
    assert velocity[0][0].tolist() == [[1.75, -1.25]]
    assert velocity[1][0].tolist() == [2.0, 0.0]
    assert w[0].tolist() == [[0.125, 1.625]]
    assert b[0].tolist() == [-1.0, 0.0]

    assert weights[0].tolist() == [[1.0, 1.0]]
    assert biases[0].tolist() == [0.0, 0.0]
    assert given[0][0].tolist() == [[2.0, -2.0]]


# --- the attack


def test_fgsm_by_hand():
    # The gradient is [-2, 1/2] for label 0 and its negative for label 1.
    assert reference.fgsm(*RELU_NET, X, 0, 0.25).tolist() == [0.75, 2.25]
    assert reference.fgsm(*RELU_NET, X, 1, 0.25).tolist() == [1.25, 1.75]
    assert reference.fgsm(*RELU_NET, X, 0, 0.25, bounds=(0.8, 2.0)).tolist() == [0.8, 2.0]
    unmoved = reference.fgsm(*RELU_NET, X, 0, 0.0)
    assert unmoved.tolist() == X.tolist()
    assert not np.shares_memory(unmoved, X)


def test_fgsm_leaves_entries_without_a_gradient():
    # The middle entry reaches the logits by no weight, the last by equal ones.
    weights = (np.array([[1.0, -1.0], [0.0, 0.0], [2.0, 2.0]]),)
    x = np.array([0.5, 0.5, 0.5])
    assert reference.fgsm(weights, (np.zeros(2),), x, 0, 0.25).tolist() == [0.25, 0.5, 0.5]
    # A hidden layer that is off, at exactly 0 too, passes nothing on.
    weights = (np.eye(2), np.array([[1.0, -1.0], [2.0, 5.0]]))
    dead = (np.array([-1.0, -2.0]), np.zeros(2))
    assert reference.fgsm(weights, dead, np.array([1.0, 1.0]), 0, 0.25).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lead", LEADS)
def test_fgsm_in_float32_has_the_signs_of_float64(lead):
    # Class 0 leads by `lead`; per entry, the gradient is a positive multiple of W[:, 1] - W[:, 0].
    weights = (np.array([[2.0, 1.0], [-2.0, -1.0], [1.0, 3.0]], dtype=np.float32),)
    biases = (np.array([lead, 0.0], dtype=np.float32),)
    x = np.array([1.0, 1.0, 0.5], dtype=np.float32)
    assert reference.logits(weights, biases, x)[0] == lead + 0.5
    moved = reference.fgsm(weights, biases, x, 0, 0.25)
    assert moved.tolist() == [0.75, 1.25, 0.75]

    plain = weights[0] @ reference.residual_cancelling(np.array([lead - 1, 0.0], np.float32), 0)
    assert np.sign(plain).tolist() != [-1.0, 1.0, 1.0]


def test_fgsm_follows_the_sign_of_the_input_gradient(rng):
    for activation in ("relu", "sigmoid", "tanh"):
        weights, biases = random_net(rng, (6, 8, 10))
        x = rng.normal(size=6)
        gradient = reference.input_gradient(weights, biases, x, 3, activation)
        assert np.abs(gradient).min() > 1e-12
        moved = reference.fgsm(weights, biases, x, 3, 0.5, activation=activation)
        np.testing.assert_array_equal(moved, x + 0.5 * np.sign(gradient))


def test_adversarial_accuracy_by_hand():
    # One layer: class 0 wins where x >= 0, and the attack takes 1/2 off its x, or adds 1/2 to
    # class 1's. So 1 stays right, 1/4 and 3/8 fall, -2 stays right, 3 was wrong.
    weights, biases = (np.array([[1.0, -1.0]]),), (np.zeros(2),)
    x = np.array([[1.0], [0.25], [0.375], [-2.0], [3.0]])
    net, data = (weights, biases), (x, np.array([0, 0, 0, 1, 1]))
    assert reference.adversarial_accuracy(*net, *data, 0.5) == (4, 2)
    assert reference.adversarial_accuracy(*net, *data, 0.0) == (4, 4)
    # Everything kept above 1/8 is called class 0, which three are.
    assert reference.adversarial_accuracy(*net, *data, 0.5, bounds=(0.125, 9)) == (4, 3)


def test_adversarial_accuracy_counts_what_fgsm_and_predict_say(rng):
    for activation in ("relu", "sigmoid", "tanh"):
        weights, biases = random_net(rng, (6, 8, 3))
        x, labels = rng.normal(size=(40, 6)), rng.integers(0, 3, 40)
        clean = adversarial = 0
        for row, label in zip(x, labels, strict=True):
            moved = reference.fgsm(weights, biases, row, label, 1.0, activation=activation)
            clean += reference.predict(weights, biases, row, activation) == label
            adversarial += reference.predict(weights, biases, moved, activation) == label
        counts = reference.adversarial_accuracy(
            weights, biases, x, labels, 1.0, activation=activation
        )
        assert counts == (clean, adversarial)
        assert clean > adversarial


# --- the modules themselves


def foreign_imports(source):
    """List what a module imports beyond numpy, its own package, and what annotates."""
    allowed = ("numpy", "typing", "collections")
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] not in allowed]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if node.level != 1 and module.split(".")[0] not in allowed:
                found.append(module)
        elif isinstance(node, ast.Name) and node.id == "__import__":
            found.append(node.id)
    return found


SOURCES = sorted(Path(inspect.getfile(reference)).parent.glob("*.py"))


def test_the_reference_imports_numpy_alone():
    assert {"__init__.py", "functional.py", "networks.py"} <= {path.name for path in SOURCES}
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        assert foreign_imports(source) == [], path.name


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("import fastnn", "fastnn"),
        ("import numba as nb", "numba"),
        ("import numpyx.linalg", "numpyx.linalg"),
        ("from fastnn.functional import relu", "fastnn.functional"),
        ("from .. import functional", ".."),
        ("from ..attacks import fgsm", "..attacks"),
        ("def f():\n    from scipy.special import expit", "scipy.special"),
        ("softmax = __import__('fastnn').softmax", "__import__"),
    ],
)
def test_a_foreign_import_is_seen(planted, found):
    clean = "import numpy as np\nimport numpy.typing as npt\nfrom .functional import relu\n"
    assert foreign_imports(clean) == []
    assert foreign_imports(clean + planted) == [found]


def test_public_names_are_documented_functions():
    assert len(set(reference.__all__)) == len(reference.__all__)
    for name in reference.__all__:
        function = getattr(reference, name)
        assert inspect.isfunction(function), name
        assert "Returns\n" in inspect.getdoc(function), name
