"""Figures: what is drawn, on which axes, what is refused, what is left behind."""

import os
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

import fastnn
from fastnn import plots

TRAIN_LOSS, TRAIN_ACCURACY = [0.9, 0.5, 0.3], [0.7, 0.8, 0.9]
VAL_LOSS, VAL_ACCURACY = [1.0, 0.6, 0.5], [0.6, 0.75, 0.8]


@pytest.fixture(autouse=True)
def settings_kept():
    """No function may change matplotlib's settings."""
    # asking for the backend would import pyplot
    names = [name for name in mpl.rcParams if name != "backend"]
    before = [mpl.rcParams[name] for name in names]
    yield
    assert [mpl.rcParams[name] for name in names] == before


@pytest.fixture
def history():
    return SimpleNamespace(
        train_loss=TRAIN_LOSS,
        train_accuracy=TRAIN_ACCURACY,
        val_loss=VAL_LOSS,
        val_accuracy=VAL_ACCURACY,
    )


@pytest.fixture
def attacked(rng):
    """Three images, a perturbation of eps 0.1, and one label of three kept by the attack."""
    x = rng.random((3, 784), dtype=np.float32)
    x_adv = x + np.float32(0.1) * rng.choice([-1, 1], x.shape).astype(np.float32)
    return x, x_adv, np.array([7, 2, 1]), np.array([7, 2, 0]), np.array([3, 2, 8])


def report(eps, accuracy, n=100):
    return SimpleNamespace(n=n, eps=eps, clean_accuracy=0.98, adversarial_accuracy=accuracy)


def lines(ax):
    return {line.get_label(): line.get_ydata().tolist() for line in ax.lines}


def test_learning_curves_draw_each_list_in_its_panel(history):
    loss, accuracy = plots.learning_curves(history)
    assert lines(loss) == {"train": TRAIN_LOSS, "validation": VAL_LOSS}
    assert lines(accuracy) == {"train": TRAIN_ACCURACY, "validation": VAL_ACCURACY}
    assert [line.get_xdata().tolist() for line in loss.lines] == [[1, 2, 3]] * 2
    assert loss.get_ylabel() == "Cross-entropy loss"
    assert accuracy.get_ylabel() == "Accuracy"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "validation"]
    assert loss.lines[0].get_color() != loss.lines[1].get_color()


def test_learning_curves_take_the_lists_of_nn_train(history):
    four = (TRAIN_LOSS, TRAIN_ACCURACY, VAL_LOSS, VAL_ACCURACY)
    for ours, theirs in zip(
        plots.learning_curves(four), plots.learning_curves(history), strict=True
    ):
        assert lines(ours) == lines(theirs)


def test_learning_curves_without_validation_draw_no_empty_line(history):
    history.val_loss = history.val_accuracy = []
    for ax in plots.learning_curves(history):
        assert list(lines(ax)) == ["train"]


def test_one_epoch_is_a_visible_point():
    loss, _ = plots.learning_curves(([0.9], [0.7], [1.0], [0.6]))
    assert [line.get_marker() for line in loss.lines] == ["o", "o"]


def test_learning_curves_draw_on_the_axes_given(history):
    pair = Figure().subplots(2, 1)
    assert plots.learning_curves(history, pair) == tuple(pair)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (([], [], [], []), "history: expected one value for each epoch, got 0 of train_loss"),
        (([1], [1, 2], [], []), "1 of train_loss, 2 of train_accuracy"),
        (([1, 2], [1, 2], [1], [1]), "1 of val_loss, 1 of val_accuracy"),
        (([1, 2], [1, 2], [1, 2], []), "2 of val_loss, 0 of val_accuracy"),
        (({}, [1], [1], [1], [1]), "history: expected four lists, train_loss, .*, got 5"),
    ],
)
def test_learning_curves_refuse(lists, message):
    with pytest.raises(ValueError, match=message):
        plots.learning_curves(lists)


def test_learning_curves_refuse_one_panel(history):
    with pytest.raises(ValueError, match="axes: expected two, for loss and accuracy, got 1"):
        plots.learning_curves(history, [Figure().subplots()])


def test_digit_shows_every_pixel_unsmoothed(rng):
    image = rng.random(784)
    ax = plots.digit(image, title="seven")
    (drawn,) = ax.images
    np.testing.assert_array_equal(drawn.get_array(), image.reshape(28, 28))
    assert drawn.get_clim() == (0, 1)
    assert drawn.get_interpolation() == "nearest"
    assert ax.get_title() == "seven"


def test_digit_scales_bytes_and_keeps_rectangles():
    pixels = np.array([[0, 51, 255]], dtype=np.uint8)
    (drawn,) = plots.digit(pixels).images
    np.testing.assert_allclose(drawn.get_array(), [[0, 0.2, 1]], rtol=1e-6)


