"""Networks of other libraries, and normalised inputs: the network computes what they do."""

import numpy as np
import pytest

from fastnn import MLP
from fastnn._models import Dense, Function, network_of

SIZES = (7, 6, 5, 3)


def refuses(kind, message):
    """Expect this error, its whole message on one line."""
    return pytest.raises(kind, match=rf"\A{message}\Z")


# --- the steps that make a network


def dense(name, d_in, d_out, *, bias=True):
    return Dense(name, np.ones((d_in, d_out)), np.full(d_out, 0.5) if bias else None)


def test_steps_become_layers():
    first, last = dense("a", 4, 3), dense("b", 3, 2, bias=False)
    net = network_of([first, Function("r", "relu"), last, Function("s", "softmax")])
    assert net.activation == "relu"
    assert [w.shape for w in net.weights] == [(4, 3), (3, 2)]
    np.testing.assert_array_equal(net.biases[0], [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(net.biases[1], [0, 0])
    assert network_of([first]).activation is None


def test_a_single_output_becomes_two_classes(rng):
    weight, bias, h = rng.normal(size=(3, 1)), rng.normal(size=1), rng.normal(size=(9, 3))
    net = network_of([Dense("a", weight, bias), Function("s", "sigmoid")])
    found = MLP(net.weights, net.biases).predict_proba(h)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-(h @ weight + bias)[:, 0])))


RELU, SIGMOID = Function("r", "relu"), Function("s", "sigmoid")
A, B = dense("a", 4, 3), dense("b", 3, 2)
BROKEN = {
    "nothing": ([], "there is no dense layer"),
    "an activation first": ([RELU, A], "r: relu comes before the first dense layer"),
    "no activation": ([A, B], "a is followed by no activation, expected one activation"),
    "two activations": ([A, RELU, SIGMOID, B], "a is followed by relu, sigmoid, expected one .*"),
    "two kinds": ([A, RELU, B, SIGMOID, B], "s: sigmoid follows a layer, and relu earlier ones"),
    "softmax inside": ([A, Function("m", "softmax"), B], "m: softmax follows a hidden layer"),
    "relu at the end": ([A, RELU], "a, the last layer, with 3 outputs is followed by relu, .*"),
    "several sigmoids": ([A, SIGMOID], "a, the last layer, with 3 outputs is followed by sig.*"),
    "softmax of one": (
        [dense("a", 3, 1), Function("m", "softmax")],
        "a, the last layer, with 1 outputs is followed by softmax, .*",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_steps_of_other_networks_are_refused(case):
    steps, message = BROKEN[case]
    with refuses(ValueError, message):
        network_of(steps)


# --- inputs


@pytest.mark.parametrize("each", [False, True])
def test_a_normalisation_becomes_part_of_the_network(make_net, rng, activation, dtype, each):
    net = make_net(SIZES, activation, dtype)
    mean = rng.random(7) if each else 0.13
    std = rng.random(7) + 0.3 if each else 0.31
    scale = rng.random(7) + 0.1 if each else 1 / 255
    pixels = rng.integers(0, 256, (20, 7)).astype(dtype)
    found = net.with_input(mean=mean, std=std, scale=scale)
    assert (found.sizes, found.activation, found.dtype) == (net.sizes, net.activation, net.dtype)
    normalised = ((pixels.astype(float) * scale - mean) / std).astype(dtype)
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(
        found.logits(pixels), net.logits(normalised), rtol=tolerance, atol=tolerance
    )


def test_a_gradient_is_in_the_units_of_the_data(make_net, rng):
    net = make_net(SIZES, "tanh", np.float64)
    x, labels = rng.random((5, 7)), [0, 1, 2, 0, 1]
    found = net.with_input(mean=0.4, std=0.2).input_gradient(x, labels)
    np.testing.assert_allclose(found, net.input_gradient((x - 0.4) / 0.2, labels) / 0.2)


def test_a_network_is_not_changed_by_its_normalisation(make_net):
    net = make_net(SIZES)
    before = net.weights[0].copy()
    same = net.with_input()
    np.testing.assert_array_equal(same.weights[0], before)
    assert not np.shares_memory(same.weights[1], net.weights[1])
    net.with_input(std=2)
    np.testing.assert_array_equal(net.weights[0], before)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"std": 0}, ValueError, "std must be > 0, got 0"),
        ({"std": [1.0] * 6 + [-2]}, ValueError, "std must be > 0, got -2"),
        ({"scale": -1}, ValueError, "scale must be > 0, got -1"),
        ({"mean": np.nan}, ValueError, "mean must be finite, got nan"),
        ({"mean": [0.1, 0.2, 0.3]}, ValueError, r"mean must be .* shape \(7,\), got \(3,\)"),
        ({"mean": "0.1"}, TypeError, "mean must be a number or an array of them, got <U3"),
        ({"std": 1e-300}, ValueError, r"weights\[0\]\[0, 0\] is .?inf; every entry must be finite"),
    ],
)
def test_what_is_no_normalisation_is_refused(make_net, arguments, kind, message):
    with refuses(kind, message):
        make_net(SIZES).with_input(**arguments)


# --- PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def module(torch, activation, dtype):
    nn = torch.nn
    function = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[activation]
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(6, 5), function(), nn.Dropout(0.5))
    layers = [nn.Flatten(), nn.Linear(7, 6), function(), inner, nn.Linear(5, 3, bias=False)]
    return nn.Sequential(*layers, nn.LogSoftmax(1)).to(torch.from_numpy(np.zeros(1, dtype)).dtype)


