"""Figures: learning curves, digits, adversarial examples, accuracy against eps.

Every function takes the axes to draw on, or makes a figure of its own, and returns the axes;
`save` writes them, and a notebook shows them. No display is needed and matplotlib's global
settings stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from fastnn import _drawing, _pictures
from fastnn._runtime.files import atomic_write
from fastnn.reports import _figure

if TYPE_CHECKING:
    from fastnn.reports import AdversarialReport
    from fastnn.training import History

__all__ = ["accuracy_curve", "adversarial_grid", "digit", "learning_curves", "save"]


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
    TypeError
        `history` is neither.
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
    return _drawing.learning_curves(history, axes)


@rc_context(_drawing.STYLE)
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
    pixels = _drawing.pixels_of(image, "image")
    ax = _drawing.new_axes(2.6, 2.8) if ax is None else ax
    _drawing.show_pixels(ax, pixels, "gray_r", min(0.0, pixels.min()), max(1.0, pixels.max()))
    ax.set_title(title)
    return ax


@rc_context(_drawing.STYLE)
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
    clean, adversarial = _drawing.images_of(x, "x"), _drawing.images_of(x_adv, "x_adv")
    n = len(clean)
    if adversarial.shape != clean.shape:
        raise ValueError(f"x_adv has shape {np.shape(x_adv)}, x has {np.shape(x)}")
    true = _drawing.column_of(labels, "labels", n)
    before = _drawing.column_of(clean_prediction, "clean_prediction", n)
    after = _drawing.column_of(adversarial_prediction, "adversarial_prediction", n)
    grid = _drawing.grid_of(axes, n)

    low, high = min(0.0, clean.min(), adversarial.min()), max(1.0, clean.max(), adversarial.max())
    change = adversarial - clean
    limit = float(abs(change).max()) or 1.0
    for i in range(n):
        _drawing.show_pixels(grid[0, i], clean[i], "gray_r", low, high)
        _drawing.show_pixels(grid[1, i], change[i], _drawing.CHANGE, -limit, limit)
        _drawing.show_pixels(grid[2, i], adversarial[i], "gray_r", low, high)
        grid[0, i].set_title(f"true {true[i]}", fontweight="bold")
        _drawing.mark_prediction(grid[0, i], before[i], true[i])
        _drawing.mark_prediction(grid[2, i], after[i], true[i])
    for row, name in enumerate(("clean", f"perturbation\n±{limit:.3g}", "adversarial")):
        grid[row, 0].set_ylabel(name)
    return grid


def accuracy_curve(report: AdversarialReport, ax: Axes | None = None, *, label: str = "") -> Axes:
    """Draw accuracy against eps, in a band of 95 % Wilson intervals; at eps 0 the clean accuracy.

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
    TypeError
        `report` is no report, such as several in a list.
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
    return _figure.curve(report, ax, label)


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
    kind = require_format(path)
    with atomic_write(path) as file:
        _pictures.figure_of(figure).savefig(file, format=kind, dpi=150)


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
