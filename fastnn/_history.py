"""Loss and accuracy after every epoch of a training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class History:
    """Loss and accuracy after every epoch of `train`.

    Attributes
    ----------
    train_loss, train_accuracy : list of float, length epochs
        Mean cross-entropy and share of right predictions on the training samples.
    val_loss, val_accuracy : list of float, length epochs
        The same on the validation samples; empty if there were none.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> net = fastnn.MLP.random((1, 2))
    >>> x = np.array([[0], [255]], dtype=np.uint8)
    >>> history = fastnn.train(net, x, [0, 1], epochs=20, batch_size=2, learning_rate=1.0)
    >>> len(history.train_loss), history.train_accuracy[-1], history.val_loss
    (20, 1.0, [])
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)

    def _repr_html_(self) -> str:
        """Return the curves and a table of all epochs, for a notebook."""
        from fastnn._drawing import history_html

        return history_html(self)
