"""The assignment's names over the engine, held to `fastnn.reference.comp7015`."""

import copy
import inspect

import numpy as np
import pytest

from fastnn import comp7015, load_mnist, train
from fastnn._engine import masked, narrow
from fastnn._runtime import progress
from fastnn.networks import MLP
from fastnn.reference import comp7015 as reference

KEYS = ("W1", "b1", "W2", "b2")
FC = [f"fc{i}.{kind}" for i in (1, 2, 3, 4) for kind in ("weight", "bias")]
PARAMETERS = ["W1", "b1", "W2", "b2", "W3", "b3", "W4", "b4"]
LAYERS = ["z1", "z2", "z3", "z4", "h1", "h2", "h3", "p"]
TOLERANCE = {np.float64: {"rtol": 1e-11, "atol": 1e-13}, np.float32: {"rtol": 1e-5, "atol": 2e-6}}
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def samples(rng, n, d=12, dtype=np.float64):
    """Return images and one-hot labels."""
    return rng.normal(size=(n, d)).astype(dtype), np.eye(10)[rng.integers(0, 10, n)]


def part1(rng, sizes=(12, 8, 10), dtype=np.float64, lamb=0.5):
    """Return the parameters of part 1."""
    d, h, k = sizes
    shapes = {"W1": (d, h), "b1": (1, h), "W2": (h, k), "b2": (1, k)}
    arrays = {key: rng.normal(size=shape).astype(dtype) for key, shape in shapes.items()}
    return arrays | {"lambda": lamb}


def part2(rng, sizes=(12, 20, 9, 8, 10), dtype=np.float64):
    """Return the parameters of part 2, biases of both shapes that are around."""
    params = {}
    for i in range(4):
        params[f"fc{i + 1}.weight"] = rng.normal(size=sizes[i : i + 2]).astype(dtype)
        shape = (1, sizes[i + 1]) if i % 2 else (sizes[i + 1],)
        params[f"fc{i + 1}.bias"] = rng.normal(size=shape).astype(dtype)
    return params


def wide(params):
    """Return the same numbers as float64."""
    return {k: np.asarray(v, np.float64) if np.ndim(v) else v for k, v in params.items()}


def perceptrons(params):
    """Return our perceptron, and the reference's in float64."""
    ours, theirs = comp7015.MultiLayerPerceptron(), reference.MultiLayerPerceptron()
    ours.load_params(params)
    theirs.load_params(wide(params))
    return ours, theirs


# --- the names


def test_a_star_import_brings_the_names_of_the_assignment_and_no_more():
    names = {}
    exec("from fastnn.comp7015 import *", names)
    del names["__builtins__"]
    assert set(names) == {*reference.__all__, "readData", "prepare_data"}
    assert all(names[name] is getattr(comp7015, name) for name in names)


@pytest.mark.parametrize(
    ("name", "arguments"),
    {
        "one_hot_labels": "labels",
        "readData": "images_file labels_file",
        "prepare_data": "",
        "softmax": "x",
        "sigmoid": "x",
        "forward_prop": "data labels params",
        "backward_prop": "data labels params",
        "calc_accuracy": "y labels",
        "update_params": "params grad learning_rate",
        "nn_train": "trainData trainLabels devData devLabels num_hidden learning_rate batch_size "
        "num_epochs reg_strength",
        "nn_test": "data labels params",
        "relu": "x",
        "relu_grad": "x",
        "cross_entropy": "y y_hat",
        "MultiLayerPerceptron": "",
        "MultiLayerPerceptron.load_params": "self params",
        "MultiLayerPerceptron.set_attack_budget": "self eps",
        "MultiLayerPerceptron.forward": "self x",
        "MultiLayerPerceptron.predict": "self x",
        "MultiLayerPerceptron.gradient": "self x y",
        "MultiLayerPerceptron.attack": "self x y",
    }.items(),
)
def test_signatures_are_those_of_the_assignment(name, arguments):
    owner, _, method = name.partition(".")
    function = getattr(comp7015, owner)
    parameters = inspect.signature(getattr(function, method) if method else function).parameters
    assert list(parameters)[: len(arguments.split())] == arguments.split()
    extra = list(parameters.values())[len(arguments.split()) :]
    assert all(argument.default is not inspect.Parameter.empty for argument in extra)


def test_nn_train_has_the_defaults_of_the_assignment():
    parameters = inspect.signature(comp7015.nn_train).parameters
    settings = ["num_hidden", "learning_rate", "batch_size", "num_epochs", "reg_strength"]
    assert [parameters[name].default for name in settings] == [300, 5, 1000, 30, 0]


# --- the small functions

EXTREMES = [0.0, -0.0, 1e-30, -1e-30, 17, -17, 40, -40, 88, -88, 700, -700, 1000, -1000]


@both_types
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "relu", "relu_grad"])
def test_elementwise_functions_agree_with_the_reference(rng, dtype, name):
    rows = np.concatenate([np.tile(EXTREMES, (2, 1)), 5 * rng.normal(size=(7, 14))]).astype(dtype)
    rows[1] = rows[1, ::-1]
    ours = getattr(comp7015, name)
    expected = [getattr(reference, name)(row[None].astype(np.float64))[0] for row in rows]
    found = ours(rows)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype]["rtol"], atol=1e-37)
    for i in (0, 5):
        np.testing.assert_array_equal(ours(rows[i]), found[i])


def test_elementwise_functions_take_whole_numbers():
    assert comp7015.relu([[-1, 0], [2, 3]]).tolist() == [[0, 0], [2, 3]]
    assert comp7015.relu_grad(np.array([-1, 0, 2])).tolist() == [0, 0, 1]
    assert comp7015.sigmoid(0) == 0.5
    assert comp7015.softmax(np.array([[1000, 0], [3, 3]])).tolist() == [[1, 0], [0.5, 0.5]]


def test_one_hot_rows(rng):
    labels = rng.integers(0, 10, 20)
    found = comp7015.one_hot_labels(labels)
    np.testing.assert_array_equal(found, reference.one_hot_labels(labels))
    np.testing.assert_array_equal(comp7015.one_hot(labels), found)
    assert found.dtype == np.float64
    assert comp7015.one_hot(np.int64(5)).tolist() == reference.one_hot(5, 10).tolist()
    assert comp7015.one_hot(1, 3).tolist() == [0, 1, 0]
    assert comp7015.one_hot_labels(np.array(7)).shape == (1, 10)


