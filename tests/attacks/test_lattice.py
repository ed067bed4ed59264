"""Images on a grid of 255 steps: eps rounded down, inputs rounded within it, then counted."""

import numpy as np
import pytest

from fastnn import MLP, _checks, adversarial_accuracy
from fastnn.attacks import FGSM, PGD, Attack, Square
from fastnn.attacks._lattice import Lattice


@pytest.fixture
def net(make_net, dtype):
    return make_net((16, 20, 5), dtype=dtype)


@pytest.fixture
def pixels(rng):
    pixels = rng.integers(0, 256, (40, 16)).astype(np.uint8)
    pixels[:3] = [[0], [255], [1]]
    return pixels


@pytest.fixture
def images(pixels, dtype):
    return (pixels / dtype(255)).astype(dtype)


def places(x, steps=255):
    """Return the whole numbers that inputs are, after checking that they are some."""
    found = np.rint(x.astype(np.float64) * steps)
    np.testing.assert_array_equal((found / steps).astype(x.dtype), x)
    return found


@pytest.mark.parametrize("attack", [FGSM(), PGD(5), Square(20), [FGSM(), PGD(3, restarts=2)]])
@pytest.mark.parametrize("eps", [0.05, [0.031, 8 / 255, 0.003, 1.0]])
@pytest.mark.parametrize("bounds", [None, (0, 1), (-0.05, 1.03)])
def test_differences_are_whole_steps_within_eps_and_bounds(
    net, pixels, images, attack, eps, bounds
):
    labels = net.predict(images)
    report = adversarial_accuracy(
        net, images, labels, eps, bounds, attack=attack, lattice=255, keep_adversarial=True
    )
    assert report.lattice == 255
    for k, one in enumerate(np.atleast_1d(eps)):
        moved = report.adversarial.reshape(-1, *images.shape)[k]
        change = places(moved) - pixels
        most = {0.05: 12, 0.031: 7, 0.003: 0, 1.0: 255}.get(one, 8)
        assert np.abs(change).max() <= most
        assert np.atleast_1d(report.eps_used)[k] == most / 255
        if bounds:
            assert moved.min() >= bounds[0]
            assert moved.max() <= bounds[1]
        prediction = np.atleast_2d(report.adversarial_prediction)[k]
        np.testing.assert_array_equal(net.predict(moved), prediction)
    assert np.array_equal(report.eps, eps)


def test_fgsm_goes_to_the_end_of_the_rounded_eps(net, pixels, images):
    report = adversarial_accuracy(
        net, images, net.predict(images), 0.05, attack="fgsm", lattice=255, keep_adversarial=True
    )
    assert set(np.unique(np.abs(places(report.adversarial) - pixels))) == {12}


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_in_other_norms_no_change_grows(net, pixels, images, norm):
    labels = net.predict(images)
    options = {"attack": PGD(5, norm=norm), "keep_adversarial": True}
    free = adversarial_accuracy(net, images, labels, 0.3, (0, 1), **options)
    report = adversarial_accuracy(net, images, labels, 0.3, (0, 1), lattice=255, **options)
    assert report.eps_used == 0.3
    change = places(report.adversarial) - pixels
    length = np.linalg.norm(change / 255, axis=1, ord=1 if norm == "l1" else 2)
    assert length.max() <= 0.3 * (1 + 1e-6)
    before = (free.adversarial.astype(float) - images) * 255
    assert (np.abs(change) <= np.abs(before) + 1e-3).all()
    assert (np.abs(change) >= np.abs(before) - 1 - 1e-3).all()
    assert report.adversarial_correct >= free.adversarial_correct


def test_the_whole_l1_budget_on_one_pixel_is_kept(dtype):
    """Planted: without room for rounding, 2.9999999 steps would become 2."""
    net = MLP([np.array([[1, 0], [0, 0]], dtype)], [np.zeros(2, dtype)])
    x = (np.array([[100, 3], [7, 200]]) / 255).astype(dtype)
    report = adversarial_accuracy(
        net, x, [0, 0], 3 / 255, attack=FGSM("l1"), lattice=255, keep_adversarial=True
    )
    assert (places(report.adversarial) - places(x)).tolist() == [[-3, 0], [-3, 0]]


