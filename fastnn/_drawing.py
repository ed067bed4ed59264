"""The parts of figures: colours and style, checks of what is drawn, axes, curves, images."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fastnn._html import folded, join, table, tag
from fastnn._pictures import ShownAxes, ShownPair, shown_array, svg_of

# Okabe and Ito's palette: readers with any common kind of colour blindness can tell them apart.
PALETTE = ("#0072B2", "#D55E00", "#00805D", "#CC79A7", "#E69F00", "#56B4E9")
BLUE, ORANGE, GREEN = PALETTE[:3]
_INK, _GRID = "#222222", "#D9D9D9"
STYLE: Any = {
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
CHANGE = LinearSegmentedColormap.from_list("change", [BLUE, "white", ORANGE])
MOST_IMAGES = 20
CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def curves_of(history: object) -> list[npt.NDArray[np.float64]]:
    """Check and return loss and accuracy of training, then of validation."""
    names = CURVES
    if not isinstance(history, Sequence) and not all(hasattr(history, name) for name in names):
        raise TypeError(f"history must be what fastnn.train returns, got {type(history).__name__}")
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


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, in inches."""
    # If pyplot is loaded, plt.show() is to show the figure; otherwise it needs no backend.
    pyplot = sys.modules.get("matplotlib.pyplot")
    make = Figure if pyplot is None else pyplot.figure
    figure: Figure = make(figsize=(width, height), layout="constrained")
    return figure


def new_axes(width: float, height: float) -> Axes:
    """Make axes in a figure of their own, in inches; a notebook shows them."""
    axes: Axes = new_figure(width, height).add_subplot(axes_class=ShownAxes)
    return axes


def grid_of(axes: npt.ArrayLike | None, n: int) -> npt.NDArray[np.object_]:
    """Check the caller's ``(3, n)`` axes or create them."""
    if axes is None:
        return shown_array(new_figure(1.15 * n + 0.9, 4.6).subplots(3, n, squeeze=False))
    grid = np.asarray(axes, dtype=object)
    if grid.shape != (3, n):
        raise ValueError(f"axes has shape {grid.shape}: expected (3, {n}), a column for each image")
    return shown_array(grid)


