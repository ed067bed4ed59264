"""Networks: every method held to the reference and to differences, for any batch."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

from fastnn import MLP, reference
from fastnn._engine import layers, tiles, workspace
from fastnn._kernels import attack_steps, elementwise, exponentials, masked_products
from fastnn._kernels import logits as logits_kernels

# One layer, two and four, from 2 classes to 10, widths on both sides of vector registers.
SIZES = ((7, 2), (20, 16, 10), (30, 40, 20, 17, 3))
TIGHT = {np.float32: 1e-5, np.float64: 1e-12}  # relative to the largest entry
ABOVE_A_TILE = 2 * tiles.MOST_ROWS + 3


@pytest.fixture(params=SIZES, ids=lambda sizes: f"depth{len(sizes) - 1}")
def net(request, make_net, activation, dtype):
    return make_net(request.param, activation, dtype)


@pytest.fixture
def samples(rng, net):
    """Return a function that draws inputs of both signs, with zeros, and labels."""

    def draw(rows):
        x = rng.normal(size=(rows, net.sizes[0])) * (rng.random((rows, net.sizes[0])) < 0.7)
        return x.astype(net.dtype), rng.integers(0, net.sizes[-1], rows)

    return draw


def assert_close(found, expected, dtype):
    expected = np.asarray(expected)
    atol = TIGHT[dtype] * np.abs(expected).max(initial=0)
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def by_reference(name, net, x, *labels):
    """Return what the reference says of every sample, in float64 throughout."""
    wide, function = net.astype(np.float64), getattr(reference, name)
    return [
        function(wide.weights, wide.biases, *sample, net.activation)
        for sample in zip(x.astype(np.float64), *labels, strict=True)
    ]


def all_results(net, x, labels):
    """Return the results that have a row for every sample."""
    return {
        "logits": net.logits(x),
        "predict": net.predict(x),
        "predict_proba": net.predict_proba(x),
        "input_gradient": net.input_gradient(x, labels),
    }


# --- against the reference


@pytest.mark.parametrize("name", ["logits", "predict_proba"])
@pytest.mark.parametrize("rows", [1, 61])
def test_values_of_every_sample(net, samples, dtype, name, rows):
    x, _ = samples(rows)
    found = getattr(net, name)(x)
    assert found.dtype == dtype
    assert_close(found, by_reference(name, net, x), dtype)


def test_predictions(net, samples):
    x, _ = samples(61)
    found = net.predict(x)
    assert found.dtype == np.int64
    assert found.tolist() == by_reference("predict", net, x)
    assert len(set(found.tolist())) > 1


def test_the_first_of_equal_logits_is_predicted(dtype):
    net = MLP([np.zeros((4, 3), dtype)], [np.array([1, 2, 2], dtype)])
    assert net.predict(np.ones((2, 4), dtype)).tolist() == [1, 1]


@pytest.mark.parametrize("rows", [1, 61, ABOVE_A_TILE])
def test_loss_is_the_mean_over_the_samples(net, samples, dtype, rows):
    x, labels = samples(rows)
    assert_close(net.loss(x, labels), np.mean(by_reference("loss", net, x, labels)), dtype)


def test_accuracy_is_the_share_of_right_predictions(net, samples):
    x, labels = samples(61)
    right = [p == y for p, y in zip(by_reference("predict", net, x), labels, strict=True)]
    assert net.accuracy(x, labels) == sum(right) / 61
    assert 0 < sum(right) < 61


def test_input_gradient(net, samples, dtype):
    x, labels = samples(61)
    found = net.input_gradient(x, labels)
    assert found.dtype == dtype
    assert_close(found, by_reference("input_gradient", net, x, labels), dtype)


@pytest.mark.parametrize("rows", [1, 61, 200])  # one part, one, two: see gradients.part_count
@pytest.mark.parametrize("l2", [0, 0.3])
def test_gradients(net, samples, dtype, rows, l2):
    x, labels = samples(rows)
    wide = net.astype(np.float64)
    expected = reference.mean_gradients(
        wide.weights, wide.biases, x.astype(float), labels, net.activation, l2=l2
    )
    found = net.gradients(x, labels, l2=l2)
    for ours, theirs in zip([*found.weights, *found.biases], sum(expected, ()), strict=True):
        assert ours.dtype == dtype
        assert_close(ours, theirs, dtype)


def test_gradients_of_parts_taller_than_a_tile(make_net, rng, activation):
    net = make_net((3, 4, 2), activation, np.float64)
    x, labels = rng.normal(size=(8 * tiles.MOST_ROWS + 11, 3)), None
    labels = (x[:, 0] > 0).astype(int)
    found = net.gradients(x, labels)
    # The mean over all rows is that of the means over two parts of known size.
    cut = 1234
    one, other = net.gradients(x[:cut], labels[:cut]), net.gradients(x[cut:], labels[cut:])
    for whole, a, b in zip(sum(found, ()), sum(one, ()), sum(other, ()), strict=True):
        assert_close(whole, (a * cut + b * (len(x) - cut)) / len(x), np.float64)


# --- against differences


def test_gradients_are_the_slopes_of_the_loss(make_net, rng, activation):
    net = make_net((5, 4, 6, 3), activation, np.float64)
    x, labels, step = rng.normal(size=(7, 5)), rng.integers(0, 3, 7), 1e-6
    l2 = 0.1

    def loss():
        decay = sum(float((w**2).sum()) for w in net.weights)
        return net.loss(x, labels) + l2 / 2 * decay

    for array, gradient in zip(
        net.weights + net.biases, sum(net.gradients(x, labels, l2=l2), ()), strict=True
    ):
        slopes = np.empty_like(array)
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + step
            above = loss()
            array[place] = kept - step
            slopes[place] = (above - loss()) / (2 * step)
            array[place] = kept
        np.testing.assert_allclose(gradient, slopes, atol=1e-8)


def test_input_gradient_is_the_slope_of_each_samples_own_loss(make_net, rng, activation):
    net = make_net((5, 4, 6, 3), activation, np.float64)
    x, labels, step = rng.normal(size=(7, 5)), rng.integers(0, 3, 7), 1e-6
    found = net.input_gradient(x, labels)
    for i, j in np.ndindex(x.shape):
        row = x[i].copy()
        row[j] += step
        above = net.loss(row, labels[i])
        row[j] -= 2 * step
        slope = (above - net.loss(row, labels[i])) / (2 * step)
        assert found[i, j] == pytest.approx(slope, abs=1e-8)


def test_the_input_gradient_of_a_sure_sample_does_not_cancel(make_net, rng, dtype):
    net = make_net((7, 2), dtype=dtype)
    net.biases[-1][:] = [30, 0]
    x = rng.normal(size=(1, 7)).astype(dtype)
    found = net.input_gradient(x, [0])
    assert_close(found, by_reference("input_gradient", net, x, [0]), dtype)
    assert (found != 0).all()


# --- any batch


@pytest.mark.parametrize("rows", [1, 61, ABOVE_A_TILE])
def test_a_batch_is_its_samples(net, samples, dtype, rows):
    x, labels = samples(rows)
    batch = all_results(net, x, labels)
    for i in {0, rows // 2, rows - 1}:
        single = all_results(net, x[i], labels[i])
        assert single["predict"] == batch["predict"][i]
        for name in ("logits", "predict_proba", "input_gradient"):
            assert_close(single[name], batch[name][i], dtype)


@pytest.mark.parametrize("rows", [61, ABOVE_A_TILE])
def test_the_order_of_the_rows_does_not_matter(net, samples, rng, dtype, rows):
    x, labels = samples(rows)
    order = rng.permutation(rows)
    ordered, shuffled = all_results(net, x, labels), all_results(net, x[order], labels[order])
    for name, values in ordered.items():
        assert_close(shuffled[name], values[order], dtype)
    assert_close(net.loss(x[order], labels[order]), net.loss(x, labels), dtype)
    assert net.accuracy(x[order], labels[order]) == net.accuracy(x, labels)
    gradients, others = net.gradients(x, labels), net.gradients(x[order], labels[order])
    for one, other in zip(sum(gradients, ()), sum(others, ()), strict=True):
        assert_close(other, one, dtype)


def test_no_rows_give_no_rows(net, dtype):
    x, labels = np.empty((0, net.sizes[0]), dtype), np.empty(0, int)
    shapes = {name: value.shape for name, value in all_results(net, x, labels).items()}
    classes = net.sizes[-1]
    assert shapes == {
        "logits": (0, classes),
        "predict": (0,),
        "predict_proba": (0, classes),
        "input_gradient": x.shape,
    }


def test_one_sample_gives_one_result(net, samples):
    x, labels = samples(1)
    shapes = {name: value.shape for name, value in all_results(net, x[0], labels[0]).items()}
    classes = (net.sizes[-1],)
    assert shapes == {
        "logits": classes,
        "predict": (),
        "predict_proba": classes,
        "input_gradient": x[0].shape,
    }


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "strided": lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "read-only": frozen,
    "list of rows": list,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_taken_and_left_alone(net, samples, layout):
    x, labels = samples(61)
    seen, before = LAYOUTS[layout](x), x.copy()
    expected, found = all_results(net, before, labels), all_results(net, seen, frozen(labels))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert net.loss(seen, labels) == net.loss(before, labels)
    np.testing.assert_array_equal(np.asarray(seen), before)


def test_no_layout_makes_numba_compile_anew(make_net, rng):
    net, labels = make_net((5, 4, 3)), rng.integers(0, 3, 17)
    pixels = rng.integers(0, 256, (17, 5), dtype=np.uint8)

    def compiled():
        modules = [attack_steps, elementwise, exponentials, logits_kernels, masked_products]
        kernels = [kernel for module in modules for kernel in vars(module).values()]
        return sum(len(getattr(kernel, "signatures", ())) for kernel in kernels)

    all_results(net, pixels, labels)
    before = compiled()
    for layout in ("strided", "backwards", "Fortran", "read-only"):
        all_results(net, LAYOUTS[layout](pixels), frozen(labels))
    assert 0 < compiled() == before


@pytest.mark.parametrize("rows", [1, 61, ABOVE_A_TILE])
def test_pixels_are_their_255th_parts(net, rng, dtype, rows):
    pixels = rng.integers(0, 256, (rows, net.sizes[0]), dtype=np.uint8)
    labels = rng.integers(0, net.sizes[-1], rows)
    x = pixels.astype(dtype) / dtype(255)
    expected = all_results(net, x, labels)
    for name, values in all_results(net, pixels, labels).items():
        np.testing.assert_array_equal(values, expected[name])
    assert net.loss(pixels, labels) == net.loss(x, labels)
    for one, other in zip(
        sum(net.gradients(pixels, labels), ()), sum(net.gradients(x, labels), ()), strict=True
    ):
        np.testing.assert_array_equal(one, other)


# --- the network itself


def test_parameters_are_copied(dtype):
    weights, biases = [np.ones((3, 2), dtype)], [np.ones(2, dtype)]
    net = MLP(weights, biases)
    weights[0][:], biases[0][:] = 9, 9
    assert (net.weights[0] == 1).all()
    assert (net.biases[0] == 1).all()


def test_parameters_of_any_layout_are_stored_row_by_row(rng, dtype):
    w = np.asfortranarray(rng.normal(size=(5, 4)).astype(dtype))
    net = MLP([w], [frozen(np.ones((1, 4), dtype))])
    assert net.weights[0].flags.c_contiguous
    assert net.biases[0].flags.writeable
    assert net.biases[0].shape == (4,)
    np.testing.assert_array_equal(net.weights[0], w)


def test_what_a_network_says_of_itself(make_net):
    net = make_net((5, 4, 3), "sigmoid")
    assert net.sizes == (5, 4, 3)
    assert net.dtype == np.float32
    assert repr(net) == "MLP(5-4-3, sigmoid, float32)"
    with pytest.raises(AttributeError, match="cannot assign"):
        net.weights = ()


def test_astype_copies(make_net):
    net = make_net((5, 4, 3), "sigmoid")
    wide = net.astype("float64")
    assert (wide.dtype, wide.activation) == (np.float64, "sigmoid")
    same = net.astype(np.float32)
    same.weights[0][:] = 0
    np.testing.assert_array_equal(wide.weights[0], net.weights[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_network_can_be_copied_and_pickled(make_net, rng, copied):
    net, x = make_net((5, 4, 3)), rng.random((7, 5), dtype=np.float32)
    np.testing.assert_array_equal(copied(net).logits(x), net.logits(x))


@pytest.mark.parametrize(
    ("activation", "variance"), [("relu", 2 / 400), ("sigmoid", 2 / 700), ("tanh", 2 / 700)]
)
def test_random_weights_have_the_variance_of_their_source(activation, variance, dtype):
    net = MLP.random((400, 300, 300, 10), activation, dtype=dtype)
    assert net.dtype == dtype
    assert net.activation == activation
    assert net.weights[0].var() == pytest.approx(variance, rel=0.02)
    assert net.weights[0].mean() == pytest.approx(0, abs=1e-3)
    assert not any(b.any() for b in net.biases)
    assert [w.shape for w in net.weights] == list(pairwise(net.sizes))


def test_random_networks_depend_on_the_seed_alone():
    one, same = MLP.random((5, 4, 3), rng=7), MLP.random([5, 4, 3], rng=np.random.default_rng(7))
    np.testing.assert_array_equal(one.weights[1], same.weights[1])
    assert (MLP.random((5, 4, 3), rng=8).weights[1] != one.weights[1]).all()
    fresh = [MLP.random((5, 4, 3), rng=None).weights[1] for _ in range(2)]
    assert (fresh[0] != fresh[1]).all()


# --- what overflows


@pytest.mark.parametrize("row", [0, 3, ABOVE_A_TILE - 1])
def test_a_row_whose_logits_overflow_is_named(make_net, dtype, activation, row):
    net = make_net((4, 3), activation, dtype)
    net.weights[0][:] = np.finfo(dtype).max
    x = np.zeros((ABOVE_A_TILE, 4), dtype)
    x[row] = 2
    labels = np.zeros(len(x), int)
    calls = [
        lambda: net.logits(x),
        lambda: net.predict(x),
        lambda: net.predict_proba(x),
        lambda: net.loss(x, labels),
        lambda: net.accuracy(x, labels),
        lambda: net.gradients(x, labels),
        lambda: net.input_gradient(x, labels),
    ]
    for call in calls:
        with pytest.raises(FloatingPointError, match=f"^row {row}: the logits are not finite"):
            call()


# In a product, in the sum of two parts, and with the weights.
@pytest.mark.parametrize(
    ("rows", "first", "spread", "l2"), [(1, 1, 1e38, 0.0), (128, 1, 1e36, 0.0), (1, 2, 1, 3e38)]
)
def test_a_gradient_by_the_parameters_that_overflows_is_an_error(rows, first, spread, l2):
    second = spread * np.array([[1, -1], [-1, 1]], np.float32)  # the logits are 0 and 9
    weights = [np.full((1, 2), first, np.float32), second.astype(np.float32)]
    net = MLP(weights, [np.zeros(2, np.float32), np.array([0, 9], np.float32)])
    with pytest.raises(FloatingPointError, match=r"the gradient by weights\[0\] is not finite"):
        net.gradients(np.full((rows, 1), 2, np.float32), [0] * rows, l2=l2)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("rows", "products"), [(layers._ONE_BY_ONE, layers._ONE_BY_ONE), (layers._ONE_BY_ONE + 1, 1)]
)
def test_few_rows_go_to_blas_one_by_one(make_net, rng, monkeypatch, rows, products, transposed):
    net = make_net((30, 20))
    ws = workspace.Workspace(net, rows, None, {})
    factor = net.weights[0].T if transposed else net.weights[0]
    a = rng.random((rows, len(factor)), np.float32)
    exact = a.astype(np.float64) @ factor.astype(np.float64)
    out = np.full(exact.shape, np.nan, np.float32)
    done, matmul = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *a, **k: done.append(a) or matmul(*a, **k))
    layers.layer_product(ws, a, 0, out, transposed=transposed)
    assert len(done) == products
    np.testing.assert_allclose(out, exact, rtol=1e-5, atol=1e-5)
