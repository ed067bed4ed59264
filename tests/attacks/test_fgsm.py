"""The signed step: its signs, its length, its bounds."""

from itertools import pairwise

import numpy as np
import pytest

from fastnn import MLP, adversarial_accuracy, fgsm, reference

SIZES = ((7, 2), (20, 16, 10), (30, 40, 20, 17, 3))
# A sign is compared where the gradient is at least this share of the row's largest entry: below,
# the rounding of a float32 pass may decide it.
FLOOR = {np.float32: 1e-4, np.float64: 1e-11}


@pytest.fixture(params=SIZES, ids=lambda sizes: f"depth{len(sizes) - 1}")
def net(request, make_net, activation, dtype):
    return make_net(request.param, activation, dtype)


@pytest.fixture
def samples(rng, net):
    """Return inputs in [0, 1], some of them at its ends, and labels."""
    x = np.clip(rng.normal(0.5, 0.6, (61, net.sizes[0])), 0, 1)
    return x.astype(net.dtype), rng.integers(0, net.sizes[-1], 61)


def by_reference(net, x, labels, eps, bounds=None):
    wide = net.astype(np.float64)
    return np.array(
        [
            reference.fgsm(
                wide.weights, wide.biases, *s, eps, bounds=bounds, activation=net.activation
            )
            for s in zip(x.astype(np.float64), labels, strict=True)
        ]
    )


def sizeable(net, x, labels):
    """Say of every entry whether its gradient, in float64, is above the floor."""
    wide = net.astype(np.float64)
    gradient = np.abs(
        [
            reference.input_gradient(wide.weights, wide.biases, *s, net.activation)
            for s in zip(x.astype(np.float64), labels, strict=True)
        ]
    )
    return gradient > FLOOR[net.dtype.type] * gradient.max(axis=1, keepdims=True)


def test_the_signs_are_the_references(net, samples):
    x, labels = samples
    found = np.sign(fgsm(net, x, labels, 1) - x)
    expected = np.sign(by_reference(net, x, labels, 1) - x)
    compared = sizeable(net, x, labels)
    assert compared.mean() > 0.9
    np.testing.assert_array_equal(found[compared], expected[compared])


@pytest.mark.parametrize("bounds", [None, (0, 1), (-0.05, 1.5), (0, np.inf)])
@pytest.mark.parametrize("eps", [0, 0.1, 3])
def test_the_step_is_the_references(net, samples, dtype, eps, bounds):
    x, labels = samples
    found = fgsm(net, x, labels, eps, bounds)
    assert found.dtype == dtype
    expected = by_reference(net, x, labels, eps, bounds)
    compared = sizeable(net, x, labels)
    np.testing.assert_allclose(
        found[compared], expected[compared], rtol=0, atol=4 * np.finfo(dtype).eps
    )


def test_the_loss_rises(net, samples):
    x, labels = samples
    assert net.loss(fgsm(net, x, labels, 0.01), labels) > net.loss(x, labels)


@pytest.mark.parametrize("bounds", [(0, 1), (-0.25, 1.25)])
def test_no_entry_leaves_the_bounds(net, samples, bounds):
    x, labels = samples
    found = fgsm(net, x, labels, 5, bounds)
    assert found.min() == bounds[0]
    assert found.max() == bounds[1]
    # From anywhere in [0, 1], a step of 5 ends at a bound.
    assert np.isin(found[sizeable(net, x, labels)], bounds).all()


def test_eps_0_gives_a_copy(net, samples):
    x, labels = samples
    found = fgsm(net, x, labels, 0)
    np.testing.assert_array_equal(found, x)
    assert not np.shares_memory(found, x)


def test_an_entry_without_a_gradient_stays(make_net, rng, activation, dtype):
    net = make_net((7, 5, 3), activation, dtype)
    net.weights[0][2] = 0
    x, labels = rng.random((17, 7)).astype(dtype), rng.integers(0, 3, 17)
    moved = fgsm(net, x, labels, 0.1) != x
    assert not moved[:, 2].any()
    assert moved[:, [0, 1, 3, 4, 5, 6]].all()


def test_a_sample_behind_dead_units_stays(dtype):
    # One unit, active for positive inputs alone.
    net = MLP(
        [np.ones((1, 1), dtype), np.array([[1, -1]], dtype)], [[dtype(0)], np.zeros(2, dtype)]
    )
    x = np.array([[-1], [1], [0]], dtype)
    assert fgsm(net, x, [0, 0, 0], 0.25).tolist() == [[-1], [0.75], [0]]


@pytest.mark.parametrize("lead", [20, 200, 1000, 10000])
def test_the_direction_does_not_depend_on_how_sure_the_network_is(make_net, rng, dtype, lead):
    net = make_net((20, 16, 10), dtype=dtype)
    # Whole numbers are exact: the bias shifts the true logit and rounds no other.
    x, labels = rng.random((61, 20)).astype(dtype), np.full(61, 4)
    expected = fgsm(net, x, labels, 0.1)
    net.biases[-1][4] += lead
    np.testing.assert_array_equal(fgsm(net, x, labels, 0.1), expected)