@both_types
def test_cross_entropy_of_one_sample_and_of_many(rng, dtype):
    probs, labels = rng.dirichlet(np.ones(10), 6).astype(dtype), rng.integers(0, 10, 6)
    many = comp7015.cross_entropy(labels, probs)
    assert many.shape == (6,)
    assert many.dtype == dtype
    for label, row, loss in zip(labels, probs, many, strict=True):
        expected = reference.cross_entropy(label, row.astype(np.float64))
        assert loss == pytest.approx(expected, rel=1e-6)
        assert comp7015.cross_entropy(int(label), row) == loss
    assert comp7015.cross_entropy(1, np.array([1.0, 0.0])) == np.inf


def test_accuracy_takes_the_first_of_equals(rng):
    y = np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5], [0.5, 0.5]])
    labels = np.array([[0, 1], [0, 1], [1, 0], [0, 1]])
    assert comp7015.calc_accuracy(y, labels) == reference.calc_accuracy(y, labels) == 0.5
    probs, truth = rng.dirichlet(np.ones(10), 50), np.eye(10)[rng.integers(0, 10, 50)]
    strided = np.asfortranarray(probs)
    strided.flags.writeable = False
    assert comp7015.calc_accuracy(strided, truth) == reference.calc_accuracy(probs, truth)


# --- part 1


@both_types
@pytest.mark.parametrize("n", [1, 7, 139, 1013])
@pytest.mark.parametrize("lamb", [0, 0.5])
def test_passes_agree_with_the_reference(rng, dtype, n, lamb):
    params, (data, labels) = part1(rng, dtype=dtype, lamb=lamb), samples(rng, n, dtype=dtype)
    before = [array.copy() for array in (data, labels, *(params[key] for key in KEYS))]
    exact = (data.astype(np.float64), labels, wide(params))
    h, y, loss = comp7015.forward_prop(data, labels, params)
    assert h.dtype == y.dtype == dtype
    assert isinstance(loss, float)
    for found, expected in zip((h, y, loss), reference.forward_prop(*exact), strict=True):
        np.testing.assert_allclose(found, expected, **TOLERANCE[dtype])
    grad = comp7015.backward_prop(data, labels, params)
    expected = reference.backward_prop(*exact)
    assert list(grad) == list(KEYS)
    for key in KEYS:
        assert grad[key].dtype == dtype
        assert grad[key].shape == params[key].shape
        np.testing.assert_allclose(grad[key], expected[key], **TOLERANCE[dtype])
    right = comp7015.nn_test(data, labels, params)
    assert right == reference.nn_test(*exact)
    assert comp7015.calc_accuracy(y, labels) == right / n
    after = [data, labels, *(params[key] for key in KEYS)]
    assert all(map(np.array_equal, before, after))


def test_the_loss_adds_1e_16_to_the_probability():
    params = {"W1": [[0.0]], "b1": [[0.0]], "W2": [[0.0, 0.0]], "b2": [[1000.0, 0.0]]}
    data, labels = np.zeros((2, 1)), np.eye(2)
    h, y, loss = comp7015.forward_prop(data, labels, params)
    assert h.tolist() == [[0.5], [0.5]]
    assert y.tolist() == [[1, 0], [1, 0]]
    assert loss == pytest.approx(8 * np.log(10), rel=1e-12)


def test_the_residual_of_a_sure_network_does_not_cancel():
    params = part1(np.random.default_rng(0), (1, 1, 2), np.float32, 0)
    params |= {"W2": np.zeros((1, 2), np.float32), "b2": np.array([[30.0, 0.0]], np.float32)}
    grad = comp7015.backward_prop(np.ones((1, 1), np.float32), np.array([[1, 0]]), params)
    assert grad["b2"][0].tolist() == pytest.approx([-np.exp(-30), np.exp(-30)], rel=1e-6)


def test_arrays_of_several_types_meet_in_float64(rng):
    params, (data, labels) = part1(rng, dtype=np.float32), samples(rng, 5)
    expected = comp7015.forward_prop(data, labels, wide(params))
    for found, one in zip(comp7015.forward_prop(data, labels, params), expected, strict=True):
        np.testing.assert_array_equal(found, one)
    mixed = params | {"b1": params["b1"].astype(np.float64)}
    assert comp7015.forward_prop(data.astype(np.float32), labels, mixed)[1].dtype == np.float64


def test_uint8_is_pixels_and_other_integers_are_numbers(rng):
    params = part1(rng, (12, 8, 10))
    pixels, labels = rng.integers(0, 256, (30, 12)).astype(np.uint8), samples(rng, 30)[1]
    of_pixels = comp7015.forward_prop(pixels, labels, params)
    of_floats = comp7015.forward_prop(pixels / 255, labels, params)
    of_integers = comp7015.forward_prop(pixels.astype(np.int64), labels, params)
    of_numbers = comp7015.forward_prop(pixels.astype(np.float64), labels, params)
    for i in range(3):
        np.testing.assert_allclose(of_pixels[i], of_floats[i], rtol=1e-12)
        np.testing.assert_array_equal(of_integers[i], of_numbers[i])


def test_flat_biases_are_fine_and_get_flat_gradients(rng):
    params, (data, labels) = part1(rng), samples(rng, 5)
    flat = params | {"b1": params["b1"][0], "b2": params["b2"][0]}
    grad = comp7015.backward_prop(data, labels, flat)
    expected = comp7015.backward_prop(data, labels, params)
    for key in ("b1", "b2"):
        np.testing.assert_array_equal(grad[key], expected[key][0])
    comp7015.update_params(flat, grad, 0.5)
    comp7015.update_params(params, expected, 0.5)
    np.testing.assert_array_equal(flat["b1"], params["b1"][0])


@both_types
def test_update_params_writes_into_the_arrays(rng, dtype):
    params, grad = part1(rng, dtype=dtype), part1(rng)
    mine, theirs = dict(params), wide(params)
    reference.update_params(theirs, grad, 0.3)
    comp7015.update_params(params, grad, 0.3)
    for key in KEYS:
        assert params[key] is mine[key]
        assert params[key].dtype == dtype
        np.testing.assert_allclose(params[key], theirs[key], rtol=1e-5, atol=1e-6)


