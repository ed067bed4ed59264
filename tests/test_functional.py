"""Functions of arrays: values at every branch, shapes and types, and what is refused."""

import numpy as np
import pytest

import fastnn
from fastnn import reference
from fastnn._kernels import elementwise, exponentials

ELEMENTWISE = ("sigmoid", "tanh", "relu", "relu_grad")
ROWWISE = ("softmax", "log_softmax")
KERNELS = {
    "sigmoid": exponentials._sigmoid,
    "tanh": exponentials._tanh,
    "relu": elementwise._relu,
    "relu_grad": elementwise._relu_grad,
    "softmax": exponentials._exponentials,
    "log_softmax": exponentials._exponentials,
}
ENTRIES = (0.0, -0.0, 1e-40, 0.3, 1.0, 17.0, 40.0, 88.0, 700.0, 1000.0)
TIGHT = {np.float32: 1e-5, np.float64: 1e-14}


def table(dtype):
    """Return rows with entries of every size and either sign, and no two rows alike."""
    z = np.array([*ENTRIES, *(-e for e in ENTRIES)], dtype)
    return np.stack([np.roll(z, k)[:10] for k in range(17)])


# --- values


@pytest.mark.parametrize("name", ELEMENTWISE + ROWWISE)
def test_every_entry_is_the_references(dtype, name):
    z = table(dtype)
    found = getattr(fastnn, name)(z)
    expected = [getattr(reference, name)(row) for row in z.astype(np.float64)]
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(found, expected, rtol=TIGHT[dtype], atol=2 * tiny)


def test_cross_entropy_is_the_references(dtype):
    z = table(dtype)
    for label in range(10):
        found = fastnn.cross_entropy(z, np.full(17, label))
        expected = [reference.cross_entropy(row, label) for row in z.astype(np.float64)]
        tiny = np.finfo(dtype).smallest_subnormal
        np.testing.assert_allclose(found, expected, rtol=TIGHT[dtype], atol=2 * tiny)


def test_sigmoid_takes_infinities(dtype):
    assert fastnn.sigmoid(np.array([np.inf, -np.inf], dtype)).tolist() == [1, 0]


