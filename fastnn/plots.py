"""Figures: learning curves, digits, adversarial examples, accuracy against eps.

Every function takes the axes to draw on, or makes a figure of its own, and returns the axes;
`save` writes them. No display is needed and matplotlib's global settings stay as they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fastnn._runtime.files import atomic_write

if TYPE_CHECKING:
    from fastnn.reports import AdversarialReport
    from fastnn.training import History

__all__ = ["accuracy_curve", "adversarial_grid", "digit", "learning_curves", "save"]

# Okabe and Ito's palette: readers with any common kind of colour blindness can tell them apart.
_PALETTE = ("#0072B2", "#D55E00", "#00805D", "#CC79A7", "#E69F00", "#56B4E9")
_BLUE, _ORANGE, _GREEN = _PALETTE[:3]
_INK, _GRID = "#222222", "#D9D9D9"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#888888",
    "axes.titlesize": 12,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 2.0,
    "lines.markersize": 5.0,
    "legend.frameon": False,
}
_CHANGE = LinearSegmentedColormap.from_list("change", [_BLUE, "white", _ORANGE])
_MOST_IMAGES = 20


@rc_context(_STYLE)
def learning_curves(
    history: History | Sequence[Sequence[float]], axes: Iterable[Axes] | None = None
) -> tuple[Axes, Axes]:
    """Draw loss and accuracy after each epoch, for training and validation data.

    Parameters
    ----------
    history
        What `fastnn.train` returned, or the four lists of the assignment's `nn_train` in its own
        order: ``learning_curves(nn_train(...)[1:])``. Validation may be empty.
    axes
        Two axes, the loss first; by default in a new figure.

    Returns
    -------
    tuple of Axes
        The panel of the loss and the panel of the accuracy.

    Raises
    ------
    ValueError
        There are no epochs, the lists differ in length, or there are not two axes.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import plots
    >>> history = fastnn.training.History([0.9, 0.4], [0.7, 0.9], [1.0, 0.5], [0.6, 0.8])
    >>> loss, accuracy = plots.learning_curves(history)
    >>> accuracy.get_ylabel()
    'Accuracy'
    """
    train_loss, train_accuracy, val_loss, val_accuracy = _curves(history)
    pair = _figure(10, 3.8).subplots(1, 2) if axes is None else list(axes)
    if len(pair) != 2:
        raise ValueError(f"axes: expected two, for loss and accuracy, got {len(pair)}")
    for ax, train, validation, name in (
        (pair[0], train_loss, val_loss, "Cross-entropy loss"),
        (pair[1], train_accuracy, val_accuracy, "Accuracy"),
    ):
        epochs = np.arange(1, train.size + 1)
        mark = "o" if train.size == 1 else None
        ax.plot(epochs, train, color=_BLUE, marker=mark, label="train")
        if validation.size:
            ax.plot(epochs, validation, color=_ORANGE, marker=mark, label="validation")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="Epoch", ylabel=name)
        ax.legend()
        _light_grid(ax)
    pair[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    return pair[0], pair[1]


@rc_context(_STYLE)
def digit(image: npt.ArrayLike, ax: Axes | None = None, *, title: str = "") -> Axes:
    """Draw one image, dark ink on light paper.

    Parameters
    ----------
    image
        ``(H, W)`` or flat ``(H * H,)``; floats in [0, 1], or uint8 pixels.
    ax
        Where to draw; by default in a new figure.
    title
        Written above the image.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        `image` is neither ``(H, W)`` nor flat with a square number of pixels, or an entry is NaN
        or infinite.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import plots
    >>> data = fastnn.load_mnist(source="sample")
    >>> ax = plots.digit(data.x_test[3], title=f"a {data.y_test[3]}")
    >>> ax.get_title()
    'a 3'
    """
    pixels = _pixels(image, "image")
    ax = _figure(2.6, 2.8).subplots() if ax is None else ax
    _show(ax, pixels, "gray_r", min(0.0, pixels.min()), max(1.0, pixels.max()))
    ax.set_title(title)
    return ax


@rc_context(_STYLE)
def adversarial_grid(
    x: npt.ArrayLike,
    x_adv: npt.ArrayLike,
    labels: npt.ArrayLike,
    clean_prediction: npt.ArrayLike,
    adversarial_prediction: npt.ArrayLike,
    *,
    axes: npt.ArrayLike | None = None,
) -> npt.NDArray[np.object_]:
    """Draw clean images, what the attack added, and the adversarial images, a column each.

    Clean and adversarial images share one scale of greys; the perturbation is orange where ink
    was added, blue where it was taken away, white where nothing changed.

    Parameters
    ----------
    x, x_adv
        Clean and adversarial images, ``(N, D)`` or ``(N, H, W)``, N from 1 to 20; floats, or uint8
        pixels, which are divided by 255.
    labels, clean_prediction, adversarial_prediction
        Classes, ``(N,)``: the true ones, and the predictions for `x` and for `x_adv`.
    axes
        Axes of shape ``(3, N)``; by default in a new figure.

    Returns
    -------
    ndarray of Axes, shape (3, N)
        Rows: clean, perturbation, adversarial.

    Raises
    ------
    ValueError
        Shapes disagree, an entry is NaN or infinite, or N is outside 1 to 20.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import plots
    >>> data = fastnn.load_mnist(source="sample")
    >>> net = fastnn.MLP.random((784, 10))
    >>> x, labels = data.x_test[:4], data.y_test[:4]
    >>> x_adv = fastnn.fgsm(net, x, labels, eps=0.1)
    >>> axes = plots.adversarial_grid(x, x_adv, labels, net.predict(x), net.predict(x_adv))
    >>> axes.shape
    (3, 4)
    """
    clean, adversarial = _images(x, "x"), _images(x_adv, "x_adv")
    n = len(clean)
    if adversarial.shape != clean.shape:
        raise ValueError(f"x_adv has shape {np.shape(x_adv)}, x has {np.shape(x)}")
    true = _column(labels, "labels", n)
    before = _column(clean_prediction, "clean_prediction", n)
    after = _column(adversarial_prediction, "adversarial_prediction", n)
    grid = _grid(axes, n)

    low, high = min(0.0, clean.min(), adversarial.min()), max(1.0, clean.max(), adversarial.max())
    change = adversarial - clean
    limit = float(abs(change).max()) or 1.0
    for i in range(n):
        _show(grid[0, i], clean[i], "gray_r", low, high)
        _show(grid[1, i], change[i], _CHANGE, -limit, limit)
        _show(grid[2, i], adversarial[i], "gray_r", low, high)
        grid[0, i].set_title(f"true {true[i]}", fontweight="bold")
        _say(grid[0, i], before[i], true[i])
        _say(grid[2, i], after[i], true[i])
    for row, name in enumerate(("clean", f"perturbation\n±{limit:.3g}", "adversarial")):
        grid[row, 0].set_ylabel(name)
    return grid


@rc_context(_STYLE)
def accuracy_curve(report: AdversarialReport, ax: Axes | None = None, *, label: str = "") -> Axes:
    """Draw accuracy against eps; at eps 0 it is the clean accuracy.

    Parameters
    ----------
    report
        What `fastnn.adversarial_accuracy` returned, for one eps or many.
    ax
        Where to draw; by default in a new figure. To compare reports, draw all on the same.
    label
        Name of the curve in the legend; there is no legend if every name is empty.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        The report has no samples.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import plots
    >>> data = fastnn.load_mnist(source="sample")
    >>> net = fastnn.MLP.random((784, 10))
    >>> report = fastnn.adversarial_accuracy(net, data.x_test, data.y_test, eps=[0.05, 0.1])
    >>> ax = plots.accuracy_curve(report, label="untrained")
    >>> ax.get_ylabel()
    'Accuracy'
    """
    if not report.n:
        raise ValueError("report: expected at least one sample, got 0")
    eps, accuracy = np.atleast_1d(report.eps), np.atleast_1d(report.adversarial_accuracy)
    order = np.argsort(eps, kind="stable")
    eps, accuracy = eps[order], accuracy[order]
    if eps[0] > 0:
        eps = np.concatenate([[0.0], eps])
        accuracy = np.concatenate([[report.clean_accuracy], accuracy])
    ax = _figure(6.4, 4.0).subplots() if ax is None else ax
    color = _PALETTE[len(ax.lines) % len(_PALETTE)]
    ax.plot(eps, accuracy, marker="o", color=color, label=label or "_", clip_on=False)
    ax.margins(x=0)
    ax.set(xlabel="eps, the largest change of a pixel", ylabel="Accuracy", ylim=(0, 1))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    _light_grid(ax)
    return ax


def save(figure: Figure | SubFigure | Axes | Iterable[Any], path: str | Path) -> None:
    """Write a figure to a file; an interrupted write leaves the old file or none.

    Parameters
    ----------
    figure
        A figure, or what any function of this module returned.
    path
        Where to write. The suffix is the format: ``.png``, ``.svg``, ``.pdf`` and others.

    Raises
    ------
    ValueError
        matplotlib cannot write the format of the suffix.

    Examples
    --------
    >>> import os
    >>> import tempfile
    >>> import numpy as np
    >>> from fastnn import plots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.save(plots.digit(np.eye(28)), f"{folder}/digit.svg")
    ...     os.listdir(folder)
    ['digit.svg']
    """
    while not isinstance(figure, Figure):
        figure = figure.figure if isinstance(figure, (Axes, SubFigure)) else next(iter(figure))
    kind = require_format(path)
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=150)


def require_format(path: str | Path) -> str:
    """Return the format of a file from the suffix of its name.

    Parameters
    ----------
    path
        Where a figure is to be written.

    Raises
    ------
    ValueError
        matplotlib cannot write the format of the suffix.

    Examples
    --------
    >>> from fastnn import plots
    >>> plots.require_format("curves.PNG")
    'png'
    """
    kind = Path(path).suffix[1:].lower()
    known = Figure().canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(
            f"{path}: expected a file name ending in one of "
            f"{', '.join(f'.{name}' for name in sorted(known))}, got {Path(path).suffix!r}"
        )
    return kind


def _curves(history: History | Sequence[Sequence[float]]) -> list[npt.NDArray[np.float64]]:
    """Check and return loss and accuracy of training, then of validation."""
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    lists = history if isinstance(history, Sequence) else [getattr(history, n) for n in names]
    if len(lists) != len(names):
        raise ValueError(f"history: expected four lists, {', '.join(names)}, got {len(lists)}")
    curves = [np.asarray(values, dtype=np.float64) for values in lists]
    train, *others = (curve.size for curve in curves)
    if not train or others not in ([train, train, train], [train, 0, 0]):
        sizes = ", ".join(
            f"{curve.size} of {name}" for name, curve in zip(names, curves, strict=True)
        )
        raise ValueError(f"history: expected one value for each epoch, got {sizes}")
    return curves


def _figure(width: float, height: float) -> Figure:
    """Make an empty figure, in inches."""
    # If pyplot is loaded, plt.show() is to show the figure; otherwise it needs no backend.
    pyplot = sys.modules.get("matplotlib.pyplot")
    make = Figure if pyplot is None else pyplot.figure
    figure: Figure = make(figsize=(width, height), layout="constrained")
    return figure


def _grid(axes: npt.ArrayLike | None, n: int) -> npt.NDArray[np.object_]:
    """Check the caller's ``(3, n)`` axes or create them."""
    if axes is None:
        return _figure(1.15 * n + 0.9, 4.6).subplots(3, n, squeeze=False)
    grid = np.asarray(axes, dtype=object)
    if grid.shape != (3, n):
        raise ValueError(f"axes has shape {grid.shape}: expected (3, {n}), a column for each image")
    return grid