def test_a_module_computes_the_same(torch, module, activation, dtype, rng):
    net = MLP.from_torch(module)
    assert (net.sizes, net.activation, net.dtype) == (SIZES, activation, dtype)
    x = rng.normal(size=(20, 7)).astype(dtype)
    theirs = module.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(np.log(net.predict_proba(x)), theirs, rtol=1e-4, atol=1e-5)


def test_parameters_of_a_module_are_copied(torch):
    linear = torch.nn.Linear(4, 3)
    net = MLP.from_torch(linear)
    before = net.weights[0].copy()
    with torch.no_grad():
        linear.weight.zero_()
    np.testing.assert_array_equal(net.weights[0], before)
    assert MLP.from_torch(torch.nn.Linear(4, 3).bfloat16()).dtype == np.float32


def test_tensors_are_parameters(torch):
    linear = torch.nn.Linear(4, 3)
    net = MLP([linear.weight.T], [linear.bias])
    np.testing.assert_array_equal(net.weights[0], linear.weight.detach().numpy().T)
    with pytest.raises(ValueError, match=r"biases\[0\] .*PyTorch's are .*: pass weight\.T"):
        MLP([linear.weight], [linear.bias])


def test_a_binary_module_has_two_classes(torch, rng):
    nn = torch.nn
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid())
    x = rng.normal(size=(20, 4)).astype(np.float32)
    theirs = module(torch.from_numpy(x)).detach().numpy()[:, 0]
    np.testing.assert_allclose(MLP.from_torch(module).predict_proba(x)[:, 1], theirs, rtol=1e-5)


def test_modules_of_other_layers_are_refused_by_name(torch):
    nn = torch.nn

    class Own(nn.Module):
        pass

    inner = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"^1\.1 \(BatchNorm1d\) is no Sequential of Linear"):
        MLP.from_torch(nn.Sequential(nn.Linear(4, 4), inner))
    with pytest.raises(ValueError, match=r"^[\w.]*test_models\.Own is no Sequential of Linear"):
        MLP.from_torch(Own())
    with pytest.raises(ValueError, match=r"^0 \(Linear\) is followed by no activation"):
        MLP.from_torch(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)))
    with pytest.raises(ValueError, match=r"^1 \(GELU\) is no Sequential"):
        MLP.from_torch(nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 3)))


# --- scikit-learn


@pytest.fixture
def fitted(rng):
    """Return a function that fits a classifier."""
    neural = pytest.importorskip("sklearn.neural_network")

    def fit(classes=3, dtype=np.float64, sizes=(6, 5), **settings):
        x = rng.normal(size=(60, 4)).astype(dtype)
        labels = np.array(["ant", "bee", "cat"])[rng.integers(0, classes, 60)]
        classifier = neural.MLPClassifier(sizes, max_iter=20, random_state=0, **settings)
        return classifier.fit(x, labels), x

    return fit


pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("sizes", [(6, 5), ()])
def test_a_classifier_computes_the_same(fitted, dtype, name, classes, sizes):
    classifier, x = fitted(classes, dtype, sizes, activation=name)
    net = MLP.from_sklearn(classifier)
    assert (net.sizes, net.dtype) == ((4, *sizes, classes), dtype)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        net.predict_proba(x), classifier.predict_proba(x), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_array_equal(classifier.classes_[net.predict(x)], classifier.predict(x))


def test_a_linear_classifier_of_any_activation_is_linear(fitted):
    classifier, x = fitted(sizes=(), activation="identity")
    found = MLP.from_sklearn(classifier).predict_proba(x)
    np.testing.assert_allclose(found, classifier.predict_proba(x))


def test_scalers_of_a_pipeline_become_part_of_the_network(fitted, rng):
    classifier, x = fitted()
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline(
        preprocessing.MinMaxScaler((-1, 2)),
        "passthrough",
        preprocessing.StandardScaler(),
        preprocessing.StandardScaler(with_mean=False, with_std=False),
        classifier,
    )
    x = 100 * rng.random((60, 4)) + 7
    pipeline.fit(x, rng.integers(0, 3, 60))
    found = MLP.from_sklearn(pipeline).predict_proba(x)
    np.testing.assert_allclose(found, pipeline.predict_proba(x), rtol=1e-9)


def test_other_estimators_are_refused(fitted, rng):
    classifier, x = fitted()
    neural = pytest.importorskip("sklearn.neural_network")
    linear = pytest.importorskip("sklearn.linear_model")
    pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline
    pca = pytest.importorskip("sklearn.decomposition").PCA
    for estimator in (linear.LogisticRegression(), neural.MLPRegressor(), 3, None):
        name = type(estimator).__name__
        with refuses(TypeError, f"expected a fitted MLPClassifier, .*, got {name}"):
            MLP.from_sklearn(estimator)
    with refuses(ValueError, "this MLPClassifier is not fitted"):
        MLP.from_sklearn(neural.MLPClassifier())
    with refuses(ValueError, "activation 'identity' is none of .*"):
        MLP.from_sklearn(fitted(activation="identity")[0])
    several = neural.MLPClassifier((3,), max_iter=2).fit(x, rng.integers(0, 2, (60, 3)))
    with refuses(ValueError, "this MLPClassifier gives a sample several labels, .*"):
        MLP.from_sklearn(several)
    with refuses(ValueError, "step 'pca' of the pipeline, PCA, is no StandardScaler or Min.*"):
        MLP.from_sklearn(pipeline(pca(), classifier).fit(x, classifier.predict(x)))