def test_digit_draws_on_the_axes_given(rng):
    ax = Figure().subplots()
    assert plots.digit(rng.random((28, 28)), ax) is ax


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(785), r"image has shape \(785,\): expected \(H, W\) or a flat square"),
        (np.zeros((2, 3, 4)), r"image has shape \(2, 3, 4\)"),
        (np.zeros(0), r"image has shape \(0,\)"),
        (np.float32(1), r"image has shape \(\)"),
        (np.array([0, np.nan, 0, 0]), "image has NaN or infinity in it"),
    ],
)
def test_digit_refuses(image, message):
    with pytest.raises(ValueError, match=message):
        plots.digit(image)


def test_grid_draws_clean_change_and_adversarial(attacked):
    x, x_adv, *_ = attacked
    grid = plots.adversarial_grid(*attacked)
    assert grid.shape == (3, 3)
    for i in range(3):
        clean, change, adversarial = (ax.images[0] for ax in grid[:, i])
        np.testing.assert_array_equal(clean.get_array(), x[i].reshape(28, 28))
        np.testing.assert_array_equal(adversarial.get_array(), x_adv[i].reshape(28, 28))
        np.testing.assert_array_equal(change.get_array(), (x_adv - x)[i].reshape(28, 28))
        low, high = change.get_clim()
        assert low == -high
        assert high == pytest.approx(0.1, rel=1e-6)
        # unclipped pixels below 0 and above 1 keep their own grey, in both rows alike
        assert clean.get_clim() == adversarial.get_clim() == (x_adv.min(), x_adv.max())


def test_grid_tells_right_from_wrong(attacked):
    grid = plots.adversarial_grid(*attacked)
    assert [ax.get_title() for ax in grid[0]] == ["true 7", "true 2", "true 1"]
    assert [ax.get_xlabel() for ax in grid[0]] == ["says 7 ✓", "says 2 ✓", "says 0 ✗"]
    assert [ax.get_xlabel() for ax in grid[2]] == ["says 3 ✗", "says 2 ✓", "says 8 ✗"]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["clean", "perturbation\n±0.1", "adversarial"]
    right, wrong = (to_hex(grid[2, i].xaxis.label.get_color()) for i in (1, 0))
    assert right == to_hex(grid[0, 0].xaxis.label.get_color())
    assert wrong == to_hex(grid[0, 2].xaxis.label.get_color())
    assert right != wrong


def test_grid_takes_bytes_one_image_and_no_change():
    pixels = np.full((1, 4), 255, dtype=np.uint8)
    grid = plots.adversarial_grid(pixels, np.ones((1, 4)), [5], [5], [5])
    np.testing.assert_array_equal(grid[0, 0].images[0].get_array(), np.ones((2, 2)))
    np.testing.assert_array_equal(grid[1, 0].images[0].get_array(), np.zeros((2, 2)))


def test_grid_draws_on_the_axes_given(attacked):
    axes = Figure().subplots(3, 3)
    assert (plots.adversarial_grid(*attacked, axes=axes) == axes).all()
    with pytest.raises(ValueError, match=r"axes has shape \(2, 3\): expected \(3, 3\)"):
        plots.adversarial_grid(*attacked, axes=axes[:2])


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.zeros((0, 784)), "x has 0 images: expected 1 to 20"),
        (0, np.zeros((21, 784)), r"x has 21 images: expected 1 to 20, such as x\[:10\]"),
        (0, np.zeros((3, 785)), r"x\[0\] has shape \(785,\)"),
        (0, np.zeros(()), "x has 0 images"),
        (1, np.zeros((2, 784)), r"x_adv has shape \(2, 784\), x has \(3, 784\)"),
        (1, np.full((3, 784), np.inf), r"x_adv\[0\] has NaN or infinity"),
        (2, np.zeros((3, 10), int), r"labels has shape \(3, 10\) and type int64"),
        (3, np.zeros(3), r"clean_prediction has .* type float64: expected integers \(3,\)"),
        (4, np.zeros(2, int), r"adversarial_prediction has shape \(2,\)"),
    ],
)
def test_grid_refuses(attacked, position, value, message):
    arguments = [*attacked]
    arguments[position] = value
    with pytest.raises(ValueError, match=message):
        plots.adversarial_grid(*arguments)


def test_accuracy_curve_starts_at_the_clean_accuracy():
    ax = plots.accuracy_curve(report(np.array([0.2, 0.1]), np.array([0.04, 0.4])))
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 0.1, 0.2]
    assert line.get_ydata().tolist() == [0.98, 0.4, 0.04]
    assert ax.get_ylim() == (0, 1)
    assert ax.get_legend() is None


