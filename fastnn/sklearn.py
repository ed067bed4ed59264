"""A classifier for scikit-learn's pipelines and grid searches (``pip install fastnn[sklearn]``)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _checks
from fastnn._engine.descent import Settings
from fastnn.networks import MLP
from fastnn.training import History, run_epochs

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "fastnn.sklearn needs scikit-learn 1.6 or newer: pip install fastnn[sklearn]"
    ) from error

__all__ = ["FastMLPClassifier"]

_ACTIVATIONS = {"relu": "relu", "logistic": "sigmoid", "tanh": "tanh"}
_SEEDS = 2**31 - 1
_AUTO_BATCH = 200


class FastMLPClassifier(ClassifierMixin, BaseEstimator):
    """A dense network, trained by `fastnn.train`, as a classifier of scikit-learn.

    Parameters, attributes and stopping rule are those of scikit-learn's ``MLPClassifier`` with
    ``solver="sgd"``, ``learning_rate="constant"`` and ``nesterovs_momentum=False``. It takes
    float32 and float64, and computes in the type of the samples.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, optional
        Widths of the hidden layers.
    activation : {"relu", "logistic", "tanh"}, optional
    alpha : float, optional
        Weight decay, >= 0: ``alpha / 2 * sum(W**2) / n`` is added to the mean loss of the n samples
        of a batch.
    batch_size : int or "auto", optional
        Samples per step; "auto" is 200, or all samples if they are fewer.
    learning_rate_init : float, optional
        Step length, > 0.
    max_iter : int, optional
        Most epochs.
    momentum : float, optional
        Share of the previous step that is added to each step, in [0, 1).
    tol : float, optional
        Least decrease of the mean loss that counts as an improvement.
    n_iter_no_change : int, optional
        The training ends after so many epochs in turn without an improvement.
    random_state : int, RandomState or None, optional
        Source of the first weights and of the order of the samples.

    Attributes
    ----------
    network_ : MLP
        The trained network, for attacks and all else in `fastnn`. Its class k is ``classes_[k]``.
    classes_ : ndarray, shape (C,)
    n_features_in_ : int
    feature_names_in_ : ndarray, shape (D,)
        Only if the samples were given with names.
    loss_curve_ : list of float
        Mean cross-entropy on the training samples after every epoch.
    loss_, best_loss_ : float
        The last and the least of these.
    n_iter_, n_layers_, n_outputs_ : int
        Epochs, layers with that of the inputs, classes.
    out_activation_ : str
        ``"softmax"``.

    Raises
    ------
    TypeError, ValueError
        In `fit`: a parameter is out of its range; samples are sparse, NaN or infinite; there is
        only one class.
    FloatingPointError
        In `fit`: the training diverges. Scale the samples, or take smaller steps.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fastnn.sklearn import FastMLPClassifier
    >>> x, labels = load_iris(return_X_y=True)
    >>> classifier = FastMLPClassifier(learning_rate_init=0.1, max_iter=1000, random_state=0)
    >>> model = make_pipeline(StandardScaler(), classifier)
    >>> model.fit(x, labels).score(x, labels) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: str = "relu",
        *,
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.02,
        max_iter: int = 200,
        momentum: float = 0.9,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.momentum = momentum
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array-like, shape (N, D)
        y : array-like, shape (N,)
            Classes of any type, two or more.

        Returns
        -------
        FastMLPClassifier
            Itself.

        Examples
        --------
        >>> from fastnn.sklearn import FastMLPClassifier
        >>> model = FastMLPClassifier(random_state=0).fit([[-1.0], [1.0]], ["no", "yes"])
        >>> model.classes_.tolist()
        ['no', 'yes']
        """
        x, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has the one class {classes.tolist()[0]!r}, expected two classes or more"
            )
        settings, epochs = (
            self._settings(len(x)),
            _checks.positive_integer(self.max_iter, "max_iter"),
        )
        source = check_random_state(self.random_state)
        first, order = (int(source.randint(_SEEDS)) for _ in range(2))
        hidden = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        net = MLP.random(
            (x.shape[1], *hidden, len(classes)), self._function(), rng=first, dtype=x.dtype
        )
        samples = (_checks.inputs(x, x.shape[1], x.dtype), labels.astype(np.int64).reshape(-1))
        history = run_epochs(net, settings, [samples], epochs, order, enough=self._enough)
        if not self._enough(history):
            warnings.warn(
                f"the loss still decreased after max_iter={epochs} epochs",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.classes_, self.network_ = classes, net
        self.loss_curve_ = history.train_loss
        self.loss_, self.best_loss_ = history.train_loss[-1], min(history.train_loss)
        self.n_iter_, self.n_layers_ = len(history.train_loss), len(net.sizes)
        self.n_outputs_, self.out_activation_ = len(classes), "softmax"
        return self

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """Weights of the layers, shapes (d_in, d_out)."""
        return list(self.network_.weights)

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """Biases of the layers, shapes (d_out,)."""
        return list(self.network_.biases)

    def predict(self, X: ArrayLike) -> Any:
        """Return the most probable class of every sample.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        ndarray, shape (N,), type of the classes

        Examples
        --------
        >>> from fastnn.sklearn import FastMLPClassifier
        >>> model = FastMLPClassifier(random_state=0).fit([[-1.0], [1.0]], ["no", "yes"])
        >>> model.predict([[2.0]]).tolist()
        ['yes']
        """
        x = self._checked(X)
        return self.classes_[self.network_.predict(x)]

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of every class.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        ndarray, shape (N, C)
            In the order of `classes_`.

        Examples
        --------
        >>> from fastnn.sklearn import FastMLPClassifier
        >>> model = FastMLPClassifier(random_state=0).fit([[-1.0], [1.0]], ["no", "yes"])
        >>> model.predict_proba([[2.0]]).shape
        (1, 2)
        """
        x = self._checked(X)
        return self.network_.predict_proba(x)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the logarithm of the probability of every class, also where that is tiny.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        ndarray, shape (N, C)
            In the order of `classes_`.

        Examples
        --------
        >>> from fastnn.sklearn import FastMLPClassifier
        >>> model = FastMLPClassifier(random_state=0).fit([[-1.0], [1.0]], ["no", "yes"])
        >>> model.predict_log_proba([[2.0]]).shape
        (1, 2)
        """
        from fastnn.functional import log_softmax

        x = self._checked(X)
        return log_softmax(self.network_.logits(x))

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        """Return samples in the type of the network."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        return x.astype(self.network_.dtype, copy=False)  # type: ignore[no-any-return]

    def _function(self) -> str:
        """Return the activation as `fastnn` names it."""
        if self.activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {tuple(_ACTIVATIONS)}, got {self.activation!r}"
            )
        return _ACTIVATIONS[self.activation]

    def _settings(self, rows: int) -> Settings:
        """Return the settings of a training with `rows` samples."""
        size = _AUTO_BATCH if self.batch_size == "auto" else self.batch_size
        size = min(_checks.positive_integer(size, "batch_size"), rows)
        momentum = _checks.real(self.momentum, "momentum")
        if momentum >= 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        _checks.positive_integer(self.n_iter_no_change, "n_iter_no_change")
        _checks.real(self.tol, "tol")
        return Settings(
            batch_size=size,
            learning_rate=_checks.real(
                self.learning_rate_init, "learning_rate_init", open_below=True
            ),
            momentum=momentum,
            l2=_checks.real(self.alpha, "alpha") / size,
        )

    def _enough(self, history: History) -> bool:
        """Return whether no one of the last epochs has improved the loss."""
        best, since = np.inf, 0
        for loss in history.train_loss:
            since = 0 if loss <= best - self.tol else since + 1
            best = min(best, loss)
            if since > self.n_iter_no_change:
                return True
        return False
