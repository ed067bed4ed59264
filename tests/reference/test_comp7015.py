"""The reference of the assignment's functions, held to numbers worked by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import comp7015


def part1_params():
    """Return one hidden unit: h = sigmoid(ln 3) = 3/4 and both logits are 0 for x = ln 3."""
    return {
        "W1": np.array([[1.0]]),
        "b1": np.array([[0.0]]),
        "W2": np.array([[4.0, 0.0]]),
        "b2": np.array([[-3.0, 0.0]]),
        "lambda": 0,
    }


DATA = np.array([[math.log(3)], [math.log(3)]])
LABELS = np.array([[0.0, 1.0], [0.0, 1.0]])


def random_params(rng, sizes=(4, 5, 10)):
    d, h, k = sizes
    return {
        "W1": rng.normal(size=(d, h)),
        "b1": rng.normal(size=(1, h)),
        "W2": rng.normal(size=(h, k)),
        "b2": rng.normal(size=(1, k)),
        "lambda": 0.5,
    }


def labelled(rng, n, d=4):
    return rng.normal(size=(n, d)), comp7015.one_hot_labels(rng.integers(0, 10, n))


# --- part 1


def test_one_hot_labels_by_hand():
    rows = comp7015.one_hot_labels(np.array([5, 0, 9]))
    assert rows.tolist() == [
        [0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_softmax_and_sigmoid_work_row_by_row():
    rows = np.array([[1000.0, 0.0], [0.0, math.log(3)], [-1000.0, -1000.0]])
    np.testing.assert_allclose(
        comp7015.softmax(rows), [[1, 0], [0.25, 0.75], [0.5, 0.5]], rtol=1e-15
    )
    np.testing.assert_allclose(comp7015.sigmoid(rows), [[1, 0.5], [0.5, 0.75], [0, 0]], rtol=1e-15)


def test_forward_prop_by_hand():
    h, y, loss = comp7015.forward_prop(DATA, LABELS, part1_params())
    np.testing.assert_allclose(h, [[0.75], [0.75]], rtol=1e-14)
    np.testing.assert_allclose(y, [[0.5, 0.5], [0.5, 0.5]], rtol=1e-14)
    assert loss == pytest.approx(math.log(2), rel=1e-14)


def test_forward_prop_adds_1e_16_before_the_logarithm():
    params = part1_params() | {"b2": np.array([[997.0, 0.0]])}
    loss = comp7015.forward_prop(DATA, LABELS, params)[2]
    assert loss == pytest.approx(16 * math.log(10), rel=1e-14)


@pytest.mark.parametrize("lamb", [0, 2])
def test_backward_prop_divides_the_penalty_by_the_batch_size_too(lamb):
    # Each row has delta_1 = [1/2, -1/2] and delta_2 = 4 * 1/2 * 3/16 = 3/8. With lambda = 2 and
    # two rows, (2 g + 2 W) / 2 = g + W.
    grad = comp7015.backward_prop(DATA, LABELS, part1_params() | {"lambda": lamb})
    penalty = lamb / 2
    np.testing.assert_allclose(grad["W2"], [[0.375 + 4 * penalty, -0.375]], rtol=1e-14)
    np.testing.assert_allclose(grad["b2"], [[0.5, -0.5]], rtol=1e-14)
    np.testing.assert_allclose(grad["W1"], [[0.375 * math.log(3) + penalty]], rtol=1e-14)
    np.testing.assert_allclose(grad["b1"], [[0.375]], rtol=1e-14)


def test_backward_prop_is_mean_gradients_with_l2_divided_by_n(rng):
    params, (data, labels) = random_params(rng), labelled(rng, 7)
    grad = comp7015.backward_prop(data, labels, params)
    weights, biases = (params["W1"], params["W2"]), (params["b1"][0], params["b2"][0])
    of_weights, of_biases = reference.mean_gradients(
        weights, biases, data, labels.argmax(axis=1), "sigmoid", l2=params["lambda"] / 7
    )
    np.testing.assert_allclose(grad["W1"], of_weights[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grad["W2"], of_weights[1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grad["b1"], of_biases[:1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(grad["b2"], of_biases[1:], rtol=1e-12, atol=1e-14)


def test_accuracy_by_hand():
    y = np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5], [0.4, 0.6]])
    labels = np.array([[0, 1], [0, 1], [1, 0], [0, 1]])
    assert comp7015.calc_accuracy(y, labels) == 0.75


def test_update_params_writes_into_the_arrays():
    params = part1_params()
    arrays = dict(params)
    steps = zip(("W1", "b1", "W2", "b2"), (1.0, 2.0, 3.0, 4.0), strict=True)
    grad = {name: np.full_like(params[name], step) for name, step in steps}
    comp7015.update_params(params, grad, 0.5)
    assert arrays["W1"].tolist() == [[0.5]]
    assert arrays["b1"].tolist() == [[-1.0]]
    assert arrays["W2"].tolist() == [[2.5, -1.5]]
    assert arrays["b2"].tolist() == [[-5.0, -2.0]]


def test_nn_train_takes_whole_batches_in_order(rng):
    start, (data, labels) = random_params(rng), labelled(rng, 8)
    dev = labelled(rng, 5)
    before = {name: np.copy(value) for name, value in start.items()}
    params, *curves = comp7015.nn_train(
        data,
        labels,
        *dev,
        learning_rate=0.3,
        batch_size=3,
        num_epochs=2,
        reg_strength=0.5,
        params=start,
    )

    # Rows 6 and 7 fill no batch of three.
    expected = {name: np.copy(value) for name, value in before.items()}
    seen = []
    for _ in range(2):
        for rows in (slice(0, 3), slice(3, 6)):
            grad = comp7015.backward_prop(data[rows], labels[rows], expected)
            for name, g in grad.items():
                expected[name] = expected[name] - 0.3 * g
        for part in ((data, labels), dev):
            _, y, loss = comp7015.forward_prop(*part, expected)
            seen += [loss, comp7015.calc_accuracy(y, part[1])]
    for name in ("W1", "b1", "W2", "b2"):
        np.testing.assert_array_equal(params[name], expected[name])
        np.testing.assert_array_equal(start[name], before[name])
    assert params["lambda"] == 0.5
    assert [value for epoch in zip(*curves, strict=True) for value in epoch] == seen


def test_nn_train_draws_its_weights_from_the_seed(rng):
    data, labels = labelled(rng, 4)
    params = comp7015.nn_train(data, labels, data, labels, num_epochs=0, seed=3)[0]
    draws = np.random.default_rng(3)
    np.testing.assert_array_equal(params["W1"], draws.standard_normal((4, 300)))
    np.testing.assert_array_equal(params["W2"], draws.standard_normal((300, 10)))
    np.testing.assert_array_equal(params["b1"], np.zeros((1, 300)))
    np.testing.assert_array_equal(params["b2"], np.zeros((1, 10)))


def test_nn_train_learns_and_nn_test_counts():
    # Two classes on a line, apart by more than the noise of any start.
    data = np.array([[-2.0], [2.0], [-3.0], [3.0]])
    labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    params, tr_loss, tr_metric, _, _ = comp7015.nn_train(
        data, labels, data, labels, num_hidden=3, batch_size=4, num_epochs=20, seed=0
    )
    assert tr_loss[-1] < 0.1 < tr_loss[0]
    assert tr_metric[-1] == 1.0
    assert comp7015.nn_test(data, labels, params) == 4
    assert comp7015.nn_test(data, labels[[1, 0, 2, 3]], params) == 2


# --- part 2


def test_cross_entropy_reads_the_true_probability():
    y_hat = np.array([0.125, 0.875, 0.0])
    assert comp7015.cross_entropy(0, y_hat) == pytest.approx(math.log(8), rel=1e-15)
    assert comp7015.cross_entropy(1, y_hat) == pytest.approx(math.log(8 / 7), rel=1e-15)
    assert comp7015.cross_entropy(2, y_hat) == math.inf


def perceptron(arrays):
    net = comp7015.MultiLayerPerceptron()
    names = [f"fc{k}.{kind}" for k in (1, 2, 3, 4) for kind in ("weight", "bias")]
    net.load_params(dict(zip(names, arrays, strict=True)))
    return net


def test_perceptron_by_hand():
    # z1 = [3, -1], h1 = [3, 0]; z2 = h1 + [0, 1] = [3, 1]; z3 = [3 - 1, 0], h3 = [2, 0];
    # z4 = [2 - 2, 0], p = [1/2, 1/2].
    net = perceptron(
        [
            np.array([[1.0, -1.0], [1.0, 0.0]]),
            np.array([[0.0, 0.0]]),
            np.eye(2),
            np.array([[0.0, 1.0]]),
            np.array([[1.0, 0.0], [-1.0, 0.0]]),
            np.array([0.0, 0.0]),
            np.array([[1.0, -1.0], [5.0, 5.0]]),
            np.array([-2.0, 2.0]),
        ]
    )
    x = np.array([1.0, 2.0])
    assert net.forward(x).tolist() == [0.5, 0.5]
    found = [z.tolist() for z in (net.z1, net.h1, net.z2, net.h2, net.z3, net.h3, net.z4, net.p)]
    assert found == [[3, -1], [3, 0], [3, 1], [3, 1], [2, 0], [2, 0], [0, 0], [0.5, 0.5]]
    assert net.predict(x) == 0
    # Label 0: W4 [-1/2, 1/2] = [-1, 0]; W3 takes it to [-1, 1]; the mask of z1 leaves [-1, 0];
    # W1 gives [-1, -1].
    assert net.gradient(x, 0).tolist() == [-1.0, -1.0]
    assert net.eps == 0.1
    assert net.attack(x, 0).tolist() == [0.9, 1.9]
    net.set_attack_budget(0.5)
    assert net.attack(x, 1).tolist() == [1.5, 2.5]


def test_perceptron_is_the_relu_network(rng):
    sizes = (6, 9, 8, 7, 10)
    weights = [rng.normal(size=(a, b)) for a, b in pairwise(sizes)]
    biases = [rng.normal(size=b) for b in sizes[1:]]
    net = perceptron([a for pair in zip(weights, biases, strict=True) for a in pair])
    for label, x in enumerate(rng.normal(size=(10, 6))):
        np.testing.assert_array_equal(net.forward(x), reference.predict_proba(weights, biases, x))
        assert net.predict(x) == reference.predict(weights, biases, x)
        np.testing.assert_array_equal(
            net.gradient(x, label), reference.input_gradient(weights, biases, x, label)
        )
        np.testing.assert_array_equal(
            net.attack(x, label), reference.fgsm(weights, biases, x, label, 0.1)
        )


@pytest.mark.parametrize("lead", [20.0, 80.0, 200.0])
def test_perceptron_in_float32_attacks_a_sure_network(lead):
    # Class 0 leads by `lead`; the gradient is a positive multiple of W4[:, 1] - W4[:, 0].
    eye, zero = np.eye(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
    last = np.array([[2.0, 1.0], [1.0, 3.0]], dtype=np.float32)
    bias = np.array([lead, 0.0], dtype=np.float32)
    net = perceptron([eye, zero, eye, zero, eye, zero, last, bias])
    net.set_attack_budget(0.25)
    assert net.attack(np.ones(2, dtype=np.float32), 0).tolist() == [0.75, 1.25]


def test_every_name_of_the_assignment_is_there():
    assert set(comp7015.__all__) == {
        *("one_hot_labels", "softmax", "sigmoid", "forward_prop", "backward_prop"),
        *("calc_accuracy", "update_params", "nn_train", "nn_test"),
        *("relu", "relu_grad", "one_hot", "cross_entropy", "MultiLayerPerceptron"),
    }
    assert all(hasattr(comp7015, name) for name in comp7015.__all__)
