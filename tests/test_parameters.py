"""What a network is: its parameters, stored, copied, drawn and refused."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

from fastnn import MLP


def refuses(kind, message):
    """Expect this error, its whole message on one line."""
    return pytest.raises(kind, match=rf"\A{message}\Z")


def test_parameters_are_copied(dtype):
    weights, biases = [np.ones((3, 2), dtype)], [np.ones(2, dtype)]
    net = MLP(weights, biases)
    weights[0][:], biases[0][:] = 9, 9
    assert (net.weights[0] == 1).all()
    assert (net.biases[0] == 1).all()


def test_parameters_of_any_layout_are_stored_row_by_row(rng, dtype):
    w = np.asfortranarray(rng.normal(size=(5, 4)).astype(dtype))
    flat = np.ones((1, 4), dtype)
    flat.flags.writeable = False
    net = MLP([w], [flat])
    assert net.weights[0].flags.c_contiguous
    assert net.biases[0].flags.writeable
    assert net.biases[0].shape == (4,)
    np.testing.assert_array_equal(net.weights[0], w)


def test_what_a_network_says_of_itself(make_net):
    net = make_net((5, 4, 3), "sigmoid")
    assert net.sizes == (5, 4, 3)
    assert net.dtype == np.float32
    assert repr(net) == "MLP(5-4-3, sigmoid, float32)"
    for name in ("weights", "biases", "activation", "other"):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(net, name, ())


def test_astype_copies(make_net):
    net = make_net((5, 4, 3), "sigmoid")
    wide = net.astype("float64")
    assert (wide.dtype, wide.activation) == (np.float64, "sigmoid")
    same = net.astype(np.float32)
    same.weights[0][:] = 0
    np.testing.assert_array_equal(wide.weights[0], net.weights[0])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_a_network_can_be_copied_and_pickled(make_net, rng, copied):
    net, x = make_net((5, 4, 3)), rng.random((7, 5), dtype=np.float32)
    found = copied(net)
    assert type(found) is MLP
    np.testing.assert_array_equal(found.logits(x), net.logits(x))


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


# --- what is refused


def ones(*shapes, dtype=np.float32):
    return [np.ones(shape, dtype) for shape in shapes]


BROKEN = {
    "no layers": ([], [], ValueError, "a network needs at least one layer, got no weights"),
    "too few biases": (
        ones((4, 5), (5, 3)),
        ones(5),
        ValueError,
        "one bias a layer: 2 weights, 1 biases",
    ),
    "no chain": (
        ones((4, 5), (6, 3)),
        ones(5, 3),
        ValueError,
        r"weights\[1\] must have 5 rows to follow, got \(6, 3\)",
    ),
    "transposed": (
        ones((4, 5), (3, 5)),
        ones(5, 3),
        ValueError,
        r"weights\[1\] must have 5 rows to follow, got \(3, 5\) \(transposed .+\)",
    ),
    "transposed, in its own bias": (
        ones((5, 4), (3, 5)),
        ones(5, 3),
        ValueError,
        r"biases\[0\] must have shape \(4,\), got \(5,\); weights must be .*: pass weight\.T",
    ),
    "a vector": (
        ones(4),
        ones(4),
        ValueError,
        r"weights\[0\] must have shape \(d_in, d_out\), got \(4,\)",
    ),
    "nothing in it": (
        ones((4, 0)),
        ones(0),
        ValueError,
        r"weights\[0\] must have shape \(d_in, d_out\), got \(4, 0\)",
    ),
    "no inputs": (
        ones((0, 4)),
        ones(4),
        ValueError,
        r"weights\[0\] must have shape \(d_in, d_out\), got \(0, 4\)",
    ),
    "weights of a batch": (
        ones((2, 4, 3)),
        ones(4),
        ValueError,
        r"weights\[0\] must have shape \(d_in, d_out\), got \(2, 4, 3\)",
    ),
    "bias of another layer": (
        ones((4, 5), (5, 3)),
        ones(5, 5),
        ValueError,
        r"biases\[1\] must have shape \(3,\), got \(5,\); weights must be .+",
    ),
    "bias of a batch": (
        ones((4, 3)),
        ones((2, 3)),
        ValueError,
        r"biases\[0\] must have shape \(3,\), got \(2, 3\)",
    ),
    "one class": (
        ones((4, 1)),
        ones(1),
        ValueError,
        r"weights\[0\] has 1 output; a classifier needs at least 2",
    ),
    "integers": (
        ones((4, 3), dtype=int),
        ones(3),
        TypeError,
        r"weights\[0\] must be float32 or float64, got int64",
    ),
    "two types": (
        ones((4, 3)),
        ones(3, dtype=float),
        TypeError,
        r"biases\[0\] is float64 but weights\[0\] is float32; use one type",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_parameters_are_refused(case):
    weights, biases, kind, message = BROKEN[case]
    with refuses(kind, message):
        MLP(weights, biases)


def test_the_least_network_is_taken():
    net = MLP(ones((1, 1), (1, 2)), [np.ones((1, 1), np.float32), np.ones(2, np.float32)])
    assert net.sizes == (1, 1, 2)
    assert [b.shape for b in net.biases] == [(1,), (2,)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_named(value):
    weights, biases = ones((4, 5), (5, 3)), ones(5, 3)
    weights[1][4, 2] = value
    with refuses(ValueError, rf"weights\[1\]\[4, 2\] is {value}; every entry must be finite"):
        MLP(weights, biases)
    weights[1][4, 2], biases[0][3] = 0, value
    with refuses(ValueError, rf"biases\[0\]\[3\] is {value}; every entry must be finite"):
        MLP(weights, biases)


def test_another_activation_is_refused():
    message = r"activation must be one of \('relu', 'sigmoid', 'tanh'\), got 'softplus'"
    with refuses(ValueError, message):
        MLP(ones((4, 3)), ones(3), "softplus")
    with refuses(ValueError, message):
        MLP.random((4, 3), "softplus")
    with pytest.raises(ValueError, match=r"activation must be one of .*, got \['relu'\]"):
        MLP.random((4, 3), ["relu"])


@pytest.mark.parametrize(
    ("sizes", "kind", "message"),
    [
        ((4,), ValueError, r"sizes must name two widths or more, got \(4,\)"),
        ((4, 0, 3), ValueError, "sizes must be at least 1, got 0"),
        ((4, 2.0), TypeError, r"sizes must be an integer, got 2\.0"),
    ],
)
def test_sizes_are_refused(sizes, kind, message):
    with refuses(kind, message):
        MLP.random(sizes)


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_other_types_of_network_are_refused(make_net, dtype):
    for call in (make_net((4, 3)).astype, lambda kind: MLP.random((4, 3), dtype=kind)):
        with refuses(TypeError, f"dtype must be float32 or float64, got {dtype}"):
            call(dtype)


def test_a_network_is_equal_to_itself_alone(make_net):
    net = make_net((4, 3))
    assert net != copy.deepcopy(net)
    assert {net: 1}[net] == 1
