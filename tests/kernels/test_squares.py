"""Images with one square changed, against slices."""

import numpy as np
import pytest

from fastnn._kernels import squares


@pytest.mark.parametrize(("height", "across"), [(5, 5), (1, 7), (4, 4)])
@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_square_is_that_of_slices(rng, dtype, height, across, side):
    x, low, high = (rng.normal(size=(9, height * across)).astype(dtype) for _ in range(3))
    tall = min(side, height)
    room = [height - tall + 1, across - side + 1, 2]
    places = np.stack([rng.integers(0, most, 9) for most in room], axis=1)
    out, change = np.full_like(x, np.nan), np.full_like(x, np.nan)
    squares._with_square(x, low, high, places, tall, side, across, out, change)
    expected = x.copy().reshape(9, height, across)
    for image, source, other, (top, left, up) in zip(expected, low, high, places, strict=True):
        chosen = (other if up else source).reshape(height, across)
        part = np.s_[top : top + tall, left : left + side]
        image[part] = chosen[part]
    np.testing.assert_array_equal(out, expected.reshape(9, -1))
    np.testing.assert_array_equal(change, out - x)
    assert set(places[:, 2]) == {0, 1}