def images_of(values: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Check a batch of images and shape it ``(N, H, W)``."""
    batch = np.asarray(values)
    n = len(batch) if batch.ndim else 0
    if not 1 <= n <= MOST_IMAGES:
        raise ValueError(f"{name} has {n} images: expected 1 to {MOST_IMAGES}, such as {name}[:10]")
    return np.stack([pixels_of(image, f"{name}[{i}]") for i, image in enumerate(batch)])


def pixels_of(values: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
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


def column_of(values: npt.ArrayLike, name: str, n: int) -> npt.NDArray[np.integer]:
    """Check that there is one integer class for each of `n` images."""
    column = np.asarray(values)
    if column.shape != (n,) or column.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has shape {column.shape} and type {column.dtype}: expected integers ({n},)"
        )
    return column


@rc_context(STYLE)
def learning_curves(history: object, axes: Iterable[Axes] | None = None) -> ShownPair:
    """Draw loss and accuracy after each epoch on two axes, by default in a new figure."""
    train_loss, train_accuracy, val_loss, val_accuracy = curves_of(history)
    pair = new_figure(10, 3.8).subplots(1, 2) if axes is None else list(axes)
    if len(pair) != 2:
        raise ValueError(f"axes: expected two, for loss and accuracy, got {len(pair)}")
    draw_epochs(pair[0], train_loss, val_loss, "Cross-entropy loss")
    draw_epochs(pair[1], train_accuracy, val_accuracy, "Accuracy")
    pair[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    return ShownPair(pair)


def history_html(history: Any) -> str:
    """Return the curves of a history and a table of its epochs, for a notebook."""
    if not history.train_loss:
        return join(tag("p", "no epochs"))
    columns = {name: getattr(history, name) for name in CURVES if getattr(history, name)}
    words = [
        f"{name.replace('_', ' ')} from {values[0]:.3g} to {values[-1]:.3g}"
        for name, values in columns.items()
    ]
    label = f"Learning curves of {len(history.train_loss)} epochs: {'; '.join(words)}"
    epochs = zip(*columns.values(), strict=True)
    body = [[n, *(f"{value:.4f}" for value in row)] for n, row in enumerate(epochs, 1)]
    head = ["epoch", *(name.replace("_", " ") for name in columns)]
    picture = svg_of(learning_curves(history), label)
    return join(picture, folded("Epochs", table(head, body)))


def draw_epochs(
    ax: Axes,
    train: npt.NDArray[np.float64],
    validation: npt.NDArray[np.float64],
    name: str,
) -> None:
    """Draw a number after each epoch, for training and, if there is any, validation data."""
    epochs = np.arange(1, train.size + 1)
    mark = "o" if train.size == 1 else None
    ax.plot(epochs, train, color=BLUE, marker=mark, label="train")
    if validation.size:
        ax.plot(epochs, validation, color=ORANGE, marker=mark, label="validation")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="Epoch", ylabel=name)
    ax.legend()
    light_grid(ax)


def show_pixels(
    ax: Axes, image: npt.NDArray[np.floating], cmap: str | Colormap, low: float, high: float
) -> None:
    """Draw pixels as sharp squares in a thin frame without ticks."""
    ax.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def mark_prediction(ax: Axes, predicted: int, true: int) -> None:
    """Write the prediction under an image, with a mark that shows whether it is right."""
    mark, color = ("✓", GREEN) if predicted == true else ("✗", ORANGE)
    ax.set_xlabel(f"says {predicted} {mark}", color=color, fontweight="bold")


def light_grid(ax: Axes) -> None:
    """Put a light grid under the curves and leave the frame open."""
    ax.grid(color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


@rc_context(STYLE)
def attacked_images(
    x: npt.ArrayLike,
    labels: npt.NDArray[np.integer],
    clean_prediction: npt.NDArray[np.integer],
    blocks: Sequence[tuple[str, npt.ArrayLike, npt.NDArray[np.integer]]],
) -> Figure:
    """Draw clean images, and for each block the change and the adversarial images, with a key.

    A block is a title, adversarial images (N, D) and the predictions for them. All changes have
    one scale of colours.
    """
    clean = images_of(x, "x")
    after = [images_of(images, title) for title, images, _ in blocks]
    limit = max(float(abs(images - clean).max()) for images in after) or 1.0
    rows, n, height = 1 + 2 * len(blocks), len(clean), 1.5 + 2.5 * len(blocks)
    figure = new_figure(max(n + 0.6, 6.4), height + 0.7)
    parts: Any = figure.subfigures(2, 1, height_ratios=[height, 0.7])
    grid = parts[0].subplots(rows, n, squeeze=False)
    for i in range(n):
        show_pixels(grid[0, i], clean[i], "gray_r", 0.0, 1.0)
        grid[0, i].set_title(f"true {labels[i]}", fontweight="bold")
        mark_prediction(grid[0, i], clean_prediction[i], labels[i])
        for k, (images, (_, _, prediction)) in enumerate(zip(after, blocks, strict=True)):
            change, adversarial = grid[2 * k + 1, i], grid[2 * k + 2, i]
            show_pixels(change, images[i] - clean[i], CHANGE, -limit, limit)
            show_pixels(adversarial, images[i], "gray_r", 0.0, 1.0)
            mark_prediction(adversarial, prediction[i], labels[i])
    grid[0, 0].set_ylabel("clean")
    for k, (title, _, _) in enumerate(blocks):
        first = grid[2 * k + 1, 0]
        first.set_title(" ")  # keeps the height; the title itself may be wider than the image
        above = first.text(0, 1.08, title, fontweight="bold", transform=first.transAxes)
        above.set_in_layout(False)
        first.set_ylabel("change")
        grid[2 * k + 2, 0].set_ylabel("attacked")
    key = figure.colorbar(
        grid[1, 0].images[0],
        cax=parts[1].subplots(),
        orientation="horizontal",
        ticks=[-limit, 0, limit],
    )
    key.set_label("change of a pixel: blue, ink taken away; orange, ink added.  ✓ right  ✗ wrong")
    return figure