def test_accuracy_curve_does_not_repeat_an_eps_of_zero():
    (line,) = plots.accuracy_curve(report(np.array([0, 0.1]), np.array([0.98, 0.4]))).lines
    assert line.get_xdata().tolist() == [0, 0.1]


def test_accuracy_curve_takes_a_single_eps():
    (line,) = plots.accuracy_curve(report(0.1, 0.4)).lines
    assert line.get_xydata().tolist() == [[0, 0.98], [0.1, 0.4]]


def test_accuracy_curves_share_axes_and_a_legend():
    ax = plots.accuracy_curve(report(0.1, 0.4), label="clipped")
    assert plots.accuracy_curve(report(0.3, 0.2), ax, label="not clipped") is ax
    assert lines(ax) == {"clipped": [0.98, 0.4], "not clipped": [0.98, 0.2]}
    assert ax.get_xlim() == (0, 0.3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["clipped", "not clipped"]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()


def test_accuracy_curve_refuses_an_empty_report():
    with pytest.raises(ValueError, match="report: expected at least one sample, got 0"):
        plots.accuracy_curve(report(0.1, float("nan"), n=0))


def test_what_is_no_report_and_no_history_is_named(history):
    with pytest.raises(
        TypeError, match=r"report must be what .* returns, got dict; to compare sev"
    ):
        plots.accuracy_curve({"PGD": report(0.1, 0.5)})
    with pytest.raises(TypeError, match=r"report must be what .* returns, got SimpleNamespace"):
        plots.accuracy_curve(history)
    with pytest.raises(TypeError, match=r"history must be what fastnn\.train returns, got Simple"):
        plots.learning_curves(report(0.1, 0.5))


def test_the_library_s_own_results_can_be_drawn(rng):
    x, labels = rng.random((20, 16), dtype=np.float32), rng.integers(0, 3, 20)
    net = fastnn.MLP.random((16, 8, 3), rng=0)
    history = fastnn.train(net, x, labels, epochs=2, batch_size=10, learning_rate=0.1, rng=0)
    assert lines(plots.learning_curves(history)[0]) == {"train": list(history.train_loss)}
    result = fastnn.adversarial_accuracy(net, x, labels, eps=[0.1, 0.2])
    (line,) = plots.accuracy_curve(result).lines
    assert line.get_ydata().tolist() == [result.clean_accuracy, *result.adversarial_accuracy]
    x_adv = fastnn.fgsm(net, x, labels, 0.1)
    few = slice(0, 5)
    grid = plots.adversarial_grid(
        x[few],
        x_adv[few],
        labels[few],
        result.clean_prediction[few],
        result.adversarial_prediction[0, few],
    )
    assert grid[0, 0].get_title() == f"true {labels[0]}"


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml")]
)
def test_save_writes_the_format_of_the_suffix(tmp_path, history, suffix, start):
    path = tmp_path / f"curves{suffix}"
    plots.save(plots.learning_curves(history), path)
    assert path.read_bytes().startswith(start)


def test_save_takes_whatever_the_functions_return(tmp_path, attacked):
    grid = plots.adversarial_grid(*attacked)
    for name, drawing in enumerate((grid, grid[0, 0], grid[0, 0].figure)):
        plots.save(drawing, tmp_path / f"{name}.png")
    shapes = [imread(path).shape for path in sorted(tmp_path.iterdir())]
    width, height = grid[0, 0].figure.get_size_inches()
    assert shapes == [(int(150 * height), int(150 * width), 4)] * 3


def test_save_finds_the_figure_of_a_panel(tmp_path, history):
    figure = Figure()
    plots.learning_curves(history, figure.subfigures(1, 2)[1].subplots(1, 2))
    plots.save(figure.axes[0], tmp_path / "panel.png")
    assert (tmp_path / "panel.png").exists()


@pytest.mark.parametrize("name", ["curves.xyz", "curves"])
def test_save_refuses_an_unknown_suffix_before_drawing(tmp_path, monkeypatch, history, name):
    axes = plots.learning_curves(history)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: pytest.fail("it drew"))
    with pytest.raises(ValueError, match=rf"{name}: expected a file name ending in .*\.png"):
        plots.save(axes, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch, history):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def fail(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save(plots.learning_curves(history), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_figures_belong_to_pyplot_only_where_pyplot_is_used():
    code = """
import sys
from fastnn import plots
drawn = plots.digit([[0, 1]])
assert "matplotlib.pyplot" not in sys.modules
import matplotlib.pyplot as plt
assert not plt.get_fignums()
plots.digit([[0, 1]])
assert len(plt.get_fignums()) == 1
"""
    environment = {**os.environ, "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
