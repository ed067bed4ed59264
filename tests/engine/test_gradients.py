"""Sums of gradients: how a batch and the parameters are cut."""

import numpy as np
import pytest

from fastnn._engine import gradients


def test_parameters_are_named_by_their_numbers(make_net):
    net = make_net((5, 4, 3, 2))
    names = [gradients.parameter_name(net, k) for k in range(6)]
    assert names == [f"{kind}[{i}]" for kind in ("weights", "biases") for i in range(3)]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [(1, 1), (160, 1), (161, 2), (1023, 2), (1024, 4), (2047, 4), (2048, 8), (10**6, 8)],
)
def test_a_batch_has_a_power_of_two_of_tall_parts(rows, parts):
    assert gradients.part_count(rows) == parts


@pytest.mark.parametrize(
    ("rows", "height"), [(1, 1), (160, 160), (161, 81), (2048, 256), (9999, 500)]
)
def test_buffers_are_no_taller_than_a_part_and_a_tile(make_net, rows, height):
    sums = gradients.GradientSums(make_net((5, 4, 3)), rows, np.zeros((1, 5), np.float32))
    assert sums.height == height
    assert sums.slices == [(k, slice(0, size)) for k, size in enumerate((20, 12, 4, 3))]