def test_pixels_of_uint8_are_on_the_grid(net, pixels, images):
    labels = net.predict(images)
    whole = adversarial_accuracy(net, images, labels, 0.05, (0, 1), lattice=255)
    same = adversarial_accuracy(net, pixels, labels, 0.05, (0, 1), lattice=255)
    np.testing.assert_array_equal(whole.adversarial_prediction, same.adversarial_prediction)
    with pytest.raises(ValueError, match=r"which is no multiple of 1/100, as lattice=100 requires"):
        adversarial_accuracy(net, pixels, labels, 0.05, (0, 1), lattice=100)
    adversarial_accuracy(net, pixels, labels, 0.05, (0, 1), lattice=510)


def test_an_input_beside_the_grid_is_named(net, images, dtype):
    labels = net.predict(images)
    images = np.tile(images, (30, 1))
    images[1013, 3] += dtype(1e-3)
    images[1100, 1] += dtype(1e-3)
    with pytest.raises(ValueError, match=r"^x\[1013, 3\] is 0\.\d+, which is no multiple of 1/255"):
        adversarial_accuracy(net, images, np.tile(labels, 30), lattice=255)


def test_other_ways_to_divide_are_on_the_grid(net, pixels, dtype):
    for x in (
        pixels.astype(dtype) * dtype(1 / 255),
        (pixels.astype(np.float64) / 255).astype(np.float32).astype(dtype),
    ):
        if dtype == np.float64 and x.astype(np.float32).astype(dtype).tolist() == x.tolist():
            continue  # rounded to float32, it is not on the grid of float64
        options = {"lattice": 255, "keep_adversarial": True}
        report = adversarial_accuracy(net, x, net.predict(x), [0, 0.05], **options)
        np.testing.assert_array_equal(report.adversarial[0], x)


@pytest.mark.parametrize(
    ("lattice", "error", "message"),
    [
        (0, ValueError, "lattice must be at least 1, got 0"),
        (2.5, TypeError, r"lattice must be an integer, got 2\.5"),
        (True, TypeError, "lattice must be an integer, got True"),
    ],
)
def test_wrong_lattices_are_refused(net, images, lattice, error, message):
    with pytest.raises(error, match=message):
        adversarial_accuracy(net, images, net.predict(images), lattice=lattice)


def test_what_is_counted_is_the_rounded_input(dtype):
    """A step of 0.4 steps fools the network, and is rounded back."""

    class Little(Attack):
        def perturb_tile(self, tile, eps):
            return tile.x + tile.x.dtype.type(0.4 / 255)

    # Class 1 above 100.2 steps.
    net = MLP([np.array([[0, 1]], dtype)], [np.array([0, -100.2 / 255], dtype)])
    x = np.array([[100 / 255]], dtype)
    assert adversarial_accuracy(net, x, [0], 0.01, attack=Little()).adversarial_correct == 0
    report = adversarial_accuracy(net, x, [0], 0.01, attack=Little(), lattice=255)
    assert report.adversarial_correct == 1
    assert report.diagnostics == ()


def test_a_function_gets_the_rounded_eps(net, images):
    seen = []

    def note(net, x, labels, eps, bounds):
        seen.append(eps)
        return x

    adversarial_accuracy(net, images, net.predict(images), [0.05, 0.002], attack=note, lattice=255)
    assert seen == [12 / 255, 0]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_every_eps_of_whole_steps_stays_what_it_is(kind):
    whole = np.arange(256)
    eps = (whole / kind(255)).astype(kind).astype(np.float64)
    grid = Lattice.of(255, eps, ("linf",), _checks.Bounds(0, 1))
    np.testing.assert_array_equal(np.rint(grid.eps * 255), whole)
    below = np.nextafter(eps[1:], 0) - 1e-5
    grid = Lattice.of(255, below, ("linf",), _checks.Bounds(0, 1))
    np.testing.assert_array_equal(np.rint(grid.eps * 255), whole[:-1])


def test_every_pixel_and_eps_on_the_grid(dtype):
    """All pairs of a pixel and an eps: the largest and the smallest result are on the grid."""
    clean = (np.arange(256) / dtype(255)).astype(dtype)[:, None].repeat(3, 1)
    for most in range(0, 256, 5):
        eps = np.array([most / 255])
        grid = Lattice.of(255, eps, ("linf",), _checks.Bounds(0, 1))
        way = dtype(most / 255) * np.array([-1, 0, 1], dtype)
        found = places(grid.rounded(np.clip(clean + way, 0, 1), clean))
        expected = np.clip(np.arange(256)[:, None] + np.array([-most, 0, most]), 0, 255)
        np.testing.assert_array_equal(found, expected)