def _images(values: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Check a batch of images and shape it ``(N, H, W)``."""
    batch = np.asarray(values)
    n = len(batch) if batch.ndim else 0
    if not 1 <= n <= _MOST_IMAGES:
        raise ValueError(
            f"{name} has {n} images: expected 1 to {_MOST_IMAGES}, such as {name}[:10]"
        )
    return np.stack([_pixels(image, f"{name}[{i}]") for i, image in enumerate(batch)])


def _pixels(values: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Check an image and shape it ``(H, W)``; uint8 becomes [0, 1]."""
    image = np.asarray(values)
    shape = image.shape
    side = math.isqrt(image.size)
    if image.ndim == 1 and side * side == image.size:
        image = image.reshape(side, side)
    if image.ndim != 2 or not image.size:
        raise ValueError(f"{name} has shape {shape}: expected (H, W) or a flat square like (784,)")
    if not np.isfinite(image).all():
        raise ValueError(f"{name} has NaN or infinity in it")
    return image / np.float32(255) if image.dtype == np.uint8 else image


def _column(values: npt.ArrayLike, name: str, n: int) -> npt.NDArray[np.integer]:
    """Check that there is one integer class for each of `n` images."""
    column = np.asarray(values)
    if column.shape != (n,) or column.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has shape {column.shape} and type {column.dtype}: expected integers ({n},)"
        )
    return column


def _show(
    ax: Axes, image: npt.NDArray[np.floating], cmap: str | Colormap, low: float, high: float
) -> None:
    """Draw pixels as sharp squares in a thin frame without ticks."""
    ax.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def _say(ax: Axes, predicted: int, true: int) -> None:
    """Write the prediction under an image, with a mark that shows whether it is right."""
    mark, color = ("✓", _GREEN) if predicted == true else ("✗", _ORANGE)
    ax.set_xlabel(f"says {predicted} {mark}", color=color, fontweight="bold")


def _light_grid(ax: Axes) -> None:
    """Put a light grid under the curves and leave the frame open."""
    ax.grid(color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