@pytest.mark.parametrize("rows", [3, 200])  # products of BLAS, and those that leave zeros out
@pytest.mark.parametrize(
    ("activation", "spread"),
    [("relu", 1e-13), ("sigmoid", 300), ("sigmoid", 1e-13), ("tanh", 300), ("tanh", 1e-13)],
)
def test_the_direction_is_right_where_derivatives_leave_the_type(rng, activation, spread, rows):
    # In float64 the derivatives are about 1e-50, or span hundreds of orders of magnitude.
    sizes = (20, 70, 80, 70, 10)
    weights = [rng.normal(0, spread, (a, b)).astype("f4") for a, b in pairwise(sizes)]
    net = MLP(weights, [np.zeros(size, "f4") for size in sizes[1:]], activation)
    x, labels = rng.random((rows, 20), np.float32), rng.integers(0, 10, rows)
    wide = net.astype(np.float64)
    expected = np.sign(fgsm(wide, x.astype(np.float64), labels, 1) - x)
    assert (expected != 0).all()
    found = np.sign(fgsm(net, x, labels, 1) - x)
    assert (found != expected).mean() < 1e-3  # where a derivative is nearly 0
    assert adversarial_accuracy(net, x, labels, [0.1, 0.2]).zero_gradient_rows == 0
    assert not net.input_gradient(x, labels).all()  # the derivatives themselves underflow


def test_pixels_are_their_255th_parts(net, rng, dtype):
    pixels = rng.integers(0, 256, (61, net.sizes[0]), dtype=np.uint8)
    labels = rng.integers(0, net.sizes[-1], 61)
    found = fgsm(net, pixels, labels, 0.1, (0, 1))
    assert found.dtype == dtype
    expected = fgsm(net, pixels.astype(dtype) / dtype(255), labels, 0.1, (0, 1))
    np.testing.assert_array_equal(found, expected)


def test_one_sample_and_none(net, samples):
    x, labels = samples
    one = fgsm(net, x[0], labels[0], 0.1)
    assert one.shape == x[0].shape
    compared = sizeable(net, x, labels)[0]
    batch = fgsm(net, x, labels, 0.1)
    np.testing.assert_array_equal(one[compared], batch[0][compared])
    assert fgsm(net, x[:0], labels[:0], 0.1).shape == (0, net.sizes[0])


def test_the_order_of_the_rows_does_not_matter(net, samples, rng):
    x, labels = samples
    order, compared = rng.permutation(61), sizeable(net, x, labels)
    found, expected = fgsm(net, x[order], labels[order], 0.1), fgsm(net, x, labels, 0.1)
    np.testing.assert_array_equal(found[compared[order]], expected[order][compared[order]])


def test_arguments_are_left_alone(net, samples):
    x, labels = samples
    x.flags.writeable = labels.flags.writeable = False
    parameters = [p.copy() for p in net.weights + net.biases]
    fgsm(net, x, labels, 0.1, (0, 1))
    for before, after in zip(parameters, net.weights + net.biases, strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_gradient_that_overflows_is_an_error():
    # Logits of 0 and 1, but weights whose products with each other are beyond float32.
    weights = [np.array([[0, 0], [3e38, 3e38]], np.float32), np.array([[3, -3], [3, -3]], "f4")]
    net = MLP(weights, [np.ones(2, np.float32), np.array([0, 1], "f4")])
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(FloatingPointError, match="row 0: the derivatives are not finite"):
        net.input_gradient(x, [1, 1])


def test_an_attack_does_not_trust_the_sign_of_infinity():
    weights = [np.array([[0, 0], [3e38, 3e38]], np.float32), np.array([[3, -3], [3, -3]], "f4")]
    net = MLP(weights, [np.ones(2, np.float32), np.array([0, 1], "f4")])
    with pytest.raises(FloatingPointError, match="row 0: the derivatives are not finite"):
        fgsm(net, np.zeros((2, 2), np.float32), [1, 1], 0.1)


@pytest.mark.parametrize(("label", "row"), [(1, 1), (0, 2)])  # the step goes up, down
def test_a_step_beyond_the_type_is_an_error(label, row):
    net = MLP([np.array([[1e-3, -1e-3]], np.float32)], [np.zeros(2, np.float32)])
    x = np.array([[0], [3e38], [-3e38]], np.float32)
    with pytest.raises(FloatingPointError, match=f"^row {row}: the steps are not finite"):
        fgsm(net, x, [label] * 3, 3e38)


@pytest.mark.parametrize(
    ("attack", "eps"),
    [(fgsm, 0.1), (adversarial_accuracy, 0.1), (adversarial_accuracy, [0.1, 0.2])],
)
@pytest.mark.parametrize("layer", [0, 1, 2])  # the first whose values overflow
def test_an_attack_names_the_row_whose_logits_overflow(attack, eps, layer):
    weights = [np.ones(shape, np.float32) for shape in ((4, 5), (5, 6), (6, 3))]
    weights[layer][:] = 1e38
    net = MLP(weights, [np.zeros(w.shape[1], np.float32) for w in weights])
    x = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    with pytest.raises(FloatingPointError, match=r"^row 1: the logits are not finite"):
        attack(net, x, [0, 0], eps)