def test_rows_are_shifted_by_their_own_maximum(dtype):
    z = np.array([[1000, 0], [-1000, -1001], [0, 0]], dtype)
    e = 1 / (1 + np.exp(-1))
    found = fastnn.softmax(z)
    np.testing.assert_allclose(found, [[1, 0], [e, 1 - e], [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(fastnn.log_softmax(z)[0], [0, -1000])


@pytest.mark.parametrize("labels", [[0, 9, 3], np.array([0, 9, 3], np.uint8)])
def test_one_hot(dtype, labels):
    found = fastnn.one_hot(labels, dtype=dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.eye(10)[[0, 9, 3]])


def test_one_hot_of_one_label_and_of_none():
    assert fastnn.one_hot(2, 3).tolist() == [0, 0, 1]
    assert fastnn.one_hot(np.array([], int), 3).shape == (0, 3)


# --- shapes and types


@pytest.mark.parametrize("shape", [(10,), (0, 10), (1, 10), (61, 10), (3, 5, 7), (2, 0, 4), (5, 1)])
@pytest.mark.parametrize("name", ELEMENTWISE + ROWWISE)
def test_shape_and_type_are_kept(rng, dtype, name, shape):
    z = rng.normal(size=shape).astype(dtype)
    found = getattr(fastnn, name)(z)
    assert found.shape == shape
    assert found.dtype == dtype


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_single_number_is_taken(dtype, name):
    found = getattr(fastnn, name)(dtype(0.5))
    assert found.shape == ()
    np.testing.assert_allclose(found, getattr(reference, name)([0.5])[0], rtol=1e-6)


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_is_along_the_last_axis_of_any(rng, dtype, name):
    z = rng.normal(size=(3, 5, 7)).astype(dtype)
    found = getattr(fastnn, name)(z)
    np.testing.assert_array_equal(found.reshape(15, 7), getattr(fastnn, name)(z.reshape(15, 7)))


def test_cross_entropy_of_one_row_is_a_number(dtype):
    found = fastnn.cross_entropy(np.array([0, 0], dtype), 1)
    assert np.shape(found) == ()
    assert found == pytest.approx(np.log(2))


def views(rng, dtype):
    """Return arrays that a kernel must not be given as they are."""
    wide = rng.normal(size=(14, 20)).astype(dtype)
    frozen = wide[:, :10].copy()
    frozen.flags.writeable = False
    swapped = np.asfortranarray(wide[:, :10])
    return {"strided": wide[::2, ::2], "backwards": wide[::-1], "read-only": frozen, "F": swapped}


@pytest.mark.parametrize("kind", ["strided", "backwards", "read-only", "F"])
@pytest.mark.parametrize("name", ELEMENTWISE + ROWWISE)
def test_any_layout_is_taken_and_left_alone(rng, dtype, name, kind):
    z = views(rng, dtype)[kind]
    before = z.copy()
    function = getattr(fastnn, name)
    np.testing.assert_array_equal(function(z), function(before))
    np.testing.assert_array_equal(z, before)


@pytest.mark.parametrize("name", ELEMENTWISE + ROWWISE)
def test_no_layout_makes_numba_compile_anew(rng, name):
    function, kernel = getattr(fastnn, name), KERNELS[name]
    function(rng.normal(size=(3, 10)))
    before = len(kernel.signatures)
    for z in views(rng, np.float64).values():
        function(z)
    assert len(kernel.signatures) == before


# --- what is refused


@pytest.mark.parametrize("name", ELEMENTWISE + ROWWISE)
@pytest.mark.parametrize("z", [[1, 2], np.ones(3, np.float16), ["a"], np.ones(2, complex)])
def test_other_types_are_refused(name, z):
    with pytest.raises(TypeError, match=r"^z must be float32 or float64, got \S+$"):
        getattr(fastnn, name)(z)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_is_refused_by_its_place(dtype, name):
    z = np.zeros((3, 4), dtype)
    z[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"^z\[1, 2\] is nan$"):
        getattr(fastnn, name)(z)
    with pytest.raises(ValueError, match=r"^z is nan$"):
        getattr(fastnn, name)(dtype(np.nan))


@pytest.mark.parametrize("name", [*ROWWISE, "cross_entropy"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(dtype, name, value):
    z = np.zeros((3, 2), dtype)
    z[1, 0] = value
    labels = [np.zeros(3, int)] if name == "cross_entropy" else []
    with pytest.raises(ValueError, match=rf"^z row 1 is \[{value}, 0.0\]; every entry must be fin"):
        getattr(fastnn, name)(z, *labels)


@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_rows_without_classes_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"^z must have shape \(\.\.\., C\) with C > 0, got \("):
        getattr(fastnn, name)(np.zeros(shape))


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ([0, 2], ValueError, r"labels\[1\] is 2, outside \[0, 2\)"),
        ([0, -1], ValueError, r"labels\[1\] is -1, outside \[0, 2\)"),
        ([0], ValueError, r"2 rows, 1 labels"),
        ([0.0, 0.5], ValueError, r"labels\[1\] is 0.5, expected a whole number"),
        ([True, False], TypeError, r"labels must be integers, got bool"),
    ],
)
def test_cross_entropy_refuses_labels(labels, kind, message):
    with pytest.raises(kind, match=message):
        fastnn.cross_entropy(np.zeros((2, 2)), labels)


def test_cross_entropy_refuses_a_stack_of_tables():
    with pytest.raises(
        ValueError, match=r"^z must have shape \(N, C\) or \(C,\), got \(2, 2, 2\)$"
    ):
        fastnn.cross_entropy(np.zeros((2, 2, 2)), [0, 0])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([0, 10],), ValueError, r"^labels\[1\] is 10, outside \[0, 10\)$"),
        (([0.5],), ValueError, r"^labels\[0\] is 0.5, expected a whole number$"),
        (([[0, 1]],), ValueError, r"^one-hot labels must have 10 columns, got 2$"),
        (([0], 0), ValueError, r"^n_classes must be at least 1, got 0$"),
        (([0], 2.0), TypeError, r"^n_classes must be an integer, got 2.0$"),
        (([0], 2, int), TypeError, r"^dtype must be float32 or float64, got int64$"),
    ],
)
def test_one_hot_refuses(arguments, kind, message):
    with pytest.raises(kind, match=message):
        fastnn.one_hot(*arguments)