@both_types
@pytest.mark.parametrize(
    ("batch_size", "lamb"), [(16, 0), (16, 0.5), (35, 0.5), (100, 0.5), (1, 0.1)]
)
def test_nn_train_agrees_with_the_reference(rng, dtype, capsys, batch_size, lamb):
    # Of 70 rows, batches of 16 leave six out; 35 leave none; of 100 there is none.
    data, dev = samples(rng, 70, dtype=dtype), samples(rng, 9, dtype=dtype)
    settings = {"num_hidden": 8, "learning_rate": 0.2, "num_epochs": 3, "reg_strength": lamb}
    ours = comp7015.nn_train(*data, *dev, batch_size=batch_size, seed=3, dtype=dtype, **settings)
    assert capsys.readouterr().out == "0,1,2,"
    theirs = reference.nn_train(
        *(array.astype(np.float64) for array in (*data, *dev)),
        batch_size=batch_size,
        seed=3,
        **settings,
    )
    assert list(ours[0]) == [*KEYS, "lambda"]
    assert ours[0]["lambda"] == lamb
    tolerance = {np.float64: {"rtol": 1e-9}, np.float32: {"rtol": 1e-5, "atol": 1e-5}}[dtype]
    for key in KEYS:
        assert ours[0][key].dtype == dtype
        assert ours[0][key].shape == theirs[0][key].shape
        np.testing.assert_allclose(ours[0][key], theirs[0][key], **tolerance)
    for found, expected in zip(ours[1:], theirs[1:], strict=True):
        assert [type(value) for value in found] == [float] * 3
        np.testing.assert_allclose(found, expected, **tolerance)


def test_nn_train_computes_in_the_type_asked_for_whatever_the_data(rng, capsys):
    data, dev = samples(rng, 20), samples(rng, 4)
    settings = {"num_hidden": 4, "batch_size": 10, "num_epochs": 1, "seed": 1}
    params, *curves = comp7015.nn_train(*data, *dev, **settings)
    narrow = [array.astype(np.float32) for array in (*data, *dev)]
    again, *same = comp7015.nn_train(*narrow, **settings)
    assert params["W1"].dtype == np.float32
    assert curves == same
    assert all(np.array_equal(params[key], again[key]) for key in KEYS)
    assert comp7015.nn_train(*narrow, dtype="float64", **settings)[0]["W1"].dtype == np.float64
    capsys.readouterr()


def test_nn_train_starts_from_numpys_global_generator_without_a_seed(rng, capsys):
    data, dev = samples(rng, 5), samples(rng, 4)
    np.random.seed(11)  # noqa: NPY002 - what a notebook does
    params, *_ = comp7015.nn_train(*data, *dev, num_hidden=4, num_epochs=1, dtype=np.float64)
    source = np.random.RandomState(11)
    np.testing.assert_array_equal(params["W1"], source.standard_normal((12, 4)))
    np.testing.assert_array_equal(params["W2"], source.standard_normal((4, 10)))
    assert params["b1"].tolist() == [[0] * 4]
    capsys.readouterr()


