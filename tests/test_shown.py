"""What a notebook shows of figures, networks and histories."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

import fastnn
from fastnn import plots
from fastnn._pictures import svg_of

CURVES = ([0.9, 0.5], [0.7, 0.8], [1.0, 0.6], [0.6, 0.7])


def size_of(shown):
    """Return the pixels of a picture, and what the notebook is to show them as."""
    import io

    data, size = shown._repr_png_()
    height, width, _ = imread(io.BytesIO(data)).shape
    return (width, height), (size["width"], size["height"])


def grid():
    x = np.linspace(0, 1, 2 * 16).reshape(2, 16)
    return plots.adversarial_grid(x, x**2, [0, 1], [0, 1], [1, 1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.digit(np.eye(4)),
        lambda: plots.learning_curves(CURVES),
        grid,
        lambda: grid()[0],
    ],
    ids=["digit", "curves", "grid", "row"],
)
def test_figures_are_pictures_at_half_of_their_pixels(draw):
    pixels, shown = size_of(draw())
    assert min(shown) > 100
    assert abs(np.array(pixels) - 2 * np.array(shown)).max() <= 2


def test_results_are_still_axes_tuples_and_arrays():
    assert isinstance(plots.digit(np.eye(4)), Axes)
    loss, accuracy = pair = plots.learning_curves(CURVES)
    assert pair == (loss, accuracy)
    assert isinstance(pair, tuple)
    assert pair[1] is accuracy
    axes = grid()
    assert isinstance(axes, np.ndarray)
    assert axes.shape == (3, 2)
    assert isinstance(axes[0, 0], Axes)
    assert (axes == axes.T[0, 0])._repr_png_() is None
    assert axes[:, :0]._repr_png_() is None


def test_a_picture_is_of_the_caller_s_figure():
    figure = Figure(figsize=(3, 2))
    pair = plots.learning_curves(CURVES, figure.subplots(1, 2))
    assert size_of(pair)[1] == (216, 144)


def test_pyplot_shows_a_figure_once():
    code = """
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
from fastnn import plots
ax = plots.digit([[0, 1]])
ax._repr_png_()
assert len(plt.get_fignums()) == 1
matplotlib.get_backend = lambda: "inline"
ax._repr_png_()
assert not plt.get_fignums()
"""
    environment = {**os.environ, "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)


def test_a_network_is_a_table_of_its_layers():
    text = fastnn.MLP.random((5, 4, 3), "tanh")._repr_html_()
    rows = [re.findall(r">([^<]*)</t[hd]>", row) for row in text.split("<tr>")[2:]]
    assert rows == [
        ["layer 1", "5", "4", "24", "tanh"],
        ["layer 2", "4", "3", "15", "softmax"],
        ["all", "", "", "39", ""],
    ]
    assert "MLP(5-4-3, tanh, float32)" in text


def test_a_history_is_curves_and_a_table():
    text = fastnn.History(*map(list, CURVES))._repr_html_()
    assert text.startswith("<svg")
    label = "train loss from 0.9 to 0.5; train accuracy from 0.7 to 0.8; val loss from 1 to 0.6"
    assert label in text
    assert [re.findall(r">([^<]*)</t[hd]>", row) for row in text.split("<tr>")[2:]] == [
        ["1", "0.9000", "0.7000", "1.0000", "0.6000"],
        ["2", "0.5000", "0.8000", "0.6000", "0.7000"],
    ]
    assert "val" not in fastnn.History([0.9], [0.7])._repr_html_()
    assert "no epochs" in fastnn.History()._repr_html_()


def test_figures_in_html_have_text_and_no_names_of_others():
    one, two = (svg_of(plots.digit(np.eye(4), title="<b>"), label) for label in ("first", "<2>"))
    for text in (one, two):
        assert text.startswith("<svg")
        assert text.rstrip().endswith("</svg>")
        assert "<b>" not in text
        assert "<metadata" not in text
    assert 'aria-label="first"' in one
    assert 'aria-label="&lt;2&gt;"' in two
    names = [set(re.findall(r' id="([^"]*)"', text)) for text in (one, two)]
    assert names[0]
    assert not names[0] & names[1]
    assert set(re.findall(r'"(?:url\()?#([^")]*)', one)) <= names[0]