def test_nn_train_draws_a_bar_in_place_of_the_numbers(rng, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SHOWN_AFTER", 0.0)
    comp7015.nn_train(*samples(rng, 5), *samples(rng, 4), num_epochs=2, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "training" in printed.err
    assert "2/2" in printed.err


def test_nn_train_says_when_it_diverges(rng, capsys):
    data, labels = samples(rng, 20, dtype=np.float32)
    with pytest.raises(FloatingPointError, match="the logits are not finite"):
        comp7015.nn_train(data, labels, data, labels, 8, 3e38, 5, 5, seed=0)
    capsys.readouterr()


# --- part 2


@both_types
@pytest.mark.parametrize("n", [1, 5, 131])
def test_the_perceptron_agrees_with_the_reference_image_by_image(rng, dtype, n):
    ours, theirs = perceptrons(part2(rng, dtype=dtype))
    x, y = rng.normal(size=(n, 12)).astype(dtype), rng.integers(0, 10, n)
    assert ours.eps == 0.1
    gradient = ours.gradient(x, y)
    layers = {name: getattr(ours, name) for name in LAYERS}
    probs, predicted, moved = ours.forward(x), ours.predict(x), ours.attack(x, y)
    assert probs.dtype == gradient.dtype == moved.dtype == dtype
    assert predicted.shape == (n,)
    for i, (row, label) in enumerate(zip(x.astype(np.float64), y, strict=True)):
        np.testing.assert_allclose(probs[i], theirs.forward(row), **TOLERANCE[dtype])
        for name, layer in layers.items():
            assert layer.shape == (n, *getattr(theirs, name).shape)
            np.testing.assert_allclose(layer[i], getattr(theirs, name), rtol=1e-5, atol=1e-4)
        assert predicted[i] == theirs.predict(row)
        slope = theirs.gradient(row, label)
        np.testing.assert_allclose(
            gradient[i], slope, rtol=TOLERANCE[dtype]["rtol"], atol=1e-5 * np.abs(slope).max()
        )
        np.testing.assert_allclose(moved[i], theirs.attack(row, label), rtol=1e-6, atol=1e-6)


def test_one_image_gives_what_it_gives_in_a_batch(rng):
    net, _ = perceptrons(part2(rng))
    x, y = rng.normal(size=(40, 12)), rng.integers(0, 10, 40)
    many = (net.forward(x), net.predict(x), net.gradient(x, y), net.attack(x, y))
    for i in range(3):
        one = (net.forward(x[i]), net.predict(x[i]), net.gradient(x[i], y[i]))
        assert one[0] is not net.p
        shapes = [getattr(net, name).shape for name in LAYERS]
        assert shapes == [(20,), (9,), (8,), (10,), (20,), (9,), (8,), (10,)]
        for found, batch in zip((*one, net.attack(x[i], int(y[i]))), many, strict=True):
            assert np.shape(found) == batch.shape[1:]
            np.testing.assert_allclose(found, batch[i], rtol=1e-10, atol=1e-12)
    assert net.forward(x[:1]).shape == (1, 10)
    assert net.predict(x[:1]).tolist() == [net.predict(x[0])]
    assert net.gradient(x[:1], 3).shape == net.attack(x[:1], [3]).shape == (1, 12)
    assert net.z1.shape == (1, 20)
    assert net.predict(x[:0]).shape == (0,)


def test_an_earlier_result_is_not_overwritten(rng):
    net, _ = perceptrons(part2(rng))
    x = rng.normal(size=(2, 12))
    first = net.forward(x[0])
    kept, hidden = first.copy(), net.h1
    hidden_kept = hidden.copy()
    net.forward(x[1])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(hidden, hidden_kept)
    assert net.h1 is not hidden


def test_the_layers_are_those_of_the_last_call_whatever_became_of_its_images(rng):
    net, _ = perceptrons(part2(rng))
    x, y = rng.normal(size=(70, 12)), rng.integers(0, 10, 70)
    net.forward(x)
    expected = {name: getattr(net, name).copy() for name in LAYERS}
    for call in (
        net.forward,
        net.predict,
        lambda z: net.gradient(z, y),
        lambda z: net.attack(z, y),
    ):
        net.forward(x[::-1])
        assert not np.array_equal(net.h3, expected["h3"])
        mine = x.copy()
        call(mine)
        mine[:] = 0
        for name in LAYERS:
            np.testing.assert_array_equal(getattr(net, name), expected[name])
    assert net.forward(x) is net.p
    assert net.z4 is net.z4


def test_a_call_needs_no_memory_for_layers_that_nobody_asks_for(rng):
    import tracemalloc

    net, _ = perceptrons(part2(rng, (4, 500, 500, 500, 10), np.float32))
    x, y = rng.normal(size=(20_000, 4)).astype(np.float32), np.zeros(20_000, int)
    tracemalloc.start()
    for call in (
        net.forward,
        net.predict,
        lambda z: net.gradient(z, y),
        lambda z: net.attack(z, y),
    ):
        call(x)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30e6
    assert sum(getattr(net, name).nbytes for name in LAYERS) > 240e6


def test_every_pass_leaves_out_the_zeros_of_the_images(rng, monkeypatch):
    rows, multiply = narrow.MOST_ROWS + 1, masked.masked_product
    products = []

    def noted(a, panels, masks, sums, out):
        products.append((a.shape[1], out.shape[1]))
        return multiply(a, panels, masks, sums, out)

    monkeypatch.setattr(masked, "masked_product", noted)
    net, _ = perceptrons(part2(rng, (40, 128, 9, 8, 10), np.float32))
    x = np.zeros((rows, 40), np.float32)
    x[:, :5] = rng.normal(size=(rows, 5))
    y = np.zeros(rows, int)
    calls = (
        lambda: net.forward(x),
        lambda: net.predict(x),
        lambda: net.gradient(x, y),
        lambda: net.attack(x, y),
        lambda: net.z1,
    )
    for call in calls:
        products.clear()
        call()
        assert products.count((40, 128)) == 2  # once for either tile
    np.testing.assert_allclose(net.z1, x @ net.W1 + net.b1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lead", [20.0, 80.0, 200.0])
def test_the_attack_in_float32_is_right_on_a_sure_network(lead):
    # Class 0 leads by `lead`; the gradient is a positive multiple of W4[:, 1] - W4[:, 0].
    eye, zero = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)
    last, bias = np.array([[2, 1], [1, 3]], np.float32), np.array([lead, 0], np.float32)
    arrays = [eye, zero, eye, zero, eye, zero, last, bias]
    net, _ = perceptrons(dict(zip(FC, arrays, strict=True)))
    net.set_attack_budget(0.25)
    assert net.eps == 0.25
    x = np.ones(2, np.float32)
    assert net.attack(x, 0).tolist() == [0.75, 1.25]
    slope = np.exp(np.float64(-lead + 1))  # the logits are 3 + lead and 4
    expected = np.array([-1, 2]) * slope / (1 + slope)
    np.testing.assert_allclose(net.gradient(x, 0), expected, rtol=1e-5, atol=1e-45)


def test_the_attack_is_not_clipped_and_moves_no_argument(rng):
    net, _ = perceptrons(part2(rng))
    x = rng.uniform(size=(6, 12))
    before = x.copy()
    net.eps = 2.0
    moved = net.attack(x, np.zeros(6, int))
    np.testing.assert_array_equal(x, before)
    assert np.abs(moved - x).max() == pytest.approx(2)
    assert moved.min() < -0.5
    net.set_attack_budget(0)
    np.testing.assert_array_equal(net.attack(x, np.zeros(6, int)), x)


def test_the_perceptron_works_in_the_common_type(rng):
    params = part2(rng, dtype=np.float32)
    net, _ = perceptrons(params)
    exact, _ = perceptrons(wide(params))
    x = rng.uniform(size=(3, 12))
    np.testing.assert_array_equal(net.forward(x), exact.forward(x))
    assert net.forward(x.astype(np.float32)).dtype == np.float32
    assert exact.forward(x.astype(np.float32)).dtype == np.float64
    pixels = rng.integers(0, 256, (3, 12)).astype(np.uint8)
    np.testing.assert_allclose(exact.forward(pixels), exact.forward(pixels / 255), rtol=1e-12)
    assert net.attack(pixels, [1, 2, 3]).dtype == np.float32


def test_parameters_are_kept_as_given_and_changed_by_assignment(rng):
    params = part2(rng)
    net, _ = perceptrons(params)
    for key, name in zip(FC, PARAMETERS, strict=True):
        assert getattr(net, name).shape == params[key].shape
        np.testing.assert_array_equal(getattr(net, name), params[key])
    with pytest.raises(ValueError, match="read-only"):
        net.W1[0, 0] = 1
    x = rng.normal(size=12)
    old = net.forward(x)
    params["fc4.bias"][...] += np.arange(10)  # the caller's own array
    np.testing.assert_array_equal(net.forward(x), old)
    net.b4 = params["fc4.bias"]
    np.testing.assert_allclose(net.forward(x), perceptrons(params)[0].forward(x), rtol=1e-14)
    net.W4 = np.full((8, 10), np.nan)
    with pytest.raises(ValueError, match=r"^W4\[0, 0\] is nan; every entry must be finite$"):
        net.forward(x)
    by_hand = comp7015.MultiLayerPerceptron()
    for key, name in zip(FC, PARAMETERS, strict=True):
        setattr(by_hand, name, params[key])
    np.testing.assert_allclose(by_hand.forward(x), perceptrons(params)[0].forward(x), rtol=1e-14)


def test_a_copy_takes_its_own_parameters_when_they_are_changed(rng):
    net, _ = perceptrons(part2(rng))
    x = rng.normal(size=(3, 12))
    before = net.forward(x)
    twin = copy.deepcopy(net)
    np.testing.assert_array_equal(twin.h1, net.h1)
    twin.W1[:] = 0
    expected = np.broadcast_to(net.b1, (3, 20))
    twin.forward(x)
    np.testing.assert_array_equal(twin.z1, expected)
    np.testing.assert_array_equal(net.forward(x), before)
    with pytest.raises(ValueError, match="read-only"):
        twin.W1[:] = 1


def test_parameters_may_be_archives_of_one_array(rng, tmp_path):
    params = part2(rng)
    np.savez(tmp_path / "one.npz", params["fc1.weight"])
    np.savez(tmp_path / "two.npz", a=params["fc1.weight"], b=1)
    x = rng.normal(size=12)
    with np.load(tmp_path / "one.npz") as archive:
        net, _ = perceptrons(params)
        expected = net.forward(x)
        net.load_params(params | {"fc1.weight": archive})
    np.testing.assert_array_equal(net.forward(x), expected)
    with (
        np.load(tmp_path / "two.npz") as archive,
        pytest.raises(ValueError, match=r"^params\['fc1.weight'\] holds 2 arrays, expected one$"),
    ):
        net.load_params(params | {"fc1.weight": archive})


# --- files


def write_files(folder, x, y, n_train):
    """Write the assignment's four files, the last rows for the test."""
    np.save(folder / "images_train.npy", x[:n_train])
    np.save(folder / "labels_train.npy", y[:n_train])
    np.save(folder / "images_test.npy", x[n_train:])
    np.save(folder / "labels_test.npy", y[n_train:])


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Work in an empty folder, with no digits but the bundled ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setenv("FASTNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_read_data_finds_either_spelling(rng, tmp_path):
    x, y = rng.normal(size=(3, 4)), np.array([1, 2, 3])
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "y.npz", y=y)
    for images, labels in (("x.npy", "y.npz"), ("x.npz", "y.npy")):
        found = comp7015.readData(tmp_path / images, str(tmp_path / labels))
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[1], y)
    np.save(tmp_path / "z.npy", y[:2])
    with pytest.raises(ValueError, match=r"x.npy holds an array of shape \(3, 4\) but .*z.npy"):
        comp7015.readData(tmp_path / "x.npy", tmp_path / "z.npy")
    with pytest.raises(FileNotFoundError, match=r"none.npy: no such file"):
        comp7015.readData(tmp_path / "none.npy", tmp_path / "y.npy")
    np.save(tmp_path / "p.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"p.npy holds pickled objects"):
        comp7015.readData(tmp_path / "x.npy", tmp_path / "p.npy")


@pytest.mark.parametrize("labels_as", [np.int64, np.float64])
def test_prepare_data_takes_the_files_of_the_assignment_as_they_are(rng, nowhere, labels_as):
    # Row i of the images is all i - 35, so that a row is known wherever it went.
    y = rng.integers(0, 10, 70)
    x = np.repeat(np.arange(70.0)[:, None] - 35, 784, axis=1)
    write_files(nowhere, x, y.astype(labels_as), 60)
    data = comp7015.prepare_data(seed=4)
    shapes = [array.shape for array in data]
    assert shapes == [(50, 784), (50, 10), (10, 784), (10, 10), (10, 784), (10, 10)]
    rows = [(array[:, 0] + 35).astype(int) for array in data[::2]]
    assert sorted([*rows[0], *rows[1]]) == list(range(60))
    assert rows[2].tolist() == list(range(60, 70))
    for row, labels in zip(rows, data[1::2], strict=True):
        np.testing.assert_array_equal(labels, np.eye(10)[y[row]])
    order = np.random.default_rng(4).permutation(60)
    assert [*rows[1], *rows[0]] == order.tolist()
    np.random.seed(8)  # noqa: NPY002 - what a notebook does
    _, _, held_out, *_ = comp7015.prepare_data(nowhere)
    expected = np.random.RandomState(8).permutation(60)[:10]
    assert (held_out[:, 0] + 35).astype(int).tolist() == expected.tolist()


def test_prepare_data_flattens_images_and_refuses_what_is_none(rng, nowhere):
    y = rng.integers(0, 10, 16)
    write_files(nowhere, rng.uniform(size=(16, 28, 28)), y, 12)
    assert comp7015.prepare_data()[0].shape == (10, 784)
    write_files(nowhere, rng.uniform(size=(16, 784)), y, 5)
    with pytest.raises(ValueError, match=r"^5 images to train on, expected at least 6$"):
        comp7015.prepare_data()
    write_files(nowhere, np.arange(16), y, 12)
    with pytest.raises(ValueError, match=r"images_train.npy holds int64 of shape \(12,\)"):
        comp7015.prepare_data()
    (nowhere / "labels_train.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels_train.npy: no such file"):
        comp7015.prepare_data()
    (nowhere / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: no MNIST files"):
        comp7015.prepare_data(nowhere / "empty")


# --- a student's notebook

PART_1 = """
import random
import numpy as np
import matplotlib.pyplot as plt
from fastnn.comp7015 import *
np.random.seed(1)
trainData, trainLabels, devData, devLabels, testData, testLabels = prepare_data()
num_epochs = 30
params, tr_loss, tr_metric, dev_loss, dev_metric = nn_train(
    trainData, trainLabels, devData, devLabels, num_epochs=num_epochs)
xs = np.arange(num_epochs)
fig, axes = plt.subplots(1, 2, sharex=True, sharey=False, figsize=(12, 4))
ax0, ax1 = axes.ravel()
ax0.plot(xs, tr_loss, label='train loss')
ax0.plot(xs, dev_loss, label='dev loss')
ax1.plot(xs, tr_metric, label='train acc')
ax1.plot(xs, dev_metric, label='dev acc')
plt.show()
accuracy = nn_test(testData, testLabels, params)
print('Test accuracy: {0}'.format(accuracy))
"""

PART_2 = """
from __future__ import print_function
import numpy as np
import matplotlib.pyplot as plt
from fastnn.comp7015 import *
X_test = np.load("./X_test.npy")
Y_test = np.load("./Y_test.npy")
params = {}
param_names = ["fc1.weight", "fc1.bias",
               "fc2.weight", "fc2.bias",
               "fc3.weight", "fc3.bias",
               "fc4.weight", "fc4.bias"]
for name in param_names:
    params[name] = np.load("./"+name+'.npz')
clf = MultiLayerPerceptron()
clf.load_params(params)
x, y = X_test[0], Y_test[0]
print ("This is an image of Number", y)
pixels = x.reshape((28,28))
plt.imshow(pixels,cmap="gray")
nTest = 1000
Y_pred = np.zeros(nTest)
for i in range(nTest):
    x, y = X_test[i], Y_test[i]
    Y_pred[i] = clf.predict(x)
acc = np.sum(Y_pred == Y_test[:nTest])*1.0/nTest
print ("Test accuracy is", acc)
pixels = clf.attack(X_test[0], Y_test[0]).reshape((28,28))
plt.imshow(pixels,cmap="gray")
for i in range(nTest):
    x, y = X_test[i], Y_test[i]
    Y_pred[i] = clf.predict(clf.attack(x, y))
acc = np.sum(Y_pred == Y_test[:nTest])*1.0/nTest
print ("Test accuracy of adversarial examples is", acc)
"""


@pytest.fixture
def plots(monkeypatch):
    """Draw on no screen, and close what a notebook leaves open."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")


@pytest.mark.usefixtures("nowhere", "plots")
def test_the_cells_of_part_1_run(capsys):
    cells = {}
    exec(PART_1, cells)
    epochs, _, accuracy = capsys.readouterr().out.partition("Test accuracy: ")
    assert epochs == "".join(f"{i}," for i in range(30))
    assert accuracy == f"{cells['accuracy']}\n"
    shapes = [cells[name].shape for name in ("trainData", "devLabels", "testData")]
    assert shapes == [(3334, 784), (666, 10), (1000, 784)]
    assert 750 < cells["accuracy"] < 950
    assert cells["tr_loss"][-1] < cells["tr_loss"][0]
    exact = (cells["testData"].astype(np.float64), cells["testLabels"], wide(cells["params"]))
    assert cells["accuracy"] == reference.nn_test(*exact)


@pytest.mark.usefixtures("plots")
@pytest.mark.parametrize("save", [np.savez, np.save], ids=["archives", "arrays called .npz"])
def test_the_cells_of_part_2_run(rng, nowhere, capsys, save):
    digits = load_mnist(source="sample")
    net = MLP.random((784, 64, 32, 32, 10), rng=rng)
    train(net, digits.x_train, digits.y_train, epochs=5, batch_size=50, learning_rate=0.1, rng=rng)
    np.save(nowhere / "X_test.npy", digits.x_test)
    np.save(nowhere / "Y_test.npy", digits.y_test)
    arrays = [p for pair in zip(net.weights, net.biases, strict=True) for p in pair]
    params = dict(zip(FC, arrays, strict=True))
    for name, array in params.items():
        with (nowhere / f"{name}.npz").open("wb") as file:
            save(file, array)
    exec(PART_2, {})
    _, exact = perceptrons(params)
    pairs = list(zip(digits.x_test.astype(np.float64), digits.y_test, strict=True))
    clean = sum(exact.predict(x) == y for x, y in pairs)
    attacked = sum(exact.predict(exact.attack(x, y)) == y for x, y in pairs)
    assert clean > 850
    assert attacked < 300
    assert capsys.readouterr().out.splitlines() == [
        f"This is an image of Number {digits.y_test[0]}",
        f"Test accuracy is {clean / 1000}",
        f"Test accuracy of adversarial examples is {attacked / 1000}",
    ]
    ours, _ = perceptrons(params)
    assert np.count_nonzero(ours.predict(digits.x_test) == digits.y_test) == clean
    moved = ours.attack(digits.x_test, digits.y_test)
    assert np.count_nonzero(ours.predict(moved) == digits.y_test) == attacked


# --- errors


def changed(array, place, value):
    """Return a copy with another entry."""
    out = np.array(array, dtype=np.float64)
    out[place] = value
    return out


def locked(array):
    """Return a copy that cannot be written to."""
    out = array.copy()
    out.flags.writeable = False
    return out


def without(params, key):
    """Return the parameters but one."""
    return {name: value for name, value in params.items() if name != key}


BAD_BATCHES = {
    "a missing key": (
        lambda x, y, p: (x, y, without(p, "W2")),
        r"params lacks 'W2'; it has \['W1', 'b1', 'b2', 'lambda'\]",
    ),
    "no table": (lambda x, y, p: (x[0], y, p), r"data must have shape \(N, D\), got \(12,\)"),
    "another width": (
        lambda x, y, p: (x[:, :5], y, p),
        r"data must have shape \(N, 12\) or \(12,\), got \(6, 5\)",
    ),
    "no rows": (lambda x, y, p: (x[:0], y[:0], p), "data has no rows"),
    "NaN": (lambda x, y, p: (changed(x, (3, 7), np.nan), y, p), r"data\[3, 7\] is nan"),
    "infinity": (lambda x, y, p: (changed(x, (5, 0), -np.inf), y, p), r"data\[5, 0\] is -inf"),
    "words": (lambda x, y, p: (x.astype(str), y, p), "data must be numbers, got <U32"),
    "labels not one-hot": (
        lambda x, y, p: (x, changed(y, 2, 0), p),
        r"labels\[2\] is not one-hot: \[0.0, ",
    ),
    "integer labels": (
        lambda x, y, p: (x, y.argmax(1), p),
        r"labels must be one-hot, shape \(N, K\), got shape \(6,\); see one_hot_labels",
    ),
    "labels of fewer classes": (
        lambda x, y, p: (x, np.eye(6), p),
        "one-hot labels must have 10 columns, got 6",
    ),
    "too few labels": (
        lambda x, y, p: (x, y[:4], p),
        "labels must have one entry a row: 6 rows, 4 labels",
    ),
    "a NaN parameter": (
        lambda x, y, p: (x, y, p | {"W1": changed(p["W1"], (1, 2), np.nan)}),
        r"params\['W1'\]\[1, 2\] is nan; every entry must be finite",
    ),
    "a bias for each row": (
        lambda x, y, p: (x, y, p | {"b1": np.zeros((6, 8))}),
        r"params\['b1'\] must have shape \(8,\), got \(6, 8\)",
    ),
    "a transposed weight": (
        lambda x, y, p: (x, y, p | {"W2": p["W2"].T}),
        r"params\['W2'\] must have 8 rows to follow, got \(10, 8\)",
    ),
    "a parameter of words": (
        lambda x, y, p: (x, y, p | {"b2": "none"}),
        r"params\['b2'\] must be numbers, got <U4",
    ),
}


@pytest.mark.parametrize("name", ["forward_prop", "backward_prop", "nn_test"])
@pytest.mark.parametrize("case", BAD_BATCHES)
def test_batches_are_checked(rng, name, case):
    change, message = BAD_BATCHES[case]
    arguments = change(*samples(rng, 6), part1(rng))
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        getattr(comp7015, name)(*arguments)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, r"params\['lambda'\] must be finite in float32 and >= 0, got -1.0"),
        (np.nan, r"params\['lambda'\] must be finite in float32 and >= 0, got nan"),
        ("a", r"params\['lambda'\] must be a number, got 'a'"),
    ],
)
def test_the_penalty_is_checked(rng, value, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}$"):
        comp7015.backward_prop(*samples(rng, 3), part1(rng, lamb=value))
    with pytest.raises(ValueError, match=r"^params lacks 'lambda'"):
        comp7015.backward_prop(*samples(rng, 3), without(part1(rng), "lambda"))


def test_logits_that_overflow_are_named(rng):
    params, (data, labels) = part1(rng, dtype=np.float32), samples(rng, 3, dtype=np.float32)
    params["W2"][:] = 3e38
    with pytest.raises(FloatingPointError, match=r"row \d: the logits are not finite"):
        comp7015.forward_prop(data, labels, params)
    with pytest.raises(ValueError, match=r"^trainData\[0, 0\] is inf"):
        comp7015.nn_train(data.astype(np.float64) * 1e300, labels, data, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden": 0}, "num_hidden must be at least 1, got 0"),
        ({"num_hidden": 2.5}, "num_hidden must be an integer, got 2.5"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"learning_rate": np.inf}, "learning_rate must be finite in float32 and >= 0, got inf"),
        ({"reg_strength": -0.5}, "reg_strength must be finite in float32 and >= 0, got -0.5"),
        ({"dtype": np.int64}, "dtype must be float32 or float64, got int64"),
        ({"trainData": np.zeros((6, 12, 1))}, r"trainData must have shape \(N, D\)"),
        ({"trainLabels": np.zeros(6, int)}, r"trainLabels must be one-hot, shape \(N, K\)"),
        ({"trainLabels": np.zeros((6, 10))}, r"trainLabels\[0\] is not one-hot"),
        ({"devData": np.zeros((4, 11))}, r"devData must have shape \(N, 12\)"),
        ({"devData": np.full((4, 12), np.nan)}, r"devData\[0, 0\] is nan"),
        ({"devData": np.zeros((0, 12))}, "devData has no rows"),
        ({"devLabels": np.eye(10)[:3]}, "devLabels must have one entry a row: 4 rows, 3 labels"),
    ],
)
def test_training_is_checked_before_any_work(rng, capsys, change, message):
    (x, y), (xv, yv) = samples(rng, 6), samples(rng, 4)
    arguments = {"trainData": x, "trainLabels": y, "devData": xv, "devLabels": yv} | change
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        comp7015.nn_train(**arguments)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, g: (p, without(g, "b2"), 1), "grad lacks 'b2'"),
        (lambda p, g: (without(p, "W1"), g, 1), "params lacks 'W1'"),
        (lambda p, g: (p, g, np.nan), "learning_rate must be finite"),
        (lambda p, g: (p, g | {"b2": g["b2"][0]}, 1), r"grad\['b2'\] must have shape \(1, 10\)"),
        (lambda p, g: (p, g | {"b1": changed(g["b1"], (0, 2), np.inf)}, 1), r"grad\['b1'\]\[0, 2"),
        (lambda p, g: (p | {"b2": [0]}, g, 1), r"params\['b2'\] must be an array of .* got list"),
        (lambda p, g: (p | {"b2": np.arange(3)}, g, 1), r"params\['b2'\] must be .* got int64"),
        (lambda p, g: (p | {"b2": locked(p["b2"])}, g, 1), r"params\['b2'\] is read-only, expec"),
    ],
)
def test_updates_are_checked_before_any_is_made(rng, change, message):
    params, grad, rate = change(part1(rng), part1(rng))
    before = {key: np.copy(value) for key, value in params.items()}
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        comp7015.update_params(params, grad, rate)
    assert all(np.array_equal(params[key], before[key]) for key in params)


def test_an_update_that_overflows_under_strict_numpy_changes_nothing(rng):
    params = part1(rng, dtype=np.float32)
    before = {key: params[key].copy() for key in KEYS}
    grad = {key: np.ones_like(params[key]) for key in KEYS}
    grad["b2"][0, 0] = 1e30
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        comp7015.update_params(params, grad, 1e30)
    assert all(np.array_equal(params[key], before[key]) for key in KEYS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: comp7015.one_hot_labels(np.array([1, 10])), r"labels\[1\] is 10, outside"),
        (lambda: comp7015.one_hot_labels(np.array([0.5])), r"labels\[0\] is 0.5, expected"),
        (
            lambda: comp7015.one_hot_labels(np.eye(3, dtype=int)),
            "one-hot labels must have 10 columns",
        ),
        (lambda: comp7015.one_hot(-1), r"labels\[0\] is -1, outside"),
        (lambda: comp7015.one_hot(0, 0), "n_classes must be at least 1"),
        (lambda: comp7015.softmax(np.array([[0, 1], [np.nan, 0]])), r"x row 1 is \[nan, 0.0\]"),
        (lambda: comp7015.softmax(1.0), r"x must have shape \(\.\.\., C\) with C > 0, got"),
        (lambda: comp7015.sigmoid(np.array([0, np.nan])), r"x\[1\] is nan"),
        (lambda: comp7015.relu(np.nan), "x is nan$"),
        (lambda: comp7015.relu_grad(np.array([[np.nan]])), r"x\[0, 0\] is nan"),
        (lambda: comp7015.relu("a"), "x must be numbers, got <U1"),
        (lambda: comp7015.relu_grad(np.array([None])), "x must be numbers, got object"),
        (lambda: comp7015.cross_entropy(3, np.ones(3)), r"y\[0\] is 3, outside \[0, 3\)"),
        (lambda: comp7015.cross_entropy(0.5, np.ones(3)), r"y\[0\] is 0.5, expected a whole"),
        (lambda: comp7015.cross_entropy(0, np.ones((2, 3))), "y must have one entry a row"),
        (lambda: comp7015.cross_entropy(0, np.ones((1, 1, 3))), "y_hat must have shape"),
        (lambda: comp7015.cross_entropy(0, np.array([1, -0.1])), r"y_hat\[0, 1\] is -0.1, not"),
        (lambda: comp7015.cross_entropy(0, np.array([np.nan, 1])), r"y_hat\[0, 0\] is nan, not"),
        (lambda: comp7015.calc_accuracy(np.ones(3), np.eye(3)), r"y must have shape \(N, K\)"),
        (lambda: comp7015.calc_accuracy(np.ones((0, 3)), np.ones((0, 3))), "y has no rows"),
        (lambda: comp7015.calc_accuracy(np.full((1, 3), np.nan), np.eye(3)[:1]), r"y\[0, 0\] is"),
        (lambda: comp7015.calc_accuracy(np.eye(3), np.ones((3, 3))), r"labels\[0\] is not one-h"),
        (lambda: comp7015.calc_accuracy(np.eye(3), np.eye(2)), "one-hot labels must have 3 col"),
    ],
)
def test_small_functions_are_checked(call, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: without(p, "fc3.bias"), r"params lacks 'fc3.bias'; it has \['fc1.bias', "),
        (lambda p: p | {"fc2.weight": p["fc2.weight"].T}, r"params\['fc2.weight'\] must have 20 r"),
        (lambda p: p | {"fc4.bias": np.full(10, np.inf)}, r"params\['fc4.bias'\]\[0\] is inf"),
        (lambda p: p | {"fc1.bias": np.array("?")}, r"params\['fc1.bias'\] must be numbers"),
    ],
)
def test_parameters_that_do_not_fit_leave_the_old_ones(rng, change, message):
    params = part2(rng)
    net, _ = perceptrons(params)
    x = rng.normal(size=12)
    before = net.forward(x)
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        net.load_params(change(part2(rng)))
    np.testing.assert_array_equal(net.forward(x), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, x: net.forward(x[:, :3]), r"x must have shape \(N, 12\) or \(12,\)"),
        (lambda net, x: net.predict(changed(x, (1, 4), np.nan)), r"x\[1, 4\] is nan"),
        (lambda net, x: net.forward("x"), "x must be numbers, got <U1"),
        (lambda net, x: net.gradient(x, [0, 10]), r"y\[1\] is 10, outside \[0, 10\)"),
        (lambda net, x: net.attack(x, 0), "y must have one entry a row: 2 rows, 1 labels"),
        (lambda net, x: net.attack(x[0], 0.5), r"y\[0\] is 0.5, expected a whole number"),
        (lambda net, x: net.set_attack_budget(-0.1), "eps must be .* >= 0, got -0.1"),
        (lambda net, x: net.set_attack_budget([0.1, 0.2]), "eps must be a number"),
    ],
)
def test_the_perceptron_checks_its_images(rng, call, message):
    net, _ = perceptrons(part2(rng))
    x = rng.normal(size=(2, 12))
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call(net, x)
    net.eps = np.nan
    with pytest.raises(ValueError, match=r"^eps must be finite"):
        net.attack(x, [1, 2])


def test_the_perceptron_names_an_image_that_overflows(rng):
    params = part2(rng, dtype=np.float32)
    params |= {key: np.zeros_like(params[key]) for key in FC if key.endswith("bias")}
    params["fc4.weight"] *= np.float32(1e37)
    net, _ = perceptrons(params)
    x = np.zeros((3, 12), np.float32)
    x[2] = 1e5
    with pytest.raises(FloatingPointError, match="row 2: the logits are not finite"):
        net.gradient(x, [0, 0, 0])
    assert not hasattr(net, "z1")


@pytest.mark.parametrize("method", ["gradient", "attack"])
def test_the_perceptron_names_an_image_whose_gradient_overflows(method):
    # Logits of 0 and 1, but weights whose products with each other are beyond float32.
    eye, zero = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)
    first, last = np.diag(np.full(2, 3e38, "f4")), np.array([[3, -3], [3, -3]], np.float32)
    arrays = [first, zero + 1, eye, zero, eye, zero, last, np.array([0, 1], np.float32)]
    net, _ = perceptrons(dict(zip(FC, arrays, strict=True)))
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(FloatingPointError, match=r"^row 0: the derivatives are not finite"):
        getattr(net, method)(x, [1, 1])
    net.W1 = np.zeros((2, 2), np.float32)
    assert not getattr(net, method)(x, [1, 1]).any()


def test_the_perceptron_names_a_step_that_overflows(rng):
    net, _ = perceptrons(
        dict.fromkeys(FC[1::2], np.zeros(2, "f4")) | dict.fromkeys(FC[::2], np.eye(2, dtype="f4"))
    )
    net.eps = 3e38
    with pytest.raises(FloatingPointError, match=r"^row 0: the steps are not finite"):
        net.attack(np.full((1, 2), 1e38, "f4") * np.array([3, 1], "f4"), [1])


def test_what_is_not_there_yet_is_said_to_be_missing(rng):
    net = comp7015.MultiLayerPerceptron()
    x = rng.normal(size=12)
    calls = (net.forward, net.predict, lambda x: net.gradient(x, 0), lambda x: net.attack(x, 0))
    for call in calls:
        with pytest.raises(
            AttributeError, match=r"^MultiLayerPerceptron has no W1 yet: call load_p"
        ):
            call(x)
    with pytest.raises(AttributeError, match=r"^MultiLayerPerceptron has no h2 yet: call forward"):
        _ = net.h2
    with pytest.raises(AttributeError, match=r"^MultiLayerPerceptron has no W5$"):
        _ = net.W5


def test_underflow_is_no_error_where_numpy_is_set_to_raise(rng, capsys):
    x, labels = rng.random((60, 12)) * 1e-200, np.eye(10)[rng.integers(0, 10, 60)]
    tiny = {key: value * 1e-200 for key, value in part1(rng).items()} | {"lambda": 1e-300}
    tiny["b2"] = rng.normal(0, 800, (1, 10))
    settings = {"num_epochs": 1, "batch_size": 7, "reg_strength": 1e-300, "learning_rate": 1e-300}
    deep = {key: value * 1e-100 for key, value in part2(rng).items()}
    with np.errstate(all="raise"):
        h, y, _ = comp7015.forward_prop(x, labels, tiny)
        update = comp7015.backward_prop(x, labels, tiny)
        comp7015.update_params(tiny, update, 1e-250)
        for function in (comp7015.sigmoid, comp7015.softmax, comp7015.relu, comp7015.relu_grad):
            function(x)
        for dtype in (np.float32, np.float64):
            comp7015.nn_train(x, labels, x, labels, seed=1, dtype=dtype, **settings)
        net = comp7015.MultiLayerPerceptron()
        net.load_params(deep)
        net.set_attack_budget(1e-310)
        net.forward(x)
        net.attack(x, labels.argmax(axis=1))
    assert np.isfinite(h).all()
    assert np.isfinite(y).all()
